//! Where two artifacts differ, inside, and why: section and symbol of a program, entry of an archive, field of a disk.
//!
//! ```text
//! compare(bytes, bytes, Sides) ── formats/*: what is where ─▶ Walk ── attribute: what is known of it ─▶ Findings
//! ```
//!
//! A pure library: it touches no file system, environment, process, network, clock or source of randomness. What
//! somebody knows of the two builds (their paths, users, clocks) comes in as [`Sides`]; a difference that carries such
//! a value names its cause by that, others by their place and shape ([`cause`] has the table).

mod attribute;
pub mod cause;
mod formats;
pub mod side;
mod strings;
mod walk;

pub use cause::Cause;
pub use side::{Side, Sides};
pub use walk::{Finding, Part};

use walk::Walk;

/// What is told of one artifact at most; the rest is counted.
pub const FINDINGS_LIMIT: usize = 24;

/// In what two artifacts differ.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// Those with a known cause first.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: usize,
}

/// Compares two artifacts, whatever they are; equal bytes have no findings, others at least one.
pub fn compare(ours: &[u8], theirs: &[u8], sides: &Sides) -> Comparison {
    let mut walk = Walk::new(sides);
    walk.content(ours, theirs);
    walk.into_comparison()
}

/// Compares lists of names that a build wrote in some order, such as the files of a tree.
pub fn compare_names(ours: &[String], theirs: &[String], sides: &Sides) -> Comparison {
    let mut walk = Walk::new(sides);
    walk.names(ours, theirs);
    walk.into_comparison()
}
