//! From which crates a program was built: what cargo says of it, without those that only tests need.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use release::sbom::{Crate, Role};
use serde::Deserialize;

use super::run::Job;
use crate::{
    digest::Digest,
    host::command::{Command, Limits},
};

/// The output of a step that builds a program: a list of [`Crate`] as JSON.
pub const OUTPUT: &str = "crates.json";

/// The part of `cargo metadata` that counts here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// None, `build` or `dev`.
    kind: Option<String>,
}

/// Checksum of a vendored package, as `cargo vendor` leaves it.
#[derive(Deserialize)]
struct Checksum {
    package: Option<Digest>,
}

/// Runs `metadata` and writes the list.
pub fn write(job: &Job, metadata: &Command, package: &str) -> Result<()> {
    let limits = Limits { timeout: None, cancel: Some(&job.context.cancelled) };
    let said = metadata.read(limits)?;
    let metadata = serde_json::from_str(&said).context("what cargo says of the crates")?;
    let mut crates = linked(&metadata, package);
    if let Some(vendor) = job.inputs.get("vendor") {
        for found in &mut crates {
            found.sha256 = checksum(vendor, found)?;
        }
    }
    crates.sort();
    job.write(OUTPUT, (serde_json::to_string_pretty(&crates)? + "\n").as_bytes())
}

fn checksum(vendor: &Path, of: &Crate) -> Result<Option<Digest>> {
    let path = vendor.join(format!("{}-{}/.cargo-checksum.json", of.name, of.version));
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    let checksum: Checksum =
        serde_json::from_slice(&text).with_context(|| format!("can't read {}", path.display()))?;
    Ok(checksum.package)
}

/// The crates that `package` is linked from, and those that run while it is compiled.
fn linked(metadata: &Metadata, package: &str) -> Vec<Crate> {
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let runs_while_compiling = |package: &Package| {
        package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    };
    let mut found = BTreeSet::new();
    let mut next: Vec<(&str, Role)> = metadata
        .packages
        .iter()
        .filter(|known| known.name == package)
        .map(|package| (package.id.as_str(), Role::Contained))
        .collect();
    while let Some((id, role)) = next.pop() {
        if !found.insert((id, role)) {
            continue;
        }
        for dependency in nodes.get(id).iter().flat_map(|node| &node.deps) {
            for kind in &dependency.dep_kinds {
                let is_macro = packages.get(dependency.pkg.as_str()).is_some_and(|p| runs_while_compiling(p));
                match kind.kind.as_deref() {
                    Some("dev") => {}
                    Some(_) => next.push((&dependency.pkg, Role::BuildTool)),
                    None if is_macro => next.push((&dependency.pkg, Role::BuildTool)),
                    None => next.push((&dependency.pkg, role)),
                }
            }
        }
    }
    // One that is both is in the program.
    let is_contained = |id: &str| found.contains(&(id, Role::Contained));
    let crates = found.iter().filter(|(id, role)| *role == Role::Contained || !is_contained(id));
    crates
        .filter_map(|(id, role)| {
            let package = packages.get(id)?;
            let (name, version) = (package.name.clone(), package.version.clone());
            Some(Crate { name, version, licence: package.license.clone(), sha256: None, role: *role })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_tests_are_in_no_program() {
        let package = |name: &str, kind: &str| serde_json::json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT", "targets": [{"kind": [kind]}]});
        let depends =
            |on: &str, kind: Option<&str>| serde_json::json!({"pkg": on, "dep_kinds": [{"kind": kind}]});
        let metadata = serde_json::json!({
            "packages": [
                package("program", "bin"), package("library", "lib"), package("macro", "proc-macro"),
                package("parser", "lib"), package("script", "lib"), package("judge", "lib"), package("both", "lib"),
            ],
            "resolve": {"nodes": [
                {"id": "program", "deps": [
                    depends("library", None), depends("macro", None), depends("judge", Some("dev")),
                    depends("script", Some("build")), depends("both", Some("build")),
                ]},
                {"id": "macro", "deps": [depends("parser", None)]},
                {"id": "library", "deps": [depends("both", None)]},
            ]},
        });
        let found = linked(&serde_json::from_value(metadata).unwrap(), "program");
        let mut named: Vec<(&str, Role)> =
            found.iter().map(|found| (found.name.as_str(), found.role)).collect();
        named.sort();
        let (inside, tool) = (Role::Contained, Role::BuildTool);
        assert_eq!(
            named,
            [
                ("both", inside),
                ("library", inside),
                ("macro", tool),
                ("parser", tool),
                ("program", inside),
                ("script", tool)
            ]
        );
    }
}
