//! Which node a phandle means.

use std::collections::BTreeMap;

use crate::phandles::Phandles;
use crate::tree::{Cell, Node, Tree, Value};

/// Properties that refer to nodes, and what in the node says how many cells follow a reference.
const REFERRING: [(&str, Option<&str>); 7] = [
    ("interrupt-parent", None),
    ("cpu", None),
    ("memory-region", None),
    ("clocks", Some("#clock-cells")),
    ("msi-parent", Some("#msi-cells")),
    ("interrupts-extended", Some("#interrupt-cells")),
    ("gpios", Some("#gpio-cells")),
];

/// A reference to a node, with the cells that the node wants to be told.
pub(crate) struct Reference {
    pub phandle: u32,
    pub arguments: Vec<u32>,
}

/// Every node that can be referred to, by its number, with its path.
pub(crate) struct References<'a> {
    phandles: Phandles<'a>,
    nodes: BTreeMap<u32, (String, &'a Node)>,
}

impl<'a> References<'a> {
    pub(crate) fn of(tree: &'a Tree) -> References<'a> {
        let phandles = Phandles::assign(&tree.root);
        let mut references = References { phandles, nodes: BTreeMap::new() };
        references.visit(&tree.root, &mut Vec::new());
        references
    }

    fn visit(&mut self, node: &'a Node, path: &mut Vec<&'a str>) {
        if path.len() > crate::check::DEPTH_MAX {
            return;
        }
        let explicit = node.get("phandle").and_then(Value::as_u32);
        if let Some(number) = explicit.or_else(|| self.phandles.implicit(node)) {
            self.nodes.entry(number).or_insert_with(|| (format!("/{}", path.join("/")), node));
        }
        for child in &node.children {
            path.push(&child.name);
            self.visit(child, path);
            path.pop();
        }
    }

    /// The numbers in the blob's place of this value; None if it is no whole number of cells, or dangling.
    pub(crate) fn cells(&self, value: &Value) -> Option<Vec<u32>> {
        match value {
            Value::Cells(rows) => rows.iter().flatten().map(|cell| self.number(cell)).collect(),
            Value::U64(number) => Some(vec![(number >> 32) as u32, *number as u32]),
            Value::Bytes(bytes) => words(bytes),
            Value::Strings(strings) => {
                let bytes: Vec<u8> = strings.iter().flat_map(|s| s.bytes().chain([0])).collect();
                words(&bytes)
            }
            Value::Empty => Some(Vec::new()),
            Value::Reg(_) | Value::Ranges(_) => None,
        }
    }

    /// The references in a property that is known to hold them: the phandle alone where no node has it, after which
    /// nobody knows how to go on. None for other properties, and for values that are no whole cells.
    pub(crate) fn in_property(&self, name: &str, value: &Value) -> Option<Vec<Result<Reference, u32>>> {
        let (_, counter) = REFERRING.into_iter().find(|(property, _)| *property == name)?;
        let cells = self.cells(value)?;
        let mut rest = cells.as_slice();
        let mut found = Vec::new();
        while let Some((phandle, behind)) = rest.split_first() {
            let Some(node) = self.node(*phandle) else {
                found.push(Err(*phandle));
                break;
            };
            let count = counter.and_then(|name| node.get(name)).and_then(Value::as_u32).unwrap_or(0) as usize;
            let arguments = behind.get(..count)?.to_vec();
            found.push(Ok(Reference { phandle: *phandle, arguments }));
            rest = &behind[count..];
        }
        Some(found)
    }

    fn number(&self, cell: &Cell) -> Option<u32> {
        match cell {
            Cell::U32(number) => Some(*number),
            Cell::Phandle(label) => self.phandles.get(label),
        }
    }

    /// The node with this phandle.
    pub(crate) fn node(&self, phandle: u32) -> Option<&'a Node> {
        self.nodes.get(&phandle).map(|(_, node)| *node)
    }

    /// Where that node is.
    pub(crate) fn path(&self, phandle: u32) -> Option<&str> {
        self.nodes.get(&phandle).map(|(path, _)| path.as_str())
    }
}

fn words(bytes: &[u8]) -> Option<Vec<u32>> {
    let chunks = bytes.chunks_exact(4);
    if !chunks.remainder().is_empty() {
        return None;
    }
    Some(chunks.map(|chunk| u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])).collect())
}
