//! Brings a profile's artifacts from the store to `out/PROFILE/`.
//!
//! The new folder is made beside the old one and exchanged with it in one system call, so that whoever looks
//! sees the old set or the new one, never a mixture. Files that the tool doesn't know are carried over.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::fs::{RenameFlags, renameat_with};
use serde::Serialize;

use crate::{
    digest::Digest,
    execute::{Context, Damaged, Outcomes},
    manifest::{self, OutputEntry},
    plan::Plan,
    profile::spec::Spec,
    report::ArtifactLine,
};

const MANIFEST: &str = "manifest.json";
const SUMS: &str = "SHA256SUMS";
const BUILD_INFO: &str = "build-info.json";

/// What was built where and how fast: about this run, so outside every digest.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BuildInfo<'a> {
    finished_unix_seconds: u64,
    host: String,
    project: &'a Path,
    store: &'a Path,
    steps: Vec<StepInfo<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StepInfo<'a> {
    name: &'a str,
    reused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    log: PathBuf,
}

/// Makes `out/PROFILE/` hold exactly what the outcomes say; does nothing if it does already.
pub fn export(
    context: &Context,
    plan: &Plan,
    outcomes: &Outcomes,
    spec: &Spec,
    out: &Path,
) -> Result<Vec<ArtifactLine>> {
    let folder = out.join(&spec.name);
    let manifest = serde_json::to_string_pretty(&manifest::manifest(plan, outcomes, spec))? + "\n";
    let outputs = manifest::outputs(plan, outcomes, &spec.name);
    let manifest_digest = Digest::of(manifest.as_bytes());
    let names = outputs.iter().map(|(entry, ..)| (entry.name.as_str(), entry.sha256));
    let sums = manifest::sha256sums(names.chain([(MANIFEST, manifest_digest)]));
    let lines: Vec<ArtifactLine> = outputs.iter().map(|(entry, ..)| line(entry)).collect();
    if is_current(context, &folder, &sums) {
        return Ok(lines);
    }

    fs::create_dir_all(out).with_context(|| format!("can't make {}", out.display()))?;
    let _lock = crate::store::KeyLock::take(&out.join(format!(".{}.lock", spec.name)), || {
        context.reporter.note(&format!("  wait   another build is writing {}", folder.display()));
    })?;
    let fresh = out.join(format!(".{}.new", spec.name));
    remove(&fresh)?;
    fs::create_dir(&fresh).with_context(|| format!("can't make {}", fresh.display()))?;
    for (entry, outcome, output) in &outputs {
        let recorded = outcome.record.output(output).expect("outputs come from records");
        if !context.store.is_intact(&outcome.key, recorded, &context.memo)? {
            let step = outcomes
                .0
                .iter()
                .position(|other| other.key == outcome.key)
                .expect("an outcome of this build");
            return Err(Damaged { step, key: outcome.key }.into());
        }
        copy(&context.store.output_path(&outcome.key, output), &fresh.join(&entry.name))?;
    }
    let info = build_info(context, plan, outcomes, spec)?;
    for (name, text) in [(MANIFEST, &manifest), (SUMS, &sums), (BUILD_INFO, &info)] {
        fs::write(fresh.join(name), text)
            .with_context(|| format!("can't write {}", fresh.join(name).display()))?;
    }
    exchange(&fresh, &folder)?;
    for (entry, ..) in &outputs {
        context.memo.adopt_file(&folder.join(&entry.name), entry.sha256, entry.size_bytes);
    }
    context.memo.adopt_file(&folder.join(MANIFEST), manifest_digest, manifest.len() as u64);
    Ok(lines)
}

fn line(entry: &OutputEntry) -> ArtifactLine {
    ArtifactLine { name: entry.name.clone(), size_bytes: entry.size_bytes, sha256: entry.sha256.to_string() }
}

/// Whether every file listed in `sums` is in `folder` with its digest.
fn is_current(context: &Context, folder: &Path, sums: &str) -> bool {
    if fs::read_to_string(folder.join(SUMS)).is_ok_and(|text| text != sums) {
        return false;
    }
    sums.lines().all(|line| {
        let Some((digest, name)) = line.split_once("  ") else { return false };
        context.memo.digest(&folder.join(name)).is_ok_and(|(found, _)| found.to_string() == digest)
    }) && folder.join(SUMS).exists()
}

fn build_info(context: &Context, plan: &Plan, outcomes: &Outcomes, spec: &Spec) -> Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let steps = plan.steps_of(&spec.name).into_iter().map(|number| {
        let outcome = &outcomes.0[number];
        StepInfo {
            name: &plan.steps[number].name,
            reused: outcome.ran.is_none(),
            seconds: outcome.ran.map(|took| took.as_secs_f64()),
            log: context.store.log_path(&outcome.key),
        }
    });
    let info = BuildInfo {
        finished_unix_seconds: now.as_secs(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        project: &context.root,
        store: context.store.root(),
        steps: steps.collect(),
    };
    Ok(serde_json::to_string_pretty(&info)? + "\n")
}

/// Copies a file, keeping its holes, so that a sparse disk stays sparse; shares the blocks where the file
/// system can.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> {
        let source = File::open(from)?;
        let target = File::create_new(to)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
            return Ok(());
        }
        copy_extents(&source, &target)
    };
    copy().with_context(|| format!("can't copy {} to {}", from.display(), to.display()))
}

fn copy_extents(source: &File, target: &File) -> io::Result<()> {
    use rustix::fs::SeekFrom;
    let end = source.metadata()?.len();
    target.set_len(end)?;
    let mut position = 0;
    while position < end {
        let data = match rustix::fs::seek(source, SeekFrom::Data(position)) {
            Ok(data) => data,
            // Nothing but a hole up to the end.
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let hole = rustix::fs::seek(source, SeekFrom::Hole(data))?;
        let (mut from, mut to) = (data, data);
        while from < hole {
            let length = usize::try_from(hole - from).unwrap_or(usize::MAX);
            let copied = rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), length)?;
            if copied == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
        }
        position = hole;
    }
    Ok(())
}

/// Puts `fresh` in the place of `folder`, and what `folder` had beyond the tool's own files into it.
fn exchange(fresh: &Path, folder: &Path) -> Result<()> {
    let place = |flags| renameat_with(rustix::fs::CWD, fresh, rustix::fs::CWD, folder, flags);
    if !folder.exists() {
        return fs::rename(fresh, folder).with_context(|| format!("can't make {}", folder.display()));
    }
    match place(RenameFlags::EXCHANGE) {
        Ok(()) => carry_over(fresh, folder),
        // Not every file system can: then there is a moment without the folder, but never a mixture.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let old = fresh.with_extension("old");
            remove(&old)?;
            fs::rename(folder, &old).with_context(|| format!("can't move {}", folder.display()))?;
            fs::rename(fresh, folder).with_context(|| format!("can't make {}", folder.display()))?;
            carry_over(&old, folder)
        }
        Err(error) => {
            Err(io::Error::from(error)).with_context(|| format!("can't replace {}", folder.display()))
        }
    }
}

/// Moves the user's own files from the old folder to the new one, then removes the old one.
fn carry_over(old: &Path, new: &Path) -> Result<()> {
    let known: Vec<String> = fs::read_to_string(old.join(SUMS))
        .map(|sums| sums.lines().filter_map(|line| Some(line.split_once("  ")?.1.to_string())).collect())
        .unwrap_or_default();
    for entry in fs::read_dir(old).with_context(|| format!("can't list {}", old.display()))? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        let is_ours = known.iter().any(|known| *known == text) || [SUMS, BUILD_INFO].contains(&text.as_ref());
        if !is_ours && !new.join(&name).exists() {
            fs::rename(old.join(&name), new.join(&name))
                .with_context(|| format!("can't move {}", old.join(&name).display()))?;
        }
    }
    remove(old)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
