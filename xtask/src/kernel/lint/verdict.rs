//! What a judgement found, in words: what is so, what was wanted, why, and what to do.

use document::{Origin, Problem};
use serde_json::json;

use super::{
    rules::{Rule, Want},
    subject::Series,
    written::Severity,
};
use crate::kernel::{Composed, Value};

#[derive(Clone, Debug, Default)]
pub struct Verdict<'r> {
    pub findings: Vec<Finding<'r>>,
    /// Whether a rule was left out because the command line isn't known, or not all of it.
    pub without_command_line: bool,
    /// Whether a rule was left out because the kernel's version isn't known.
    pub without_version: bool,
}

impl<'r> Verdict<'r> {
    /// The findings of this severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding<'r>> {
        self.findings.iter().filter(move |finding| finding.rule.severity == severity)
    }
}

/// A broken rule of a profile.
#[derive(Clone, Debug)]
pub struct Broken {
    pub problem: Problem,
    pub data: serde_json::Value,
}

/// A rule that is broken.
#[derive(Clone, Debug)]
pub struct Finding<'r> {
    pub rule: &'r Rule,
    pub want: &'r Want,
    pub got: Got,
}

/// What was found instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// None: the configuration doesn't mention the symbol.
    Symbol(Option<Value>),
    /// Number in the command line, counted from 0, and text.
    Option {
        index: usize,
        text: String,
    },
    NoOption,
    Linux(Series),
}

impl Finding<'_> {
    /// The symbol that it is about, with its prefix.
    pub fn symbol(&self) -> Option<&str> {
        match self.want {
            Want::On(symbol) | Want::Off(symbol) | Want::Exactly(symbol, _) | Want::RelativePath(symbol) => {
                Some(symbol)
            }
            Want::Option(_) | Want::NoOption(_) | Want::Linux(_) => None,
        }
    }

    /// One sentence: what is so, and what was wanted.
    pub fn message(&self) -> String {
        let (got, wanted) = (self.got(), self.wanted());
        match (self.want, &self.got) {
            (Want::Option(option), _) => format!("`{option}` is not on the kernel's command line"),
            (Want::NoOption(_), Got::Option { text, .. }) => {
                format!("`{text}` is on the kernel's command line")
            }
            (Want::Linux(_), _) => format!("the kernel is {got}, wanted {wanted}"),
            _ => format!("{} is {got}, wanted {wanted}", self.symbol().unwrap_or_default()),
        }
    }

    fn got(&self) -> String {
        match &self.got {
            Got::Symbol(Some(value)) => value.to_string(),
            Got::Symbol(None) => "absent".to_owned(),
            Got::Option { text, .. } => text.clone(),
            Got::NoOption => "absent".to_owned(),
            Got::Linux(series) => format!("Linux {series}"),
        }
    }

    fn wanted(&self) -> String {
        match self.want {
            Want::On(_) => "y".to_owned(),
            Want::Off(_) => "n".to_owned(),
            Want::Exactly(_, value) => value.to_string(),
            Want::RelativePath(_) => "a path inside the source tree".to_owned(),
            Want::Option(option) => option.clone(),
            Want::NoOption(_) => "absent".to_owned(),
            Want::Linux(series) => format!("Linux {series} or later"),
        }
    }

    /// What to do.
    pub fn fix(&self) -> String {
        if let Some(fix) = &self.rule.fix {
            return fix.clone();
        }
        match self.want {
            Want::On(symbol) => format!("write into a fragment: {symbol}=y"),
            Want::Off(symbol) => format!("write into a fragment: # {symbol} is not set"),
            Want::Exactly(symbol, value) => format!("write into a fragment: {symbol}={value}"),
            Want::RelativePath(_) => {
                "add the file to the source tree by a patch, and name it by its path there".to_owned()
            }
            Want::Option(option) => format!("add `{option}` to the command line"),
            Want::NoOption(_) => "remove it from the command line".to_owned(),
            Want::Linux(series) => format!("take Linux {series} or later"),
        }
    }

    /// For people, at the place where it is wrong.
    pub fn problem(&self, origin: Origin) -> Problem {
        let problem = Problem::new(origin, self.message());
        problem.related(self.rule.origin.clone(), &self.rule.reason).hint(self.fix())
    }

    /// For people, at the line that asks for the symbol, or where none does, `otherwise`.
    pub fn problem_in(&self, composed: &Composed, otherwise: &Origin) -> Problem {
        match self.symbol().and_then(|symbol| composed.get(symbol)) {
            Some(request) => self.problem(request.origin.clone()).excerpt(&request.text),
            None => self.problem(otherwise.clone()),
        }
    }

    /// The same, and as data, without the rules that it comes from.
    pub fn broken_in(&self, composed: &Composed, otherwise: &Origin) -> Broken {
        let problem = self.problem_in(composed, otherwise);
        let request = self.symbol().and_then(|symbol| composed.get(symbol));
        let mut data = self.to_json();
        let place = request.map(|request| format!("{}:{}", request.origin.file, request.origin.line));
        data["fragment"] = json!(place);
        Broken { problem, data }
    }

    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "severity": self.rule.severity,
            "section": self.rule.section,
            "symbol": self.symbol(),
            "wanted": self.wanted(),
            "got": self.got(),
            "message": self.message(),
            "reason": self.rule.reason,
            "fix": self.fix(),
            "rule": self.rule.origin.to_string(),
        })
    }
}
