//! Device trees: from a machine description to a checked tree to a flattened blob (DTB) and source text (DTS).
//!
//! ```text
//! machine::Machine ── tree(&Dialect) ─▶ tree::Tree ── check::check ─▶ problems, all of them
//!                                           │
//!                                           └─ emit::to_dtb (checked first), emit::to_dts
//! ```
//!
//! A pure library: values in, values out. It touches no file system, environment, process, network, clock or source
//! of randomness; equal descriptions give equal bytes. It knows nothing of profiles, and it does not read DTBs.
//!
//! Format: Devicetree Specification, release 0.4.

pub mod check;
mod decode;
pub mod emit;
mod encode;
pub mod machine;
mod phandles;
pub mod tree;

pub use check::{Problem, ProblemKind, Problems, check};
pub use emit::{EmitError, to_dtb, to_dts};
pub use tree::{Cell, CellCounts, Mapping, Node, Property, Range, Tree, Value};
