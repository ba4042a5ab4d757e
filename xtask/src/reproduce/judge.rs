//! Compares two runs of a plan, step by step: same key and other bytes is where something got in; what reads those
//! bytes follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use difference::{Comparison, Finding, Part, Sides};
use serde::Serialize;

use crate::{
    digest::Digest,
    plan::{Plan, Step},
    store::{OutputKind, StepRecord, Store},
};

/// What one step made, on one side.
#[derive(Clone, Debug)]
pub struct Made {
    /// None where the key isn't known: then it isn't compared.
    pub key: Option<Digest>,
    /// By name.
    pub outputs: BTreeMap<String, (OutputKind, Digest)>,
    /// Folder with the outputs; None where only digests are known.
    pub folder: Option<PathBuf>,
}

impl Made {
    pub fn of(key: Digest, record: &StepRecord, store: &Store) -> Made {
        let outputs = record.outputs.iter().map(|output| (output.name.clone(), (output.kind, output.sha256)));
        Made { key: Some(key), outputs: outputs.collect(), folder: Some(store.step_dir(&key).join("out")) }
    }

    fn is_same(&self, other: &Made) -> bool {
        let digests = |made: &Made| -> Vec<(String, Digest)> {
            made.outputs.iter().map(|(name, (_, digest))| (name.clone(), *digest)).collect()
        };
        digests(self) == digests(other)
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
    Same,
    /// The same inputs gave other bytes.
    Differs {
        outputs: Vec<DifferentOutput>,
    },
    /// It reads what these steps made, which differs.
    Follows {
        from: Vec<String>,
    },
    /// Inputs are the same, and yet the step has another key.
    OtherKey {
        why: Vec<String>,
    },
    /// The other side has no such step.
    Missing,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DifferentOutput {
    pub output: String,
    pub ours: Digest,
    pub theirs: Digest,
    /// None where one of the files isn't there to be looked into.
    pub comparison: Option<Comparison>,
}

/// Compares all steps of `plan`. `key_changes` says for a step why its key may be another one.
pub fn judge(
    plan: &Plan,
    ours: &[Option<Made>],
    theirs: &[Option<Made>],
    sides: &Sides,
    key_changes: impl Fn(usize) -> Vec<String>,
) -> Result<Vec<Judged>> {
    let mut judged: Vec<Judged> = Vec::new();
    let mut differs = BTreeSet::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let from: Vec<usize> = step.upstream().filter(|before| differs.contains(before)).collect();
        let verdict = match (&ours[number], &theirs[number]) {
            (Some(a), Some(b)) if a.is_same(b) => Verdict::Same,
            // What it reads may differ in outputs that it doesn't read: then its key is the same.
            (Some(a), Some(b)) if !from.is_empty() && a.key != b.key => follows(&from, &judged),
            (Some(a), Some(b)) if a.key.is_some() && b.key.is_some() && a.key != b.key => {
                Verdict::OtherKey { why: key_changes(number) }
            }
            (Some(a), Some(b)) => Verdict::Differs { outputs: outputs(step, a, b, sides)? },
            _ if !from.is_empty() => follows(&from, &judged),
            (Some(_), None) if !key_changes(number).is_empty() => {
                Verdict::OtherKey { why: key_changes(number) }
            }
            _ => Verdict::Missing,
        };
        if !matches!(verdict, Verdict::Same) {
            differs.insert(number);
        }
        judged.push(Judged { step: step.name.clone(), verdict });
    }
    Ok(judged)
}

fn follows(from: &[usize], judged: &[Judged]) -> Verdict {
    let names: BTreeSet<String> = from.iter().map(|number| judged[*number].step.clone()).collect();
    Verdict::Follows { from: names.into_iter().collect() }
}

fn outputs(step: &Step, a: &Made, b: &Made, sides: &Sides) -> Result<Vec<DifferentOutput>> {
    let mut different = Vec::new();
    for (name, (kind, ours)) in &a.outputs {
        let Some((_, theirs)) = b.outputs.get(name).filter(|(_, theirs)| theirs != ours) else { continue };
        let paths = a.folder.as_ref().zip(b.folder.as_ref());
        let comparison = paths.map(|(a, b)| compare(*kind, &a.join(name), &b.join(name), sides));
        let comparison =
            comparison.transpose().with_context(|| format!("comparing {name} of step {}", step.name))?;
        different.push(DifferentOutput { output: name.clone(), ours: *ours, theirs: *theirs, comparison });
    }
    Ok(different)
}

/// Where inside two outputs differ.
pub fn compare(kind: OutputKind, ours: &Path, theirs: &Path, sides: &Sides) -> Result<Comparison> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("can't read {}", path.display()));
    match kind {
        OutputKind::File => Ok(difference::compare(&read(ours)?, &read(theirs)?, sides)),
        OutputKind::Tree => trees(ours, theirs, sides),
    }
}

/// Files of two trees; the names first.
fn trees(ours: &Path, theirs: &Path, sides: &Sides) -> Result<Comparison> {
    let list = |root: &Path| -> Result<Vec<String>> {
        let entries = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
        entries
            .map(|entry| Ok(entry?.path().strip_prefix(root)?.to_string_lossy().into_owned()))
            .collect::<Result<Vec<String>>>()
    };
    let (names_a, names_b) = (list(ours)?, list(theirs)?);
    let mut whole = difference::compare_names(&names_a, &names_b, sides);
    for name in names_a.iter().filter(|name| names_b.binary_search(name).is_ok() || names_b.contains(name)) {
        let (a, b) = (ours.join(name), theirs.join(name));
        let (facts_a, facts_b) = (fs::symlink_metadata(&a)?, fs::symlink_metadata(&b)?);
        let mode = |facts: &fs::Metadata| format!("{:o}", facts.permissions().mode());
        let mut found = Vec::new();
        if mode(&facts_a) != mode(&facts_b) {
            let (ours, theirs) = (mode(&facts_a), mode(&facts_b));
            let place = vec![Part::Field("mode")];
            found.push(Finding { place, ours, theirs, cause: Some(difference::Cause::Umask) });
        }
        if facts_a.is_file() && facts_b.is_file() {
            found.extend(compare(OutputKind::File, &a, &b, sides)?.findings);
        }
        for mut finding in found {
            if whole.findings.len() == difference::FINDINGS_LIMIT {
                whole.more += 1;
                continue;
            }
            finding.place.insert(0, Part::File(name.clone()));
            whole.findings.push(finding);
        }
    }
    Ok(whole)
}
