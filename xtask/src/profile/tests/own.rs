//! The project's own profiles, recipes and schemas.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::profile::{
    Project, builder, load_all, schemas,
    types::{Arch, Firmware, Vtl},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the project's folder").to_owned()
}

/// Every file below profiles/, configs/ and recipes/, by its path. Build output of recipes is left out.
pub(super) fn files() -> BTreeMap<String, Vec<u8>> {
    let root = root();
    let folders = ["profiles", "configs", "recipes"].map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| {
        walkdir::WalkDir::new(folder).into_iter().filter_entry(|entry| entry.file_name() != "target")
    });
    let files = entries
        .map(|entry| entry.expect("the folders are there"))
        .filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            let path = entry.path().strip_prefix(&root).expect("it is below the root");
            (path.to_string_lossy().into_owned(), fs::read(entry.path()).expect("it can be read"))
        })
        .collect()
}

/// The YAML files among them.
pub(super) fn documents() -> Vec<(String, Vec<u8>)> {
    files().into_iter().filter(|(path, _)| path.ends_with(".yaml")).collect()
}

#[test]
fn profiles_are_right() {
    let specs = load_all(&Project { root: root() }).unwrap_or_else(|problems| panic!("{problems}"));
    let found: Vec<_> =
        specs.iter().map(|spec| (spec.name.as_str(), spec.arch, spec.vtl, spec.firmware)).collect();
    let wanted = [
        ("aarch64-universal", Arch::Aarch64, Vtl::Vtl2, Firmware::Igvm),
        ("aarch64-vtl0", Arch::Aarch64, Vtl::Vtl0, Firmware::Uefi),
        ("aarch64-vtl2", Arch::Aarch64, Vtl::Vtl2, Firmware::Igvm),
        ("x86_64-vtl0", Arch::X86_64, Vtl::Vtl0, Firmware::Uefi),
        ("x86_64-vtl2", Arch::X86_64, Vtl::Vtl2, Firmware::Igvm),
    ];
    assert_eq!(found, wanted);
}

/// Whoever changes builder.yaml locks it anew.
#[test]
fn the_builders_root_is_locked() {
    let builder = builder(&Project { root: root() }).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(builder.arch, Arch::X86_64);
    for package in ["gcc-12", "make", "rustc-web", "libc6"] {
        assert!(builder.packages.iter().any(|pin| pin.package.as_str() == package), "{package}");
    }
}

/// What only a real file system can do.
#[test]
fn a_folder_in_place_of_a_file() {
    let project = Project { root: tempfile::tempdir().expect("a temporary folder").keep() };
    fs::create_dir_all(project.root.join("profiles/odd.yaml")).expect("a folder");
    let problems = load_all(&project).expect_err("that is no profile");
    fs::remove_dir_all(&project.root).expect("it is ours");
    let text = problems.to_string();
    assert!(text.contains("profiles/odd.yaml: can't be read: Is a directory"), "{text}");
}

#[test]
fn schemas_are_current() {
    for (path, text) in schemas() {
        let written = fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(written == text, "{path} is out of date: run `cargo xtask schema`");
    }
}

/// Editors find the schema of a file by its first line.
#[test]
fn documents_name_their_schema() {
    for (path, text) in documents() {
        let text = String::from_utf8(text).expect("it is text");
        let first = text.lines().next().unwrap_or_default();
        let named = first.strip_prefix("# yaml-language-server: $schema=");
        let named =
            named.unwrap_or_else(|| panic!("{path} doesn't begin with the line that names its schema"));
        let folder = root().join(&path).parent().expect("it is in a folder").to_owned();
        let schema =
            folder.join(named).canonicalize().unwrap_or_else(|error| panic!("{path}: {named}: {error}"));
        let kind = match path.as_str() {
            "profiles/pins.yaml" => "pins",
            "profiles/builder.yaml" => "builder",
            "profiles/builder.lock.yaml" => "builder.lock",
            "configs/rules.yaml" => "rules",
            path if path.starts_with("recipes/") => "recipe",
            _ => "profile",
        };
        let wanted = root().join(format!("profiles/schema/{kind}.schema.json"));
        assert_eq!(schema, wanted.canonicalize().expect("the schema is there"), "{path}");
    }
}
