//! Compares two runs of a plan, step by step: same key and other bytes is where something got in; what reads those
//! bytes follows. A key that differs in more than such bytes is told, whatever the step made: of two runs here it is
//! the surroundings in the plan, of somebody else's what they built otherwise.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use difference::{Comparison, Sides};
use serde::Serialize;

use super::look::compare;
use crate::{
    digest::Digest,
    plan::{Plan, Source, Step},
    store::{OutputKind, StepRecord, Store},
};

/// What one step made, on one side.
#[derive(Clone, Debug)]
pub struct Made {
    pub key: Digest,
    /// By name.
    pub outputs: BTreeMap<String, (OutputKind, Digest)>,
    /// Folder with the outputs; None where only digests are known.
    pub folder: Option<PathBuf>,
}

impl Made {
    pub fn of(key: Digest, record: &StepRecord, store: &Store) -> Made {
        let outputs = record.outputs.iter().map(|output| (output.name.clone(), (output.kind, output.sha256)));
        Made { key, outputs: outputs.collect(), folder: Some(store.step_dir(&key).join("out")) }
    }

    pub fn digest(&self, output: &str) -> Option<Digest> {
        self.outputs.get(output).map(|(_, digest)| *digest)
    }

    fn is_same(&self, other: &Made) -> bool {
        self.outputs.len() == other.outputs.len()
            && self.outputs.iter().all(|(name, (_, digest))| other.digest(name) == Some(*digest))
    }
}

/// What became of one step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    pub step: String,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The same bytes, and nothing else that decides them but what the steps before it account for.
    Same,
    /// The same inputs gave other bytes.
    Differs { outputs: Vec<DifferentOutput> },
    /// It reads what these steps made, which differs.
    Follows { from: Vec<String> },
    /// Its key differs in more than what it reads of other steps.
    OtherKey {
        /// A phrase each; none where nothing that is known of the two sides explains it.
        why: Vec<String>,
        /// Empty if it made the same bytes nevertheless.
        outputs: Vec<DifferentOutput>,
    },
    /// The other side has no such step.
    Missing,
}

impl Verdict {
    /// Whether the step made the same bytes, however it came to them.
    pub fn has_same_outputs(&self) -> bool {
        match self {
            Verdict::Same => true,
            Verdict::OtherKey { outputs, .. } => outputs.is_empty(),
            Verdict::Differs { .. } | Verdict::Follows { .. } | Verdict::Missing => false,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DifferentOutput {
    pub output: String,
    /// None where only the other side has it.
    pub ours: Option<Digest>,
    pub theirs: Option<Digest>,
    /// None where one of the files isn't there to be looked into.
    pub comparison: Option<Comparison>,
}

/// Compares all steps of `plan`. `reasons` says of a step in what its key differs beside the inputs of the given roles,
/// a phrase each.
pub fn judge(
    plan: &Plan,
    ours: &[Made],
    theirs: &[Option<Made>],
    sides: &Sides,
    reasons: impl Fn(usize, &BTreeSet<String>) -> Vec<String>,
) -> Result<Vec<Judged>> {
    let judge_step = |(number, step): (usize, &Step)| {
        let verdict = match (&ours[number], &theirs[number]) {
            (_, None) => Verdict::Missing,
            (a, Some(b)) => {
                let followed = followed(step, ours, theirs);
                let roles = followed.iter().map(|(role, _)| (*role).to_owned()).collect();
                let why = if a.key == b.key { Vec::new() } else { reasons(number, &roles) };
                let is_explained = a.key == b.key || (why.is_empty() && !roles.is_empty());
                match (is_explained, a.is_same(b)) {
                    (true, true) => Verdict::Same,
                    (true, false) if a.key != b.key => {
                        let from: BTreeSet<usize> = followed.iter().map(|(_, before)| *before).collect();
                        let names = from.iter().map(|before| plan.steps[*before].name.clone());
                        Verdict::Follows { from: names.collect() }
                    }
                    (true, false) => Verdict::Differs { outputs: outputs(step, a, b, sides)? },
                    (false, _) => Verdict::OtherKey { why, outputs: outputs(step, a, b, sides)? },
                }
            }
        };
        Ok(Judged { step: step.name.clone(), verdict })
    };
    plan.steps.iter().enumerate().map(judge_step).collect()
}

/// Inputs that come from other steps with other bytes: their roles and those steps.
fn followed<'s>(step: &'s Step, ours: &[Made], theirs: &[Option<Made>]) -> Vec<(&'s str, usize)> {
    let differs = |before: usize, output: &str| {
        theirs[before].as_ref().and_then(|made| made.digest(output)) != ours[before].digest(output)
    };
    let inputs = step.inputs.iter().filter_map(|(role, source)| match source {
        Source::Output { step, output } if differs(*step, output) => Some((role.as_str(), *step)),
        _ => None,
    });
    inputs.collect()
}

fn outputs(step: &Step, a: &Made, b: &Made, sides: &Sides) -> Result<Vec<DifferentOutput>> {
    let mut different = Vec::new();
    let names: BTreeSet<&String> = a.outputs.keys().chain(b.outputs.keys()).collect();
    for name in names {
        let (ours, theirs) = (a.digest(name), b.digest(name));
        if ours == theirs {
            continue;
        }
        let both = a.outputs.get(name).filter(|_| theirs.is_some());
        let paths = both.zip(a.folder.as_ref().zip(b.folder.as_ref()));
        let comparison = paths.map(|((kind, _), (a, b))| compare(*kind, &a.join(name), &b.join(name), sides));
        let comparison =
            comparison.transpose().with_context(|| format!("comparing {name} of step {}", step.name))?;
        different.push(DifferentOutput { output: name.clone(), ours, theirs, comparison });
    }
    Ok(different)
}

#[cfg(test)]
mod tests;
