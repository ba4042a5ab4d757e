//! YAML text to a [`Node`] tree. What YAML can do beyond plain trees is refused: these files are read by
//! people, and `inherit` is the one way to share.

use std::{str, sync::Arc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::{
    node::{Entry, Node, Value},
    problem::{Origin, Problem, Problems},
};

/// Larger than any file a person writes, small enough to parse in no time.
const SIZE_MAX_BYTES: usize = 1 << 20;
const DEPTH_MAX: usize = 32;

/// Reads one document. `file` is the path to name in problems. None means that the text isn't YAML at all;
/// lesser offences are reported and the tree given nonetheless, so that its other problems show too.
pub fn parse(file: &Arc<str>, bytes: &[u8], problems: &mut Problems) -> Option<Node> {
    let text = match text(file, bytes) {
        Ok(text) => text,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let mut builder = Builder::new(file);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let outcome = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(syntax(builder.origin(*error.marker()), error.info())),
        };
        if let Err(problem) = outcome {
            builder.problems.push(problem);
            builder.root = None;
            break;
        }
    }
    problems.append(builder.problems);
    builder.root
}

/// The text of a file, unless something is wrong with the file as a whole.
fn text<'a>(file: &Arc<str>, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    let start = || Origin::file(file);
    if bytes.len() > SIZE_MAX_BYTES {
        let message = format!("the file is {} bytes large, the limit is {SIZE_MAX_BYTES}", bytes.len());
        return Err(Problem::new(start(), message).hint("is this the file you meant?"));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = valid.matches('\n').count() as u32 + 1;
        let column = valid.rsplit('\n').next().unwrap_or("").chars().count() as u32 + 1;
        let byte = bytes[error.valid_up_to()];
        Problem::new(Origin::new(file, line, column), format!("not UTF-8 text: byte 0x{byte:02x}"))
            .hint("save the file in UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t') {
            let origin = Origin::new(file, index as u32 + 1, tab as u32 + 1);
            return Err(Problem::new(origin, "a tab in the indentation; YAML allows only spaces there")
                .hint("replace the tab with spaces"));
        }
    }
    let content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if !text.lines().any(content) {
        return Err(Problem::new(start(), "the file is empty").hint("write something, or delete the file"));
    }
    Ok(text)
}

fn syntax(origin: Origin, info: &str) -> Problem {
    let problem = Problem::new(origin, format!("not valid YAML: {info}"));
    let hint = match info {
        info if info.contains("mapping values are not allowed") => {
            "is the indentation right, or does a value contain `: ` and need quotes?"
        }
        info if info.contains("expected ',' or") || info.contains("while parsing a flow") => {
            "a bracket or comma is missing"
        }
        info if info.contains("quoted scalar") => "a closing quote is missing",
        info if info.contains("cannot start any token") || info.contains("unexpected character") => {
            "put a value that begins with a special character in quotes"
        }
        info if info.contains("block") || info.contains("simple key") || info.contains("':'") => {
            "is the indentation right, a space behind each `:`, and every bracket and quote closed?"
        }
        _ => return problem,
    };
    problem.hint(hint)
}

/// A list or map that is still open.
struct Frame {
    origin: Origin,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Origin)> },
}

struct Builder<'a> {
    file: &'a Arc<str>,
    open: Vec<Frame>,
    documents: usize,
    root: Option<Node>,
    problems: Problems,
}

impl<'a> Builder<'a> {
    fn new(file: &'a Arc<str>) -> Self {
        Builder { file, open: Vec::new(), documents: 0, root: None, problems: Problems::default() }
    }

    fn origin(&self, marker: Marker) -> Origin {
        Origin::new(self.file, marker.line() as u32, marker.col() as u32 + 1)
    }

    /// Takes one event. An error ends the parsing.
    fn event(&mut self, event: Event, span: Span) -> Result<(), Problem> {
        let origin = self.origin(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new(origin, "a second document in the file (`---`)")
                        .hint("one file, one document: move the rest to a file of its own"));
                }
            }
            Event::Alias(_) => {
                self.refuse(
                    &origin,
                    "an alias (`*name`)",
                    "write the value out, or share it through a layer",
                );
                self.place(Node { value: Value::Refused, origin })?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(&origin, anchor, tag.map(|tag| tag.to_string()));
                let value = match style {
                    ScalarStyle::Plain => Value::plain(&text),
                    _ => Value::String(text.into_owned()),
                };
                self.place(Node { value, origin })?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_properties(&origin, anchor, tag.map(|tag| tag.to_string()));
                self.open(origin, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_properties(&origin, anchor, tag.map(|tag| tag.to_string()));
                self.open(origin, Content::Map { entries: Vec::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn refuse_properties(&mut self, origin: &Origin, anchor: usize, tag: Option<String>) {
        if anchor != 0 {
            self.refuse(origin, "an anchor (`&name`)", "write the value out, or share it through a layer");
        }
        if let Some(tag) = tag {
            let what = format!("a tag (`{tag}`)");
            self.refuse(origin, &what, "remove it: the type of a value follows from its key");
        }
    }

    fn refuse(&mut self, origin: &Origin, what: &str, hint: &str) {
        let message = format!("{what} is refused: a value says itself what it is, where it is read");
        self.problems.push(Problem::new(origin.clone(), message).hint(hint));
    }

    fn open(&mut self, origin: Origin, content: Content) -> Result<(), Problem> {
        if self.open.len() == DEPTH_MAX {
            return Err(Problem::new(origin, format!("nested more than {DEPTH_MAX} levels deep")));
        }
        if let Some(Frame { content: Content::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(Problem::new(origin, "a list or map can't be a key")
                .hint("does a value that begins with `{` or `[` need quotes?"));
        }
        self.open.push(Frame { origin, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(entries),
        };
        self.place(Node { value, origin: frame.origin })
    }

    /// Puts a finished value where it belongs: it is the next item, the next key, that key's value, or the root.
    fn place(&mut self, node: Node) -> Result<(), Problem> {
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { key: Some(_), .. } => self.take_value(node),
            Content::Map { key, .. } => {
                let Some(text) = node.text() else {
                    return Err(Problem::new(node.origin, "a key that is no text")
                        .hint("write the key in front of the `:`"));
                };
                *key = Some((text.to_owned(), node.origin));
            }
        }
        Ok(())
    }

    fn take_value(&mut self, node: Node) {
        let Some(Frame { content: Content::Map { entries, key }, .. }) = self.open.last_mut() else { return };
        let Some((key, key_origin)) = key.take() else { return };
        if key == "<<" {
            let hint = "write the keys out, or share them through a layer (`inherit`)";
            let message = "a merge key (`<<`) is refused: it is no part of YAML 1.2";
            self.problems.push(Problem::new(key_origin, message).hint(hint));
            return;
        }
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            let problem = Problem::new(key_origin, format!("the key `{key}` stands twice in this map"))
                .related(first.key_origin.clone(), "first here")
                .hint("keep one of them");
            self.problems.push(problem);
            return;
        }
        entries.push(Entry { key, key_origin, node });
    }
}
