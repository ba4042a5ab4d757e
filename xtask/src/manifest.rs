//! The manifest of a profile, made once from the plan, its outcomes and what the tools are.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use release::manifest::{
    Builder, FORMAT, Input, Manifest, Measurement, Origin, Output, Profile, Step, StepInput, Tool,
};

use crate::{
    digest::Digest,
    execute::{Context, Outcome, Outcomes, Tools},
    host::identity::Subject,
    plan::{self, Action, Plan, Source},
    profile::spec::Spec,
};

/// The artifact with what platforms measure.
const MEASUREMENTS: &str = "measurements.json";

/// The artifacts of one profile: name, step's outcome and output name.
pub fn outputs<'a>(
    plan: &'a Plan,
    outcomes: &'a Outcomes,
    profile: &str,
) -> Vec<(Output, &'a Outcome, &'a str)> {
    let of_profile = plan.artifacts.iter().filter(|artifact| artifact.profile == profile);
    let mut outputs: Vec<_> = of_profile
        .map(|artifact| {
            let outcome = &outcomes.0[artifact.step];
            let output =
                outcome.record.output(&artifact.output).expect("a plan names outputs that steps make");
            let (size_bytes, sha256) = (output.size_bytes, output.sha256);
            (Output { name: artifact.name.clone(), size_bytes, sha256 }, outcome, artifact.output.as_str())
        })
        .collect();
    outputs.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    outputs
}

/// `plan` is of this profile alone, so that the manifest doesn't depend on what else was built with it.
pub fn manifest(context: &Context, plan: &Plan, outcomes: &Outcomes, spec: &Spec) -> Result<Manifest> {
    let steps: Vec<(&plan::Step, &Outcome)> = plan
        .steps_of(&spec.name)
        .into_iter()
        .map(|number| (&plan.steps[number], &outcomes.0[number]))
        .collect();
    Ok(Manifest {
        format: FORMAT,
        profile: profile(spec)?,
        hermetic: plan.is_hermetic(&spec.name),
        command: command(plan, &spec.name),
        builder: builder(plan, outcomes),
        inputs: steps
            .iter()
            .flat_map(|(step, outcome)| inputs(step, outcome))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        tools: identities(&context.tools, steps.iter().flat_map(|(step, _)| &step.tools))?,
        steps: steps.iter().map(|(step, outcome)| entry(plan, step, outcome)).collect(),
        measurements: measurements(context, plan, outcomes, spec)?,
        outputs: outputs(plan, outcomes, &spec.name).into_iter().map(|(entry, ..)| entry).collect(),
    })
}

/// What anybody types who has nothing but the manifest and the project.
fn command(plan: &Plan, profile: &str) -> Vec<String> {
    let words: &[&str] = match plan.is_hermetic(profile) {
        true => &["cargo", "xtask", "verify", profile, "--against", "manifest.json"],
        false => &["cargo", "xtask", "build-image", profile],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn builder(plan: &Plan, outcomes: &Outcomes) -> Builder {
    let mut steps = plan.steps.iter().zip(&outcomes.0);
    let root = steps.find(|(step, _)| matches!(step.action, Action::UnpackRoot { .. }));
    match root.and_then(|(_, outcome)| outcome.record.output("tree")) {
        Some(tree) => Builder::Root { sha256: tree.sha256 },
        None => Builder::Machine,
    }
}

fn measurements(
    context: &Context,
    plan: &Plan,
    outcomes: &Outcomes,
    spec: &Spec,
) -> Result<Vec<Measurement>> {
    let outputs = outputs(plan, outcomes, &spec.name);
    let Some((_, outcome, output)) = outputs.into_iter().find(|(entry, ..)| entry.name == MEASUREMENTS)
    else {
        return Ok(Vec::new());
    };
    let path = context.output(outcomes.step(plan, outcome), outcome, output)?;
    let text = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("can't read {}", path.display()))
}

fn profile(spec: &Spec) -> Result<Profile> {
    let value = serde_json::to_value(spec).context("a profile as JSON")?;
    serde_json::from_value(value).context("a profile as JSON")
}

/// What a step takes from outside.
fn inputs(step: &plan::Step, outcome: &Outcome) -> Vec<Input> {
    let digest = |role: &String| outcome.parts.inputs()[role];
    let of_project = step.inputs.iter().filter_map(|(role, source)| match source {
        Source::Output { .. } => None,
        Source::File(path) => Some(Input::File { path: path.clone(), sha256: digest(role) }),
        Source::Folder(path) => Some(Input::Folder { path: path.clone(), sha256: digest(role) }),
        Source::Local(path) => Some(Input::Local { path: path.clone() }),
    });
    of_project.chain(download(&step.action, outcome)).collect()
}

fn download(action: &Action, outcome: &Outcome) -> Option<Input> {
    let fetched = |output: &str| outcome.record.output(output).map(|output| output.sha256);
    match action {
        Action::FetchDeb(pin) => Some(Input::DebianPackage {
            package: pin.package.to_string(),
            version: pin.version.to_string(),
            architecture: pin.architecture.name().to_owned(),
            pool: pin.pool.to_string(),
            size_bytes: pin.size,
            sha256: fetched("file")?,
        }),
        Action::FetchUrl { url, .. } => Some(Input::Download { url: url.clone(), sha256: fetched("file")? }),
        Action::FetchGit { url, revision, .. } => {
            Some(Input::GitRevision { url: url.clone(), revision: revision.clone() })
        }
        _ => None,
    }
}

/// What tools are here, by name.
pub fn identities<'a>(
    tools: &Tools,
    subjects: impl Iterator<Item = &'a Subject>,
) -> Result<BTreeMap<String, Tool>> {
    let subjects: BTreeSet<&Subject> = subjects.collect();
    subjects
        .into_iter()
        .map(|subject| {
            let identity = tools.identity(subject)?;
            let sha256 = identity.sha256.parse().with_context(|| format!("what {} is", identity.name))?;
            let digest = Digest::of_json(&identity);
            Ok((subject.name(), Tool { version: identity.version, sha256, identity: digest }))
        })
        .collect()
}

fn entry(plan: &Plan, step: &plan::Step, outcome: &Outcome) -> Step {
    let input = |(role, source): (&String, &Source)| {
        let from = match source {
            Source::Output { step, output } => {
                Origin::Output { step: plan.steps[*step].name.clone(), name: output.clone() }
            }
            Source::File(path) => Origin::File(path.clone()),
            Source::Folder(path) => Origin::Folder(path.clone()),
            Source::Local(path) => Origin::Local(path.clone()),
        };
        // What stands for a local tree in a key is no digest of it.
        let known = !matches!(source, Source::Local(_));
        let sha256 = outcome.parts.inputs().get(role).copied().filter(|_| known);
        (role.clone(), StepInput { from, sha256 })
    };
    let outputs = outcome.record.outputs.iter().map(|output| (output.name.clone(), output.sha256));
    Step {
        name: step.name.clone(),
        kind: step.action.kind().to_owned(),
        version: Some(outcome.parts.version().to_owned()),
        key: outcome.key,
        parameters: serde_json::to_value(&step.action).expect("our own types serialise"),
        inputs: step.inputs.iter().map(input).collect(),
        tools: step.tools.iter().map(Subject::name).collect(),
        outputs: outputs.collect(),
    }
}
