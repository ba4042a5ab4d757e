//! What is wrong with an input file, where, why, and what to do: the one shape in which every
//! parser and rule of this tool reports, so that all problems can be shown together.

use std::{fmt, sync::Arc};

/// A place in an input file. Line and column (in characters) count from 1; line 0 is the file as a whole.
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

    /// The file as a whole: it is missing, can't be read, or lacks something.
    pub fn file(file: &Arc<str>) -> Self {
        Origin { file: file.clone(), line: 0, column: 0 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
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
            let (line, caret) = window(excerpt, self.origin.column.saturating_sub(1) as usize);
            writeln!(f, " {number} | {line}")?;
            writeln!(f, " {} | {}^", " ".repeat(number.len()), " ".repeat(caret))?;
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

/// The part of a line around a column that fits a terminal, and where the column is in it. Control
/// characters become a replacement character: they'd move the caret, or the terminal.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 100;
    const BEFORE: usize = 60;
    let skip = if line.chars().count() > WIDTH { column.saturating_sub(BEFORE) } else { 0 };
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let shown: String = line.trim_end().chars().skip(skip).take(WIDTH).map(visible).collect();
    let caret = column - skip;
    if skip == 0 { (shown, caret) } else { (format!("…{shown}"), caret + 1) }
}

/// All problems found in one go, never empty when used as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn append(&mut self, mut more: Problems) {
        self.0.append(&mut more.0);
    }

    /// Gives each problem the line it is about; `text` has the content of a file by its name.
    pub fn add_excerpts<'a>(&mut self, text: impl Fn(&str) -> Option<&'a str>) {
        for problem in &mut self.0 {
            let Some(index) = problem.origin.line.checked_sub(1) else { continue };
            let line = text(&problem.origin.file).and_then(|text| text.lines().nth(index as usize));
            problem.excerpt = problem.excerpt.take().or(line.map(str::to_owned));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing is wrong, otherwise every problem, in file order. The same problem found from several
    /// sides becomes one, with everything that was said about it.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Problems> {
        if self.is_empty() {
            return Ok(value);
        }
        self.0.sort_by(|a, b| (&a.origin, &a.message).cmp(&(&b.origin, &b.message)));
        self.0.dedup_by(|next, kept| {
            let same = next.origin == kept.origin && next.message == kept.message;
            if same {
                let new = next.related.drain(..).filter(|place| !kept.related.contains(place));
                let new: Vec<_> = new.collect();
                kept.related.extend(new);
            }
            same
        });
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

/// The candidate that the user most likely meant, if one is close enough to be worth naming. Case, and
/// `_` for `-`, count little.
pub fn did_you_mean<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace('_', "-");
    let folded = fold(wrong);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`, for messages.
pub fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>, last: &str) -> String {
    let mut items: Vec<_> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match items.pop() {
        Some(end) if items.is_empty() => end,
        Some(end) => format!("{} {last} {end}", items.join(", ")),
        None => "none".to_owned(),
    }
}
