//! What tests of wrong trees share: one with nothing wrong, and what is said about one.
#![allow(dead_code, reason = "each test program uses a part of it")]

use expect_test::Expect;
use fdt::{Node, Range, Tree, check, to_dtb};

/// A tree with nothing wrong, for cases to add one thing to.
pub fn base() -> Node {
    let cpu = Node::at("cpu", 0).string("device_type", "cpu").reg([Range::new(0, 0)]);
    Node::new("")
        .cell_counts(2, 2)
        .child(Node::new("cpus").cell_counts(1, 0).child(cpu))
        .child(memory(0, 0x8000_0000))
}

pub fn memory(base: u64, size: u64) -> Node {
    Node::at("memory", base).string("device_type", "memory").reg([Range::new(base, size)])
}

pub fn device(base: u64, size: u64) -> Node {
    Node::at("device", base).reg([Range::new(base, size)])
}

pub fn bus(children: impl IntoIterator<Item = Node>) -> Node {
    Node::new("bus").cell_counts(2, 2).flag("ranges").children(children)
}

pub fn with(child: Node) -> Tree {
    Tree::new(base().child(child))
}

#[track_caller]
pub fn problems(tree: &Tree, expected: Expect) {
    let lines: String = check(tree).iter().map(|problem| format!("{problem}\n")).collect();
    expected.assert_eq(&lines);
    assert_eq!(to_dtb(tree).is_err(), !lines.is_empty());
}
