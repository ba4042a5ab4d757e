//! What is wrong with an input file, where, why, and what to do: the one shape in which every
//! parser and rule of this tool reports, so that all problems can be shown together.

use std::{fmt, sync::Arc};

/// A place in an input file. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Path as the user knows it: relative to the project where possible.
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Origin {
    pub fn new(file: &Arc<str>, line: u32, column: u32) -> Self {
        Origin { file: file.clone(), line, column }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that the user has to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// What is wrong and why, one sentence, no full stop.
    pub message: String,
    /// The offending line as it stands in the file.
    pub excerpt: Option<String>,
    /// Other places that matter ("first set here").
    pub related: Vec<(Origin, String)>,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(origin: Origin, message: impl Into<String>) -> Self {
        Problem { origin, message: message.into(), excerpt: None, related: Vec::new(), hint: None }
    }

    pub fn excerpt(mut self, line: impl Into<String>) -> Self {
        self.excerpt = Some(line.into());
        self
    }

    pub fn related(mut self, origin: Origin, note: impl Into<String>) -> Self {
        self.related.push((origin, note.into()));
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.origin, self.message)?;
        if let Some(excerpt) = &self.excerpt {
            let number = self.origin.line.to_string();
            let caret = " ".repeat(self.origin.column.saturating_sub(1) as usize);
            writeln!(f, " {number} | {}", excerpt.trim_end())?;
            writeln!(f, " {} | {caret}^", " ".repeat(number.len()))?;
        }
        for (origin, note) in &self.related {
            writeln!(f, "  {origin}: {note}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "  hint: {hint}")?;
        }
        Ok(())
    }
}

/// All problems found in one go, never empty when used as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing is wrong, otherwise every problem, in file order.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Problems> {
        if self.is_empty() {
            return Ok(value);
        }
        self.0.sort_by(|a, b| (&a.origin, &a.message).cmp(&(&b.origin, &b.message)));
        self.0.dedup();
        Err(self)
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            write!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => write!(f, "1 problem"),
            n => write!(f, "{n} problems"),
        }
    }
}

/// The candidate that the user most likely meant, if one is close enough to be worth naming.
pub fn did_you_mean<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(wrong, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}
