//! The address space that CPUs see, drawn for people: RAM, devices, what is reserved, and the holes between.

use std::fmt::{self, Write as _};

use crate::check::RegionUse;
use crate::regions::{self, Region};
use crate::tree::{Range, Tree, Value};

/// Everything that is claimed, in ascending order; holes are what lies between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    pub entries: Vec<MapEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapEntry {
    /// In bytes.
    pub range: Range,
    pub use_: RegionUse,
    /// Path of the node.
    pub path: String,
    /// What the device is: its first `compatible`.
    pub compatible: Option<String>,
    pub numa_node: Option<u32>,
    /// Whether it lies inside the entry before it that is not nested itself, as reserved ranges do in RAM.
    pub nested: bool,
}

impl MemoryMap {
    /// The map of a tree, right or wrong; ranges beyond 64 bits are left out.
    pub fn of(tree: &Tree) -> MemoryMap {
        let mut spaces = regions::spaces(tree).into_iter();
        let mut entries: Vec<MapEntry> = spaces.next().unwrap_or_default().iter().filter_map(entry).collect();
        // What contains others comes before them.
        entries.sort_by(|a, b| (a.range.base, b.range.size).cmp(&(b.range.base, a.range.size)));
        let mut end = 0;
        for entry in &mut entries {
            let own_end = entry.range.end().unwrap_or(u64::MAX);
            entry.nested = own_end <= end;
            end = end.max(own_end);
        }
        MemoryMap { entries }
    }
}

fn entry(region: &Region) -> Option<MapEntry> {
    region.range.end().filter(|_| region.range.size > 0)?;
    let compatible = region.node.and_then(|node| match node.get("compatible") {
        Some(Value::Strings(strings)) => strings.first().cloned(),
        _ => None,
    });
    Some(MapEntry {
        range: region.range,
        use_: region.use_,
        path: region.path.to_string(),
        compatible,
        numa_node: region.node.and_then(|node| node.get("numa-node-id")).and_then(Value::as_u32),
        nested: false,
    })
}

/// A line each: first and last address, size, what is there.
impl fmt::Display for MemoryMap {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut end = 0;
        for entry in &self.entries {
            if entry.range.base > end {
                line(f, Range::new(end, entry.range.base - end), "", "·")?;
            }
            end = end.max(entry.range.end().unwrap_or(u64::MAX));
            let mut what = match (entry.use_, entry.nested) {
                (RegionUse::Ram, _) => "█ RAM".to_owned(),
                (RegionUse::Mmio, _) => "▒ device".to_owned(),
                (RegionUse::Reserved, true) => "█ └ reserved".to_owned(),
                (RegionUse::Reserved, false) => "░ reserved".to_owned(),
            };
            let column = 14;
            let padding = column - what.chars().count().min(column);
            write!(what, "{} {}", " ".repeat(padding), entry.path)?;
            if let Some(node) = entry.numa_node {
                write!(what, " (NUMA node {node})")?;
            }
            if let Some(compatible) = &entry.compatible {
                write!(what, " ({compatible})")?;
            }
            line(f, entry.range, &what, "")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter, range: Range, what: &str, hole: &str) -> fmt::Result {
    let last = range.end().unwrap_or(u64::MAX).wrapping_sub(1);
    let text = format!("{:>16x} {:>16x} {:>10}  {what}{hole}", range.base, last, size_text(range.size));
    writeln!(f, "{}", text.trim_end())
}

/// In the largest unit that gives a short number.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(1 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    match (tenths % 10, bytes.is_multiple_of(unit)) {
        (_, true) => format!("{} {name}", bytes / unit),
        (tenth, false) => format!("{}.{tenth} {name}", tenths / 10),
    }
}
