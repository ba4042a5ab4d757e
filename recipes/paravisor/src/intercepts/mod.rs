//! What VTL0 did, and what comes of it: one file a kind.

pub mod cpuid;
pub mod halt;
pub mod io;
pub mod memory;
pub mod msr;

use crate::processor::End;

/// How VTL0 goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Behind the instruction.
    Skip,
    /// Where it is.
    Stay,
    /// With a general protection fault at the instruction.
    Fault,
    /// Not at all.
    End(End),
}
