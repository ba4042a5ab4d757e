//! Kconfig fragments, configs/NAME.config: one concern a file, a reason above each symbol. Stricter than
//! the kernel's own reader, which silently skips what it does not understand. Whether a symbol exists and
//! may have its value is not judged here: only a kernel's tree can tell.
//!
//! A line is blank, a comment, `CONFIG_X=value` or `# CONFIG_X is not set`. A comment stands above the
//! symbols it explains, in the same paragraph; the comment that opens the file also speaks for its first
//! paragraph. `# override: reason` right above a symbol announces that it replaces an earlier fragment's value.

mod line;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Value,
    text::{self, BYTE_ORDER_MARK},
};
use document::{Origin, Problem, Problems};
use line::Line;

/// The requests of one file, in its order, each symbol once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Path as the user knows it.
    pub file: Arc<str>,
    pub requests: Vec<Request>,
}

/// One symbol's wanted value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// With the prefix: `CONFIG_SMP`.
    pub symbol: String,
    pub value: Value,
    pub origin: Origin,
    /// The line as it stands in the file.
    pub text: String,
    /// Reason why it replaces an earlier fragment's value, if it announces so.
    pub override_reason: Option<String>,
}

/// Reads one fragment. Every line that is in order is in the result, whatever the problems of others, so
/// that rules over several fragments can be checked in the same run.
pub fn parse(file: &Arc<str>, bytes: &[u8]) -> (Fragment, Problems) {
    let mut reader = Reader::new(file);
    match text::utf8(file, bytes) {
        Ok(text) => reader.read(text),
        Err(problem) => reader.problems.push(problem),
    }
    (Fragment { file: file.clone(), requests: reader.requests }, reader.problems)
}

/// What stands above the current line.
#[derive(Default)]
struct Above {
    /// A comment in this paragraph, or the file's opening comment right before its first paragraph.
    reason: bool,
    /// Nothing but the opening comment and blank lines so far.
    opening: bool,
    announced: Option<Announcement>,
}

struct Announcement {
    origin: Origin,
    text: String,
    reason: String,
}

struct Reader<'a> {
    file: &'a Arc<str>,
    requests: Vec<Request>,
    problems: Problems,
    /// Symbol → its place in `requests`.
    seen: BTreeMap<String, usize>,
    above: Above,
}

impl<'a> Reader<'a> {
    fn new(file: &'a Arc<str>) -> Self {
        let above = Above { opening: true, ..Above::default() };
        Reader { file, requests: Vec::new(), problems: Problems::default(), seen: BTreeMap::new(), above }
    }

    fn read(&mut self, text: &str) {
        if text.contains("\r\n") {
            self.problems.0.extend(text::carriage_returns(self.file, text));
        }
        let mut number = 0;
        for line in text.lines() {
            number += 1;
            self.line(number, line);
        }
        self.end_announcement();
    }

    fn line(&mut self, number: u32, text: &str) {
        let origin = |column| Origin::new(self.file, number, column);
        match line::classify(text) {
            Ok(Line::Blank) => {
                self.end_announcement();
                self.above.reason &= self.above.opening;
            }
            Ok(Line::Comment) => {
                self.above.reason = true;
                if let Some(announced) = &mut self.above.announced {
                    announced.reason =
                        format!("{} {}", announced.reason, text.trim_start_matches('#').trim());
                }
            }
            Ok(Line::Override(reason)) => {
                let announced = Announcement { origin: origin(1), text: text.into(), reason: reason.into() };
                self.end_announcement();
                self.above.reason = true;
                self.above.announced = Some(announced);
            }
            Ok(Line::Symbol { symbol, value }) => {
                let request = Request {
                    symbol: symbol.into(),
                    value,
                    origin: origin(1),
                    text: text.into(),
                    override_reason: self.above.announced.take().map(|announced| announced.reason),
                };
                self.request(request);
            }
            Err(fault) => {
                let column = text[..fault.offset].chars().count() as u32 + 1;
                let problem = Problem::new(origin(column), fault.message)
                    .excerpt(text.trim_start_matches(BYTE_ORDER_MARK))
                    .hint(fault.hint);
                self.problems.push(problem);
                // The symbol below the announcement is this faulty line: one problem is enough.
                self.above.announced = None;
                // A faulty comment is still a comment, a faulty symbol still one that has passed.
                let comment = text.trim_start_matches(BYTE_ORDER_MARK).starts_with('#');
                self.above.reason |= comment;
                self.above.opening &= comment;
            }
        }
    }

    fn request(&mut self, request: Request) {
        self.above.opening = false;
        if !self.above.reason {
            let hint = format!("say in a comment above why {} is {}", request.symbol, request.value);
            let problem = Problem::new(request.origin.clone(), "no reason is given for this symbol");
            self.problems.push(problem.excerpt(&request.text).hint(hint));
        }
        if let Some(&first) = self.seen.get(&request.symbol) {
            let first = &self.requests[first];
            let problem = Problem::new(
                request.origin.clone(),
                format!("{} appears twice in this file", request.symbol),
            )
            .excerpt(&request.text)
            .related(first.origin.clone(), format!("first here: {}", first.text))
            .hint("keep one of the two lines");
            self.problems.push(problem);
            return;
        }
        self.seen.insert(request.symbol.clone(), self.requests.len());
        self.requests.push(request);
    }

    /// An announcement that no symbol followed.
    fn end_announcement(&mut self) {
        if let Some(announced) = self.above.announced.take() {
            let problem =
                Problem::new(announced.origin, "an override is announced, but no symbol follows it")
                    .excerpt(announced.text)
                    .hint("put it right above the symbol it is about, once for each symbol");
            self.problems.push(problem);
        }
    }
}
