//! Laying one document over another: maps merge key by key, lists are appended, anything else is replaced.
//! Every value keeps the place it came from.

use std::collections::BTreeMap;

use document::{Entry, Node, Origin, Problem, Problems, Shape, Value};

/// `over` laid over `base`. The shape tells maps from tagged values (`source: {pin: …}`), which are replaced
/// whole: `pin` from one layer and `git` from the next would be two sources.
pub(super) fn merge(base: Node, over: Node, shape: &Shape) -> Node {
    match (shape, base.value, over.value) {
        (Shape::Struct(keys), Value::Map(base_entries), Value::Map(over_entries)) => {
            let shape_of = |name: &str| keys.iter().find(|key| key.name == name).map(|key| &key.shape);
            let value = Value::Map(merge_entries(base_entries, over_entries, shape_of));
            Node { value, origin: base.origin }
        }
        (Shape::List(_), Value::List(mut items), Value::List(more)) => {
            items.extend(more);
            Node { value: Value::List(items), origin: base.origin }
        }
        (_, _, value) => Node { value, origin: over.origin },
    }
}

fn merge_entries<'s>(
    mut base: Vec<Entry>,
    over: Vec<Entry>,
    shape_of: impl Fn(&str) -> Option<&'s Shape>,
) -> Vec<Entry> {
    for entry in over {
        let index = base.iter().position(|known| known.key == entry.key);
        match (index, shape_of(&entry.key)) {
            (Some(index), Some(shape)) => {
                let known = base.remove(index);
                let node = merge(known.node, entry.node, shape);
                base.insert(index, Entry { key: entry.key, key_origin: entry.key_origin, node });
            }
            _ => base.push(entry),
        }
    }
    base
}

/// Reports each scalar that stands twice in the same list.
pub(super) fn check_duplicates(node: &Node, path: &str, problems: &mut Problems) {
    for (key, child) in children(node) {
        check_duplicates(child, &join(path, &key), problems);
    }
    let mut seen: BTreeMap<&str, &Origin> = BTreeMap::new();
    for item in node.items() {
        let Some(text) = item.text() else { continue };
        match seen.get(text) {
            Some(first) => problems.push(
                Problem::new(item.origin.clone(), format!("`{text}` stands twice in `{path}`"))
                    .related((*first).clone(), "first here")
                    .hint("remove one of them; lists of layers are appended"),
            ),
            None => _ = seen.insert(text, &item.origin),
        }
    }
}

/// Where each value was set, by dotted key; items of lists count from 0.
pub(super) fn origins(root: &Node) -> BTreeMap<String, Origin> {
    fn visit(node: &Node, path: &str, origins: &mut BTreeMap<String, Origin>) {
        for (key, child) in children(node) {
            let path = join(path, &key);
            visit(child, &path, origins);
            origins.insert(path, child.origin.clone());
        }
    }
    let mut origins = BTreeMap::new();
    visit(root, "", &mut origins);
    origins
}

fn children(node: &Node) -> Vec<(String, &Node)> {
    match &node.value {
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), &entry.node)).collect(),
        Value::List(items) => {
            items.iter().enumerate().map(|(index, node)| (index.to_string(), node)).collect()
        }
        _ => Vec::new(),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
