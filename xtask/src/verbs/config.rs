//! `cargo xtask config`: kernel configurations without kernels.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Result;
use clap::Subcommand;

use super::{Access, Selection, Session, SessionOptions};
use crate::{
    execute::{self, Outcomes},
    kernel::DotConfig,
    plan::Action,
    report::Reporter,
};

#[derive(Subcommand, Debug)]
pub enum Config {
    /// Resolve the fragments with the kernel's own conf and prove that every request survived
    Check {
        #[command(flatten)]
        selection: Selection,
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
    /// Print in which symbols the final configurations of two profiles differ
    Diff {
        /// A profile
        one: String,
        /// Another profile
        other: String,
        #[command(flatten)]
        options: SessionOptions,
    },
}

pub fn run(verb: &Config) -> Result<()> {
    match verb {
        Config::Check { selection, options } => {
            for (profile, text) in resolve(selection, options)? {
                let symbols = DotConfig::parse(&Arc::from("kernel.config"), &text)?.values().len();
                println!("{profile}: every request survived; {symbols} symbols in the final configuration");
            }
        }
        Config::Resolve { profile, options } => {
            for (_, text) in resolve(&only([profile]), options)? {
                print!("{text}");
            }
        }
        Config::Diff { one, other, options } => {
            anyhow::ensure!(one != other, "name two different profiles");
            let configs = resolve(&only([one, other]), options)?;
            diff(&configs[0].1, &configs[1].1)?;
        }
    }
    Ok(())
}

fn only<const N: usize>(profiles: [&String; N]) -> Selection {
    Selection { profiles: profiles.map(String::clone).to_vec(), all: false }
}

/// Profile and final configuration, with every step that they need and no other.
fn resolve(selection: &Selection, options: &SessionOptions) -> Result<Vec<(String, String)>> {
    let mut session = Session::open(selection, options, Access::Build, Arc::new(Reporter::new(false)))?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    let plan = session.plan.only(|action| matches!(action, Action::ResolveKconfig { .. }));
    let Outcomes(outcomes) = execute::execute(&session.context, &plan, &mut session.last)?;
    let mut configs = Vec::new();
    for profile in &session.profiles {
        let name = &profile.spec.name;
        let artifact =
            session.plan.artifacts.iter().find(|a| a.profile == *name && a.name == "kernel.config");
        let wanted = &session.plan.steps[artifact.expect("every profile has a configuration").step];
        // Equal configurations are one step, under the name of the first profile that asks.
        let step = plan.steps.iter().position(|step| step.name == wanted.name).expect("kept in the plan");
        let path = session.context.store.output_path(&outcomes[step].key, "kernel.config");
        configs.push((name.clone(), std::fs::read_to_string(path)?));
    }
    Ok(configs)
}

fn diff(one: &str, other: &str) -> Result<()> {
    let parse = |text: &str| DotConfig::parse(&Arc::from("kernel.config"), text);
    let (one, other) = (parse(one)?, parse(other)?);
    let symbols: BTreeSet<&str> = one.values().chain(other.values()).map(|(symbol, _)| symbol).collect();
    for symbol in symbols {
        let show = |config: &DotConfig| config.get(symbol).map_or("n".to_string(), ToString::to_string);
        let (before, after) = (show(&one), show(&other));
        if before != after {
            println!("{symbol}: {before} → {after}");
        }
    }
    Ok(())
}
