//! What two trees say differently, whatever their order and however they number their phandles.
//!
//! Nodes are the same by path and properties by name. Values are compared as bytes; where a property is known to refer
//! to nodes, the nodes count instead of their numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::emit::value_text;
use crate::encode::{self, Context};
use crate::phandles::Phandles;
use crate::references::{Reference, References};
use crate::tree::{CellCounts, DEFAULT_CELL_COUNTS, Node, Property, Range, Tree, Value};

/// One thing that only one of two trees says, or that they say differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The node, or the one above where it is missing on one side.
    pub path: String,
    /// The property, where it is about one.
    pub property: Option<String>,
    /// The value as in source text; None where it isn't there. A node that is there has an empty text.
    pub left: Option<String>,
    pub right: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Difference { path, property, left, right } = self;
        let Some(property) = property else {
            let sign = if left.is_some() { '-' } else { '+' };
            return write!(f, "{sign} {path}");
        };
        let show = |value: &str| match value {
            "" => format!("{property};"),
            value => format!("{property} = {value};"),
        };
        match (left, right) {
            (Some(left), Some(right)) => {
                write!(f, "- {path}: {}\n+ {path}: {}", show(left), show(right))
            }
            (Some(left), None) => write!(f, "- {path}: {}", show(left)),
            (None, Some(right)) => write!(f, "+ {path}: {}", show(right)),
            (None, None) => Ok(()),
        }
    }
}

/// All differences by path; none means that both trees say the same. A node that is missing is one difference, with
/// all that is in it.
pub fn differences(left: &Tree, right: &Tree) -> Vec<Difference> {
    let mut walk =
        Walk { left: Side::of(left), right: Side::of(right), path: Vec::new(), differences: Vec::new() };
    walk.header(left, right);
    walk.visit((&left.root, DEFAULT_CELL_COUNTS), (&right.root, DEFAULT_CELL_COUNTS));
    walk.differences
}

struct Side<'a> {
    references: References<'a>,
    phandles: Phandles<'a>,
}

impl<'a> Side<'a> {
    fn of(tree: &'a Tree) -> Side<'a> {
        Side { references: References::of(tree), phandles: Phandles::assign(&tree.root) }
    }
}

struct Walk<'a> {
    left: Side<'a>,
    right: Side<'a>,
    path: Vec<&'a str>,
    differences: Vec<Difference>,
}

type Placed<'a> = (&'a Node, CellCounts);

impl<'a> Walk<'a> {
    fn header(&mut self, left: &Tree, right: &Tree) {
        let ranges = |tree: &Tree| -> BTreeSet<Range> {
            tree.memory_reservations.iter().map(|reservation| reservation.range).collect()
        };
        let (left_ranges, right_ranges) = (ranges(left), ranges(right));
        for range in left_ranges.symmetric_difference(&right_ranges) {
            let text = Some(format!("{:#x} {:#x}", range.base, range.size));
            let (left, right) = if left_ranges.contains(range) { (text, None) } else { (None, text) };
            self.differ(Some("/memreserve/"), left, right);
        }
        if left.boot_cpu != right.boot_cpu {
            let text = |tree: &Tree| Some(format!("<{:#x}>", tree.boot_cpu));
            self.differ(Some("boot_cpuid_phys"), text(left), text(right));
        }
    }

    fn differ(&mut self, property: Option<&str>, left: Option<String>, right: Option<String>) {
        let path = format!("/{}", self.path.join("/"));
        self.differences.push(Difference { path, property: property.map(str::to_owned), left, right });
    }

    fn visit(&mut self, left: Placed<'a>, right: Placed<'a>) {
        if self.path.len() > crate::check::DEPTH_MAX {
            return;
        }
        self.properties(left, right);
        let (left_counts, right_counts) = (left.0.counts(), right.0.counts());
        let mut children: BTreeMap<&str, (Option<&Node>, Option<&Node>)> = BTreeMap::new();
        for child in &left.0.children {
            children.entry(&child.name).or_default().0.get_or_insert(child);
        }
        for child in &right.0.children {
            children.entry(&child.name).or_default().1.get_or_insert(child);
        }
        for (name, pair) in children {
            self.path.push(name);
            match pair {
                (Some(left), Some(right)) => self.visit((left, left_counts), (right, right_counts)),
                (Some(_), None) => self.differ(None, Some(String::new()), None),
                (None, Some(_)) => self.differ(None, None, Some(String::new())),
                (None, None) => {}
            }
            self.path.pop();
        }
    }

    fn properties(&mut self, left: Placed<'a>, right: Placed<'a>) {
        // Numbers of phandles mean nothing by themselves.
        let counts = |property: &&Property| !matches!(property.name.as_str(), "phandle" | "linux,phandle");
        let mut names: BTreeMap<&str, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
        for property in left.0.properties.iter().filter(counts) {
            names.entry(&property.name).or_default().0.get_or_insert(&property.value);
        }
        for property in right.0.properties.iter().filter(counts) {
            names.entry(&property.name).or_default().1.get_or_insert(&property.value);
        }
        for (name, (one, other)) in names {
            let meaning = |side: &Side, value: Option<&Value>, (node, parent): Placed| {
                value.map(|value| meaning(side, name, value, node, parent))
            };
            if meaning(&self.left, one, left) != meaning(&self.right, other, right) {
                let text = |value: Option<&Value>, (node, parent): Placed| {
                    value.map(|value| value_text(value, node.counts(), parent).unwrap_or_default())
                };
                self.differ(Some(name), text(one, left), text(other, right));
            }
        }
    }
}

/// What a value says.
#[derive(PartialEq, Eq)]
enum Meaning {
    Bytes(Vec<u8>),
    Words(Vec<Word>),
    /// It has no bytes: it is wrong, and equal to nothing but itself.
    Wrong(Value),
}

#[derive(PartialEq, Eq)]
enum Word {
    Number(u32),
    Node(String),
}

fn meaning(side: &Side, name: &str, value: &Value, node: &Node, parent: CellCounts) -> Meaning {
    if let Some(words) = words(&side.references, name, value) {
        return Meaning::Words(words);
    }
    let context = Context { parent, own: node.counts(), phandles: &side.phandles };
    encode::bytes(value, &context).map_or_else(|_| Meaning::Wrong(value.clone()), Meaning::Bytes)
}

/// The value as references and numbers; None if it refers to nothing, or to something that isn't there.
fn words(references: &References, name: &str, value: &Value) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    for reference in references.in_property(name, value)? {
        let Reference { phandle, arguments } = reference.ok()?;
        words.push(Word::Node(references.path(phandle)?.to_owned()));
        words.extend(arguments.into_iter().map(Word::Number));
    }
    Some(words)
}
