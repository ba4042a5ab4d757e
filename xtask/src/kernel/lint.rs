//! Rules over kernel configurations and command lines, as data: configs/rules.yaml says what must be on, off or
//! on the command line, for which architecture, trust level and version, and why. They judge what a profile asks for before
//! Kconfig has seen it, the final .config in a build, and any .config that somebody brings.
//!
//! Which rules there are is decided in that file, but for the one that this project exists for (see `rules`). Whether a
//! symbol exists is not judged here: only a kernel's tree can tell.

mod judge;
mod rules;
mod subject;
#[cfg(test)]
mod tests;
mod verdict;
mod written;

pub use judge::judge;
pub use rules::Rules;
pub use subject::{CommandLine, Series, Subject, Symbols};
pub use verdict::{Broken, Finding, Got, Verdict};
pub use written::{RulesFile, Severity};
