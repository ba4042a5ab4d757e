//! Changes values in a YAML text and nothing else: comments, order, quoting and blank lines stay.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A new value for the scalar at a path of mapping keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub path: Vec<String>,
    pub value: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RewriteError {
    #[error("not valid YAML: {0}")]
    Syntax(String),
    #[error("there is no value at {0}")]
    NoSuchValue(String),
    #[error("the value at {0} is written in a way that cannot be replaced; write it on one line")]
    NotReplaceable(String),
}

/// The text with the values replaced. Each change must name an existing scalar written on one line.
pub fn rewrite(text: &str, changes: &[Change]) -> Result<String, RewriteError> {
    let scalars = scalars(text)?;
    let mut edits = Vec::with_capacity(changes.len());
    for change in changes {
        let path = change.path.join(".");
        let Some(scalar) = scalars.iter().find(|scalar| scalar.path == change.path) else {
            return Err(RewriteError::NoSuchValue(path));
        };
        let old = &text[scalar.place.clone()];
        match quote(&change.value, scalar.style, old) {
            Some(value) if !old.contains('\n') => edits.push((scalar.place.clone(), value)),
            _ => return Err(RewriteError::NotReplaceable(path)),
        }
    }
    edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut text = text.to_owned();
    for (place, value) in edits {
        text.replace_range(place, &value);
    }
    Ok(text)
}

struct Scalar {
    path: Vec<String>,
    style: ScalarStyle,
    /// In bytes of the text, with quotes.
    place: Range<usize>,
}

/// The value in the style of the one that it replaces, quoted where plain style would change its meaning.
fn quote(value: &str, style: ScalarStyle, old: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/~+:-".contains(&byte);
    let simple = !value.is_empty() && value.bytes().all(is_plain) && !value.starts_with(['~', '-', ':', '.']);
    let simple = simple && !value.ends_with(':');
    // Linux 7.4 is a string, and digests may look like numbers.
    let is_number =
        |text: &str| text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o");
    match style {
        ScalarStyle::Plain if simple && is_number(value) == is_number(old) => Some(value.to_owned()),
        ScalarStyle::Plain | ScalarStyle::SingleQuoted => Some(format!("'{}'", value.replace('\'', "''"))),
        ScalarStyle::DoubleQuoted if simple => Some(format!("\"{value}\"")),
        _ => None,
    }
}

/// Every scalar that is the value of a mapping key, mappings nested in mappings.
fn scalars(text: &str) -> Result<Vec<Scalar>, RewriteError> {
    let offsets: Vec<usize> = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
    let byte = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
    let mut found = Vec::new();
    let mut levels: Vec<Level> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| RewriteError::Syntax(error.to_string()))?;
        match event {
            Event::MappingStart(..) => levels.push(Level { is_mapping: true, key: None }),
            Event::SequenceStart(..) => levels.push(Level { is_mapping: false, key: None }),
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                end_value(&mut levels);
            }
            Event::Alias(_) => end_value(&mut levels),
            Event::Scalar(value, style, ..) => match levels.last_mut() {
                Some(Level { is_mapping: true, key: key @ None }) => *key = Some(value.into_owned()),
                _ => {
                    let path = levels.iter().filter_map(|level| level.key.clone()).collect::<Vec<_>>();
                    if path.len() == levels.len() {
                        let place = trim(text, byte(span.start.index())..byte(span.end.index()), style);
                        found.push(Scalar { path, style, place });
                    }
                    end_value(&mut levels);
                }
            },
            _ => {}
        }
    }
    Ok(found)
}

/// The place of the scalar itself: the parser's spans may run over blanks and a comment behind it.
fn trim(text: &str, place: Range<usize>, style: ScalarStyle) -> Range<usize> {
    let scalar = &text[place.clone()];
    let len = match style {
        ScalarStyle::SingleQuoted => quoted_len(scalar, '\'', '\''),
        ScalarStyle::DoubleQuoted => quoted_len(scalar, '"', '\\'),
        _ => scalar.split(" #").next().unwrap_or(scalar).trim_end().len(),
    };
    place.start..place.start + len
}

/// Length of a scalar in quotes; `escape` makes the character after it part of the content.
fn quoted_len(scalar: &str, quote: char, escape: char) -> usize {
    let mut characters = scalar.char_indices().skip(1).peekable();
    while let Some((offset, character)) = characters.next() {
        let escapes = character == escape
            && (escape != quote || characters.peek().is_some_and(|(_, next)| *next == quote));
        if escapes {
            characters.next();
        } else if character == quote {
            return offset + 1;
        }
    }
    scalar.len()
}

struct Level {
    is_mapping: bool,
    /// The key whose value comes next.
    key: Option<String>,
}

fn end_value(levels: &mut [Level]) {
    if let Some(level) = levels.last_mut() {
        level.key = None;
    }
}
