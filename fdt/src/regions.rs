//! Address ranges an address space at a time: RAM, registers, bus windows, reserved ranges.
//!
//! A bus with an empty `ranges` shares its parent's addresses; one with mappings claims its windows there and has
//! addresses of its own inside; a node without `ranges` has children that can't be addressed from outside (cpus, I2C).

use std::rc::Rc;

use crate::check::RegionUse;
use crate::decode;
use crate::tree::{Node, Range, Reservation, Tree, Value};

/// The path under which reservations of the header are named.
pub(crate) const MEMRESERVE: &str = "/memreserve/";

/// One claim on one address space.
pub(crate) struct Region<'a> {
    pub use_: RegionUse,
    pub range: Range,
    /// Shared: one node may claim very many ranges.
    pub path: Rc<str>,
    /// None for an entry of `/memreserve/`.
    pub node: Option<&'a Node>,
}

/// What is claimed in each address space, that of the CPUs first.
pub(crate) fn spaces(tree: &Tree) -> Vec<Vec<Region<'_>>> {
    let mut spaces = Spaces::default();
    let mut root = Vec::new();
    let memreserve: Rc<str> = MEMRESERVE.into();
    for Reservation { range, .. } in &tree.memory_reservations {
        let path = memreserve.clone();
        root.push(Region { use_: RegionUse::Reserved, range: *range, path, node: None });
    }
    spaces.children(&tree.root, "", Place { is_root: true, depth: 0 }, &mut root);
    spaces.done.insert(0, root);
    spaces.done
}

/// Address spaces that were found, each with what is claimed in it.
#[derive(Default)]
struct Spaces<'a> {
    done: Vec<Vec<Region<'a>>>,
}

#[derive(Clone, Copy)]
struct Place {
    is_root: bool,
    depth: usize,
}

impl Place {
    fn below(self) -> Place {
        Place { is_root: false, depth: self.depth + 1 }
    }
}

impl<'a> Spaces<'a> {
    /// Claims for the children of `node` in `space`, the address space that they are in.
    fn children(&mut self, node: &'a Node, path: &str, place: Place, space: &mut Vec<Region<'a>>) {
        // The check has said so already.
        if place.depth > crate::check::DEPTH_MAX {
            return;
        }
        let counts = node.counts();
        let reserved = !place.is_root && path == "/reserved-memory";
        for child in &node.children {
            let is_leaf = child.children.is_empty() && child.get("ranges").is_none();
            if is_leaf && counts.size == 0 {
                continue;
            }
            let path: Rc<str> = format!("{path}/{}", child.name).into();
            let use_ = if reserved {
                RegionUse::Reserved
            } else if place.is_root && is_memory(child) {
                RegionUse::Ram
            } else {
                RegionUse::Mmio
            };
            let mut claim = |range| {
                let path = path.clone();
                space.push(Region { use_, range, path, node: Some(child) });
            };
            // An id without a size, as of a CPU, takes no addresses.
            if counts.size > 0 {
                decode::reg(child, counts).into_iter().flatten().for_each(&mut claim);
            }
            if is_leaf {
                continue;
            }
            match decode::ranges(child, counts) {
                Some(mappings) if mappings.is_empty() => self.children(child, &path, place.below(), space),
                Some(mappings) => {
                    for mapping in mappings {
                        claim(Range::new(mapping.parent, mapping.size));
                    }
                    self.inside(child, &path, place);
                }
                None => self.inside(child, &path, place),
            }
        }
    }

    /// Claims inside a node with an address space of its own.
    fn inside(&mut self, node: &'a Node, path: &str, place: Place) {
        let mut space = Vec::new();
        self.children(node, path, place.below(), &mut space);
        if !space.is_empty() {
            self.done.push(space);
        }
    }
}

/// Whether the kernel takes it for RAM.
pub(crate) fn is_memory(node: &Node) -> bool {
    matches!(node.get("device_type"), Some(Value::Strings(strings)) if strings == &["memory"])
}
