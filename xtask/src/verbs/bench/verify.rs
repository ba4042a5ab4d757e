//! `verify` of a profile from nothing beside its cold build: two builds, of which the second one is perturbed, and the
//! comparison of every byte.

use std::sync::Arc;

use anyhow::Result;

use super::{Row, cold::ColdStore};
use crate::{
    execute,
    report::{Reporter, seconds},
    verbs::{Access, Selection, Session, SessionOptions},
};

const PROFILE: &str = "x86_64-vtl2";

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let selection = Selection { profiles: vec![PROFILE.to_string()], all: false };
    let session = Session::open(&selection, options, Access::Build, Arc::new(Reporter::new(false)))?;
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let cold = ColdStore::new(&session, &forecasts, options)?;
    let first = cold.build(PROFILE)?;
    // Finds the first build in the store, so what it takes is the second one and the comparison.
    let rest = cold.time(&["verify", PROFILE])?;
    let note = format!("second build and comparison {}", seconds(rest));
    Ok(vec![Row::new(
        "verify of one profile, downloads done",
        first + rest,
        Some(("its cold build", first)),
        note,
    )])
}
