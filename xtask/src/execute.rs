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
mod root;
mod run;
mod schedule;
mod sources;
mod tools;
mod uki;
mod vendor;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    digest::Digest,
    fetch::Location,
    plan::{KeyParts, Plan},
    remote::Remote,
    report::Reporter,
    store::{FileMemo, Output, StepRecord, Store},
};

pub use crates::OUTPUT as CRATES;
pub use doomed::refuse_doomed;
pub use engine::{Engines, KernelTree, engine, kernel_tree};
pub use kconfig::{Demands, Refused, judge};
pub use last::LastBuild;
pub use leak::homes;
pub use schedule::{Forecast, execute, forecast, recover, tries};
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
    /// What other machines have made, where one is shared with them.
    pub remote: Option<Remote>,
    /// Set when the user wants to stop.
    pub cancelled: Arc<AtomicBool>,
}

impl Context {
    /// What a step made, as this machine's store or the remote one knows.
    fn known(&self, key: &Digest, parts: &KeyParts) -> Result<Option<StepRecord>> {
        match (self.store.get(key)?, &self.remote) {
            (None, Some(remote)) => Ok(remote.record(&self.store, key, parts)),
            (known, _) => Ok(known),
        }
    }

    /// Makes sure that an output of `step` is here and is what the step made; what other machines have is fetched.
    ///
    /// # Errors
    /// [`Again`], if the step has to run once more.
    pub fn bring(&self, step: &str, key: &Digest, output: &Output) -> Result<()> {
        if let Some(remote) = &self.remote
            && self.store.get(key)?.is_none()
            && !remote.bring(&self.store, &self.memo, key)?
        {
            return Err(Again::NotToBeHad { step: step.to_owned() }.into());
        }
        match self.store.is_intact(key, output, &self.memo)? {
            true => Ok(()),
            false => Err(Again::Damaged { step: step.to_owned(), key: *key }.into()),
        }
    }

    /// The same for an outcome's output of that name; returns its path.
    pub fn output(&self, step: &str, outcome: &Outcome, output: &str) -> Result<PathBuf> {
        let recorded =
            outcome.record.output(output).with_context(|| format!("step {step} made no {output}"))?;
        self.bring(step, &outcome.key, recorded)?;
        Ok(self.store.output_path(&outcome.key, output))
    }
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
#[derive(Clone)]
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

    /// Name of the step in `plan`, which these are the outcomes of, that became `outcome`.
    pub fn step<'p>(&self, plan: &'p Plan, outcome: &Outcome) -> &'p str {
        let mut steps = plan.steps.iter().zip(&self.0);
        let found = steps.find(|(_, other)| other.key == outcome.key);
        found.map_or("", |(step, _)| step.name.as_str())
    }

    pub fn reused(&self) -> usize {
        self.0.len() - self.built()
    }
}

#[cfg(test)]
mod tests;

/// Steps have to be looked up once more, because one of them has to run after all.
#[derive(Debug, thiserror::Error)]
pub enum Again {
    /// An entry of the store is not what its record says.
    #[error(
        "the store's copy of step `{step}` ({key}) is damaged\n  \
         hint: if that happens again, the disk or the memory of this machine may be failing; try another place with --store DIR"
    )]
    Damaged {
        /// Name of the step.
        step: String,
        key: Digest,
    },
    /// The remote store knows the step, and its outputs can't be had there.
    #[error("what step `{step}` made can't be had from the remote store")]
    NotToBeHad { step: String },
}

/// The user asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped; what was finished is kept, the next run goes on from there")]
pub struct Cancelled;
