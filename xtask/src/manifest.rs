//! The manifest: what was made from what, by digest. It is made once, from the plan and its outcomes, and
//! holds nothing that differs between two builds of the same plan; where, when and how fast goes into
//! `build-info.json` beside it, which no digest covers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    execute::{Outcome, Outcomes},
    plan::{Plan, Source},
    profile::spec::Spec,
};

/// Version of the manifest's format.
const FORMAT: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest<'a> {
    format: u32,
    profile: &'a Spec,
    /// False where a local source tree took part: the same manifest then doesn't promise the same bytes.
    hermetic: bool,
    /// Tools by name: digest of the program and the version that it tells.
    tools: BTreeMap<String, Digest>,
    steps: Vec<StepEntry<'a>>,
    outputs: Vec<OutputEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StepEntry<'a> {
    name: &'a str,
    kind: &'static str,
    key: Digest,
    parameters: serde_json::Value,
    inputs: BTreeMap<&'a str, InputEntry<'a>>,
    outputs: BTreeMap<&'a str, Digest>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct InputEntry<'a> {
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a Digest>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct OutputEntry {
    pub name: String,
    pub size_bytes: u64,
    pub sha256: Digest,
}

/// The artifacts of one profile: name, step's outcome and output name.
pub fn outputs<'a>(
    plan: &'a Plan,
    outcomes: &'a Outcomes,
    profile: &str,
) -> Vec<(OutputEntry, &'a Outcome, &'a str)> {
    let of_profile = plan.artifacts.iter().filter(|artifact| artifact.profile == profile);
    let mut outputs: Vec<_> = of_profile
        .map(|artifact| {
            let outcome = &outcomes.0[artifact.step];
            let output =
                outcome.record.output(&artifact.output).expect("a plan names outputs that steps make");
            let (size_bytes, sha256) = (output.size_bytes, output.sha256);
            (
                OutputEntry { name: artifact.name.clone(), size_bytes, sha256 },
                outcome,
                artifact.output.as_str(),
            )
        })
        .collect();
    outputs.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    outputs
}

pub fn manifest<'a>(plan: &'a Plan, outcomes: &'a Outcomes, spec: &'a Spec) -> Manifest<'a> {
    let mut tools = BTreeMap::new();
    let mut steps = Vec::new();
    for number in plan.steps_of(&spec.name) {
        let (step, outcome) = (&plan.steps[number], &outcomes.0[number]);
        tools.extend(outcome.parts.tools().iter().map(|(name, digest)| (name.clone(), *digest)));
        let inputs = step.inputs.iter().map(|(role, source)| {
            let (from, known) = match source {
                Source::Output { step, output } => (format!("{}: {output}", plan.steps[*step].name), true),
                Source::File(path) | Source::Folder(path) => (path.clone(), true),
                Source::Local(path) => (path.clone(), false),
            };
            let sha256 = outcome.parts.inputs().get(role).filter(|_| known);
            (role.as_str(), InputEntry { from, sha256 })
        });
        steps.push(StepEntry {
            name: &step.name,
            kind: step.action.kind(),
            key: outcome.key,
            parameters: serde_json::to_value(&step.action).expect("our own types serialise"),
            inputs: inputs.collect(),
            outputs: outcome
                .record
                .outputs
                .iter()
                .map(|output| (output.name.as_str(), output.sha256))
                .collect(),
        });
    }
    Manifest {
        format: FORMAT,
        profile: spec,
        hermetic: plan.is_hermetic(&spec.name),
        tools,
        steps,
        outputs: outputs(plan, outcomes, &spec.name).into_iter().map(|(entry, ..)| entry).collect(),
    }
}

/// SHA256SUMS as sha256sum(1) checks it.
pub fn sha256sums<'a>(files: impl Iterator<Item = (&'a str, Digest)>) -> String {
    files.map(|(name, digest)| format!("{digest}  {name}\n")).collect()
}
