//! Machines in the words of those who build them, and the trees they get. One small function a node; the binding that
//! asks for a property stands beside it.
//!
//! A description is total: defaults are applied by whoever makes it, or by the ready machines in [`ready`].
//! Bindings: Linux 7.3, Documentation/devicetree/bindings; common ones: dt-schema, dtschema/schemas.

mod aarch64;
mod dialect;
mod nodes;
pub mod ready;
mod x86_64;

pub use dialect::{Dialect, MAINLINE};
pub use ready::{hyperv_vtl2_aarch64, hyperv_vtl2_x86_64, qemu_virt_aarch64};

use crate::tree::{Range, Tree};

/// A machine as its kernel has to be told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `model` of the root node.
    pub model: String,
    /// `compatible` of the root node, most specific first.
    pub compatible: Vec<String>,
    /// RAM, a `/memory` node each, in bytes.
    pub memory: Vec<Range>,
    /// `/memreserve/` entries, in bytes.
    pub memory_reservations: Vec<Range>,
    pub platform: Platform,
    /// Hyper-V's bus, where the machine has one.
    pub vmbus: Option<VmBus>,
}

impl Machine {
    /// The machine's tree. It is not checked here: emission does that, and `check` tells all that is wrong.
    pub fn tree(&self, dialect: &Dialect) -> Tree {
        match &self.platform {
            Platform::X86_64(platform) => x86_64::tree(self, platform, dialect),
            Platform::Aarch64(platform) => aarch64::tree(self, platform, dialect),
        }
    }
}

/// What depends on the architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    X86_64(X86_64),
    Aarch64(Aarch64),
}

/// An x86_64 machine. It has no `/chosen`: command line and initrd travel in boot_params. It has no serial port here
/// either: the kernel finds those of a PC by their I/O ports, and a second description would claim them twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X86_64 {
    /// Local APIC ids, the boot CPU first.
    pub apic_ids: Vec<u32>,
    /// Physical address of the local APIC's page.
    pub local_apic_base: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aarch64 {
    /// MPIDR_EL1 affinity fields (bits 39:32 and 23:0), the boot CPU first.
    pub mpidrs: Vec<u64>,
    /// `compatible` of the CPUs, such as `arm,cortex-a72`; `arm,armv8` is for models without a product name.
    pub cpu_compatible: String,
    pub psci: PsciConduit,
    pub gic: GicV3,
    pub timer: ArchTimer,
    /// PPI number of the performance monitors, counted from 0, where there are any.
    pub pmu_ppi: Option<u32>,
    pub serial: Option<Serial>,
    pub chosen: Chosen,
}

/// How PSCI firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciConduit {
    /// A hypervisor answers at EL2.
    Hvc,
    /// Firmware answers at EL3.
    Smc,
}

/// A GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicV3 {
    /// GICD frames.
    pub distributor: Range,
    /// Regions of GICR frames, with room for all CPUs together.
    pub redistributors: Vec<Range>,
    /// Bytes from one CPU's frames to the next one's; None if they follow each other without padding.
    pub redistributor_stride: Option<u64>,
}

/// PPI numbers of the architected timer, counted from 0 (INTID 16); level, active high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchTimer {
    /// EL1 secure physical timer, if there is an EL3.
    pub secure_physical: Option<u32>,
    /// EL1 non-secure physical timer.
    pub physical: u32,
    /// EL1 virtual timer.
    pub virtual_: u32,
    /// EL2 physical timer, if there is an EL2.
    pub hypervisor_physical: Option<u32>,
}

/// A UART, with its SPI number counted from 0 (INTID 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serial {
    Pl011 {
        base: u64,
        spi: u32,
        clock_hz: u32,
    },
    /// The part of a PL011 that the SBSA asks for; its speed is the firmware's affair.
    SbsaUart {
        base: u64,
        spi: u32,
        baud: u32,
    },
}

/// `/chosen`; stdout-path is the serial port, where there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The kernel's command line.
    pub bootargs: Option<String>,
    /// Where the initrd will be in memory, in bytes.
    pub initrd: Option<Range>,
}

/// Hyper-V's VMBus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmBus {
    /// Address space that devices on the bus may use; at least one range.
    pub mmio: Vec<Range>,
    pub interrupt: VmBusInterrupt,
}

/// What the host signals a message with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmBusInterrupt {
    /// arm64: a PPI, counted from 0, on its rising edge.
    Ppi(u32),
    /// x86: a vector of the local APIC.
    Vector(u32),
}
