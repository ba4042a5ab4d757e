//! Texts, line by line, and kernel configurations, symbol by symbol.

use std::collections::BTreeMap;

use similar::{DiffOp, TextDiff};

use crate::walk::{Aspect, Part, Walk};

/// Lines that are told; more of the same say nothing more.
const LINES_LIMIT: usize = 12;

pub fn text(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (ours, theirs) = (String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_string).collect() };
    let (a, b) = (lines(&ours), lines(&theirs));
    let before = walk.count();
    walk.order("lines", &a, &b);
    if walk.count() > before {
        return;
    }
    let diff = TextDiff::from_lines(ours.as_ref(), theirs.as_ref());
    for operation in diff.ops() {
        let (old, new) = match *operation {
            DiffOp::Equal { .. } => continue,
            DiffOp::Delete { old_index, old_len, new_index } => {
                (old_index..old_index + old_len, new_index..new_index)
            }
            DiffOp::Insert { old_index, new_index, new_len } => {
                (old_index..old_index, new_index..new_index + new_len)
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                (old_index..old_index + old_len, new_index..new_index + new_len)
            }
        };
        for number in 0..old.len().max(new.len()) {
            if walk.count() - before >= LINES_LIMIT {
                return;
            }
            let line = |lines: &[String], range: &std::ops::Range<usize>| {
                lines.get(range.start + number).filter(|_| number < range.len()).cloned().unwrap_or_default()
            };
            let (one, other) = (line(&a, &old), line(&b, &new));
            walk.within(Part::Line(old.start + number + 1), |walk| walk.found(Aspect::Text, one, other));
        }
    }
}

pub fn kernel_config(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (ours, theirs) = (String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
    let (a, b) = (symbols(&ours), symbols(&theirs));
    let names: std::collections::BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
    let before = walk.count();
    for name in names {
        let value =
            |symbols: &BTreeMap<&str, &str>| symbols.get(name).copied().unwrap_or("absent").to_string();
        if value(&a) != value(&b) {
            walk.within(Part::ConfigSymbol(name.to_string()), |walk| {
                walk.found(Aspect::Text, value(&a), value(&b))
            });
        }
    }
    if walk.count() == before {
        text(walk, ours.as_bytes(), theirs.as_bytes());
    }
}

fn symbols(config: &str) -> BTreeMap<&str, &str> {
    let symbol = |line| {
        let line: &str = line;
        match line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set")) {
            Some(name) => Some((name, "n")),
            None => line.split_once('=').filter(|_| line.starts_with("CONFIG_")),
        }
    };
    config.lines().filter_map(symbol).collect()
}
