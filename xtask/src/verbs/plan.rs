//! `cargo xtask plan`: what would be done, and why not cached. Nothing is fetched, built or written.

use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Access, Selection, Session, SessionOptions, session};
use crate::{
    execute::{self, Forecast},
    plan::{self, Format, Status},
    profile::Project,
    report::Reporter,
};

#[derive(Args, Debug)]
pub struct PlanVerb {
    #[command(flatten)]
    pub selection: Selection,
    #[arg(long, value_enum, default_value_t)]
    pub format: PlanFormat,
    #[command(flatten)]
    pub options: SessionOptions,
}

/// As what the plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A list, with what would run and why
    #[default]
    Human,
    /// The whole plan with parameters, inputs and keys
    Json,
    /// A graph for Graphviz
    Dot,
    /// Only the profiles, as the matrix of a GitHub workflow; needs none of the tools that builds need
    Github,
}

pub fn run(arguments: &PlanVerb) -> Result<()> {
    let format = match arguments.format {
        PlanFormat::Human => Format::Human,
        PlanFormat::Json => Format::Json,
        PlanFormat::Dot => Format::Dot,
        PlanFormat::Github => return matrix(&arguments.selection),
    };
    let session = Session::open(
        &arguments.selection,
        &arguments.options,
        Access::Look,
        Arc::new(Reporter::new(false)),
    )?;
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let statuses: Vec<Status> = forecasts.into_iter().map(status).collect();
    print!("{}", plan::show(&session.plan, &statuses, format));
    execute::refuse_doomed(&session.context, &session.plan, &session.last)
}

/// One job a profile.
fn matrix(selection: &Selection) -> Result<()> {
    let specs = session::specs(&Project::find()?, selection)?;
    let jobs = specs.iter().map(|spec| json!({"profile": spec.name, "arch": spec.arch, "vtl": spec.vtl}));
    println!("{}", json!({"include": jobs.collect::<Vec<_>>()}));
    Ok(())
}

fn status(forecast: Forecast) -> Status {
    match forecast {
        Forecast::Reuse { key, .. } => Status::Reuse { key },
        Forecast::Run { key, why } => Status::Run { key, why },
        Forecast::Unknown => Status::Waits,
        Forecast::Always => Status::Always,
    }
}
