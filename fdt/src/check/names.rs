//! Names: characters, lengths, uniqueness (Devicetree Specification 2.2.1, 2.2.4.1).

use std::collections::BTreeSet;

use super::{ProblemKind, Walk};
use crate::tree::Node;

const LENGTH_MAX: usize = 31;

const HANDFUL: usize = 16;

impl<'a> Walk<'a> {
    pub(super) fn names(&mut self, node: &'a Node) {
        // The root's name has a rule of its own.
        if !self.path.is_empty() {
            let length = base(&node.name).len();
            if length > LENGTH_MAX {
                self.report(None, ProblemKind::NodeNameTooLong { length });
            }
            if !is_node_name(&node.name) {
                self.report(None, ProblemKind::NodeNameInvalid);
            }
        }
        // A handful as a rule: looking at those before is faster than a set, but only of a handful.
        let mut many = (node.properties.len() > HANDFUL).then(BTreeSet::new);
        for (index, property) in node.properties.iter().enumerate() {
            let name = property.name.as_str();
            if name.len() > LENGTH_MAX {
                let length = name.len();
                self.report(Some(name), ProblemKind::PropertyNameTooLong { length });
            }
            if name.is_empty()
                || !name.bytes().all(|byte| is_name_char(byte.into()) || matches!(byte, b'?' | b'#'))
            {
                self.report(Some(name), ProblemKind::PropertyNameInvalid);
            }
            let is_new = match &mut many {
                Some(names) => names.insert(name),
                None => node.properties[..index].iter().all(|before| before.name != name),
            };
            if !is_new {
                self.report(Some(name), ProblemKind::DuplicateProperty);
            }
        }
        let mut children = BTreeSet::new();
        for child in &node.children {
            if !children.insert(child.name.as_str()) {
                self.path.push(&child.name);
                self.report(None, ProblemKind::DuplicateNode);
                self.path.pop();
            }
        }
    }
}

/// The part of a node's name before the `@`.
pub(super) fn base(name: &str) -> &str {
    name.split_once('@').map_or(name, |(base, _)| base)
}

/// What dtc reads as a label.
pub(super) fn is_label(label: &str) -> bool {
    let first = label.chars().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_node_name(name: &str) -> bool {
    let base = base(name);
    let unit_is_valid =
        name.split_once('@').is_none_or(|(_, unit)| !unit.is_empty() && unit.chars().all(is_name_char));
    base.starts_with(|c: char| c.is_ascii_alphabetic()) && base.chars().all(is_name_char) && unit_is_valid
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ',' | '.' | '_' | '+' | '-')
}
