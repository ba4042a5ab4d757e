//! Booting a profile here, and judging what came of it.
//!
//! [`machine`] decides what QEMU is given, as a value; [`run`] is the one part with effects; [`evidence`] is what kernel,
//! payload and monitor themselves said; [`verdict`] follows from evidence and question alone; [`lower`] is about a guest at VTL0
//! below a VTL2.

pub mod evidence;
pub mod guest;
pub mod lower;
pub mod machine;
pub mod run;
pub mod shutdown;
pub mod verdict;

use serde::Serialize;

use crate::profile::{Arch, types::Vtl};

/// What is below the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Below {
    /// QEMU's machine and nothing else.
    Nothing,
    /// The monitor, which says that the kernel runs at this Virtual Trust Level.
    Monitor { vtl: u8 },
}

/// What is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    pub arch: Arch,
    /// The trust level that the kernel was built for.
    #[serde(serialize_with = "number")]
    pub kernel: Vtl,
    pub below: Below,
    pub cpus: u32,
    /// The guest is used by hand: it doesn't end by itself.
    pub is_interactive: bool,
    /// The monitor's own guest runs in the kernel's place, and asks for everything at random.
    pub is_self_test: bool,
    /// Once it is ready, the guest is asked over VMBus to switch off.
    pub is_shutdown: bool,
}

fn number<S: serde::Serializer>(vtl: &Vtl, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u8(vtl.number())
}
