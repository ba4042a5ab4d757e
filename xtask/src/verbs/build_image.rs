//! `cargo xtask build-image`: the whole way from profiles to `out/PROFILE/`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use clap::Args;

use super::{Access, Selection, Session, SessionOptions, purposes, session};
use crate::{
    execute::{Context, Outcomes},
    export,
    remote::RemoteOptions,
    report::{Event, Reporter, bytes, failure, seconds},
};

#[derive(Args, Debug)]
pub struct BuildImage {
    #[command(flatten)]
    pub selection: Selection,
    /// Only this step and what it needs, into the store; may be repeated. Nothing is written elsewhere
    #[arg(long = "step", value_name = "NAME", conflicts_with = "out")]
    pub steps: Vec<String>,
    /// Install what this machine lacks before building (Debian, Ubuntu)
    #[arg(long)]
    pub install_deps: bool,
    /// Where the artifacts go [default: the project's out/]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub options: SessionOptions,
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// Events as JSON lines on standard output
    #[arg(long)]
    pub json: bool,
}

pub fn run(arguments: &BuildImage) -> Result<()> {
    let reporter = Arc::new(Reporter::new(arguments.json));
    let result = build(arguments, reporter.clone());
    if let Err(error) = &result {
        reporter.event(&Event::Failed { error: &failure(error) });
    }
    result
}

fn build(arguments: &BuildImage, reporter: Arc<Reporter>) -> Result<()> {
    let store = session::store_dir(&arguments.options)?;
    purposes::ensure(
        &arguments.selection,
        false,
        arguments.install_deps,
        arguments.options.hermetic,
        store,
        &reporter,
    )?;
    let mut session =
        Session::open(&arguments.selection, &arguments.options, Access::Build, reporter.clone())?;
    let Context { offline, tools, .. } = &session.context;
    session.context.remote = arguments.remote.open(*offline, tools, &reporter)?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    if !arguments.steps.is_empty() {
        session.plan = session.needed_for(&arguments.steps)?;
        let outcomes = session.build(|_, _| Ok(()))?;
        return finish(&reporter, &outcomes);
    }
    let out = match &arguments.out {
        Some(out) => std::path::absolute(out)?,
        None => session.context.root.join("out"),
    };
    // A folder that can't be made should show before the kernel is built, not after.
    std::fs::create_dir_all(&out).with_context(|| {
        format!("can't make {}\n  hint: choose another place with --out DIR", out.display())
    })?;
    let outcomes = session.build(|session, outcomes| export_all(&out, session, outcomes))?;
    finish(&reporter, &outcomes)
}

fn export_all(out: &Path, session: &Session, outcomes: &Outcomes) -> Result<()> {
    let Context { reporter, .. } = &session.context;
    for profile in &session.profiles {
        let spec = &profile.spec;
        let (plan, outcomes) = session.part(profile, outcomes);
        let lines = export::export(&session.context, &plan, &outcomes, spec, out)?;
        let folder = out.join(&spec.name);
        let shown = std::env::current_dir().ok();
        let shown = shown.and_then(|here| folder.strip_prefix(here).ok()).unwrap_or(&folder);
        let hermetic = session.plan.is_hermetic(&spec.name);
        if reporter.is_json() {
            let out = shown.to_string_lossy();
            reporter.event(&Event::ProfileFinished {
                profile: &spec.name,
                out: &out,
                artifacts: &lines,
                hermetic,
            });
            continue;
        }
        reporter.print(&format!("{}/", shown.display()));
        for line in &lines {
            reporter.print(&format!(
                "  {:<20} {:>10}  {}",
                line.name,
                bytes(line.size_bytes),
                &line.sha256[..16]
            ));
        }
        if !hermetic {
            reporter
                .print("  built from a local tree: not hermetic, not reproducible from the manifest alone");
        }
    }
    Ok(())
}

fn finish(reporter: &Reporter, outcomes: &Outcomes) -> Result<()> {
    let (reused, built) = (outcomes.reused(), outcomes.built());
    reporter.event(&Event::Finished { reused, built, seconds: reporter.elapsed().as_secs_f64() });
    if !reporter.is_json() {
        reporter.note(&format!("{reused} steps reused, {built} run, {}", seconds(reporter.elapsed())));
    }
    Ok(())
}
