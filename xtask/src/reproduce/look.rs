//! Looks into two outputs: where inside they differ.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use difference::{Comparison, Finding, Part, Sides};

use crate::store::OutputKind;

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
