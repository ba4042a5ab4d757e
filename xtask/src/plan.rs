//! The plan: every step of a build as a value, in an order in which each comes after what it reads.
//!
//! Making a plan touches nothing. It holds no absolute path (but those that a profile names), no user
//! name, time or random value, so it is the same from any folder; what can be printed and compared here
//! is all that `execute` will do.

mod action;
mod key;
mod make;
mod show;
mod tools;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

pub use action::{Action, EspFile, InitramfsEntry, InitramfsNode, RustFrom, SourceFrom, Weight};
pub use key::{KeyParts, key, parameter_changes};
pub use make::{BUILDER, HostFacts, ProfileInput, RustWay, make, make_boot, make_disk, make_monitor};
pub use show::{Format, Status, show};
pub use tools::tools_of;

use crate::{
    digest::{Digest, canonical_json},
    host::identity::Subject,
};

#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Topologically sorted: a step reads only outputs of earlier ones.
    pub steps: Vec<Step>,
    pub artifacts: Vec<Artifact>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What people call it, unique within the plan: `kernel x86_64-vtl2`.
    pub name: String,
    pub action: Action,
    /// Everything that the step may read, by the role it plays there.
    pub inputs: BTreeMap<String, Source>,
    /// Everything that the step may run.
    #[serde(serialize_with = "names")]
    pub tools: Vec<Subject>,
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Output `output` of step number `step`.
    Output { step: usize, output: String },
    /// A file of the project, by its path there.
    File(String),
    /// A folder of the project, by its path there.
    Folder(String),
    /// A tree outside the project's care: its content is not in the key, so the step runs every time.
    Local(String),
}

/// An output that a user gets: `out/PROFILE/NAME`.
#[derive(Clone, Debug, Serialize)]
pub struct Artifact {
    pub profile: String,
    pub name: String,
    pub step: usize,
    pub output: String,
}

impl Plan {
    /// False where a local tree takes part: then equal plans need not give equal bytes.
    pub fn is_hermetic(&self, profile: &str) -> bool {
        self.steps_of(profile).iter().all(|&index| self.steps[index].is_hermetic())
    }

    /// Whether steps run the programs of a root of their own rather than this machine's.
    pub fn has_builder(&self) -> bool {
        self.steps.iter().any(|step| step.inputs.contains_key(BUILDER))
    }

    /// The part of the plan that steps accepted by `wanted` need, without artifacts.
    pub fn only(&self, wanted: impl Fn(&Action) -> bool) -> Plan {
        self.part(&self.closure(|number| wanted(&self.steps[number].action)))
    }

    /// The part of the plan that the steps of these names need, with the artifacts that come out of it, or the names
    /// that no step has.
    pub fn needed_for(&self, names: &[String]) -> Result<Plan, Vec<String>> {
        let is_known = |name: &String| self.steps.iter().any(|step| step.name == *name);
        let unknown: Vec<String> = names.iter().filter(|name| !is_known(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let needed = self.closure(|number| names.contains(&self.steps[number].name));
        let mut part = self.part(&needed);
        let artifacts = self.artifacts.iter().filter_map(|artifact| {
            let step = needed.iter().position(|&number| number == artifact.step)?;
            Some(Artifact { step, ..artifact.clone() })
        });
        part.artifacts = artifacts.collect();
        Ok(part)
    }

    /// The part of the plan that has to come before steps accepted by `wanted`, and the number there of each step.
    pub fn before(&self, wanted: impl Fn(&Action) -> bool) -> (Plan, BTreeMap<usize, usize>) {
        let is_wanted = |number: usize| wanted(&self.steps[number].action);
        let mut needed = self.closure(is_wanted);
        needed.retain(|&number| !is_wanted(number));
        let numbers = needed.iter().enumerate().map(|(new, &old)| (old, new)).collect();
        (self.part(&needed), numbers)
    }

    /// These steps, which read outputs of each other alone.
    fn part(&self, needed: &[usize]) -> Plan {
        let number_of = |old: usize| needed.iter().position(|&number| number == old).expect("in the closure");
        let renumbered = needed.iter().map(|&number| {
            let mut step = self.steps[number].clone();
            for source in step.inputs.values_mut() {
                if let Source::Output { step, .. } = source {
                    *step = number_of(*step);
                }
            }
            step
        });
        Plan { steps: renumbered.collect(), artifacts: Vec::new() }
    }

    /// What each step is, whatever its number and name: equal for equal steps of two plans.
    pub fn identities(&self) -> Vec<Digest> {
        let mut identities: Vec<Digest> = Vec::new();
        for step in &self.steps {
            let inputs: BTreeMap<&String, String> = step
                .inputs
                .iter()
                .map(|(role, source)| match source {
                    Source::Output { step, output } => (role, format!("{} {output}", identities[*step])),
                    other => (role, canonical_json(other)),
                })
                .collect();
            identities.push(Digest::of_json(&(&step.action, inputs)));
        }
        identities
    }

    /// Numbers of the steps that the artifacts of `profile` need, in order.
    pub fn steps_of(&self, profile: &str) -> Vec<usize> {
        let ends: Vec<usize> = self
            .artifacts
            .iter()
            .filter(|artifact| artifact.profile == profile)
            .map(|artifact| artifact.step)
            .collect();
        self.closure(|number| ends.contains(&number))
    }

    /// Numbers of the steps that `is_end` names and of all that those read, in order.
    fn closure(&self, is_end: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut needed: Vec<bool> = (0..self.steps.len()).map(is_end).collect();
        for number in (0..self.steps.len()).rev() {
            if needed[number] {
                self.steps[number].upstream().for_each(|step| needed[step] = true);
            }
        }
        (0..self.steps.len()).filter(|&number| needed[number]).collect()
    }
}

impl Step {
    pub fn is_hermetic(&self) -> bool {
        !self.inputs.values().any(|source| matches!(source, Source::Local(_)))
    }

    /// Numbers of the steps whose outputs this one reads.
    pub fn upstream(&self) -> impl Iterator<Item = usize> + '_ {
        self.inputs.values().filter_map(|source| match source {
            Source::Output { step, .. } => Some(*step),
            _ => None,
        })
    }
}

fn names<S: serde::Serializer>(tools: &[Subject], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(tools.iter().map(Subject::name))
}
