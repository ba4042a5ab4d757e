//! `cargo xtask explain`: where a value comes from, who asks for a kernel symbol, what a step is made from.

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;

use super::{Access, Selection, Session, SessionOptions};
use crate::{
    execute::{self, Forecast},
    kernel::DotConfig,
    plan::{Action, ProfileInput, Source},
    profile,
    report::Reporter,
};

#[derive(Args, Debug)]
pub struct Explain {
    /// A profile
    pub profile: String,
    /// A key of the profile (`kernel.source`), a kernel symbol (`CONFIG_HYPERV`) or a step (`kernel x86_64-vtl2`)
    pub what: Option<String>,
    #[command(flatten)]
    pub options: SessionOptions,
}

pub fn run(arguments: &Explain) -> Result<()> {
    let selection = Selection { profiles: vec![arguments.profile.clone()], all: false };
    let session =
        Session::open(&selection, &arguments.options, Access::Look, Arc::new(Reporter::new(false)))?;
    let profile = &session.profiles[0];
    let what = arguments.what.as_deref().unwrap_or("");
    let text = if let Some(name) = symbol_name(what) {
        symbol(&session, profile, &name)?
    } else if let Some(number) = session.plan.steps.iter().position(|step| step.name == what) {
        step(&session, number)?
    } else {
        match profile::explain(&profile.spec, what) {
            Ok(text) => text,
            // Nothing like any key: it may have been meant for a step.
            Err(unknown) if unknown.starts_with("a profile") && !unknown.ends_with('?') => {
                bail!("{unknown}\n  hint: steps are {}", step_names(&session))
            }
            Err(unknown) => bail!("{unknown}"),
        }
    };
    print!("{text}");
    Ok(())
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

/// Which fragment asks for a symbol, and what it became where the configuration has been resolved.
fn symbol(session: &Session, profile: &ProfileInput, symbol: &str) -> Result<String> {
    let mut text = match profile.composed.get(symbol) {
        Some(request) => format!("{symbol}: asked for as {}, {}\n", request.value, request.origin),
        None => format!("{symbol}: no fragment of {} asks for it\n", profile.spec.name),
    };
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let resolved = session.plan.steps.iter().zip(&forecasts).find_map(|(step, forecast)| {
        match (&step.action, forecast) {
            (Action::ResolveKconfig { .. }, Forecast::Reuse { key, .. }) => Some(*key),
            _ => None,
        }
    });
    let Some(key) = resolved else {
        text += &format!(
            "the configuration has not been resolved yet: `cargo xtask config resolve {}` does it\n",
            profile.spec.name
        );
        return Ok(text);
    };
    let path = session.context.store.output_path(&key, "kernel.config");
    let config = DotConfig::parse(&Arc::from("kernel.config"), &std::fs::read_to_string(path)?)?;
    text += &match config.get(symbol) {
        Some(value) => format!("in the final configuration: {value}\n"),
        None => "in the final configuration: absent, which is as good as n\n".to_string(),
    };
    Ok(text)
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
