//! Device trees: from a machine description to a checked tree to a flattened blob (DTB) and source text (DTS).
//!
//! ```text
//! machine::Machine ── tree(&Dialect) ─▶ tree::Tree ── check::check, vtl::check ─▶ problems, all of them
//!          any DTB ── read::read_dtb ────▶  │
//!                                           ├─ emit::to_dtb (checked first), emit::to_dts
//!                                           └─ compare::differences, map::MemoryMap
//! ```
//!
//! A pure library: values in, values out. It touches no file system, environment, process, network, clock or source
//! of randomness; equal descriptions give equal bytes. It knows nothing of profiles.
//!
//! Format: Devicetree Specification, release 0.4.

pub mod check;
pub mod compare;
mod decode;
pub mod emit;
mod encode;
pub mod machine;
pub mod map;
mod phandles;
pub mod read;
mod references;
mod regions;
pub mod tree;
pub mod vtl;

pub use check::{Problem, ProblemKind, Problems, check};
pub use compare::{Difference, differences};
pub use emit::{EmitError, to_dtb, to_dts};
pub use read::{ReadError, read_dtb};
pub use tree::{Cell, CellCounts, Mapping, Node, Property, Range, Reservation, Tree, Value};
