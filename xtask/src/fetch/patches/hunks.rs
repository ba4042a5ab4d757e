//! Reads unified diffs far enough to say which hunk of a patch did not fit, and why.

use std::{fs, path::Path};

/// A hunk, as the patch has it.
struct Hunk<'a> {
    /// Path below the tree.
    file: String,
    /// Counted from 1 within its file.
    number: usize,
    /// `@@ -6,4 +6,4 @@ function`
    header: String,
    /// Line of the old file where it begins, counted from 1.
    start: usize,
    /// The lines that it expects to find.
    old: Vec<&'a [u8]>,
}

/// Whether there is anything that `git apply` could apply.
pub fn has_diff(content: &[u8]) -> bool {
    let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    lines.iter().any(|line| line.starts_with(b"diff --git "))
        || lines.windows(2).any(|pair| pair[0].starts_with(b"--- ") && pair[1].starts_with(b"+++ "))
}

/// What git said on refusing the patch, in words that name file, hunk and line.
pub fn explain(patch: &[u8], answer: &str, tree: &Path) -> Vec<String> {
    let hunks = parse(patch);
    let mut reasons = Vec::new();
    for line in answer.lines() {
        let message = line.trim_start_matches("error: ").trim_start_matches("fatal: ");
        if let Some((file, start)) =
            message.strip_prefix("patch failed: ").and_then(|place| place.rsplit_once(':'))
        {
            let start: usize = start.parse().unwrap_or(0);
            reasons.push(match hunks.iter().find(|hunk| hunk.file == file && hunk.start == start) {
                Some(hunk) => explain_hunk(hunk, tree),
                None => format!("{file}: the hunk at line {start} does not fit"),
            });
        } else if let Some(file) = message.strip_suffix(": patch does not apply") {
            if !reasons.iter().any(|reason| reason.starts_with(&format!("{file}: "))) {
                reasons.push(format!("{file}: does not fit"));
            }
        } else if let Some(file) = message.strip_suffix(": No such file or directory") {
            reasons.push(format!("{file}: the tree has no such file"));
        } else if let Some(file) = message.strip_suffix(": already exists in working directory") {
            reasons.push(format!("{file}: the patch makes a new file, but the tree has it already"));
        } else if let Some(path) = message.strip_prefix("invalid path ") {
            reasons.push(format!("{path}: the path leads outside the tree or into .git"));
        } else if let Some(path) = message
            .strip_prefix("affected file ")
            .and_then(|rest| rest.strip_suffix(" is beyond a symbolic link"))
        {
            reasons.push(format!("{path}: the path leads through a symbolic link"));
        } else if let Some(place) = message.strip_prefix("corrupt patch at ") {
            reasons.push(corrupt(place, &hunks));
        } else if message.starts_with("No valid patches in input") {
            reasons.push("it has no change that could be applied".to_owned());
        } else if !message.is_empty() {
            reasons.push(message.to_owned());
        }
    }
    reasons
}

/// `place` is `line N`, in newer versions of git `FILE:N`.
fn corrupt(place: &str, hunks: &[Hunk]) -> String {
    let line = place.rsplit([':', ' ']).next().unwrap_or(place);
    match hunks.last() {
        Some(hunk) => format!(
            "the patch is cut off or damaged at its line {line}; its last hunk is {} `{}` of {}",
            hunk.number, hunk.header, hunk.file
        ),
        None => format!("the patch is cut off or damaged at its line {line}"),
    }
}

fn explain_hunk(hunk: &Hunk, tree: &Path) -> String {
    let place = format!("{}: hunk {} `{}` does not fit", hunk.file, hunk.number, hunk.header);
    let Ok(content) = fs::read(tree.join(&hunk.file)) else { return place };
    let lines: Vec<&[u8]> =
        content.strip_suffix(b"\n").unwrap_or(&content).split(|byte| *byte == b'\n').collect();
    match first_difference(hunk, &lines) {
        Some((line, expected, Some(found))) => {
            format!("{place}: at line {line} it expects {expected:?}, but the file has {found:?}")
        }
        Some((line, expected, None)) => {
            format!("{place}: at line {line} it expects {expected:?}, but the file ends before")
        }
        None => place,
    }
}

/// The first line that differs at the place where most lines agree, nearest to where the hunk says.
fn first_difference(hunk: &Hunk, lines: &[&[u8]]) -> Option<(usize, String, Option<String>)> {
    let wanted = hunk.start.saturating_sub(1);
    let agreeing = |place: usize| {
        hunk.old.iter().zip(lines.iter().skip(place)).filter(|(old, line)| old == line).count()
    };
    let place = (0..lines.len())
        .max_by_key(|place| (agreeing(*place), std::cmp::Reverse(place.abs_diff(wanted))))
        .filter(|place| agreeing(*place) > 0)
        .unwrap_or(wanted);
    let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
    let differing = hunk.old.iter().enumerate().find(|(offset, old)| lines.get(place + offset) != Some(old));
    differing.map(|(offset, old)| {
        (place + offset + 1, text(old), lines.get(place + offset).map(|line| text(line)))
    })
}

fn parse(patch: &[u8]) -> Vec<Hunk<'_>> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut old_file, mut file, mut number) = (String::new(), String::new(), 0);
    let (mut old_left, mut new_left) = (0usize, 0usize);
    for line in patch.split(|byte| *byte == b'\n') {
        if old_left > 0 || new_left > 0 {
            let (old, new) = match line.first() {
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                Some(b'\\') => (0, 0),
                _ => (1, 1),
            };
            (old_left, new_left) = (old_left.saturating_sub(old), new_left.saturating_sub(new));
            if let (1, Some(hunk)) = (old, hunks.last_mut()) {
                hunk.old.push(line.get(1..).unwrap_or_default());
            }
            continue;
        }
        let text = String::from_utf8_lossy(line);
        if let Some(name) = text.strip_prefix("--- ") {
            old_file = file_name(name);
        } else if let Some(name) = text.strip_prefix("+++ ") {
            (file, number) = (file_name(name), 0);
            if file == "dev/null" || file == "null" {
                file.clone_from(&old_file);
            }
        } else if let Some((start, old, new)) = range(&text) {
            (old_left, new_left) = (old, new);
            number += 1;
            let header = text.trim_end().to_owned();
            hunks.push(Hunk { file: file.clone(), number, header, start, old: Vec::new() });
        }
    }
    hunks
}

/// The path without its first folder (`-p1`) and without a time stamp.
fn file_name(name: &str) -> String {
    let name = name.split('\t').next().unwrap_or(name).trim_end();
    name.split_once('/').map_or(name, |(_, rest)| rest).to_owned()
}

/// Old start, old and new number of lines of `@@ -start,old +start,new @@`.
fn range(line: &str) -> Option<(usize, usize, usize)> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let pair = |text: &str| match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    let ((start, old), (_, new)): ((usize, usize), (usize, usize)) = (pair(old)?, pair(new)?);
    Some((start, old, new))
}
