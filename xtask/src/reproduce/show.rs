//! What verify tells: for people, and as one JSON object.

use std::collections::BTreeMap;

use difference::{Cause, Comparison};
use serde_json::{Value, json};

use super::{
    Perturbation,
    artifacts::{ArtifactVerdict, JudgedArtifact},
    judge::{DifferentOutput, Judged, Verdict},
};

/// Findings of one output, and reasons of all steps, that people are shown.
const SHOWN: usize = 6;
const REASONS_SHOWN: usize = 30;

/// Everything that came out.
pub struct Told<'a> {
    pub profile: &'a str,
    pub perturbation: &'a Perturbation,
    /// In what the two plans differ; empty for equal ones.
    pub plans: &'a Comparison,
    pub steps: &'a [Judged],
    pub artifacts: &'a [JudgedArtifact],
    pub with: &'a With,
}

/// What the second build is compared with.
pub enum With {
    /// The first one.
    Before,
    /// Somebody else's.
    Manifest {
        path: String,
        /// What to do if it differs.
        hint: Option<String>,
    },
}

impl With {
    fn name(&self) -> String {
        match self {
            With::Before => "before".to_owned(),
            With::Manifest { path, .. } => format!("in {path}"),
        }
    }
}

impl Told<'_> {
    /// Of two builds here everything has to be the same. Somebody else may come to the same artifacts by other steps, as
    /// long as they say by which.
    pub fn is_reproducible(&self) -> bool {
        let is_same = |step: &Judged| match (self.with, &step.verdict) {
            (_, Verdict::Same) => true,
            (With::Before, _) | (_, Verdict::Differs { .. }) => false,
            (With::Manifest { .. }, Verdict::OtherKey { why, .. }) if why.is_empty() => false,
            // Without artifacts, steps are all that there is.
            (With::Manifest { .. }, verdict) => !self.artifacts.is_empty() || verdict.has_same_outputs(),
        };
        self.plans.findings.is_empty()
            && self.steps.iter().all(is_same)
            && self.artifacts.iter().all(|artifact| matches!(artifact.verdict, ArtifactVerdict::Same))
    }
}

/// For people.
pub fn show(told: &Told<'_>) -> String {
    let mut text = String::new();
    if !told.plans.findings.is_empty() {
        text += "the plan itself is another one there:\n";
        comparison(&mut text, told.plans);
    }
    reasons(&mut text, told);
    for judged in told.steps {
        step(&mut text, judged);
    }
    for artifact in told.artifacts {
        self::artifact(&mut text, told, artifact);
    }
    if let (false, With::Manifest { hint: Some(hint), .. }) = (told.is_reproducible(), told.with) {
        text += &format!("hint: {hint}\n");
    }
    text + &verdict(told)
}

fn verdict(told: &Told<'_>) -> String {
    let steps = told.steps.iter().filter(|step| matches!(step.verdict, Verdict::Same)).count();
    let (same, others): (Vec<&JudgedArtifact>, Vec<_>) =
        told.artifacts.iter().partition(|artifact| matches!(artifact.verdict, ArtifactVerdict::Same));
    let counted = format!(
        "{steps} of {} steps and {} of {} artifacts are the same as {}",
        told.steps.len(),
        same.len(),
        told.artifacts.len(),
        told.with.name(),
    );
    let word = if told.is_reproducible() { "reproducible" } else { "NOT reproducible" };
    let others: Vec<&str> = others.iter().map(|artifact| artifact.name.as_str()).collect();
    match others.is_empty() {
        true => format!("{}: {word}; {counted}\n", told.profile),
        false => format!("{}: {word}; {counted}; others: {}\n", told.profile, others.join(", ")),
    }
}

/// Why steps have other keys, each reason once with all of its steps.
fn reasons(text: &mut String, told: &Told<'_>) {
    let mut of_reason: Vec<(&str, Vec<String>)> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for step in told.steps {
        let Verdict::OtherKey { why, .. } = &step.verdict else { continue };
        let unknown = why.is_empty().then_some("nothing that is listed says why");
        for reason in why.iter().map(String::as_str).chain(unknown) {
            let place = *known.entry(reason).or_insert(of_reason.len());
            if place == of_reason.len() {
                of_reason.push((reason, Vec::new()));
            }
            of_reason[place].1.push(step.step.clone());
        }
    }
    if of_reason.is_empty() {
        return;
    }
    *text += match told.with {
        With::Before => "of the surroundings something got into keys of steps (first → second build):\n",
        With::Manifest { .. } => "steps are made otherwise there (there → here):\n",
    };
    for (reason, steps) in of_reason.iter().take(REASONS_SHOWN) {
        *text += &format!("    {reason}\n      of      {}\n", quoted(steps));
    }
    if of_reason.len() > REASONS_SHOWN {
        *text += &format!("    and {} more; --json has all of them\n", of_reason.len() - REASONS_SHOWN);
    }
}

fn step(text: &mut String, Judged { step, verdict }: &Judged) {
    match verdict {
        Verdict::Same => {}
        Verdict::Differs { outputs } => {
            *text += &format!("step `{step}` made other bytes of the same inputs\n");
            outputs.iter().for_each(|output| self::output(text, output));
        }
        Verdict::Follows { from } => {
            *text += &format!("step `{step}` follows from {}\n", quoted(from));
        }
        Verdict::OtherKey { outputs, .. } if outputs.is_empty() => {
            *text += &format!("step `{step}` has another key, and made the same bytes\n");
        }
        Verdict::OtherKey { outputs, .. } => {
            *text += &format!("step `{step}` has another key, and made other bytes\n");
            outputs.iter().for_each(|output| self::output(text, output));
        }
        Verdict::Missing => *text += &format!("step `{step}` is missing there\n"),
    }
}

fn output(text: &mut String, output: &DifferentOutput) {
    let digest =
        |digest: Option<release::Digest>| digest.map_or("(none)".to_owned(), |digest| digest.short());
    *text += &format!("  {}: {} and {}\n", output.output, digest(output.ours), digest(output.theirs));
    if let Some(found) = &output.comparison {
        comparison(text, found);
    }
}

fn artifact(text: &mut String, told: &Told<'_>, artifact: &JudgedArtifact) {
    let name = &artifact.name;
    match (&artifact.verdict, told.with) {
        (ArtifactVerdict::Same, _) => {}
        (ArtifactVerdict::MissingThere, _) => *text += &format!("artifact {name} is missing there\n"),
        (ArtifactVerdict::MissingHere, _) => *text += &format!("artifact {name} is there alone\n"),
        (ArtifactVerdict::Differs { comparison: Some(found) }, _) => {
            *text += &format!("artifact {name} differs\n");
            comparison(text, found);
        }
        (ArtifactVerdict::Follows, _) => *text += &format!("artifact {name} differs by what it is made of\n"),
        (ArtifactVerdict::Differs { comparison: None }, With::Manifest { .. }) => {
            *text += &format!("artifact {name} differs; to see where, put it beside the manifest\n");
        }
        // Told with its step.
        (ArtifactVerdict::Differs { comparison: None }, With::Before) => {}
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn comparison(text: &mut String, found: &Comparison) {
    let mut cures: Vec<Cause> = Vec::new();
    for finding in found.findings.iter().take(SHOWN) {
        *text += &format!("    {}\n", finding.place_text());
        for (side, value) in [("ours", &finding.ours), ("theirs", &finding.theirs)] {
            let value = if value.is_empty() { "(nothing)" } else { value };
            *text += &format!("      {side:<7} {value}\n");
        }
        match finding.cause {
            Some(cause) => {
                *text += &format!("      cause   {}\n", cause.text());
                if !cures.contains(&cause) {
                    *text += &format!("      cure    {}\n", cause.cure());
                    cures.push(cause);
                }
            }
            None => *text += "      cause   not known\n",
        }
    }
    let more = found.findings.len().saturating_sub(SHOWN) + found.more;
    if more > 0 {
        *text += &format!(
            "    and {more} more; --json has {}\n",
            if found.more == 0 { "all of them" } else { "some" }
        );
    }
}

/// For programs.
pub fn json(told: &Told<'_>) -> Value {
    let hint = match told.with {
        With::Manifest { hint: Some(hint), .. } if !told.is_reproducible() => Some(hint),
        _ => None,
    };
    json!({
        "profile": told.profile,
        "reproducible": told.is_reproducible(),
        "reference": told.with.name(),
        "perturbation": told.perturbation,
        "plan": told.plans,
        "steps": told.steps.iter().map(judged).collect::<Vec<_>>(),
        "artifacts": told.artifacts,
        "hint": hint,
    })
}

/// A judged step, with the words for each cause that its findings name.
fn judged(judged: &Judged) -> Value {
    let mut value = serde_json::to_value(judged).expect("our own types serialise");
    let (Verdict::Differs { outputs } | Verdict::OtherKey { outputs, .. }) = &judged.verdict else {
        return value;
    };
    let findings =
        outputs.iter().filter_map(|output| output.comparison.as_ref()).flat_map(|found| &found.findings);
    let mut causes: Vec<Cause> = findings.filter_map(|finding| finding.cause).collect();
    causes.sort_unstable();
    causes.dedup();
    let causes =
        causes.iter().map(|cause| json!({ "cause": cause, "text": cause.text(), "cure": cause.cure() }));
    value["causes"] = causes.collect();
    value
}
