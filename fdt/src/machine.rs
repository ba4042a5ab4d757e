//! Machines in the words of those who build them, and the trees they get. One small function a node; the binding that
//! asks for a property stands beside it.
//!
//! A description is total: defaults are applied by whoever makes it, or by the ready machines in [`ready`].
//! What a reader of the tree wants differently is in [`dialect`], and nowhere else.
//! Bindings: Linux 7.3, Documentation/devicetree/bindings; common ones: dt-schema, dtschema/schemas.

mod aarch64;
pub mod dialect;
mod gic;
mod nodes;
mod openhcl;
pub mod ready;
mod serial;
mod vmbus;
mod x86_64;

pub use dialect::{Dialect, MAINLINE, OPENHCL, OPENHCL_HOST};
pub use ready::{
    hyperv_vtl2_aarch64, hyperv_vtl2_x86_64, qemu_microvm_x86_64, qemu_virt_aarch64, qemu_virt_el2_aarch64,
};

use crate::tree::{Range, Tree};

/// A machine as its kernel has to be told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `model` of the root node.
    pub model: String,
    /// `compatible` of the root node, most specific first.
    pub compatible: Vec<String>,
    /// Trust level of the kernel that the tree is for (TLFS, chapter "Virtual Secure Mode").
    pub vtl: u8,
    /// The boot CPU first.
    pub cpus: Vec<Cpu>,
    /// RAM, a `/memory` node each.
    pub memory: Vec<Memory>,
    /// `/memreserve/` entries: never touched, and no node speaks of them.
    pub memory_reservations: Vec<Reservation>,
    /// Children of `/reserved-memory`.
    pub reserved: Vec<Reserved>,
    pub platform: Platform,
    pub serial: Option<Serial>,
    /// Hyper-V's buses, one a trust level; none where there is no Hyper-V.
    pub vmbus: Vec<VmBus>,
    /// `compatible` of `/hypervisor`.
    pub hypervisor: Option<String>,
    pub chosen: Chosen,
    pub openhcl: Option<OpenHcl>,
}

impl Machine {
    /// The machine's tree. It is not checked here: emission does that, and `check` tells all that is wrong.
    /// Each node carries the key of its description ([`crate::Node::subject`]), such as `memory-ranges.0`.
    pub fn tree(&self, dialect: &Dialect) -> Tree {
        match &self.platform {
            Platform::X86_64(platform) => x86_64::tree(self, platform, dialect),
            Platform::Aarch64(platform) => aarch64::tree(self, platform, dialect),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// x86_64: local APIC id. aarch64: affinity fields of MPIDR_EL1 (bits 39:32 and 23:0).
    pub id: u64,
    pub numa_node: Option<u32>,
    /// For readers of the DTS; so in all types here.
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In bytes.
    pub range: Range,
    pub numa_node: Option<u32>,
    /// Whether it belongs to the trust level below: not RAM of the kernel that the tree is for.
    pub below: bool,
    pub comment: Option<String>,
}

impl Memory {
    /// RAM of this kernel, on no NUMA node.
    pub const fn new(range: Range) -> Memory {
        Memory { range, numa_node: None, below: false, comment: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// In bytes.
    pub range: Range,
    pub comment: Option<String>,
}

/// A child of `/reserved-memory` (reserved-memory.yaml).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Of the node, without the unit address.
    pub name: String,
    /// In bytes.
    pub range: Range,
    pub compatible: Option<String>,
    /// The kernel must not even map it.
    pub no_map: bool,
    pub comment: Option<String>,
}

/// What depends on the architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    X86_64(X86_64),
    Aarch64(Aarch64),
}

/// An x86_64 machine. For its own kernel it has no `/chosen`: command line and initrd travel in boot_params.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X86_64 {
    /// Physical address of the local APIC's page.
    pub local_apic_base: u64,
    /// Where TDX firmware listens for secondary CPUs to start (reserved-memory/intel,wakeup-mailbox.yaml): one page.
    pub wakeup_mailbox: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aarch64 {
    /// `compatible` of the CPUs, such as `arm,cortex-a72`; `arm,armv8` is for models without a product name.
    pub cpu_compatible: String,
    pub enable_method: EnableMethod,
    /// How PSCI firmware is called; None if there is none.
    pub psci: Option<PsciConduit>,
    pub gic: GicV3,
    pub timer: ArchTimer,
    /// PPI number of the performance monitors, counted from 0, where there are any.
    pub pmu_ppi: Option<u32>,
}

/// How secondary CPUs are started (arm/cpus.yaml).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnableMethod {
    Psci,
    /// They wait for an address to appear at this one.
    SpinTable {
        release_address: u64,
    },
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
    /// Interrupt translation services, for message-signalled interrupts.
    pub its: Vec<Range>,
    /// PPI of the maintenance interrupt, counted from 0, for kernels that run at EL2.
    pub maintenance_ppi: Option<u32>,
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
    /// EL2 virtual timer, with the virtualization host extensions.
    pub hypervisor_virtual: Option<u32>,
}

/// A UART; interrupts of aarch64 are SPI numbers counted from 0 (INTID 32).
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
    /// A 16550A in memory, on aarch64.
    Ns16550 {
        base: u64,
        spi: u32,
        clock_hz: u32,
        /// Registers are `1 << shift` bytes apart.
        register_shift: u32,
    },
    /// A 16550A at I/O ports, on x86_64.
    Ns16550Port {
        port: u16,
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

/// Hyper-V's VMBus, as one trust level sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmBus {
    /// Trust level whose bus it is: 0 or 2.
    pub vtl: u8,
    /// Address space that devices on the bus may use; at least one range.
    pub mmio: Vec<Range>,
    pub interrupt: VmBusInterrupt,
    /// Connection that messages to the host go to.
    pub connection_id: u32,
    pub comment: Option<String>,
}

/// What the host signals a message with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmBusInterrupt {
    /// arm64: a PPI, counted from 0.
    Ppi(u32),
    /// x86: a vector of the local APIC.
    Vector(u32),
}

/// `/openhcl`: what OpenHCL's user space is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHcl {
    pub isolation: Isolation,
    pub allocation: MemoryAllocation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    None,
    Vbs,
    Snp,
    Tdx,
}

/// Who chooses which memory is VTL2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAllocation {
    Host,
    /// VTL2 itself, this much, in bytes.
    Vtl2 {
        memory_size: Option<u64>,
        mmio_size: Option<u64>,
    },
}
