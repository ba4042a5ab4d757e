//! A document as a tree of values, each with its place. It doesn't know what the values mean.

use super::problem::Origin;

/// A value and where it stands: a scalar's first character, a list's first dash or bracket, a map's first
/// key or brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub value: Value,
    pub origin: Origin,
}

/// A value, by the core schema of YAML 1.2 (chapter 10.3): `yes`, `on` and `1_000` are strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Bool(bool),
    /// As written; the checker asks for the number when it knows which kind is wanted.
    Number(String),
    String(String),
    List(Vec<Node>),
    /// In the order of the file; no key twice.
    Map(Vec<Entry>),
    /// Something the parser has already reported; whoever meets it has nothing to add.
    Refused,
}

/// One key of a map with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub key_origin: Origin,
    pub node: Node,
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The value at a dotted key such as `kernel.source` or `files.0.target` (items count from 0).
    pub fn at(&self, dotted: &str) -> Option<&Node> {
        dotted.split('.').try_fold(self, |node, key| match &node.value {
            Value::List(items) => items.get(key.parse::<usize>().ok()?),
            _ => node.get(key),
        })
    }

    /// The items, if this is a list.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// A scalar's text; None for null, lists and maps.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Bool(value) => Some(if *value { "true" } else { "false" }),
            Value::Number(text) | Value::String(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) | Value::Refused => None,
        }
    }
}

impl Value {
    /// The value of an unquoted scalar.
    pub fn plain(text: &str) -> Value {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ if is_number(text) => Value::Number(text.to_owned()),
            _ => Value::String(text.to_owned()),
        }
    }

    /// The whole number, if this is one; None too where it exceeds 128 bits.
    pub fn integer(&self) -> Option<i128> {
        let Value::Number(text) = self else { return None };
        match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
            (Some(digits), _) => i128::from_str_radix(digits, 16).ok(),
            (_, Some(digits)) => i128::from_str_radix(digits, 8).ok(),
            (None, None) => text.parse().ok(),
        }
    }
}

/// Whether the core schema reads this as a number: decimal, 0o octal, 0x hexadecimal, or floating point.
fn is_number(text: &str) -> bool {
    let digits = |text: &str, radix| !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return digits(hexadecimal, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| digits(exponent, 10))
}
