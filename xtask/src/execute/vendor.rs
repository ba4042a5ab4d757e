//! VendorCrates: the crates that a Cargo.lock names, from where cargo has put them. What comes out depends on the lock file
//! alone, whichever cargo brought them: each crate is checked against its checksum there and unpacked by us.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    payload::{cargo, copy_crate, run},
    run::Job,
    sources::{cancelled_or, control, options},
};
use crate::{
    digest::Digest,
    fetch::archive::{self, Archive},
    store::OutputKind,
};

pub fn vendor(job: &Job) -> Result<Vec<(&'static str, OutputKind)>> {
    let krate = copy_crate(job)?;
    let mut command = cargo(job)?.args(["fetch", "--quiet", "--locked", "--manifest-path"]);
    command = command.arg(krate.join("Cargo.toml"));
    if job.context.offline {
        command = command.env("CARGO_NET_OFFLINE", "true");
    }
    run(job, &command).map_err(|error| match job.context.offline {
        true => error.context("--offline forbids downloading crates, and cargo's own cache lacks some\n  hint: run once without --offline"),
        false => error,
    })?;
    let path = krate.join("Cargo.lock");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let tree = job.out("tree");
    // A crate without dependencies has nothing to vendor, but the output has to be there.
    fs::create_dir_all(&tree).with_context(|| format!("can't make {}", tree.display()))?;
    let caches = caches(job)?;
    for locked in locked(&text)? {
        unpack(job, &locked, &caches, &tree.join(format!("{}-{}", locked.name, locked.version)))?;
    }
    Ok(vec![("tree", OutputKind::Tree)])
}

/// A crate of a registry, as the lock file has it.
#[derive(Debug, PartialEq, Eq)]
struct Locked {
    name: String,
    version: String,
    checksum: Digest,
}

/// Where cargo keeps what it downloads: a folder for each registry.
fn caches(job: &Job) -> Result<Vec<PathBuf>> {
    let variables = &job.context.tools.host().variables;
    let home = variables.get("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(variables.get("HOME")?).join(".cargo")));
    let cache = home.context("there is no home folder where cargo could keep crates")?.join("registry/cache");
    let Ok(folders) = fs::read_dir(&cache) else { return Ok(Vec::new()) };
    let mut folders: Vec<PathBuf> = folders.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    Ok(folders)
}

fn unpack(job: &Job, locked: &Locked, caches: &[PathBuf], to: &Path) -> Result<()> {
    let Locked { name, version, checksum } = locked;
    let file = format!("{name}-{version}.crate");
    let is_it = |path: &&PathBuf| Digest::of_file(path).is_ok_and(|(digest, _)| digest == *checksum);
    let there: Vec<PathBuf> =
        caches.iter().map(|folder| folder.join(&file)).filter(|path| path.is_file()).collect();
    let Some(found) = there.iter().find(is_it) else {
        if let Some(wrong) = there.first() {
            bail!(
                "{} has not the checksum of Cargo.lock, {checksum}\n  hint: remove it and build again",
                wrong.display()
            );
        }
        bail!(
            "cargo has brought no {file} with the checksum {checksum} of Cargo.lock\n  hint: crates are taken from registries, \
             crates.io or a mirror of it; not from folders that a configuration of cargo names"
        );
    };
    archive::unpack(Archive::Tarball(found), to, &options(true), &control(job))
        .map_err(|error| cancelled_or(job, error))?;
    // What cargo wants to see in a folder of crates: the files have been checked as a whole.
    let path = to.join(".cargo-checksum.json");
    let text = serde_json::json!({ "files": {}, "package": checksum }).to_string();
    fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
}

/// The crates of registries in a Cargo.lock, which cargo writes with a key a line.
fn locked(text: &str) -> Result<Vec<Locked>> {
    let mut found = Vec::new();
    for package in text.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let value = |line: &'_ str| {
                Some(line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
            };
            package.lines().find_map(value)
        };
        let (Some(name), Some(version)) = (value("name"), value("version")) else {
            bail!("Cargo.lock has a package without name or version");
        };
        // Without a source it is of the workspace itself.
        let Some(source) = value("source") else { continue };
        let checksum = value("checksum").and_then(|text| text.parse().ok());
        match checksum {
            Some(checksum) => found.push(Locked { name, version, checksum }),
            None => bail!(
                "Cargo.lock has no checksum for {name} {version} of {source}\n  hint: only crates of registries can be built into a payload"
            ),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_registries_are_known_by_their_checksums() {
        let digest = "00".repeat(32);
        let text = format!(
            "version = 4\n\n[[package]]\nname = \"errno\"\nversion = \"0.3.14\"\n\
             source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{digest}\"\n\
             dependencies = [\n \"libc\",\n]\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n"
        );
        let wanted =
            Locked { name: "errno".into(), version: "0.3.14".into(), checksum: digest.parse().unwrap() };
        assert_eq!(locked(&text).unwrap(), [wanted]);
    }

    #[test]
    fn a_crate_of_a_repository_is_refused() {
        let text =
            "[[package]]\nname = \"fork\"\nversion = \"1.0.0\"\nsource = \"git+https://host/fork#0123\"\n";
        let error = locked(text).unwrap_err().to_string();
        assert!(error.contains("no checksum for fork 1.0.0 of git+https://host/fork"), "{error}");
    }
}
