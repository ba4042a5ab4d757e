//! The boot shim: what a VTL2 host starts in the kernel's place. It takes what the host says of the machine (processors,
//! memory, device tree, options for the command line) for hostile, finishes what the kernel is told with it, and lets
//! the kernel begin only if kernel and initramfs are those that the file was built with.
//!
//! This library decides; it touches nothing but the memory it is given, allocates nothing, and runs under the host's
//! tests. [`prepare`] is the whole of it.
//!
//! | module | subject |
//! |---|---|
//! | [`plan`] | the page that the build fills in: where everything is, digests, what the host may say |
//! | [`memory_map`] | the host's memory map, and what of it is this level's |
//! | [`blob`] | device tree blobs, read and written, token by token |
//! | [`host_tree`] | what is taken from the host's device tree |
//! | [`template`] | the built-in device tree with the host's processors, memory and devices |
//! | [`options`] | what the host adds to the command line |
//! | [`boot_params`] | x86_64: Linux's zero page |

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod blob;
pub mod boot_params;
mod failure;
pub mod host_tree;
pub mod memory_map;
pub mod options;
pub mod plan;
mod prepare;
pub mod template;

pub use failure::{Failure, Text};
pub use prepare::{Given, Prepared, Room, prepare};

/// Processors that there may be: as many as Linux's VTL2 configurations take.
pub const CPUS_MAX: usize = 1024;

/// A range of guest physical addresses, end excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub end: u64,
}

impl Range {
    /// Nothing where the end lies beyond what 64 bits count.
    pub fn of(start: u64, bytes: u64) -> Option<Range> {
        Some(Range { start, end: start.checked_add(bytes)? })
    }

    pub fn contains(&self, other: &Range) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// A few ranges, without a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges<const MAX: usize> {
    ranges: [Range; MAX],
    count: usize,
}

impl<const MAX: usize> Default for Ranges<MAX> {
    fn default() -> Self {
        Ranges { ranges: [Range::default(); MAX], count: 0 }
    }
}

impl<const MAX: usize> Ranges<MAX> {
    /// Nothing where there is no room for it.
    pub fn push(&mut self, range: Range) -> Option<()> {
        *self.ranges.get_mut(self.count)? = range;
        self.count += 1;
        Some(())
    }

    pub fn as_slice(&self) -> &[Range] {
        &self.ranges[..self.count]
    }

    pub fn last_mut(&mut self) -> Option<&mut Range> {
        self.ranges[..self.count].last_mut()
    }
}
