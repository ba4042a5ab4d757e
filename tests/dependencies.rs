//! Which dependencies the project may have: from the registry, under licences that allow what it allows.

mod harness;

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
    for manifest in ["Cargo.toml", "recipes/vtl2-init/Cargo.toml", "recipes/paravisor/Cargo.toml"] {
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
