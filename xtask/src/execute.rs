//! Carries out a plan: looks each step up in the store, runs what is missing as soon as its inputs are
//! there, and keeps the machine busy without overloading it. Decides nothing about what is built.

mod crates;
mod device_tree;
mod disk;
mod doomed;
mod engine;
mod igvm;
mod initramfs;
mod kconfig;
mod kernel;
mod last;
mod leak;
mod objects;
mod payload;
mod run;
mod schedule;
mod sources;
mod tools;
mod uki;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use crate::{
    digest::Digest,
    fetch::Location,
    plan::{KeyParts, Plan},
    report::Reporter,
    store::{FileMemo, StepRecord, Store},
};

pub use crates::OUTPUT as CRATES;
pub use doomed::refuse_doomed;
pub use engine::{Engines, KernelTree, engine, kernel_tree};
pub use kconfig::{Demands, Refused, judge};
pub use last::LastBuild;
pub use schedule::{DAMAGE_LIMIT, Forecast, discard, execute, forecast};
pub use sources::check_offline;
pub use tools::Tools;

/// What every step may use.
pub struct Context {
    /// Root of the project, absolute.
    pub root: PathBuf,
    pub store: Store,
    pub memo: FileMemo,
    pub tools: Tools,
    pub reporter: Arc<Reporter>,
    /// Cores that may be kept busy.
    pub jobs: usize,
    pub offline: bool,
    /// Bases of package mirrors that the user named, tried first.
    pub mirrors: Vec<Location>,
    /// Set when the user wants to stop.
    pub cancelled: Arc<AtomicBool>,
}

/// What became of a step.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub key: Digest,
    pub parts: KeyParts,
    pub record: StepRecord,
    /// How long it took, where it ran now.
    pub ran: Option<Duration>,
}

/// Outcomes of a plan's steps, by their numbers.
pub struct Outcomes(pub Vec<Outcome>);

impl Outcomes {
    pub fn built(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.ran.is_some()).count()
    }

    /// The outcomes of `part`, whose steps are all in `whole`, the plan that these are of.
    ///
    /// A profile's manifest is made from the plan of that profile alone, so that it doesn't depend on what else
    /// was built with it.
    pub fn of_part(&self, whole: &Plan, part: &Plan) -> Outcomes {
        let known: HashMap<Digest, usize> =
            whole.identities().into_iter().enumerate().map(|(number, identity)| (identity, number)).collect();
        let outcome = |identity: Digest| self.0[known[&identity]].clone();
        Outcomes(part.identities().into_iter().map(outcome).collect())
    }

    pub fn reused(&self) -> usize {
        self.0.len() - self.built()
    }
}

#[cfg(test)]
mod tests;

/// An entry of the store is not what its record says; its step has to run again.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store's copy of step `{step}` ({key}) is damaged\n  \
     hint: if that happens again, the disk or the memory of this machine may be failing; try another place with --store DIR"
)]
pub struct Damaged {
    /// Name of the step.
    pub step: String,
    pub key: Digest,
}

/// The user asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped; what was finished is kept, the next run goes on from there")]
pub struct Cancelled;
