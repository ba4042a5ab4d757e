//! Releases of a real profile: judged by the projects whose formats they have, signed, tampered with, made twice, killed.

mod harness;
#[path = "release/own_project.rs"]
mod own_project;
#[path = "release/signed.rs"]
mod signed;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use harness::{
    PROFILES, Said, built, folder,
    judges::{Judges, digest},
    project, run, xtask,
};

const PROFILE: &str = "x86_64-vtl2";

/// A release that all tests look at, and the keys of somebody who may sign and of somebody who may not.
struct Released {
    bundle: PathBuf,
    key: PathBuf,
    other_key: PathBuf,
}

fn released() -> &'static Released {
    static RELEASED: OnceLock<Released> = OnceLock::new();
    RELEASED.get_or_init(|| {
        let folder = folder("release");
        let (key, other_key) = (folder.join("key"), folder.join("other-key"));
        for key in [&key, &other_key] {
            harness::judge("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
        }
        run(&mut release(&folder.join("out"), Some(&key))).expect("release");
        Released { bundle: folder.join("out").join(PROFILE), key, other_key }
    })
}

/// The project is as it is while it is worked on.
fn release(out: &Path, key: Option<&Path>) -> Command {
    let mut command = xtask();
    command.args(["release", PROFILE, "--host-tools", "--offline", "--allow-modified", "--out"]).arg(out);
    if let Some(key) = key {
        command.arg("--key").arg(key);
    }
    command
}

fn check(bundle: &Path, key: Option<&Path>) -> Said {
    let mut command = xtask();
    command.args(["release", "check"]).arg(bundle);
    if let Some(key) = key {
        command.arg("--public-key").arg(key.with_extension("pub"));
    }
    run(&mut command)
}

/// Path below `folder` → digest.
fn digests(folder: &Path) -> BTreeMap<String, String> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files.map(|entry| (name(entry.path()), digest(entry.path()))).collect()
}

#[test]
fn documents_satisfy_the_projects_that_made_their_formats() {
    let bundle = &released().bundle;
    let judges = Judges::install("release", "tests/release/judges.txt");
    let judge = |arguments: &[&Path]| {
        let mut command = judges.python();
        command.arg(project().join("tests/release/judge.py")).args(arguments);
        run(&mut command)
    };
    let is_content = |arguments: &[&Path]| {
        let said = judge(arguments);
        assert_eq!((said.status, said.stdout.trim()), (0, ""), "{arguments:?}: {}", said.stderr);
    };
    let schema = project().join("docs/manifest.schema.json");
    let mut manifests: Vec<PathBuf> =
        PROFILES.iter().map(|profile| built(profile).join("manifest.json")).collect();
    manifests.push(bundle.join("manifest.json"));
    let mut arguments: Vec<&Path> = vec![Path::new("schema"), &schema];
    arguments.extend(manifests.iter().map(PathBuf::as_path));
    is_content(&arguments);
    // A judge that is content with everything would be none: each also gets its document with a part renamed.
    let cases = [
        ("schema", "manifest.json", "\"hermetic\"", "\"hermetical\""),
        ("spdx", "sbom.spdx.json", "\"BUILD_TOOL_OF\"", "\"TOOL_OF\""),
        ("cyclonedx", "sbom.cdx.json", "\"excluded\"", "\"left out\""),
        ("provenance", "provenance.intoto.json", "\"buildType\"", "\"kind\""),
    ];
    let folder = folder("release-judges");
    for (kind, name, from, to) in cases {
        let (good, bad) = (bundle.join(name), folder.join(name));
        let text = fs::read_to_string(&good).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(&bad, text.replacen(from, to, 1)).unwrap();
        let with_schema = |file| match kind {
            "schema" => vec![Path::new(kind), &schema, file],
            _ => vec![Path::new(kind), file],
        };
        if kind != "schema" {
            is_content(&with_schema(good.as_path()));
        }
        assert_ne!(judge(&with_schema(bad.as_path())).status, 0, "{name} with {to}");
    }
}

#[test]
fn bills_list_kernel_crates_tools_and_downloads() {
    let text = fs::read(released().bundle.join("sbom.cdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let components = bill["components"].as_array().unwrap();
    let find = |name: &str| {
        let mut found = components.iter().filter(|component| component["name"] == name);
        found.next().unwrap_or_else(|| panic!("no {name} in {bill:#}"))
    };
    let kernel = fs::read_to_string(released().bundle.join("kernel.config")).unwrap();
    let version = find("linux")["version"].as_str().unwrap();
    assert!(kernel.contains(&format!("{version} Kernel Configuration")), "{version}");
    let source = find("linux-source-7.3");
    let pins = fs::read_to_string(project().join("profiles/pins.yaml")).unwrap();
    assert!(pins.contains(source["hashes"][0]["content"].as_str().unwrap()), "{source}");
    assert_eq!(find("gcc")["scope"], "excluded");
    // What cargo itself says of the payload: crates of tests are not among them.
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--manifest-path",
    ]);
    let tree = run(tree.arg(project().join("recipes/vtl2-init/Cargo.toml"))).expect("cargo tree");
    let linked = tree.lines().filter_map(|line| line.split_whitespace().next());
    for name in linked {
        assert_eq!(find(name)["scope"], "required", "{name}");
    }
    assert!(components.iter().all(|component| component["name"] != "tempfile"), "{bill:#}");
    let lock = fs::read_to_string(project().join("recipes/vtl2-init/Cargo.lock")).unwrap();
    assert!(lock.contains(find("nix")["hashes"][0]["content"].as_str().unwrap()));
}
