//! `cargo xtask config`: kernel configurations without kernels.

mod diff;
mod fix;
mod lint;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Result, anyhow};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::{Access, Selection, Session, SessionOptions};
use crate::{
    execute::{self, Demands, Engines, Outcomes, Refused},
    kernel::{DotConfig, agreement, engine::EngineError, lint::Broken, verify::LostSymbols},
    plan::{Action, Plan},
    report::{Reporter, failure},
};

#[derive(Subcommand, Debug)]
pub enum Config {
    /// Resolve the fragments and prove that every request survived and that no rule forbids the result
    Check {
        #[command(flatten)]
        selection: Selection,
        /// Resolve them with the kernel's own conf, too, and compare (builds conf: seconds a profile)
        #[arg(long)]
        with_conf: bool,
        /// Write the lines that save what is lost into the fragments that ask for it, each with its reason
        #[arg(long, conflicts_with = "with_conf")]
        fix: bool,
        /// How the result is shown
        #[arg(long, value_enum, default_value = "human", conflicts_with_all = ["fix", "with_conf"])]
        format: Format,
        #[command(flatten)]
        options: SessionOptions,
    },
    /// Print a profile's final configuration
    Resolve {
        /// A profile
        profile: String,
        #[command(flatten)]
        options: SessionOptions,
    },
    /// Print in which symbols two final configurations differ, and why
    Diff(diff::Diff),
    /// Judge the .config of any kernel by the rules of configs/rules.yaml
    Lint(lint::Lint),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

pub fn run(verb: &Config) -> Result<ExitCode> {
    match verb {
        Config::Check { selection, fix: true, options, .. } => fix::run(selection, options)?,
        Config::Check { selection, format: Format::Json, options, .. } => check_as_json(selection, options)?,
        Config::Check { selection, with_conf, options, .. } => check(selection, *with_conf, options)?,
        Config::Resolve { profile, options } => {
            let selection = Selection { profiles: vec![profile.clone()], all: false };
            let mut session = open(&selection, options)?;
            for Resolved { text, .. } in resolve(&mut session)? {
                print!("{text}");
            }
        }
        Config::Diff(arguments) => diff::run(arguments)?,
        Config::Lint(arguments) => return lint::run(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

struct Resolved {
    text: String,
    /// What rules say that only warn.
    warnings: Vec<Broken>,
}

fn check(selection: &Selection, with_conf: bool, options: &SessionOptions) -> Result<()> {
    let mut session = open(selection, options)?;
    let by_conf = if with_conf { Some(conf(&mut session)?) } else { None };
    let by_engine = match (resolve(&mut session), &by_conf) {
        (Err(error), Some(_)) if matches!(error.downcast_ref(), Some(EngineError::Rejected(_))) => None,
        (resolved, _) => Some(resolved?),
    };
    for (number, profile) in session.profiles.iter().enumerate() {
        let (text, by_whom) = match (&by_engine, &by_conf) {
            (Some(ours), Some(confs)) => {
                agreement::check(&ours[number].text, &confs[number])?;
                (&ours[number].text, "; the kernel's own conf makes the same of it")
            }
            (Some(ours), None) => (&ours[number].text, ""),
            (None, confs) => (
                &confs.as_ref().expect("one of the two was made")[number],
                " that the kernel's own conf makes; this tool can't read this kernel's Kconfig files",
            ),
        };
        let symbols = DotConfig::parse(&Arc::from("kernel.config"), text)?.values().len();
        // Those of conf's alone its step has told.
        let warnings = by_engine.as_ref().map_or(&[][..], |ours| &ours[number].warnings);
        warnings.iter().for_each(|warning| eprint!("warning: {}", warning.problem));
        let name = &profile.spec.name;
        println!(
            "{name}: every request survived, no rule forbids it; {symbols} symbols in the final configuration{by_whom}"
        );
    }
    Ok(())
}

fn open(selection: &Selection, options: &SessionOptions) -> Result<Session> {
    let session = Session::open(selection, options, Access::Build, Arc::new(Reporter::new(false)))?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    Ok(session)
}

/// The final configuration of each profile, or what is wrong with any of them.
fn resolve(session: &mut Session) -> Result<Vec<Resolved>> {
    let (mut configs, mut errors) = (Vec::new(), Vec::new());
    for (name, judged) in judged(session)? {
        match judged {
            Ok(resolved) => configs.push(resolved),
            Err(error) => errors.push(failure(&error.context(name))),
        }
    }
    match errors.is_empty() {
        true => Ok(configs),
        false => Err(anyhow!("{}", errors.join("\n"))),
    }
}

/// Each profile's name with its final configuration, or with what is wrong with that.
fn judged(session: &mut Session) -> Result<Vec<(String, Result<Resolved>)>> {
    let engines = Engines::open(&session.context, &session.plan, &mut session.last)?;
    let judged = session.profiles.iter().map(|profile| {
        let name = &profile.spec.name;
        let step = config_step(&session.plan, name);
        let Action::ResolveKconfig { arch, vtl, all_config, rules, composed } =
            &session.plan.steps[step].action
        else {
            unreachable!("the step that makes kernel.config");
        };
        let command_line = Some(profile.spec.kernel.command_line.as_str());
        let demands = Demands { arch: *arch, vtl: *vtl, composed, rules, command_line };
        let (engine, tree) = engines.of(step);
        let text = engine.solve(all_config).dot_config();
        let judged = execute::judge(&text, &demands, Some((engine, &tree.path)));
        (name.to_string(), judged.map(|warnings| Resolved { text, warnings }))
    });
    Ok(judged.collect())
}

/// One profile in the JSON of `config check`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Checked<'a> {
    profile: &'a str,
    survived: bool,
    /// What didn't survive, why, and what would help.
    lost: Option<&'a LostSymbols>,
    /// Rules that it breaks, of both severities.
    broken: Vec<&'a serde_json::Value>,
    /// Anything else that is wrong.
    error: Option<String>,
}

fn check_as_json(selection: &Selection, options: &SessionOptions) -> Result<()> {
    let mut session = open(selection, options)?;
    let judged = judged(&mut session)?;
    let checked: Vec<Checked> = judged
        .iter()
        .map(|(profile, judged)| {
            let error = judged.as_ref().err();
            let refused: Option<&Refused> = error.and_then(|error| error.downcast_ref());
            let broken = refused.map_or(&[][..], |refused| &refused.broken);
            let warnings = match (judged, refused) {
                (Ok(resolved), _) => &resolved.warnings[..],
                (_, Some(refused)) => &refused.warnings,
                (Err(_), None) => &[],
            };
            Checked {
                profile,
                survived: judged.is_ok(),
                lost: refused.and_then(|refused| refused.lost.as_ref()),
                broken: broken.iter().chain(warnings).map(|broken| &broken.data).collect(),
                error: error.filter(|_| refused.is_none()).map(failure),
            }
        })
        .collect();
    println!("{}", serde_json::to_string_pretty(&checked)?);
    let failed = checked.iter().filter(|checked| !checked.survived).count();
    anyhow::ensure!(failed == 0, "{failed} of {} profiles don't survive as they are", checked.len());
    Ok(())
}

/// The final configuration of each profile as the kernel's own conf makes it, with every step that it needs and no
/// other.
fn conf(session: &mut Session) -> Result<Vec<String>> {
    let plan = session.plan.only(Action::is_resolve_kconfig);
    let Outcomes(outcomes) = execute::execute(&session.context, &plan, &mut session.last)?;
    let mut configs = Vec::new();
    for profile in &session.profiles {
        let wanted = &session.plan.steps[config_step(&session.plan, &profile.spec.name)];
        // Equal configurations are one step, under the name of the first profile that asks.
        let step = plan.steps.iter().position(|step| step.name == wanted.name).expect("kept in the plan");
        let path = session.context.store.output_path(&outcomes[step].key, "kernel.config");
        configs.push(std::fs::read_to_string(path)?);
    }
    Ok(configs)
}

/// Number of the step that resolves a profile's configuration.
fn config_step(plan: &Plan, profile: &str) -> usize {
    let mut artifacts = plan.artifacts.iter().filter(|artifact| artifact.profile == profile);
    artifacts
        .find(|artifact| artifact.name == "kernel.config")
        .expect("every profile has a configuration")
        .step
}
