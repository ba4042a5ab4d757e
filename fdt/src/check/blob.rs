//! How large the blob will be, before it is written (Devicetree Specification 5.1 … 5.5, version 17).

use std::collections::BTreeSet;

use crate::tree::Node;

/// Adds up what a tree takes. Values that can't be encoded count as nothing: they are problems of their own.
#[derive(Default)]
pub(super) struct BlobSize<'a> {
    structure_bytes: usize,
    /// Each property name is stored once.
    names: BTreeSet<&'a str>,
}

impl<'a> BlobSize<'a> {
    pub(super) fn node(&mut self, node: &Node) {
        const BEGIN_AND_END: usize = 8;
        self.structure_bytes += BEGIN_AND_END + padded(node.name.len() + 1);
    }

    pub(super) fn property(&mut self, name: &'a str, value_bytes: usize) {
        const HEAD: usize = 12;
        self.structure_bytes += HEAD + padded(value_bytes);
        self.names.insert(name);
    }

    pub(super) fn total(&self, memory_reservations: usize) -> usize {
        const HEADER: usize = 40;
        const RESERVATION: usize = 16;
        const END: usize = 4;
        let strings: usize = self.names.iter().map(|name| name.len() + 1).sum();
        // An empty reservation ends the list.
        HEADER + RESERVATION * (memory_reservations + 1) + self.structure_bytes + END + strings
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(4)
}
