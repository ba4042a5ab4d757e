//! Numbers for the nodes that are referred to. It assigns; duplicates and dangling references are for the check.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Cell, Node, Value};

/// Label to phandle.
#[derive(Debug, Default)]
pub(crate) struct Phandles<'a>(BTreeMap<&'a str, u32>);

impl<'a> Phandles<'a> {
    /// Keeps the phandles that nodes bring, and gives every other node that is referred to the next free number, from
    /// 1 in tree order.
    pub(crate) fn assign(root: &'a Node) -> Phandles<'a> {
        let mut seen = Seen::default();
        seen.visit(root);
        let mut next = 1;
        let mut numbers = BTreeMap::new();
        for (label, explicit) in seen.labelled {
            if explicit.is_none() && !seen.referenced.contains(label) {
                continue;
            }
            let number = explicit.unwrap_or_else(|| {
                while seen.taken.contains(&next) {
                    next += 1;
                }
                next += 1;
                next - 1
            });
            numbers.entry(label).or_insert(number);
        }
        Phandles(numbers)
    }

    pub(crate) fn get(&self, label: &str) -> Option<u32> {
        self.0.get(label).copied()
    }

    /// The `phandle` property that emission has to add to this node, if any.
    pub(crate) fn implicit(&self, node: &Node) -> Option<u32> {
        if node.get("phandle").is_some() {
            return None;
        }
        self.get(node.label.as_deref()?)
    }
}

/// Everything about phandles that stands in a tree, in tree order.
#[derive(Default)]
struct Seen<'a> {
    labelled: Vec<(&'a str, Option<u32>)>,
    taken: BTreeSet<u32>,
    referenced: BTreeSet<&'a str>,
}

impl<'a> Seen<'a> {
    fn visit(&mut self, node: &'a Node) {
        let explicit = node.get("phandle").and_then(Value::as_u32);
        self.taken.extend(explicit);
        if let Some(label) = &node.label {
            self.labelled.push((label, explicit));
        }
        for property in &node.properties {
            if let Value::Cells(rows) = &property.value {
                self.referenced.extend(rows.iter().flatten().filter_map(Cell::label));
            }
        }
        for child in &node.children {
            self.visit(child);
        }
    }
}

impl Cell {
    pub(crate) fn label(&self) -> Option<&str> {
        match self {
            Cell::Phandle(label) => Some(label),
            Cell::U32(_) => None,
        }
    }
}
