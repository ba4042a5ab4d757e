//! What verify tells: for people, and as one JSON object.

use difference::{Cause, Comparison};
use serde_json::{Value, json};

use super::{
    Perturbation,
    judge::{Judged, Verdict},
};
use crate::plan::Plan;

/// Findings of one output that people are shown.
const SHOWN: usize = 6;

/// Everything that came out.
pub struct Told<'a> {
    pub profile: &'a str,
    pub plan: &'a Plan,
    pub perturbation: &'a Perturbation,
    /// In what the two plans differ; empty for equal ones.
    pub plans: &'a Comparison,
    pub judged: &'a [Judged],
    /// With whom it was compared.
    pub reference: &'a str,
}

impl Told<'_> {
    pub fn is_reproducible(&self) -> bool {
        self.plans.findings.is_empty()
            && self.judged.iter().all(|judged| matches!(judged.verdict, Verdict::Same))
    }

    fn same_steps(&self) -> usize {
        self.judged.iter().filter(|judged| matches!(judged.verdict, Verdict::Same)).count()
    }

    /// Name of each artifact and whether its bytes are the same.
    fn artifacts(&self) -> impl Iterator<Item = (&str, bool)> {
        self.plan.artifacts.iter().map(|artifact| {
            let is_same = match &self.judged[artifact.step].verdict {
                Verdict::Same => true,
                Verdict::Differs { outputs } => outputs.iter().all(|output| output.output != artifact.output),
                _ => false,
            };
            (artifact.name.as_str(), is_same)
        })
    }
}

/// For people.
pub fn show(told: &Told<'_>) -> String {
    let mut text = String::new();
    if !told.plans.findings.is_empty() {
        text += "the plan itself is another one there:\n";
        comparison(&mut text, told.plans);
    }
    for judged in told.judged {
        step(&mut text, judged);
    }
    let artifacts: Vec<(&str, bool)> = told.artifacts().collect();
    let same = artifacts.iter().filter(|(_, is_same)| *is_same).count();
    let others: Vec<&str> = artifacts.iter().filter(|(_, is_same)| !is_same).map(|(name, _)| *name).collect();
    let counted = format!(
        "{} of {} steps and {same} of {} artifacts are the same as {}",
        told.same_steps(),
        told.judged.len(),
        artifacts.len(),
        told.reference,
    );
    let verdict = match (told.is_reproducible(), others.is_empty()) {
        (true, _) => format!("{}: reproducible; {counted}\n", told.profile),
        (false, true) => format!("{}: NOT reproducible; {counted}\n", told.profile),
        (false, false) => {
            format!("{}: NOT reproducible; {counted}; others: {}\n", told.profile, others.join(", "))
        }
    };
    text + &verdict
}

fn step(text: &mut String, Judged { step, verdict }: &Judged) {
    match verdict {
        Verdict::Same => {}
        Verdict::Differs { outputs } => {
            *text += &format!("step `{step}` made other bytes of the same inputs\n");
            for output in outputs {
                *text +=
                    &format!("  {}: {} and {}\n", output.output, output.ours.short(), output.theirs.short());
                match &output.comparison {
                    Some(found) => comparison(text, found),
                    None => {
                        *text += "    only digests are known there: with the file beside the manifest more can be told\n"
                    }
                }
            }
        }
        Verdict::Follows { from } => {
            *text += &format!("step `{step}` follows from {}\n", quoted(from));
        }
        Verdict::OtherKey { why } => {
            *text += &format!("step `{step}` has another key although it reads the same\n");
            why.iter().for_each(|why| *text += &format!("    {why}\n"));
        }
        Verdict::Missing => *text += &format!("step `{step}` is missing there\n"),
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
    let artifacts = told.artifacts().map(|(name, is_same)| json!({ "name": name, "same": is_same }));
    json!({
        "profile": told.profile,
        "reproducible": told.is_reproducible(),
        "reference": told.reference,
        "perturbation": told.perturbation,
        "plan": told.plans,
        "steps": told.judged.iter().map(judged).collect::<Vec<_>>(),
        "artifacts": artifacts.collect::<Vec<_>>(),
    })
}

/// A judged step, with the words for each cause that its findings name.
fn judged(judged: &Judged) -> Value {
    let mut value = serde_json::to_value(judged).expect("our own types serialise");
    let Verdict::Differs { outputs } = &judged.verdict else { return value };
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
