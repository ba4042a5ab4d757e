//! Values of Kconfig symbols as fragments and .config files spell them
//! (Documentation/kbuild/kconfig-language.rst, scripts/kconfig/confdata.c). Not their types: only the
//! kernel's Kconfig files know whether a symbol is a bool, a tristate or a number.

use std::fmt;

use serde::{Serialize, Serializer};

/// A value. Two numbers are equal if they have the same radix and the same magnitude: a symbol of type hex
/// reads `16` as 0x16, so `16` and `0x10` are different requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `y`
    Yes,
    /// `m`
    Module,
    /// `n`, or `# CONFIG_X is not set`
    No,
    Int(i64),
    Hex(u64),
    /// Without quotes and escapes.
    String(String),
}

/// Why a text is no value. `offset` counts bytes from the start of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    pub offset: usize,
    pub message: String,
    pub hint: String,
}

impl Value {
    /// The value in `text`, which is everything after `=`.
    pub fn parse(text: &str) -> Result<Value, BadValue> {
        let bad = |offset, message: &str, hint: String| BadValue { offset, message: message.into(), hint };
        match text {
            "y" => return Ok(Value::Yes),
            "m" => return Ok(Value::Module),
            "n" => return Ok(Value::No),
            "" => {
                return Err(bad(
                    0,
                    "there is no value after `=`",
                    r#"an empty string is written "", and "off" is written n"#.into(),
                ));
            }
            _ => {}
        }
        if text.starts_with('"') {
            return string(text).map(Value::String);
        }
        if let Some((value, rest)) = text.split_once(char::is_whitespace) {
            let (offset, rest) = (value.len(), rest.trim_start());
            return Err(match rest.chars().next() {
                _ if value.is_empty() => bad(0, "a space after `=`", format!("write ={}", text.trim())),
                None => bad(offset, "spaces after the value", "remove them".into()),
                Some('#') => bad(
                    offset,
                    "a comment beside the value, where the kernel knows none",
                    "put the comment on a line of its own above the symbol".into(),
                ),
                Some(_) => {
                    bad(0, "a string without quotes", format!("write ={}", Value::String(text.into())))
                }
            });
        }
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        if let Some(digits) = digits {
            return hex(digits).ok_or_else(|| {
                bad(
                    0,
                    "not a hexadecimal number of at most 64 bits",
                    "0x, then 1 to 16 of 0-9 and a-f".into(),
                )
            });
        }
        if text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()) {
            return decimal(text);
        }
        let hint = match text.to_ascii_lowercase().trim_matches(['\'', '"']) {
            "y" | "yes" | "on" | "true" => "write y".into(),
            "m" | "mod" | "module" => "write m".into(),
            "n" | "no" | "off" | "false" => "write n".into(),
            bare => format!("if a string is meant, write {}", Value::String(bare_text(text, bare))),
        };
        Err(bad(
            0,
            "not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a \"string\"",
            hint,
        ))
    }
}

/// `text` without the single quotes that people put around strings elsewhere.
fn bare_text(text: &str, lowered: &str) -> String {
    let inner = text.trim_matches(['\'', '"']);
    if inner.len() == lowered.len() { inner.into() } else { text.into() }
}

fn hex(digits: &str) -> Option<Value> {
    // from_str_radix also takes a sign, which Kconfig does not.
    let valid = digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u64::from_str_radix(digits, 16).ok().map(Value::Hex)).flatten()
}

/// Kconfig's int: no plus sign, no leading zeros (sym_string_valid in scripts/kconfig/symbol.c).
fn decimal(text: &str) -> Result<Value, BadValue> {
    let bad = |message: &str, hint: String| BadValue { offset: 0, message: message.into(), hint };
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    if !magnitude.bytes().all(|b| b.is_ascii_digit()) {
        let hint = format!(
            "if a hexadecimal number is meant, write 0x first; if a string, write {}",
            Value::String(text.into())
        );
        return Err(bad("neither a number nor a quoted string", hint));
    }
    if magnitude.len() > 1 && magnitude.starts_with('0') {
        let short = magnitude.trim_start_matches('0');
        let hint = format!("write {}", if short.is_empty() { "0" } else { short });
        return Err(bad("a number with leading zeros, which the kernel refuses", hint));
    }
    text.parse()
        .map(Value::Int)
        .map_err(|_| bad("a number beyond 64 bits", "no symbol of the kernel takes such a number".into()))
}

/// The text between the quotes; `\"` and `\\` are the only escapes that conf writes.
fn string(text: &str) -> Result<String, BadValue> {
    let bad =
        |offset, message: &str, hint: &str| BadValue { offset, message: message.into(), hint: hint.into() };
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => {
                let rest = &text[offset + 1..];
                if rest.is_empty() {
                    return Ok(value);
                }
                let hint = if rest.trim_start().starts_with('#') {
                    "put the comment on a line of its own above the symbol"
                } else {
                    r#"a quote inside a string is written \""#
                };
                return Err(bad(offset + 1, "text after the closing quote", hint));
            }
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some(_) => {
                    return Err(bad(
                        offset,
                        "an escape that Kconfig does not have",
                        r#"only \" and \\ exist"#,
                    ));
                }
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(bad(0, "a string without closing quote", r#"add " at the end of the line"#))
}

/// As a .config spells it, except that hexadecimal digits are lower case.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Yes => f.write_str("y"),
            Value::Module => f.write_str("m"),
            Value::No => f.write_str("n"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Hex(value) => write!(f, "{value:#x}"),
            Value::String(value) => {
                write!(f, "\"{}\"", value.replace('\\', r"\\").replace('"', r#"\""#))
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
