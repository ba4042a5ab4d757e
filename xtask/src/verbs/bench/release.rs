//! The check of a release of 300 MB, beside sha256sum over the same files.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use release::{
    bundle::{
        Artifact, CYCLONEDX, FORMAT, MANIFEST, NOTES, PROVENANCE, ProfileRelease, RELEASE, Release, SPDX,
        SUMS, Source,
    },
    manifest::{self, Builder, Manifest, Output, Profile},
    pack::Packing,
    provenance,
    sbom::{Bill, cyclonedx, spdx},
};

use super::{Row, repeat};
use crate::{
    bundle::{Key, Signer, Writer},
    digest::Digest,
};

const RUNS: usize = 9;
/// As a profile has them whose disks aren't packed.
const ARTIFACTS: [(&str, usize); 4] =
    [("disk.raw", 128 << 20), ("disk.vhd", (128 << 20) + 512), ("kernel", 12 << 20), ("vmlinux", 32 << 20)];

pub fn run() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (key, bundle) = (folder.path().join("key"), folder.path().join("bundle"));
    run_quietly(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
    fs::create_dir(&bundle)?;
    let size_bytes = fill(&bundle, &Signer::find(&Key::File(key.clone()))?)?;

    let xtask = std::env::current_exe().context("can't find this program")?;
    let public = key.with_extension("pub");
    let ours = repeat(RUNS, || {
        run_quietly(
            Command::new(&xtask).args(["release", "check"]).arg(&bundle).arg("--public-key").arg(&public),
        )
    })?;
    let theirs = repeat(RUNS, || {
        run_quietly(Command::new("sha256sum").args(["--quiet", "--check", SUMS]).current_dir(&bundle))
    })?;
    let name = format!("release check, {:.0} MB, signed, whole process", size_bytes as f64 / 1e6);
    let note = format!("best of each {:.1?} and {:.1?}", ours.0, theirs.0);
    Ok(vec![Row::new(&name, ours.1, Some(("sha256sum", theirs.1)), note)])
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("can't run {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Writes a release of a profile that nobody has built; returns its size in bytes.
fn fill(folder: &Path, signer: &Signer) -> Result<u64> {
    let mut bundle = Writer::new(folder);
    let mut outputs = Vec::new();
    for (name, size_bytes) in ARTIFACTS {
        // Nothing here is compressed: any content will do, as long as it is there.
        let content: Vec<u8> = (0..size_bytes).map(|at| (at >> 3) as u8 ^ at as u8).collect();
        fs::write(folder.join(name), &content)?;
        let output =
            Output { name: name.into(), size_bytes: size_bytes as u64, sha256: Digest::of(&content) };
        bundle.add(name, output.sha256, output.size_bytes);
        outputs.push(output);
    }
    let (version, date) = ("1.0.0", "2026-01-01T00:00:00Z");
    let source =
        Source { version: version.into(), revision: "0".repeat(40), date: date.into(), modified: false };
    let profile = Profile {
        name: "large".into(),
        description: "For the benchmark.".into(),
        arch: "x86_64".into(),
        vtl: 0,
        settings: serde_json::Map::new(),
    };
    let manifest = Manifest {
        format: manifest::FORMAT,
        profile,
        hermetic: true,
        builder: Builder::default(),
        command: Vec::new(),
        inputs: Vec::new(),
        tools: BTreeMap::new(),
        steps: Vec::new(),
        outputs,
        measurements: Vec::new(),
    };
    bundle.write(MANIFEST, &manifest.text())?;
    let artifact = |content: &Output| Artifact {
        file: content.name.clone(),
        packing: Packing::None,
        content: content.clone(),
    };
    let release = ProfileRelease {
        format: FORMAT,
        source: source.clone(),
        profile: "large".into(),
        command: Vec::new(),
        artifacts: manifest.outputs.iter().map(artifact).collect(),
    };
    let bill = Bill {
        profile: "large",
        description: "For the benchmark.",
        version,
        date,
        artifacts: &manifest.outputs,
        parts: &[],
    };
    bundle.write(SPDX, &spdx::text(&bill))?;
    bundle.write(CYCLONEDX, &cyclonedx::text(&bill))?;
    let subjects = release.subjects(bundle.sums());
    bundle.write(PROVENANCE, &provenance::text(&subjects, &source, &manifest, &[]))?;
    bundle.write(RELEASE, &Release::Profile(release).text())?;
    bundle.write(NOTES, "Notes.\n")?;
    Ok(bundle.seal(Some(signer))?.size_bytes)
}
