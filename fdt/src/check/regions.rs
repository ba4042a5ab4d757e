//! Address ranges against each other, an address space at a time: RAM, registers, bus windows, reserved ranges.
//!
//! A bus with an empty `ranges` shares its parent's addresses; one with mappings claims its windows there and has
//! addresses of its own inside; a node without `ranges` has children that can't be addressed from outside (cpus, I2C).

use super::{Problem, ProblemKind, RegionUse};
use crate::decode;
use crate::tree::{Node, Range, Tree, Value};

pub(super) fn overlaps(tree: &Tree) -> Vec<Problem> {
    let mut spaces = Spaces::default();
    let mut root = Vec::new();
    for range in &tree.memory_reservations {
        root.push(Region { use_: RegionUse::Reserved, range: *range, path: "/memreserve/".to_owned() });
    }
    spaces.children(&tree.root, "", true, &mut root);
    spaces.done.insert(0, root);
    let mut problems = Vec::new();
    for space in spaces.done {
        problems.extend(space.iter().filter_map(Region::malformed));
        let sound = |region: &&Region| region.malformed().is_none();
        let not_reserved = |region: &&Region| region.use_ != RegionUse::Reserved;
        problems.extend(sweep(space.iter().filter(sound).filter(not_reserved)));
        // Reserved ranges lie in RAM, so RAM is not in their way.
        let not_ram = |region: &&Region| region.use_ != RegionUse::Ram;
        let mut second = sweep(space.iter().filter(sound).filter(not_ram));
        second.retain(|problem| !is_mmio_only(problem));
        problems.extend(second);
    }
    problems
}

struct Region {
    use_: RegionUse,
    range: Range,
    path: String,
}

impl Region {
    fn malformed(&self) -> Option<Problem> {
        let range = self.range;
        let kind = if range.end().is_none() {
            ProblemKind::RangeWraps { range }
        } else if range.size == 0 {
            ProblemKind::EmptyRange { range }
        } else {
            return None;
        };
        Some(Problem::new(&self.path, None, kind))
    }
}

/// Address spaces that were found, each with what is claimed in it.
#[derive(Default)]
struct Spaces {
    done: Vec<Vec<Region>>,
}

impl Spaces {
    /// Claims for the children of `node` in `space`, the address space that they are in.
    fn children(&mut self, node: &Node, path: &str, is_root: bool, space: &mut Vec<Region>) {
        let counts = node.counts();
        let reserved = !is_root && path == "/reserved-memory";
        for child in &node.children {
            let path = format!("{path}/{}", child.name);
            let use_ = if reserved {
                RegionUse::Reserved
            } else if is_root && is_memory(child) {
                RegionUse::Ram
            } else {
                RegionUse::Mmio
            };
            let mut claim = |range| {
                let path = path.clone();
                space.push(Region { use_, range, path });
            };
            // An id without a size, as of a CPU, takes no addresses.
            if counts.size > 0 {
                decode::reg(child, counts).into_iter().flatten().for_each(&mut claim);
            }
            match decode::ranges(child, counts) {
                Some(mappings) if mappings.is_empty() => self.children(child, &path, false, space),
                Some(mappings) => {
                    for mapping in mappings {
                        claim(Range::new(mapping.parent, mapping.size));
                    }
                    self.inside(child, &path);
                }
                None => self.inside(child, &path),
            }
        }
    }

    /// Claims inside a node with an address space of its own.
    fn inside(&mut self, node: &Node, path: &str) {
        let mut space = Vec::new();
        self.children(node, path, false, &mut space);
        if !space.is_empty() {
            self.done.push(space);
        }
    }
}

fn is_memory(node: &Node) -> bool {
    matches!(node.get("device_type"), Some(Value::Strings(strings)) if strings == &["memory"])
}

/// Each region that begins inside an earlier one, with the earlier one that ends last.
fn sweep<'a>(regions: impl Iterator<Item = &'a Region>) -> Vec<Problem> {
    let mut sorted: Vec<&Region> = regions.collect();
    sorted.sort_by_key(|region| region.range);
    let mut problems = Vec::new();
    let mut last: Option<&Region> = None;
    for region in sorted {
        if let Some(other) = last
            && Some(region.range.base) < other.range.end()
        {
            let kind = ProblemKind::Overlap {
                use_: region.use_,
                range: region.range,
                other_use: other.use_,
                other_range: other.range,
                other: other.path.clone(),
            };
            problems.push(Problem::new(&region.path, None, kind));
        }
        if last.is_none_or(|other| region.range.end() > other.range.end()) {
            last = Some(region);
        }
    }
    problems
}

/// Such a pair is found in the sweep without reserved ranges already.
fn is_mmio_only(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::Overlap { use_: RegionUse::Mmio, other_use: RegionUse::Mmio, .. })
}
