//! `cargo xtask plan`: what would be done, and why not cached. Nothing is fetched, built or written.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::{Access, Selection, Session, SessionOptions};
use crate::{
    execute::{self, Forecast},
    plan::{self, Format, Status},
    report::Reporter,
};

#[derive(Args, Debug)]
pub struct PlanVerb {
    #[command(flatten)]
    pub selection: Selection,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub options: SessionOptions,
}

pub fn run(arguments: &PlanVerb) -> Result<()> {
    let session = Session::open(
        &arguments.selection,
        &arguments.options,
        Access::Look,
        Arc::new(Reporter::new(false)),
    )?;
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let statuses: Vec<Status> = forecasts.into_iter().map(status).collect();
    print!("{}", plan::show(&session.plan, &statuses, arguments.format));
    execute::refuse_doomed(&session.context, &session.plan, &session.last)
}

fn status(forecast: Forecast) -> Status {
    match forecast {
        Forecast::Reuse { key, .. } => Status::Reuse { key },
        Forecast::Run { key, why } => Status::Run { key, why },
        Forecast::Unknown => Status::Waits,
        Forecast::Always => Status::Always,
    }
}
