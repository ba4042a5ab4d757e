//! The device tree as a value: nodes with ordered properties, then ordered children.
//!
//! It holds what was said, right or wrong: [`check`](mod@crate::check) finds the wrong, [`emit`](crate::emit) writes it.
//! Addresses stay numbers here and become cells on emission, so that one that doesn't fit is still there to be named.

/// The kernel maps at most this much of a device tree early on x86 (`early_memremap` has 64 boot-time pages).
pub const X86_SIZE_MAX_BYTES: usize = 256 * 1024;

/// The arm64 boot protocol allows this much (Documentation/arch/arm64/booting.rst, "Setup the device tree").
pub const ARM64_SIZE_MAX_BYTES: usize = 2 * 1024 * 1024;

/// A whole tree with what the blob's header carries beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// `/memreserve/` entries (Devicetree Specification 5.3).
    pub memory_reservations: Vec<Reservation>,
    /// Physical id of the boot CPU (`boot_cpuid_phys`, 5.2): the `reg` of its cpu node.
    pub boot_cpu: u32,
    /// The largest blob the kernel in question takes; [`X86_SIZE_MAX_BYTES`] unless said otherwise, the smaller one.
    pub size_max_bytes: usize,
    /// The root node; its name is empty.
    pub root: Node,
}

impl Tree {
    pub fn new(root: Node) -> Tree {
        Tree { memory_reservations: Vec::new(), boot_cpu: 0, size_max_bytes: X86_SIZE_MAX_BYTES, root }
    }
}

/// A `/memreserve/` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// In bytes of physical address space.
    pub range: Range,
    /// As [`Node::subject`].
    pub subject: Option<String>,
    /// As [`Node::comment`].
    pub comment: Option<String>,
}

impl From<Range> for Reservation {
    fn from(range: Range) -> Reservation {
        Reservation { range, subject: None, comment: None }
    }
}

/// A node: properties come before children in the blob, each in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `name` or `name@unit`; empty for the root only.
    pub name: String,
    /// What [`Cell::Phandle`] refers to. A node that is referred to gets a `phandle` property on emission.
    pub label: Option<String>,
    /// What this node is made of, in words of whoever described it: problems with it and its children say so.
    pub subject: Option<String>,
    /// For readers of the source text; the blob has no place for it.
    pub comment: Option<String>,
    pub properties: Vec<Property>,
    pub children: Vec<Node>,
}

/// How many 32-bit cells an address and a size take in the `reg` of a node's *children* (2.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellCounts {
    pub address: u32,
    pub size: u32,
}

/// What a node that doesn't say gets (2.3.5); nothing is inherited.
pub const DEFAULT_CELL_COUNTS: CellCounts = CellCounts { address: 2, size: 1 };

impl Node {
    pub fn new(name: impl Into<String>) -> Node {
        Node { name: name.into(), ..Node::default() }
    }

    /// A node named after the address of its first `reg` or `ranges` entry, as 2.2.1.1 asks: `name@1f000`.
    pub fn at(name: &str, address: u64) -> Node {
        Node::new(format!("{name}@{address:x}"))
    }

    pub fn label(mut self, label: impl Into<String>) -> Node {
        self.label = Some(label.into());
        self
    }

    /// Says what the node is made of, and what its readers should know.
    pub fn about(mut self, subject: String, comment: Option<String>) -> Node {
        self.subject = Some(subject);
        self.comment = comment;
        self
    }

    fn with(mut self, name: &str, value: Value) -> Node {
        self.properties.push(Property { name: name.to_owned(), value });
        self
    }

    /// Adds a property without a value: present means true.
    pub fn flag(self, name: &str) -> Node {
        self.with(name, Value::Empty)
    }

    pub fn u32(self, name: &str, value: u32) -> Node {
        self.with(name, Value::Cells(vec![vec![Cell::U32(value)]]))
    }

    pub fn u64(self, name: &str, value: u64) -> Node {
        self.with(name, Value::U64(value))
    }

    pub fn string(self, name: &str, value: impl Into<String>) -> Node {
        self.with(name, Value::Strings(vec![value.into()]))
    }

    pub fn strings<S: Into<String>>(self, name: &str, values: impl IntoIterator<Item = S>) -> Node {
        self.with(name, Value::Strings(values.into_iter().map(Into::into).collect()))
    }

    pub fn bytes(self, name: &str, value: impl Into<Vec<u8>>) -> Node {
        self.with(name, Value::Bytes(value.into()))
    }

    /// Adds rows of plain cells, such as interrupt specifiers.
    pub fn cells<const N: usize>(self, name: &str, rows: impl IntoIterator<Item = [u32; N]>) -> Node {
        let rows = rows.into_iter().map(|row| row.map(Cell::U32).to_vec());
        self.with(name, Value::Cells(rows.collect()))
    }

    /// Adds references to the nodes with these labels.
    pub fn phandles<'a>(self, name: &str, labels: impl IntoIterator<Item = &'a str>) -> Node {
        let rows = labels.into_iter().map(|label| vec![Cell::Phandle(label.to_owned())]);
        self.with(name, Value::Cells(rows.collect()))
    }

    pub fn reg(self, entries: impl Into<Vec<Range>>) -> Node {
        self.with("reg", Value::Reg(entries.into()))
    }

    pub fn ranges(self, mappings: impl Into<Vec<Mapping>>) -> Node {
        self.with("ranges", Value::Ranges(mappings.into()))
    }

    /// Adds `#address-cells` and `#size-cells`, which rule the `reg` of children.
    pub fn cell_counts(self, address: u32, size: u32) -> Node {
        self.u32("#address-cells", address).u32("#size-cells", size)
    }

    pub fn child(mut self, child: Node) -> Node {
        self.children.push(child);
        self
    }

    pub fn children(mut self, children: impl IntoIterator<Item = Node>) -> Node {
        self.children.extend(children);
        self
    }

    /// The value of the first property of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let property = self.properties.iter().find(|property| property.name == name)?;
        Some(&property.value)
    }

    /// The part of the name behind the `@`.
    pub fn unit_address(&self) -> Option<&str> {
        self.name.split_once('@').map(|(_, unit)| unit)
    }

    /// How this node counts the cells of its children; the defaults where it doesn't say.
    pub fn counts(&self) -> CellCounts {
        let count = |name| self.get(name).and_then(Value::as_u32);
        CellCounts {
            address: count("#address-cells").unwrap_or(DEFAULT_CELL_COUNTS.address),
            size: count("#size-cells").unwrap_or(DEFAULT_CELL_COUNTS.size),
        }
    }

    /// Whether `compatible` lists this string.
    pub fn is_compatible(&self, with: &str) -> bool {
        matches!(self.get("compatible"), Some(Value::Strings(strings)) if strings.iter().any(|s| s == with))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// At most 31 characters (2.2.4.1).
    pub name: String,
    pub value: Value,
}

/// A property's value by type (2.2.4.2); the blob itself has bytes only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No bytes.
    Empty,
    /// Big-endian 32-bit cells. Rows are for readers of the DTS; the blob has them one behind the other.
    Cells(Vec<Vec<Cell>>),
    /// One big-endian 64-bit number.
    U64(u64),
    /// Strings, each with a NUL behind it.
    Strings(Vec<String>),
    Bytes(Vec<u8>),
    /// `reg`: address and size, in as many cells as the *parent* says.
    Reg(Vec<Range>),
    /// `ranges`: child address (cells of this node), parent address (cells of the parent), size (cells of this node).
    /// No mapping at all means that both address spaces are the same.
    Ranges(Vec<Mapping>),
}

impl Value {
    /// The number, if this is one of 64 bits, or two plain cells.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::U64(number) => Some(*number),
            Value::Cells(rows) => {
                let mut cells = rows.iter().flatten();
                match (cells.next(), cells.next(), cells.next()) {
                    (Some(Cell::U32(high)), Some(Cell::U32(low)), None) => {
                        Some(u64::from(*high) << 32 | u64::from(*low))
                    }
                    _ => None,
                }
            }
            Value::Bytes(bytes) => Some(u64::from_be_bytes(bytes.as_slice().try_into().ok()?)),
            Value::Empty | Value::Strings(_) | Value::Reg(_) | Value::Ranges(_) => None,
        }
    }

    /// The number, if this is exactly one plain cell.
    pub fn as_u32(&self) -> Option<u32> {
        match self {
            Value::Cells(rows) => match rows.as_slice() {
                [row] => match row.as_slice() {
                    [Cell::U32(number)] => Some(*number),
                    _ => None,
                },
                _ => None,
            },
            Value::Bytes(bytes) => Some(u32::from_be_bytes(bytes.as_slice().try_into().ok()?)),
            Value::Empty | Value::U64(_) | Value::Strings(_) | Value::Reg(_) | Value::Ranges(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    U32(u32),
    /// The phandle of the node with this label, known on emission.
    Phandle(String),
}

/// Addresses `base .. base + size`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub base: u64,
    pub size: u64,
}

impl Range {
    pub const fn new(base: u64, size: u64) -> Range {
        Range { base, size }
    }

    /// One past the last address; None when that takes more than 64 bits.
    pub fn end(self) -> Option<u64> {
        self.base.checked_add(self.size)
    }
}

/// One entry of `ranges`: `size` bytes at `child` on the bus below are at `parent` on the bus above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub child: u64,
    pub parent: u64,
    pub size: u64,
}

impl Mapping {
    /// A range that has the same addresses on both sides.
    pub const fn identity(range: Range) -> Mapping {
        Mapping { child: range.base, parent: range.base, size: range.size }
    }
}
