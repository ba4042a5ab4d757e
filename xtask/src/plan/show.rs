//! A plan for people, for programs, and as a graph.

use std::fmt::Write as _;

use serde_json::json;

use super::{Plan, Source, Step};
use crate::digest::Digest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A list, with what would run and why
    Human,
    /// The whole plan with parameters, inputs and keys
    Json,
    /// A graph for Graphviz
    Dot,
}

/// What is known of a step before anything runs.
#[derive(Clone, Debug)]
pub enum Status {
    Reuse {
        key: Digest,
    },
    Run {
        key: Digest,
        why: Vec<String>,
    },
    /// Comes after steps that will run; their outputs decide.
    Waits,
    /// Reads a local tree: runs every time.
    Always,
}

/// `statuses` has one entry a step.
pub fn show(plan: &Plan, statuses: &[Status], format: Format) -> String {
    match format {
        Format::Human => human(plan, statuses),
        Format::Json => machine(plan, statuses),
        Format::Dot => dot(plan, statuses),
    }
}

fn human(plan: &Plan, statuses: &[Status]) -> String {
    let mut text = String::new();
    let width = plan.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
    for (step, status) in plan.steps.iter().zip(statuses) {
        let (word, detail) = match status {
            Status::Reuse { key } => ("reuse", key.short()),
            Status::Run { why, .. } => ("run", why.join("; ")),
            Status::Waits => ("run?", waits_for(plan, step, statuses)),
            Status::Always => ("run", "reads a local tree".to_string()),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{word:<6} {:<width$}  {detail}", step.name);
    }
    let count = |wanted: fn(&Status) -> bool| statuses.iter().filter(|status| wanted(status)).count();
    let reused = count(|status| matches!(status, Status::Reuse { .. }));
    let waiting = count(|status| matches!(status, Status::Waits));
    let running = statuses.len() - reused - waiting;
    let _ = writeln!(text, "{reused} to reuse, {running} to run, {waiting} decided by what those make");
    text
}

/// The builder's root waits for more than a hundred packages.
const SHOWN_NAMES: usize = 8;

fn waits_for(plan: &Plan, step: &Step, statuses: &[Status]) -> String {
    let missing = step.upstream().filter(|&number| !matches!(statuses[number], Status::Reuse { .. }));
    let mut names: Vec<_> = missing.map(|number| plan.steps[number].name.as_str()).collect();
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN_NAMES);
    let and_more = if more > 1 { format!(" and {more} more") } else { String::new() };
    names.truncate(if more > 1 { SHOWN_NAMES } else { names.len() });
    format!("depends on {}{and_more}", names.join(", "))
}

fn machine(plan: &Plan, statuses: &[Status]) -> String {
    let steps = plan.steps.iter().zip(statuses).enumerate().map(|(number, (step, status))| {
        let mut value = serde_json::to_value(step).expect("our own types serialise");
        let (word, key, why) = match status {
            Status::Reuse { key } => ("reuse", Some(key), None),
            Status::Run { key, why } => ("run", Some(key), Some(why)),
            Status::Waits => ("unknown", None, None),
            Status::Always => ("always", None, None),
        };
        value["number"] = json!(number);
        value["status"] = json!(word);
        value["key"] = json!(key);
        value["why"] = json!(why);
        value
    });
    let plan = json!({ "steps": steps.collect::<Vec<_>>(), "artifacts": plan.artifacts });
    serde_json::to_string_pretty(&plan).expect("a JSON value") + "\n"
}

fn dot(plan: &Plan, statuses: &[Status]) -> String {
    let mut text = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box, style=filled];\n");
    for (number, (step, status)) in plan.steps.iter().zip(statuses).enumerate() {
        let colour = match status {
            Status::Reuse { .. } => "palegreen",
            Status::Run { .. } | Status::Always => "lightsalmon",
            Status::Waits => "lightyellow",
        };
        let _ = writeln!(text, "  s{number} [label={:?}, fillcolor={colour}];", step.name);
        for (role, source) in &step.inputs {
            match source {
                Source::Output { step: from, .. } => {
                    let _ = writeln!(text, "  s{from} -> s{number} [label={role:?}];");
                }
                Source::File(path) | Source::Folder(path) | Source::Local(path) => {
                    let _ =
                        writeln!(text, "  {path:?} [shape=note, fillcolor=white];\n  {path:?} -> s{number};");
                }
            }
        }
    }
    for artifact in &plan.artifacts {
        let name = format!("{}/{}", artifact.profile, artifact.name);
        let _ = writeln!(
            text,
            "  {name:?} [shape=ellipse, fillcolor=lightblue];\n  s{} -> {name:?};",
            artifact.step
        );
    }
    text + "}\n"
}
