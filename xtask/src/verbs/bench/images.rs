//! The kernel step and a whole cold build, beside plain make of the same configuration with as many jobs.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Row, stored};
use crate::{
    execute::{self, Forecast},
    plan::Action,
    report::Reporter,
    verbs::{Access, Selection, Session, SessionOptions},
};

const PROFILE: &str = "x86_64-vtl2";

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let xtask = std::env::current_exe().context("can't find this program")?;
    // Beside the store, since a temporary folder may be in memory or on another disk.
    let folder = tempfile::tempdir_in(crate::verbs::session::store_dir(options)?)?;
    let selection = Selection { profiles: vec![PROFILE.to_string()], all: false };
    let session = Session::open(&selection, options, Access::Build, Arc::new(Reporter::new(false)))?;
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let is_source = |action: &Action| matches!(action, Action::UnpackSource { .. });
    let source = stored(&session, &forecasts, PROFILE, is_source, "tree")?;
    let is_config = |action: &Action| matches!(action, Action::ResolveKconfig { .. });
    let config = stored(&session, &forecasts, PROFILE, is_config, "kernel.config")?;

    let plain = plain_make(&source, &config, &folder.path().join("plain"), session.context.jobs)?;

    // A cold store but for the downloads: those are linked from the user's.
    let cold = folder.path().join("store");
    for (step, forecast) in session.plan.steps.iter().zip(&forecasts) {
        let is_download = matches!(step.action, Action::FetchDeb(_) | Action::VendorCrates { .. });
        if let (true, Forecast::Reuse { key, .. }) = (is_download, forecast) {
            let to = cold.join("v1/steps");
            fs::create_dir_all(&to)?;
            let status =
                Command::new("cp").arg("-al").arg(session.context.store.step_dir(key)).arg(&to).status()?;
            ensure!(status.success(), "can't link the downloads");
        }
    }
    let out = folder.path().join("out");
    let started = Instant::now();
    let mut build = Command::new(xtask);
    build.args(["build-image", PROFILE, "--offline", "--store"]).arg(&cold).arg("--out").arg(&out);
    build.arg("--jobs").arg(session.context.jobs.to_string());
    // What it prints would get between our own lines.
    ensure!(build.stdin(Stdio::null()).stdout(Stdio::null()).status()?.success(), "the cold build failed");
    let whole = started.elapsed();
    let kernel = step_seconds(&out.join(PROFILE).join("build-info.json"), &format!("kernel {PROFILE}"))?;
    Ok(vec![
        Row::new("kernel step", kernel, Some(("plain make", plain)), ""),
        Row::new("cold build of one profile, downloads done", whole, Some(("plain make", plain)), ""),
    ])
}

fn plain_make(source: &Path, config: &Path, build: &Path, jobs: usize) -> Result<Duration> {
    fs::create_dir_all(build)?;
    fs::copy(config, build.join(".config"))?;
    let started = Instant::now();
    let mut make = Command::new("make");
    make.arg("-C").arg(source).arg(format!("O={}", build.display())).arg(format!("-j{jobs}"));
    // What the configuration was resolved with; without it make would ask for an answer about them.
    make.args(["ARCH=x86_64", "LOCALVERSION=", "RUSTC=false", "PAHOLE=false", "bzImage", "vmlinux"]);
    let status = make.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "plain make failed");
    Ok(started.elapsed())
}

fn step_seconds(info: &Path, step: &str) -> Result<Duration> {
    let info: serde_json::Value = serde_json::from_slice(&fs::read(info)?)?;
    let steps = info["steps"].as_array().context("no steps in build-info.json")?;
    let found = steps.iter().find(|entry| entry["name"] == step).and_then(|entry| entry["seconds"].as_f64());
    Ok(Duration::from_secs_f64(found.context("the step did not run")?))
}
