//! The kernel step and a whole cold build, beside plain make of the same configuration with as many jobs.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Row, cold::ColdStore, stored};
use crate::{
    execute,
    plan::Action,
    report::Reporter,
    verbs::{Access, Selection, Session, SessionOptions},
};

const PROFILE: &str = "x86_64-vtl2";

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let selection = Selection { profiles: vec![PROFILE.to_string()], all: false };
    let session = Session::open(&selection, options, Access::Build, Arc::new(Reporter::new(false)))?;
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let is_source = |action: &Action| matches!(action, Action::UnpackSource { .. });
    let source = stored(&session, &forecasts, PROFILE, is_source, "tree")?;
    let is_config = |action: &Action| matches!(action, Action::ResolveKconfig { .. });
    let config = stored(&session, &forecasts, PROFILE, is_config, "kernel.config")?;

    let cold = ColdStore::new(&session, &forecasts, options)?;
    let plain = plain_make(&source, &config, &cold.folder().join("plain"), session.context.jobs)?;
    let whole = cold.build(PROFILE)?;
    let kernel =
        step_seconds(&cold.out().join(PROFILE).join("build-info.json"), &format!("kernel {PROFILE}"))?;
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
