//! What is said about Kconfig files and configurations while they are read, in conf's words.

use std::{fmt, sync::Arc};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What `$(info …)` prints.
    Info,
    Warning,
    /// conf ends with status 1.
    Error,
}

/// One message; its Display is the line, or lines, that conf prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub severity: Severity,
    /// File and line (from 1), where there is one place to blame.
    pub place: Option<(Arc<str>, u32)>,
    pub text: String,
}

impl Message {
    pub(crate) fn error(file: &Arc<str>, line: u32, text: impl Into<String>) -> Message {
        Message { severity: Severity::Error, place: Some((file.clone(), line)), text: text.into() }
    }

    pub(crate) fn warning(file: &Arc<str>, line: u32, text: impl Into<String>) -> Message {
        Message { severity: Severity::Warning, place: Some((file.clone(), line)), text: text.into() }
    }

    pub(crate) fn plain(severity: Severity, text: impl Into<String>) -> Message {
        Message { severity, place: None, text: text.into() }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.severity) {
            (Some((file, line)), Severity::Warning) => write!(f, "{file}:{line}:warning: {}", self.text),
            (Some((file, line)), _) => write!(f, "{file}:{line}: {}", self.text),
            (None, _) => f.write_str(&self.text),
        }
    }
}

/// The Kconfig files can't be used. Display lists every message, warnings included, as conf prints them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected(pub Vec<Message>);

impl Rejected {
    /// The messages that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Message> {
        self.0.iter().filter(|message| message.severity == Severity::Error)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, message) in self.0.iter().enumerate() {
            write!(f, "{}{message}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejected {}
