//! One line of a fragment: what it is, or what is wrong with it. Knows nothing of its neighbours.

use crate::kernel::{Value, text::BYTE_ORDER_MARK};

#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Blank,
    /// A comment that is none of the following.
    Comment,
    /// `# override: reason`
    Override(&'a str),
    Symbol {
        symbol: &'a str,
        value: Value,
    },
}

/// What is wrong; `offset` counts bytes from the start of the line.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub offset: usize,
    pub message: String,
    pub hint: String,
}

fn fault<T>(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { offset, message: message.into(), hint: hint.into() })
}

const PREFIX: &str = "CONFIG_";
const NEITHER: &str = "neither a comment nor a symbol with its value";
const NEITHER_HINT: &str = "expected CONFIG_X=value, # CONFIG_X is not set, or # and a comment";

pub fn classify(line: &str) -> Result<Line<'_>, Fault> {
    if line.trim().is_empty() {
        return Ok(Line::Blank);
    }
    if line.starts_with(BYTE_ORDER_MARK) {
        return fault(0, "the file starts with a byte order mark", "save it as UTF-8 without one");
    }
    if line.starts_with(char::is_whitespace) {
        return fault(
            0,
            "a space at the start of the line: the kernel would skip it",
            "start at the first column",
        );
    }
    match line.strip_prefix('#') {
        Some(comment) => classify_comment(line, comment),
        None => assignment(line),
    }
}

/// `comment` is `line` without its `#`.
fn classify_comment<'a>(line: &'a str, comment: &'a str) -> Result<Line<'a>, Fault> {
    let words = comment.trim();
    let (first, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    let offset = line.len() - comment.trim_start().len();
    if matches!(first.to_ascii_lowercase().as_str(), "override:" | "overrides:") {
        return override_reason(line, first, rest.trim(), offset);
    }
    let Some(name) = first.strip_prefix(PREFIX) else { return Ok(Line::Comment) };
    if line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set")) == Some(first) {
        let symbol = check_name(first, name, offset)?;
        return Ok(Line::Symbol { symbol, value: Value::No });
    }
    if rest.is_empty() && first.contains('=') {
        let message = "a symbol that is commented out: it says neither yes nor no";
        return fault(offset, message, "delete the line, or write it without #");
    }
    let rest = rest.trim().trim_end_matches('.').to_ascii_lowercase();
    let close = ["is not set", "not set", "is unset", "is not", "unset"];
    if close.contains(&rest.as_str()) || rest.starts_with("is not set ") {
        let hint = format!("write exactly: # {first} is not set");
        return fault(0, "almost `is not set`: the kernel would take it for a comment", hint);
    }
    Ok(Line::Comment)
}

fn override_reason<'a>(
    line: &'a str,
    first: &str,
    reason: &'a str,
    offset: usize,
) -> Result<Line<'a>, Fault> {
    let hint = "write: # override: <reason>";
    match first {
        "override:" if !line.starts_with("# override:") => {
            fault(0, "an override needs exactly one space after #", hint)
        }
        "override:" if reason.is_empty() => fault(line.len(), "an override without a reason", hint),
        "override:" => Ok(Line::Override(reason)),
        _ => fault(offset, "almost `override:`", hint),
    }
}

fn assignment(line: &str) -> Result<Line<'_>, Fault> {
    let Some(equals) = line.find('=') else { return no_equals(line) };
    let (name, text) = (&line[..equals], &line[equals + 1..]);
    let trimmed = name.trim_end();
    if trimmed.len() < name.len() {
        let hint = format!("write {trimmed}={}", text.trim());
        return fault(trimmed.len(), "a space before `=`", hint);
    }
    let Some(bare) = name.strip_prefix(PREFIX) else { return no_prefix(name, text) };
    let symbol = check_name(name, bare, 0)?;
    match Value::parse(text) {
        Ok(value) => Ok(Line::Symbol { symbol, value }),
        Err(bad) => fault(equals + 1 + bad.offset, bad.message, bad.hint),
    }
}

/// `CONFIG_X`, `CONFIG_X y`, `X`, or something that was never a symbol.
fn no_equals<'a>(line: &str) -> Result<Line<'a>, Fault> {
    let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let value = value.trim();
    if is_word(name) && (has_prefix(name) || value.is_empty()) {
        let name =
            if has_prefix(name) { name.into() } else { format!("{PREFIX}{name}") }.to_ascii_uppercase();
        let value = if value.is_empty() { "y" } else { value };
        return fault(
            0,
            "there is no `=` and value",
            format!("write {name}={value}, or # {name} is not set"),
        );
    }
    fault(0, NEITHER, NEITHER_HINT)
}

fn no_prefix<'a>(name: &str, text: &str) -> Result<Line<'a>, Fault> {
    if has_prefix(name) {
        let hint = format!("write {}={text}", name.to_ascii_uppercase());
        return fault(0, "the prefix is CONFIG_, in capitals", hint);
    }
    if !is_word(name) {
        return fault(0, NEITHER, NEITHER_HINT);
    }
    fault(0, "the name of a symbol starts with CONFIG_", format!("write {PREFIX}{name}={text}"))
}

/// Symbols consist of letters, digits and `_`. Some of the kernel's have lower-case letters among
/// capitals or digits (CRYPTO_DEV_QAT_DH895xCC, 44x); none is a lower-case word.
fn check_name<'a>(name: &'a str, bare: &str, offset: usize) -> Result<&'a str, Fault> {
    let offset = offset + PREFIX.len();
    if bare.is_empty() {
        return fault(offset, "the name of the symbol is missing", "write CONFIG_, then the name");
    }
    if let Some(at) = bare.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let message = "the name of a symbol has only letters, digits and _";
        return fault(offset + at, message, "check the spelling of the name");
    }
    if bare.starts_with(|c: char| c.is_ascii_lowercase()) && !bare.contains(|c: char| c.is_ascii_uppercase())
    {
        let hint = format!("write {PREFIX}{}", bare.to_ascii_uppercase());
        return fault(offset, "the kernel's symbols are in capitals", hint);
    }
    Ok(name)
}

fn has_prefix(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
