//! Why a kernel build failed, from make's log: the first real error, not the chain of `make: *** […] Error 2`
//! that ends it. With several jobs, lines of others stand between and after; they are passed over. Counting
//! is `progress`'s.

mod classify;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use super::progress;
use classify::{Fault, classify};

/// The first real error in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MakeError {
    pub kind: ErrorKind,
    /// Line of the log, from 1.
    pub line: u32,
    /// The error with the lines around that belong to it.
    pub text: Vec<String>,
    /// What to do, where that is known.
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Of compiler or assembler, with file and line.
    Compiler,
    /// A header of a library of the build machine is not there.
    MissingHeader,
    Linker,
    /// Of objtool, modpost, resolve_btfids and the like.
    KernelTool,
    NoRule,
    PermissionDenied,
    NoSpace,
    OutOfMemory,
    MissingTool,
    Kconfig,
    /// A message of a Makefile (`$(error …)`, `*** …`).
    Makefile,
    /// Only make's own line about a failed command.
    Unknown,
}

/// Finds the first real error in the log of a failed make, standard output and error interleaved;
/// `None` if nothing in it looks like one.
pub fn first_error(log: &str) -> Option<MakeError> {
    let lines: Vec<&str> = log.lines().collect();
    // Whatever failed first was said before make noticed; another job's line after it is a later failure.
    let noticed = lines.iter().position(|line| is_chain(line));
    let (before, after) = lines.split_at(noticed.unwrap_or(lines.len()));
    let found = certain(before).or_else(|| likely(before)).map(|(index, fault)| (index, Some(fault)));
    let (index, fault) = found
        .or_else(|| certain(after).map(|(index, fault)| (before.len() + index, Some(fault))))
        .or_else(|| noticed.map(|index| (index, None)))?;
    Some(match fault {
        Some(fault) => {
            let text = with_context(&lines, index, fault.kind);
            MakeError { kind: fault.kind, line: index as u32 + 1, text, hint: fault.hint }
        }
        None => {
            let text = unexplained(&lines, index);
            MakeError { kind: ErrorKind::Unknown, line: index as u32 + 1, text, hint: None }
        }
    })
}

fn certain(lines: &[&str]) -> Option<(usize, Fault)> {
    find(lines, |fault| fault.certain)
}

/// Probes of the build that fail without harm leave such lines too.
fn likely(lines: &[&str]) -> Option<(usize, Fault)> {
    find(lines, |_| true)
}

fn find(lines: &[&str], wanted: impl Fn(&Fault) -> bool) -> Option<(usize, Fault)> {
    let faults = lines.iter().enumerate().filter_map(|(index, line)| Some((index, classify(line)?)));
    faults.into_iter().find(|(_, fault)| wanted(fault))
}

/// `make[2]: *** [scripts/Makefile.build:287: init/main.o] Error 1`: make saw a command fail.
fn is_chain(line: &str) -> bool {
    line.starts_with("make") && line.contains(": *** [")
}

const CONTEXT_LINES: usize = 12;

/// The line at `index` and those before and after that explain it, other jobs' progress left out.
fn with_context(lines: &[&str], index: usize, kind: ErrorKind) -> Vec<String> {
    let quiet = |line: &&&str| progress::action(line).is_none();
    let before = lines[..index].iter().rev().filter(quiet).take_while(|line| introduces(line));
    let mut text: Vec<&str> = before.take(CONTEXT_LINES).copied().collect();
    text.reverse();
    text.push(lines[index]);
    let after = lines[index + 1..].iter().filter(quiet).take_while(|line| continues(line, kind));
    text.extend(after.take(CONTEXT_LINES));
    text.into_iter().map(String::from).collect()
}

/// `In file included from …`, `x.c: In function 'f':`, `ld: x.o: in function `f':`, `x.S: Assembler messages:`
fn introduces(line: &str) -> bool {
    let line = line.trim_end();
    let included = line.starts_with("In file included from") || line.trim_start().starts_with("from ");
    let place = [": In function ", ": in function ", ": At top level:", ": Assembler messages:"];
    included || (line.ends_with([':', ',']) && place.iter().any(|place| line.contains(place)))
}

fn continues(line: &str, kind: ErrorKind) -> bool {
    let line = line.trim_end();
    match kind {
        ErrorKind::Compiler | ErrorKind::MissingHeader => {
            let margin = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
            (line.starts_with(' ') && margin.starts_with('|')) || line.contains(": note: ")
        }
        ErrorKind::Linker => {
            let more = ["undefined reference", "multiple definition of", ": in function "];
            more.iter().any(|more| line.contains(more))
        }
        ErrorKind::Kconfig => {
            line.starts_with('\t') || classify(line).is_some_and(|fault| fault.kind == ErrorKind::Kconfig)
        }
        ErrorKind::Makefile => line.starts_with("***"),
        _ => false,
    }
}

/// What was said last before make noticed: the best guess if nothing is recognised.
fn unexplained(lines: &[&str], index: usize) -> Vec<String> {
    let said = |line: &&&str| {
        progress::action(line).is_none() && !line.starts_with("make") && !line.trim().is_empty()
    };
    let mut text: Vec<&str> = lines[..index].iter().rev().filter(said).take(5).copied().collect();
    text.reverse();
    text.push(lines[index]);
    text.into_iter().map(String::from).collect()
}

impl fmt::Display for MakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.text {
            writeln!(f, "  {line}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "  hint: {hint}"),
            None => Ok(()),
        }
    }
}
