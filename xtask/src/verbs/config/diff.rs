//! `cargo xtask config diff`: in which symbols two final configurations differ, and why.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::config_step;
use crate::{
    execute::Engines,
    kernel::{
        DotConfig, Value,
        difference::{self, Cause, Difference, Half, Made, Side},
    },
    plan::Action,
    profile::Project,
    report::Reporter,
    verbs::{Access, Session, SessionOptions, session},
};

#[derive(Args, Debug)]
pub struct Diff {
    /// A profile, a profile with the kernel of another pin (PROFILE@PIN), or a file (its name ends in .config)
    pub one: String,
    /// Another
    pub other: String,
    /// Also symbols that nobody can set, or that differ only because of another one that is listed
    #[arg(long)]
    pub derived: bool,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub options: SessionOptions,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A paragraph for each symbol
    #[default]
    Human,
    /// The same with causes as data
    Json,
}

pub fn run(arguments: &Diff) -> Result<()> {
    let Diff { one, other, .. } = arguments;
    ensure!(one != other, "name two different configurations");
    let project = Project::find()?;
    let (mut profiles, mut files) = (Vec::new(), Vec::new());
    for operand in [one, other] {
        match is_file(operand) {
            true => files.push((operand, read(Path::new(operand))?)),
            false => profiles.push(session::operand(&project, operand)?),
        }
    }
    let file = |operand: &String| files.iter().find(|(name, _)| *name == operand).map(|(_, text)| text);
    if profiles.is_empty() {
        let side = |operand: &String| {
            let config = file(operand).expect("neither is a profile").clone();
            Side { config, made: None }
        };
        return show(arguments, &difference::compare(&side(one), &side(other)));
    }
    let reporter = Arc::new(Reporter::new(false));
    let mut session = Session::with(project, profiles, &arguments.options, Access::Build, reporter)?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    let engines = Engines::open(&session.context, &session.plan, &mut session.last)?;
    let side = |operand: &String| match file(operand) {
        Some(config) => Ok(Side { config: config.clone(), made: None }),
        None => side(&session, &engines, operand),
    };
    show(arguments, &difference::compare(&side(one)?, &side(other)?))
}

fn is_file(operand: &str) -> bool {
    operand.contains('/') || operand.ends_with(".config")
}

fn read(path: &Path) -> Result<DotConfig> {
    let bytes = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    Ok(DotConfig::read(&Arc::from(path.to_string_lossy()), &bytes)?)
}

fn side<'a>(session: &'a Session, engines: &'a Engines, profile: &str) -> Result<Side<'a>> {
    let step = config_step(&session.plan, profile);
    let Action::ResolveKconfig { all_config, .. } = &session.plan.steps[step].action else {
        unreachable!("the step that makes kernel.config");
    };
    // The step may be shared with the other profile, which has its requests from other fragments.
    let input = session.profiles.iter().find(|input| input.spec.name == profile).expect("it was loaded");
    let solution = engines.of(step).0.solve(all_config);
    let config = DotConfig::parse(&Arc::from(profile), &solution.dot_config())?;
    Ok(Side { config, made: Some(Made { composed: &input.composed, solution }) })
}

fn show(arguments: &Diff, differences: &[Difference]) -> Result<()> {
    let shown: Vec<&Difference> =
        differences.iter().filter(|difference| arguments.derived || !difference.derived).collect();
    let hidden = differences.len() - shown.len();
    if arguments.format == Format::Json {
        let Diff { one, other, .. } = arguments;
        let all = json!({ "one": one, "other": other, "differences": shown, "derived-left-out": hidden });
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for Difference { symbol, one, other, .. } in &shown {
        println!("{symbol}: {} → {}", value(one, other), value(other, one));
        for (name, half) in [(&arguments.one, one), (&arguments.other, other)] {
            // That nobody asks for what is off is no news.
            if let Some(cause) = half.cause.as_ref().filter(|cause| **cause != Cause::NobodyAsks) {
                println!("  {name}: {cause}");
            }
        }
    }
    let list = |count: usize| if count == 1 { "symbol differs" } else { "symbols differ" };
    let also = match hidden {
        0 => String::new(),
        hidden => {
            format!("; {hidden} more can't be set by anybody or follow from these (--derived lists them)")
        }
    };
    eprintln!("{} {}{also}", shown.len(), list(shown.len()));
    Ok(())
}

/// A symbol that isn't mentioned is off if it is one that can be on.
fn value(half: &Half, beside: &Half) -> String {
    match (&half.value, &beside.value) {
        (Some(value), _) => value.to_string(),
        (None, Some(Value::Int(_) | Value::Hex(_) | Value::String(_))) => "absent".to_string(),
        (None, _) => Value::No.to_string(),
    }
}
