//! Does a document have its shape? Finds everything that is wrong with it, each at its own place.

use super::{
    node::{Entry, Node, Value},
    problem::{Origin, Problem, Problems, did_you_mean, list},
    shape::{Key, Shape, Text},
};

/// Checks a whole document.
pub fn check(root: &Node, shape: &Shape, problems: &mut Problems) {
    Checker { root: shape, problems }.node(root, shape, "");
}

struct Checker<'a> {
    root: &'a Shape,
    problems: &'a mut Problems,
}

impl Checker<'_> {
    /// Checks a value; `path` is its dotted key, empty for the root.
    fn node(&mut self, node: &Node, shape: &Shape, path: &str) {
        match (shape, &node.value) {
            (_, Value::Refused) => {}
            (Shape::Struct(keys), Value::Map(entries)) => self.structure(node, keys, entries, path),
            (Shape::Map { key, value }, Value::Map(entries)) => {
                for entry in entries {
                    self.map_key(entry, key.as_ref());
                    self.node(&entry.node, value, &join(path, &entry.key));
                }
            }
            (Shape::Union(_), Value::Map(entries)) if entries.is_empty() => {
                self.wrong_type(node, shape, path)
            }
            (Shape::Union(variants), Value::Map(entries)) => self.union(variants, entries, path),
            (Shape::List(item), Value::List(items)) => {
                for (index, node) in items.iter().enumerate() {
                    self.node(node, item, &join(path, &index.to_string()));
                }
            }
            (Shape::Choice { allowed, numbers, other_names }, value) => {
                let word =
                    if *numbers { value.integer().map(|number| number.to_string()) } else { string(value) };
                match word {
                    Some(word) if allowed.contains(&word) => {}
                    Some(word) => self.wrong_choice(node, &word, allowed, other_names, path),
                    None => self.wrong_type(node, shape, path),
                }
            }
            (Shape::Scalar { text: Some(text), .. }, Value::String(string)) => {
                self.text(node, string, text, path)
            }
            (Shape::Scalar { integer: Some(limits), .. }, Value::Number(written)) => {
                self.integer(node, written, *limits, path);
            }
            (Shape::Bool, Value::Bool(_)) => {}
            _ => self.wrong_type(node, shape, path),
        }
    }

    fn structure(&mut self, node: &Node, keys: &[Key], entries: &[Entry], path: &str) {
        for entry in entries {
            match keys.iter().find(|key| key.name == entry.key) {
                Some(key) => self.node(&entry.node, &key.shape, &join(path, &entry.key)),
                None => self.unknown_key(entry, keys.iter().map(|key| key.name.as_str()), path),
            }
        }
        let is_missing = |key: &&Key| key.required && entries.iter().all(|entry| entry.key != key.name);
        let missing: Vec<_> = keys.iter().filter(is_missing).map(|key| &key.name).collect();
        if !missing.is_empty() {
            let (noun, verb) = if missing.len() == 1 { ("key", "is") } else { ("keys", "are") };
            let message = format!("the {noun} {} {verb} missing", list(missing, "and"));
            self.report(&node.origin, path, &message);
        }
    }

    fn unknown_key<'k>(&mut self, entry: &Entry, keys: impl Iterator<Item = &'k str> + Clone, path: &str) {
        let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        let problem = Problem::new(entry.key_origin.clone(), format!("unknown key `{}`{place}", entry.key));
        let hint = match (did_you_mean(&entry.key, keys.clone()), home(self.root, &entry.key, "")) {
            (Some(close), _) => format!("did you mean `{close}`?"),
            (None, Some(home)) => format!("there is a key `{home}`"),
            (None, None) => format!("keys allowed here: {}", list(keys, "and")),
        };
        self.problems.push(problem.hint(hint));
    }

    fn map_key(&mut self, entry: &Entry, wanted: Option<&Text>) {
        let Some(text) = wanted else { return };
        if !text.accepts(&entry.key) {
            let message = format!("`{}` can't be a key here: expected {}", entry.key, text.wanted);
            self.problems.push(Problem::new(entry.key_origin.clone(), message));
        }
    }

    fn union(&mut self, variants: &[(String, Shape)], entries: &[Entry], path: &str) {
        let tags = || variants.iter().map(|(tag, _)| tag.as_str());
        for entry in entries {
            match variants.iter().find(|(tag, _)| *tag == entry.key) {
                Some((_, shape)) => self.node(&entry.node, shape, &join(path, &entry.key)),
                None => self.unknown_key(entry, tags(), path),
            }
        }
        let known: Vec<_> = entries.iter().filter(|entry| tags().any(|tag| tag == entry.key)).collect();
        if let [first, second, ..] = known.as_slice() {
            let message =
                format!("`{path}` has both `{}` and `{}`, and can have only one", first.key, second.key);
            let problem = Problem::new(second.key_origin.clone(), message)
                .related(first.key_origin.clone(), "the first one is here");
            self.problems.push(problem.hint("keep the one you mean"));
        }
    }

    fn wrong_choice(
        &mut self,
        node: &Node,
        word: &str,
        allowed: &[String],
        other_names: &[(String, String)],
        path: &str,
    ) {
        let message = format!("`{word}` is not known here, expected {}", list(allowed, "or"));
        let renamed = other_names.iter().find(|(other, _)| other.eq_ignore_ascii_case(word));
        let close = renamed.map(|(_, name)| name.as_str());
        let close = close.or_else(|| did_you_mean(word, allowed.iter().map(String::as_str)));
        let close = close.filter(|_| word.parse::<i128>().is_err());
        self.report(&node.origin, path, &message);
        if let (Some(close), Some(problem)) = (close, self.problems.0.last_mut()) {
            problem.hint = Some(format!("did you mean `{close}`?"));
        }
    }

    fn text(&mut self, node: &Node, string: &str, wanted: &Text, path: &str) {
        if !wanted.accepts(string) {
            self.report(&node.origin, path, &format!("expected {}, found {}", wanted.wanted, quoted(string)));
        }
    }

    fn integer(&mut self, node: &Node, written: &str, (least, most): (i128, i128), path: &str) {
        let fits = node.value.integer().is_some_and(|number| (least..=most).contains(&number));
        if !fits {
            let wanted = number_text((least, most));
            self.report(&node.origin, path, &format!("expected {wanted}, found `{written}`"));
        }
    }

    fn wrong_type(&mut self, node: &Node, shape: &Shape, path: &str) {
        self.report(&node.origin, path, &format!("expected {}, found {}", wanted(shape), found(&node.value)));
        let hint = match (shape, &node.value) {
            (_, Value::Null) => Some("give the key a value, or remove it".to_owned()),
            (Shape::Scalar { text: Some(wanted), .. }, Value::Number(text)) if wanted.accepts(text) => {
                Some(format!("for text, put it in quotes: \"{text}\""))
            }
            (Shape::Scalar { text: None, .. } | Shape::Choice { numbers: true, .. } | Shape::Bool, value) => {
                let unquoted = string(value).map(|text| Value::plain(&text));
                unquoted
                    .filter(|value| !matches!(value, Value::String(_)))
                    .map(|_| "remove the quotes".to_owned())
            }
            (Shape::List(_), Value::String(text)) => Some(format!("a list with one item is `[{text}]`")),
            (Shape::Struct(_), Value::List(_)) => Some("remove the dashes in front of the keys".to_owned()),
            _ => None,
        };
        if let Some(problem) = self.problems.0.last_mut() {
            problem.hint = hint;
        }
    }

    fn report(&mut self, origin: &Origin, path: &str, message: &str) {
        let message = if path.is_empty() { message.to_owned() } else { format!("`{path}`: {message}") };
        self.problems.push(Problem::new(origin.clone(), message));
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn string(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Where else in the document a key of this name could stand.
fn home(shape: &Shape, name: &str, path: &str) -> Option<String> {
    let Shape::Struct(keys) = shape else { return None };
    if !path.is_empty() && keys.iter().any(|key| key.name == name) {
        return Some(join(path, name));
    }
    keys.iter().find_map(|key| home(&key.shape, name, &join(path, &key.name)))
}

/// What a shape wants, with its article.
fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Struct(keys) => {
            format!("a map with the keys {}", list(keys.iter().map(|key| &key.name), "and"))
        }
        Shape::Map { .. } => "a map".to_owned(),
        Shape::List(item) => match **item {
            Shape::Scalar { text: Some(_), .. } | Shape::Choice { .. } => "a list of strings".to_owned(),
            Shape::Scalar { .. } => "a list of numbers".to_owned(),
            _ => "a list of maps".to_owned(),
        },
        Shape::Union(variants) => {
            format!("a map with one of the keys {}", list(variants.iter().map(|(tag, _)| tag), "or"))
        }
        Shape::Choice { allowed, .. } => list(allowed, "or"),
        Shape::Scalar { text: Some(text), .. } => text.wanted.clone(),
        Shape::Scalar { integer, .. } => number_text(integer.unwrap_or((0, i128::MAX))),
        Shape::Bool => "`true` or `false`".to_owned(),
    }
}

fn number_text((least, most): (i128, i128)) -> String {
    match (least, most) {
        (0, most) if most >= u64::MAX.into() => "a whole number".to_owned(),
        (least, most) if most >= u64::MAX.into() => format!("a whole number, at least {least}"),
        (least, most) => format!("a whole number from {least} to {most}"),
    }
}

/// What was found instead, with its article.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the truth value `{value}`"),
        Value::Number(text) => format!("the number `{text}`"),
        Value::String(text) => format!("the string {}", quoted(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
        Value::Map(_) | Value::Refused => "a map".to_owned(),
    }
}

/// A string as one would write it, cut where it gets long: the line itself is shown below.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
