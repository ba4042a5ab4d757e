//! A spec, or a part of it, as YAML with the place of each value beside it.
//!
//! serde_yaml prints the scalars, so that each is quoted where YAML asks for it.

use document::{Origin, did_you_mean, list};
use serde::Serialize;
use serde_json::Value;

use super::{pair::Pair, spec::Spec};

/// Comments begin in this column, where the text leaves room.
const COMMENT_COLUMN: usize = 44;

/// What a dotted key such as `kernel.source` has for a value and where that was set; the whole spec for an
/// empty key. An unknown key gives a sentence that says which there are.
pub fn explain(spec: &Spec, key: &str) -> Result<String, String> {
    page(spec, &spec.file, &|key| spec.origin(key), key)
}

/// The same of a pair.
pub fn explain_pair(pair: &Pair, key: &str) -> Result<String, String> {
    page(pair, &pair.file, &|key| pair.origin(key), key)
}

fn page<'a>(
    whole: &impl Serialize,
    file: &'a str,
    origin: &'a dyn Fn(&str) -> Option<&'a Origin>,
    key: &str,
) -> Result<String, String> {
    let whole = serde_json::to_value(whole).map_err(|error| error.to_string())?;
    let mut value = &whole;
    let keys: Vec<_> = key.split('.').filter(|_| !key.is_empty()).collect();
    for (depth, part) in keys.iter().enumerate() {
        let inner = match value {
            Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => value.get(part),
        };
        value = inner.ok_or_else(|| unknown(value, &keys[..depth].join("."), part))?;
    }
    let mut page = Page { file, origin, text: String::new() };
    match value {
        Value::Object(_) | Value::Array(_) if key.is_empty() => page.children(value, "", 0),
        _ => page.entry(&format!("{key}:"), value, key, 0),
    }
    Ok(page.text)
}

fn unknown(value: &Value, path: &str, part: &str) -> String {
    let place = if path.is_empty() { "a profile".to_owned() } else { format!("`{path}`") };
    let message = format!("{place} has no key `{part}`");
    match value {
        Value::Object(object) => match did_you_mean(part, object.keys().map(String::as_str)) {
            Some(close) => format!("{message}; did you mean `{close}`?"),
            None => format!("{message}, only {}", list(object.keys(), "and")),
        },
        Value::Array(items) => format!("{message}: it is a list of {}, counted from 0", items.len()),
        _ => message,
    }
}

struct Page<'a> {
    file: &'a str,
    origin: &'a dyn Fn(&str) -> Option<&'a Origin>,
    text: String,
}

impl Page<'_> {
    /// A value behind its label: `key:`, or the dash of a list.
    fn entry(&mut self, label: &str, value: &Value, path: &str, depth: usize) {
        let indent = "  ".repeat(depth);
        match value {
            Value::Array(items) if items.is_empty() => self.line(&format!("{indent}{label} []"), path),
            Value::Object(_) | Value::Array(_) => {
                self.text.push_str(&format!("{indent}{label}\n"));
                self.children(value, path, depth + 1);
            }
            scalar => self.line(&format!("{indent}{label} {}", scalar_text(scalar)), path),
        }
    }

    fn children(&mut self, value: &Value, path: &str, depth: usize) {
        let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    self.entry(&format!("{key}:"), value, &join(key), depth);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.entry("-", item, &join(&index.to_string()), depth);
                }
            }
            _ => {}
        }
    }

    fn line(&mut self, text: &str, path: &str) {
        let place = match (self.origin)(path) {
            Some(origin) if path == "kernel.command-line.0" => format!("from `console`, {origin}"),
            Some(origin) => origin.to_string(),
            None if path == "name" => format!("the name of {}", self.file),
            None => "default".to_owned(),
        };
        self.text.push_str(&format!("{text:COMMENT_COLUMN$} # {place}\n"));
    }
}

fn scalar_text(value: &Value) -> String {
    let yaml = serde_yaml::to_string(value).unwrap_or_default();
    let yaml = yaml.trim_end();
    // Text of several lines would need a block; JSON's quotes are YAML too.
    if yaml.contains('\n') { value.to_string() } else { yaml.to_owned() }
}
