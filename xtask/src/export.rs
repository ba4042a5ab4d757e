//! Brings a profile's artifacts from the store to `out/PROFILE/`.
//!
//! The new folder is made beside the old one and exchanged with it in one system call, so that whoever looks
//! sees the old set or the new one, never a mixture. Files that the tool doesn't know are carried over.

mod copy;
mod place;

use std::path::{Path, PathBuf};

use anyhow::Result;
use release::{manifest::Output, sums::Sums};
use serde::Serialize;

pub use copy::{copy, next_extent};
pub use place::{Place, Strangers};

use crate::{
    digest::Digest,
    execute::{Context, Outcomes},
    manifest,
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
    let manifest = manifest::manifest(context, plan, outcomes, spec)?.text();
    let outputs = manifest::outputs(plan, outcomes, &spec.name);
    let manifest_digest = Digest::of(manifest.as_bytes());
    let names = outputs.iter().map(|(entry, ..)| (entry.name.as_str(), entry.sha256));
    let sums = names.chain([(MANIFEST, manifest_digest)]);
    let sums = Sums(sums.map(|(name, digest)| (name.to_owned(), digest)).collect()).text();
    let lines: Vec<ArtifactLine> = outputs.iter().map(|(entry, ..)| line(entry)).collect();
    let folder = out.join(&spec.name);
    let place = Place::new(out, &spec.name, Strangers::Kept);
    let is_current = || is_current(context, &folder, &sums);
    if !place.has_leftovers() && is_current() {
        return Ok(lines);
    }

    let info = build_info(context, plan, outcomes, spec)?;
    let waiting =
        || context.reporter.note(&format!("  wait   another build is writing {}", folder.display()));
    let Some(fresh) = place.open_unless(is_current, waiting)? else {
        return Ok(lines);
    };
    // The sums first: they tell what is ours in this folder, should we be killed before it is whole.
    for (name, text) in [(SUMS, &sums), (BUILD_INFO, &info), (MANIFEST, &manifest)] {
        fresh.write(name, text)?;
    }
    for (entry, outcome, output) in &outputs {
        let path = context.output(outcomes.step(plan, outcome), outcome, output)?;
        copy(&path, &fresh.path(&entry.name))?;
    }
    fresh.publish()?;
    for (entry, ..) in &outputs {
        context.memo.adopt_file(&folder.join(&entry.name), entry.sha256, entry.size_bytes);
    }
    context.memo.adopt_file(&folder.join(MANIFEST), manifest_digest, manifest.len() as u64);
    Ok(lines)
}

fn line(entry: &Output) -> ArtifactLine {
    ArtifactLine { name: entry.name.clone(), size_bytes: entry.size_bytes, sha256: entry.sha256.to_string() }
}

/// Whether `folder` has just these sums, and every file listed there with its digest.
fn is_current(context: &Context, folder: &Path, sums: &str) -> bool {
    let has_digest = |line: &str| {
        let Some((digest, name)) = line.split_once("  ") else { return false };
        context.memo.digest(&folder.join(name)).is_ok_and(|(found, _)| found.to_string() == digest)
    };
    std::fs::read_to_string(folder.join(SUMS)).is_ok_and(|text| text == sums) && sums.lines().all(has_digest)
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
