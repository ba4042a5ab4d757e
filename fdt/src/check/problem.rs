//! What can be wrong, by type, and how it reads.

use std::fmt;

use crate::tree::Range;

/// One thing wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The node, from the root: `/cpus/cpu@0`.
    pub path: String,
    /// The property, where it is one.
    pub property: Option<String>,
    pub kind: ProblemKind,
    /// What the node was made from ([`crate::Node::subject`] of it or of the nearest node above).
    pub subject: Option<String>,
    /// The same of the other node that has a part in it.
    pub other_subject: Option<String>,
}

impl Problem {
    pub(crate) fn new(path: &str, property: Option<&str>, kind: ProblemKind) -> Problem {
        let property = property.map(str::to_owned);
        Problem { path: path.to_owned(), property, kind, subject: None, other_subject: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.property {
            Some(property) => write!(f, "{}: {property}: {}", self.path, self.kind),
            None => write!(f, "{}: {}", self.path, self.kind),
        }
    }
}

/// All problems of a tree, at least one, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(pub Vec<Problem>);

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// What an address range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionUse {
    /// A `/memory` node.
    Ram,
    /// Registers, or a bus's window.
    Mmio,
    /// `/reserved-memory` or `/memreserve/`; lies inside RAM as a rule.
    Reserved,
}

impl fmt::Display for RegionUse {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            RegionUse::Ram => "RAM",
            RegionUse::Mmio => "MMIO",
            RegionUse::Reserved => "reserved range",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    #[error("the root node has a name; it must be empty")]
    RootNamed,
    #[error("the root node has a label; source text has no place for one, so nothing can refer to the root")]
    RootLabelled,
    #[error("node is {max} levels deep; the kernel goes no further")]
    TooDeep { max: usize },
    #[error("name is {length} characters without the unit address; at most 31 are allowed")]
    NodeNameTooLong { length: usize },
    #[error("node name must be letters, digits and ,._+- , begin with a letter, and have one @ at most")]
    NodeNameInvalid,
    #[error("property name is {length} characters; at most 31 are allowed")]
    PropertyNameTooLong { length: usize },
    #[error("property name must be letters, digits and ,._+?#-")]
    PropertyNameInvalid,
    #[error("two nodes of this name in the same parent")]
    DuplicateNode,
    #[error("two properties of this name in the same node")]
    DuplicateProperty,
    #[error("label {label:?} must be letters, digits and _, and not begin with a digit")]
    InvalidLabel { label: String },
    #[error("label {label:?} is already that of {other}")]
    DuplicateLabel { label: String, other: String },
    #[error("phandle must be one cell, neither 0 nor 0xffffffff")]
    InvalidPhandle,
    #[error("phandle {phandle:#x} is already that of {other}")]
    DuplicatePhandle { phandle: u32, other: String },
    #[error("refers to label {label:?}, which no node has")]
    DanglingReference { label: String },
    #[error("string has a NUL inside")]
    NulInString,
    #[error("list of strings is empty")]
    NoStrings,
    #[error("must be exactly one cell")]
    NotACell,
    #[error("{count} cells an address or size; at most 4 are allowed")]
    CellCount { count: u32 },
    #[error("{number:#x} does not fit into {cells} cell(s)")]
    DoesNotFit { number: u64, cells: u32 },
    #[error("{length} bytes; must be a multiple of {unit}, as the cell counts say, and not empty")]
    Length { length: usize, unit: usize },
    #[error(
        "empty, but the cell counts of this node and its parent differ, so the addresses can't be the same"
    )]
    RangesNotIdentity,
    #[error("{name} missing: children have addresses, and the default is not to be relied upon")]
    MissingCellCount { name: &'static str },
    #[error("name has unit address {unit:?}, but the node has neither reg nor a mapping in ranges")]
    MissingReg { unit: String },
    #[error("node has an address, {address:#x}, but its name has no unit address")]
    MissingUnitAddress { address: u64 },
    #[error("unit address is {unit:?}, but the first address is {address:x}")]
    UnitAddressMismatch { unit: String, address: u64 },
    #[error("{} is empty", show(.range))]
    EmptyRange { range: Range },
    #[error("{:#x} bytes at {:#x} go beyond 64 bits", .range.size, .range.base)]
    RangeWraps { range: Range },
    #[error("{use_} {} overlaps {other_use} {} of {other}", show(.range), show(.other_range))]
    Overlap { use_: RegionUse, range: Range, other_use: RegionUse, other_range: Range, other: String },
    #[error("redistributor regions have room for {room} CPUs, but there are {cpus}")]
    TooFewRedistributors { room: u64, cpus: u64 },
    #[error("CPU id {id:#x} is already that of {other}")]
    CpuIdTwice { id: u64, other: String },
    #[error("CPU id {id:#x} has bits outside the affinity fields of MPIDR_EL1 (39:32 and 23:0)")]
    NoMpidr { id: u64 },
    #[error("is on no NUMA node, though {other} is: either all CPUs and memory are, or none")]
    NoNumaNode { other: String },
    #[error("there is no NUMA node {node}: kernels count them up to {max}")]
    NumaNode { node: u32, max: u32 },
    #[error("refers to phandle {phandle:#x}, which no node has")]
    DanglingPhandle { phandle: u32 },
    #[error("interrupts arrive nowhere: neither this node nor one above has an interrupt-parent")]
    NoInterruptParent,
    #[error("the interrupt controller does not say how many cells an interrupt takes")]
    NoInterruptCells,
    #[error("{length} cells; the interrupt controller takes {width} for each interrupt")]
    InterruptCells { length: usize, width: u32 },
    #[error("{kind} {number} is outside the interrupt controller: it has 0 to {max}")]
    InterruptNumber { kind: &'static str, number: u32, max: u32 },
    #[error("{kind} is no kind of interrupt: 0 is an SPI, 1 a PPI, 2 and 3 their extended ranges")]
    InterruptKind { kind: u32 },
    #[error("{flags:#x} is no trigger: 1 rising edge, 2 falling edge, 4 high level, 8 low level")]
    InterruptTrigger { flags: u32 },
    #[error("vector {vector:#x} is outside the local APIC: it delivers {min:#x} to {max:#x}")]
    Vector { vector: u32, min: u32, max: u32 },
    #[error("{what}: {number:#x} is no multiple of {unit:#x}")]
    Misaligned { what: &'static str, number: u64, unit: u64 },
    #[error("a wakeup mailbox is one page, and {size:#x} bytes are ignored by the kernel")]
    MailboxSize { size: u64 },
    #[error("{} is not in RAM", show(.range))]
    OutsideRam { range: Range },
    #[error("required node {name} is missing")]
    MissingNode { name: &'static str },
    #[error("the blob has {size_bytes} bytes; the kernel takes at most {max_bytes}")]
    TooLarge { size_bytes: usize, max_bytes: usize },
}

fn show(range: &Range) -> String {
    let end = u128::from(range.base) + u128::from(range.size);
    format!("{:#x}..{end:#x}", range.base)
}
