//! YAML as plain trees of text, lists and maps. What else YAML can do (aliases, which make a few lines into gigabytes;
//! tags; several documents) is refused.

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::wish::quoted;

const DEPTH_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A scalar; without quotes, `true`, `null` and numbers are text like any other.
    Text {
        text: String,
        is_plain: bool,
    },
    List(Vec<Value>),
    /// In the order of the file.
    Map(Vec<(String, Value)>),
}

impl Value {
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Text { text, is_plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// `true` and `false` as YAML 1.1 and 1.2 write them.
    pub fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// The items of a list; a text counts as a list of one.
    pub fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Value::Text { .. } if self.is_null() => Some(Vec::new()),
            Value::Text { text, .. } => Some(vec![text]),
            Value::List(items) => items.iter().map(Value::text).collect(),
            Value::Map(_) => None,
        }
    }
}

/// The one document of a text. One without content is an empty map.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut tree = Tree::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        tree.event(event).map_err(|problem| format!("line {}: {problem}", span.start.line()))?;
    }
    let root = tree.root.filter(|root| !root.is_null());
    Ok(root.unwrap_or(Value::Map(Vec::new())))
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    documents: usize,
    root: Option<Value>,
}

enum Open {
    List(Vec<Value>),
    Map { entries: Vec<(String, Value)>, key: Option<String> },
}

impl Tree {
    fn event(&mut self, event: Event) -> Result<(), String> {
        let no_tag = |is_tagged: bool, anchor: usize| match (is_tagged, anchor) {
            (false, 0) => Ok(()),
            _ => Err("tags and anchors are refused".to_owned()),
        };
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err("a second document begins".to_owned()),
                }
            }
            Event::Alias(_) => Err("aliases are refused".to_owned()),
            Event::Scalar(text, style, anchor, tag) => {
                no_tag(tag.is_some(), anchor)?;
                let is_plain = style == ScalarStyle::Plain;
                self.place(Value::Text { text: text.into_owned(), is_plain })
            }
            Event::SequenceStart(anchor, tag) => {
                no_tag(tag.is_some(), anchor)?;
                self.open(Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                no_tag(tag.is_some(), anchor)?;
                self.open(Open::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(items)) => self.place(Value::List(items)),
                Some(Open::Map { entries, .. }) => self.place(Value::Map(entries)),
                None => Ok(()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() == DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} levels deep"));
        }
        if matches!(self.open.last(), Some(Open::Map { key: None, .. })) {
            return Err("a list or map can't be a key".to_owned());
        }
        self.open.push(open);
        Ok(())
    }

    fn place(&mut self, value: Value) -> Result<(), String> {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map { entries, key }) => match key.take() {
                Some(key) => entries.push((key, value)),
                None => {
                    let name = value.text().unwrap_or_default();
                    if entries.iter().any(|(known, _)| known == name) {
                        return Err(format!("the key {} stands twice in a map", quoted(name)));
                    }
                    *key = Some(name.to_owned());
                }
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_trees() {
        let text = "#cloud-config\na: {b: [1, 'null']}\nc:\nd: |\n  x\n  y\n";
        let Value::Map(entries) = parse(text).unwrap() else { panic!("a map") };
        let Value::Map(inner) = &entries[0].1 else { panic!("a map") };
        let Value::List(items) = &inner[0].1 else { panic!("a list") };
        assert_eq!((items[0].text(), items[0].is_null()), (Some("1"), false));
        assert!(!items[1].is_null() && entries[1].1.is_null());
        assert_eq!(entries[2].1.text(), Some("x\ny\n"));
        assert_eq!(parse("# nothing\n"), Ok(Value::Map(Vec::new())));
        assert_eq!(parse(r#"{"json": ["is", "yaml"]}"#).map(|_| ()), Ok(()));
    }

    /// A few lines that other parsers make into gigabytes, or into a stack overflow.
    #[test]
    fn hostile_texts_are_refused_with_their_line() {
        let check = |text: &str, wanted: &str| {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains(wanted), "{problem}");
        };
        check("a: &x [1]\nb: [*x, *x]\n", "line 1: tags and anchors");
        check("a: *x\n", "line 1:");
        check("a: !!binary x\n", "line 1: tags and anchors");
        check("a: 1\n---\nb: 2\n", "a second document");
        check("a: 1\na: 2\n", "line 2: the key \"a\" stands twice");
        check("? [x]\n: 1\n", "can't be a key");
        check(&"[".repeat(20), "nested more than 16");
        check(&"- ".repeat(20), "nested more than 16");
        // The parser's own limit.
        check(&"[".repeat(100_000), "recursion limit");
        check("a: [1\n", "line ");
        check("a: \"x\n", "line ");
    }
}
