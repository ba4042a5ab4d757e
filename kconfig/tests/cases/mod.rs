//! Cases as text: Kconfig files, what is asked of them, and what conf 7.3 makes of it. The files beside this one hold
//! them; the answers in them are conf's own (the whole-program test `kconfig` compares, and writes them anew).
//!
//! ```text
//! === name of the case
//! config A
//! --- other/Kconfig            a file that the first one sources
//! --- .config                  what is asked for
//! --- variable NAME            value of an environment variable
//! --- shell COMMAND            what the command prints
//! --- mode allnoconfig         otherwise olddefconfig
//! >>> accepted | refused       what is said on standard error
//! >>> printed                  what is said on standard output, if anything
//! >>> written                  the file that comes out, without its heading
//! ```
//!
//! In files `␍`, `␀` and `␌` stand for the bytes themselves, `␄` at the end for a missing end of line.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub struct Case {
    pub name: String,
    /// Title and text.
    sections: Vec<(String, String)>,
}

/// What comes of a case.
pub struct Outcome {
    pub is_refused: bool,
    pub stdout: String,
    pub stderr: String,
    pub written: String,
}

impl Case {
    /// By name, as `source` gives them.
    pub fn files(&self) -> BTreeMap<String, String> {
        let is_file = |title: &str| title != ".config" && !title.contains(' ');
        let files = self.sections.iter().filter(|(title, _)| is_file(title));
        files.map(|(title, text)| (title.clone(), raw(text))).collect()
    }

    pub fn request(&self) -> Option<String> {
        self.section(".config").map(raw)
    }

    pub fn mode(&self) -> &str {
        self.titled("mode ").next().map_or("olddefconfig", |(mode, _)| mode)
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, String)> {
        self.titled("variable ").map(|(name, text)| (name, text.trim_end().to_string()))
    }

    /// What the command prints.
    pub fn shell(&self, command: &str) -> Option<&str> {
        self.titled("shell ").find(|(known, _)| *known == command).map(|(_, text)| text)
    }

    fn titled<'c>(&'c self, kind: &'c str) -> impl Iterator<Item = (&'c str, &'c str)> {
        let sections = self.sections.iter();
        sections.filter_map(move |(title, text)| Some((title.strip_prefix(kind)?, text.as_str())))
    }

    fn section(&self, title: &str) -> Option<&str> {
        self.sections.iter().find(|(known, _)| known == title).map(|(_, text)| text.as_str())
    }
}

fn raw(text: &str) -> String {
    let text = text.replace('␍', "\r").replace('␀', "\0").replace('␌', "\x0c");
    match text.strip_suffix("␄\n") {
        Some(cut) => cut.to_string(),
        None => text,
    }
}

/// Every file of cases in the folder that this file is in.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    files.sort();
    assert!(files.len() > 5, "cases not found");
    files
}

/// The text of a file of cases with the answers that `answer` gives, and how many cases it has.
pub fn answered(text: &str, mut answer: impl FnMut(&Case) -> Outcome) -> (String, usize) {
    let (heading, cases) = text.split_once("=== ").expect("a case");
    let (mut shown, mut count) = (heading.to_string(), 0);
    for case in cases.split("\n=== ") {
        let question = case.split("\n>>> ").next().unwrap_or_default();
        shown += &format!("=== {}\n", question.trim_end_matches('\n'));
        let outcome = answer(&parse(question));
        shown += if outcome.is_refused { ">>> refused\n" } else { ">>> accepted\n" };
        shown += &visible(&outcome.stderr);
        for (title, text) in [("printed", &outcome.stdout), ("written", &outcome.written)] {
            if !text.is_empty() {
                shown += &format!(">>> {title}\n{}", visible(text));
            }
        }
        shown.push('\n');
        count += 1;
    }
    shown.pop();
    (shown, count)
}

fn parse(question: &str) -> Case {
    let (name, text) = question.split_once('\n').unwrap_or((question, ""));
    let mut sections = vec![("Kconfig".to_string(), String::new())];
    for line in text.trim_end_matches('\n').split('\n') {
        match line.strip_prefix("--- ") {
            Some(title) => sections.push((title.to_string(), String::new())),
            None => {
                let (_, section) = sections.last_mut().expect("there is a section");
                *section += &format!("{line}\n");
            }
        }
    }
    if text.is_empty() {
        sections[0].1.clear();
    }
    Case { name: name.to_string(), sections }
}

fn visible(text: &str) -> String {
    let text = text.replace('\r', "␍").replace('\0', "␀").replace('\x0c', "␌");
    match text.is_empty() || text.ends_with('\n') {
        true => text,
        false => text + "␄\n",
    }
}

/// Every case of a file.
pub fn read(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for case in format!("\n{text}").split("\n=== ").skip(1) {
        cases.push(parse(case.split("\n>>> ").next().unwrap_or_default()));
    }
    cases
}

/// A .config without the lines that say what it is.
pub fn without_heading(config: &str) -> String {
    match config.starts_with("#\n# Automatically generated file") {
        true => config.splitn(5, '\n').nth(4).unwrap_or_default().to_string(),
        false => config.to_string(),
    }
}

/// Reports of unmet dependencies, each once, in alphabetical order behind all else: conf gives them in the order of a
/// hash table.
pub fn sorted_warnings(stderr: &str) -> String {
    const UNMET: &str = "\nWARNING: unmet direct dependencies";
    let mut reports = Vec::new();
    let mut rest = String::new();
    let mut text = stderr;
    while let Some(start) = text.find(UNMET) {
        rest += &text[..start];
        let report = &text[start..];
        // Its lines are indented but for the first.
        let mut end = report[1..].find('\n').map_or(report.len(), |end| end + 2);
        while report[end..].starts_with("  ") {
            end += report[end..].find('\n').map_or(report.len() - end, |end| end + 1);
        }
        reports.push(&report[..end]);
        text = &report[end..];
    }
    rest += text;
    reports.sort_unstable();
    reports.dedup();
    rest + &reports.concat()
}
