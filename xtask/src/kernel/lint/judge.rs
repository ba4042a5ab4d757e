//! Rules against a kernel. What isn't known is not held against it: a rule is broken only where that is certain.

use super::{
    rules::{Condition, Rule, Rules, Want},
    subject::{Known, Subject},
    verdict::{Finding, Got, Verdict},
};
use crate::kernel::Value;

/// Every rule that the kernel breaks, in the order of the file.
pub fn judge<'r>(rules: &'r Rules, subject: &Subject) -> Verdict<'r> {
    let mut verdict = Verdict::default();
    for rule in rules.iter().filter(|rule| rule.scope.covers(subject.arch, subject.vtl)) {
        match applies(rule, subject) {
            Applies::Yes => {}
            Applies::No => continue,
            Applies::VersionUnknown => {
                verdict.without_version = true;
                continue;
            }
        }
        for want in &rule.wants {
            match against(want, subject) {
                Against::Nothing => {}
                Against::CommandLineUnknown => verdict.without_command_line = true,
                Against::VersionUnknown => verdict.without_version = true,
                Against::Found(got) => verdict.findings.push(Finding { rule, want, got }),
            }
        }
    }
    verdict
}

enum Applies {
    Yes,
    No,
    /// It would depend on the version alone.
    VersionUnknown,
}

fn applies(rule: &Rule, subject: &Subject) -> Applies {
    if !rule.when.iter().all(|condition| holds(condition, subject)) {
        return Applies::No;
    }
    let (since, before) = (rule.scope.since, rule.scope.before);
    match subject.linux {
        Some(linux) => {
            match since.is_none_or(|since| linux >= since) && before.is_none_or(|before| linux < before) {
                true => Applies::Yes,
                false => Applies::No,
            }
        }
        None if since.is_none() && before.is_none() => Applies::Yes,
        None => Applies::VersionUnknown,
    }
}

/// Whether it certainly holds.
fn holds(condition: &Condition, subject: &Subject) -> bool {
    let equal = match subject.symbols.get(&condition.symbol) {
        Known::Unknown => return false,
        Known::Absent => is_nothing(&condition.value),
        Known::Value(value) => *value == condition.value,
    };
    equal == condition.is
}

/// What an absent symbol is as good as.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::No | Value::Int(0) | Value::Hex(0) => true,
        Value::String(text) => text.is_empty(),
        Value::Yes | Value::Module | Value::Int(_) | Value::Hex(_) => false,
    }
}

enum Against {
    Nothing,
    CommandLineUnknown,
    VersionUnknown,
    Found(Got),
}

fn against(want: &Want, subject: &Subject) -> Against {
    let line = &subject.command_line;
    match want {
        Want::On(symbol) => {
            symbol_against(subject, symbol, |value| matches!(value, Value::Yes | Value::Module), false)
        }
        Want::Off(symbol) => symbol_against(subject, symbol, |value| *value == Value::No, true),
        Want::Exactly(symbol, wanted) => {
            symbol_against(subject, symbol, |value| value == wanted, is_nothing(wanted))
        }
        Want::RelativePath(symbol) => {
            symbol_against(subject, symbol, |value| !has_absolute_path(value), true)
        }
        Want::Option(option) => match (line.find(option), line.complete) {
            (Some(_), _) => Against::Nothing,
            (None, true) => Against::Found(Got::NoOption),
            (None, false) => Against::CommandLineUnknown,
        },
        Want::NoOption(option) => match (line.find(option), line.complete) {
            (Some((index, text)), _) => Against::Found(Got::Option { index, text: text.to_owned() }),
            (None, true) => Against::Nothing,
            (None, false) => Against::CommandLineUnknown,
        },
        Want::Linux(least) => match subject.linux {
            Some(linux) if linux < *least => Against::Found(Got::Linux(linux)),
            Some(_) => Against::Nothing,
            None => Against::VersionUnknown,
        },
    }
}

fn symbol_against(
    subject: &Subject,
    symbol: &str,
    is_right: impl Fn(&Value) -> bool,
    may_be_absent: bool,
) -> Against {
    match subject.symbols.get(symbol) {
        Known::Value(value) if !is_right(value) => Against::Found(Got::Symbol(Some(value.clone()))),
        Known::Absent if !may_be_absent => Against::Found(Got::Symbol(None)),
        Known::Value(_) | Known::Absent | Known::Unknown => Against::Nothing,
    }
}

/// Several paths stand behind one another with spaces between (usr/Kconfig, drivers/base/firmware_loader/Kconfig).
fn has_absolute_path(value: &Value) -> bool {
    matches!(value, Value::String(paths) if paths.split(' ').any(|path| path.starts_with('/')))
}
