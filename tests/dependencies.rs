//! Which dependencies the project may have: from the registry, under licences that allow what it allows, and few where
//! everybody who clones the project waits for them.

mod harness;

use std::collections::BTreeMap;

use harness::{project, run};

/// SPDX identifiers that are fine.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn licences_and_sources_are_allowed() {
    for manifest in [
        "Cargo.toml",
        "recipes/first-boot/Cargo.toml",
        "recipes/vtl2-init/Cargo.toml",
        "recipes/paravisor/Cargo.toml",
        "bare/Cargo.toml",
    ] {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["metadata", "--locked", "--format-version", "1", "--manifest-path", manifest]);
        let metadata = run(cargo.current_dir(project())).expect("cargo metadata");
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        for package in metadata["packages"].as_array().unwrap() {
            let Some(source) = package["source"].as_str() else { continue };
            let name = &package["name"];
            assert!(source.starts_with("registry+"), "{manifest}: {name} comes from {source}");
            let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
            let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX).unwrap();
            let is_allowed =
                |wanted: &spdx::LicenseReq| wanted.license.id().is_some_and(|id| ALLOWED.contains(&id.name));
            assert!(expression.evaluate(is_allowed), "{manifest}: {name} is under {licence}");
        }
    }
}

/// What `cargo xtask` compiles before it can say a word. More belongs into a program of its own (`xtask/src/member.rs`).
const CRATES_LIMIT: usize = 160;

/// Crates that others want in two versions. Another one costs every cold build its compilation.
const TWICE: [&str; 2] = ["bitflags", "getrandom"];

#[test]
fn a_cold_build_of_xtask_compiles_few_crates_once() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--package", "xtask", "--edges", "normal,build", "--prefix", "none"]);
    let said = run(cargo.args(["--format", "{p} features {f}"]).current_dir(project())).expect("cargo tree");
    let crates: BTreeMap<(&str, &str), &str> = said
        .lines()
        .filter_map(|line| {
            let (package, features) = line.split_once(" features ")?;
            let mut words = package.split(' ');
            Some(((words.next()?, words.next()?), features.trim_end_matches("(*)").trim()))
        })
        .collect();
    let count = crates.len();
    assert!((100..=CRATES_LIMIT).contains(&count), "{count} crates");
    let names: Vec<&str> = crates.keys().map(|(name, _)| *name).collect();
    let twice: Vec<&str> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(twice.iter().all(|name| TWICE.contains(name)), "two versions of {twice:?}");
    // Each of these alone takes longer than any other crate. Formats of before Zstandard 1.0 and dictionaries, too.
    for heavy in ["aws-lc-sys", "icu_properties", "igvm", "object_store", "openssl-sys", "p384"] {
        assert!(!names.contains(&heavy), "{heavy}");
    }
    let zstd = crates.iter().find(|((name, _), _)| *name == "zstd-sys").expect("zstd-sys");
    assert_eq!(*zstd.1, "std", "features of zstd-sys");
}
