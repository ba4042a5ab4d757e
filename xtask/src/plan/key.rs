//! The key of a step: a digest over everything that decides its outputs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Step;
use crate::digest::Digest;

/// Version of the rule below: raising it makes every key new.
const FORMAT: u32 = 1;

/// What goes into a key; kept beside the last build's result so that a later one can say what changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyParts {
    format: u32,
    kind: String,
    version: String,
    parameters: Value,
    /// Role → digest of the input's content.
    inputs: BTreeMap<String, Digest>,
    /// Tool → its identity: content of the program and the version that it tells.
    tools: BTreeMap<String, Digest>,
}

impl KeyParts {
    pub fn new(step: &Step, inputs: BTreeMap<String, Digest>, tools: BTreeMap<String, Digest>) -> KeyParts {
        KeyParts {
            format: FORMAT,
            kind: step.action.kind().to_string(),
            version: step.action.version(),
            parameters: parameters(step),
            inputs,
            tools,
        }
    }

    /// Of the tool's own code for the step.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the step is told beside its inputs.
    pub fn parameters(&self) -> &Value {
        &self.parameters
    }

    /// Role → digest of the input's content.
    pub fn inputs(&self) -> &BTreeMap<String, Digest> {
        &self.inputs
    }

    /// Tool → its identity.
    pub fn tools(&self) -> &BTreeMap<String, Digest> {
        &self.tools
    }

    /// Without the inputs of these roles.
    pub fn without_inputs(&self, roles: &BTreeSet<String>) -> KeyParts {
        let mut parts = self.clone();
        parts.inputs.retain(|role, _| !roles.contains(role));
        parts
    }

    /// In what this differs from `before`, a short phrase each.
    pub fn changes_since(&self, before: &KeyParts) -> Vec<String> {
        let mut changes = Vec::new();
        if self.format != before.format || self.version != before.version {
            changes.push("this tool's own code for the step changed".to_string());
        }
        changes.extend(parameter_changes(&before.parameters, &self.parameters));
        compare_digests("input", &before.inputs, &self.inputs, &mut changes);
        compare_digests("tool", &before.tools, &self.tools, &mut changes);
        changes
    }
}

pub fn key(parts: &KeyParts) -> Digest {
    Digest::of_json(parts)
}

/// A download is known by its digest alone: where it came from doesn't matter.
fn parameters(step: &Step) -> Value {
    use super::Action;
    match &step.action {
        Action::FetchDeb(pin) => serde_json::json!({ "sha256": pin.sha256, "size": pin.size }),
        Action::FetchUrl { sha256, size_bytes, .. } => {
            serde_json::json!({ "sha256": sha256, "size": size_bytes })
        }
        action => serde_json::to_value(action).expect("our own types serialise"),
    }
}

/// In what parameters differ, a short phrase each.
pub fn parameter_changes(before: &Value, after: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    compare("", before, after, &mut changes);
    changes
}

fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let absent = Value::Null;
                compare(&inner, old.get(key).unwrap_or(&absent), new.get(key).unwrap_or(&absent), changes);
            }
        }
        // A text that wasn't there before is one without lines.
        (Value::Null, Value::String(new)) if new.contains('\n') => {
            changes.extend(new.lines().map(|line| format!("{path}: + {line}")));
        }
        (Value::String(old), Value::Null) if old.contains('\n') => {
            changes.extend(old.lines().map(|line| format!("{path}: - {line}")));
        }
        (Value::String(old), Value::String(new))
            if old != new && (old.contains('\n') || new.contains('\n')) =>
        {
            let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
            let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("{path}: - {line}"));
            let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("{path}: + {line}"));
            changes.extend(gone.chain(come));
        }
        (old, new) if old != new => changes.push(format!("{path}: {old} → {new}")),
        _ => {}
    }
}

fn compare_digests(
    what: &str,
    before: &BTreeMap<String, Digest>,
    after: &BTreeMap<String, Digest>,
    changes: &mut Vec<String>,
) {
    for (name, digest) in after {
        match before.get(name) {
            None => changes.push(format!("{what} {name} is new")),
            Some(old) if old != digest => changes.push(format!("{what} {name} changed")),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    changes.extend(gone.map(|name| format!("{what} {name} is gone")));
}
