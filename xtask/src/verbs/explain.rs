//! `cargo xtask explain`: where a value comes from, why a kernel symbol is what it is, what a step is made from.

mod symbol;

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};

use super::{Access, Selection, Session, SessionOptions, session};
use crate::{
    execute::{self, Forecast},
    plan::{ProfileInput, Source},
    profile::{self, Pair, Project},
    report::Reporter,
};

#[derive(Args, Debug)]
pub struct Explain {
    /// A profile, or a profile with the kernel of another pin (PROFILE@PIN)
    pub profile: String,
    /// A key of the profile (`kernel.source`), a kernel symbol (`CONFIG_HYPERV`) or a step (`kernel x86_64-vtl2`)
    pub what: Option<String>,
    /// How a kernel symbol is shown
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    #[command(flatten)]
    pub options: SessionOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

pub fn run(arguments: &Explain) -> Result<()> {
    let project = Project::find()?;
    let text = match session::pair(&project, &arguments.profile)? {
        Some(pair) => of_pair(arguments, &project, &pair)?,
        None => of_profile(arguments, &project, &arguments.profile)?,
    };
    print!("{text}");
    Ok(())
}

/// What the pair itself says; else a step of any of its parts; else what each of them says.
fn of_pair(arguments: &Explain, project: &Project, pair: &Pair) -> Result<String> {
    let what = arguments.what.as_deref().unwrap_or("");
    ensure!(
        arguments.format == Format::Human,
        "--format json is for one profile, and {} is a pair\n  hint: name {} or {}",
        pair.name,
        pair.parts.vtl2,
        pair.parts.vtl0
    );
    let selection = Selection { profiles: vec![pair.name.clone()], all: false };
    let profiles = session::load(project, &selection)?;
    if let Ok(text) = profile::explain_pair(pair, what) {
        return Ok(text);
    }
    let session = open(arguments, project, profiles)?;
    if let Some(number) = session.plan.steps.iter().position(|step| step.name == what) {
        return step(&session, number);
    }
    let one = |name: &&str| Ok(format!("# {name}\n{}", of_profile(arguments, project, name)?));
    pair.parts().iter().map(one).collect()
}

fn open(arguments: &Explain, project: &Project, profiles: Vec<ProfileInput>) -> Result<Session> {
    let reporter = Arc::new(Reporter::new(false));
    Session::with(project.clone(), profiles, &arguments.options, Access::Look, reporter)
}

fn of_profile(arguments: &Explain, project: &Project, name: &str) -> Result<String> {
    let session = open(arguments, project, vec![session::operand(project, name)?])?;
    let profile = &session.profiles[0];
    let what = arguments.what.as_deref().unwrap_or("");
    let symbol = symbol_name(what);
    ensure!(
        symbol.is_some() || arguments.format == Format::Human,
        "--format json is there for kernel symbols only, and `{what}` is none"
    );
    if let Some(name) = symbol {
        let answer = symbol::explain(&session, profile, &name, &arguments.options)?;
        return Ok(match arguments.format {
            Format::Human => answer.text(),
            Format::Json => serde_json::to_string_pretty(&answer)? + "\n",
        });
    }
    if let Some(number) = session.plan.steps.iter().position(|step| step.name == what) {
        return step(&session, number);
    }
    match profile::explain(&profile.spec, what) {
        Ok(text) => Ok(text),
        // Nothing like any key: it may have been meant for a step.
        Err(unknown) if unknown.starts_with("a profile") && !unknown.ends_with('?') => {
            bail!("{unknown}\n  hint: steps are {}", step_names(&session))
        }
        Err(unknown) => bail!("{unknown}"),
    }
}

/// With its prefix, which people leave out. Keys and steps have lower-case letters.
fn symbol_name(what: &str) -> Option<String> {
    let name = what.strip_prefix("CONFIG_");
    let is_bare = |name: &str| {
        name.contains(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    match name {
        Some(_) => Some(what.to_string()),
        None => is_bare(what).then(|| format!("CONFIG_{what}")),
    }
}

fn step_names(session: &Session) -> String {
    session.plan.steps.iter().map(|step| format!("`{}`", step.name)).collect::<Vec<_>>().join(", ")
}

/// What a step reads, runs and is keyed by, and whether it would run again.
fn step(session: &Session, number: usize) -> Result<String> {
    let step = &session.plan.steps[number];
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let mut text = format!("{}: {}\n", step.name, step.action.kind());
    text += &match &forecasts[number] {
        Forecast::Reuse { key, .. } => format!("in the store as {key}\n"),
        Forecast::Run { key, why } => format!("would run, key {key}: {}\n", why.join("; ")),
        Forecast::Unknown => "depends on steps that would run first\n".to_string(),
        Forecast::Always => "reads a local tree, so it runs every time\n".to_string(),
    };
    for (role, source) in &step.inputs {
        let from = match source {
            Source::Output { step, output } => format!("{output} of `{}`", session.plan.steps[*step].name),
            Source::File(path) | Source::Folder(path) | Source::Local(path) => path.clone(),
        };
        text += &format!("  reads {role}: {from}\n");
    }
    for tool in &step.tools {
        text += &format!("  runs {}\n", tool.name());
    }
    if let Forecast::Reuse { key, record } = &forecasts[number] {
        for output in &record.outputs {
            let path = session.context.store.output_path(key, &output.name);
            text += &format!("  made {} ({}): {}\n", output.name, output.sha256.short(), path.display());
        }
    }
    Ok(text)
}
