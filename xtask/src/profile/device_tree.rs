//! What a person may write under `device-tree`: the machine that the tree describes. A ready machine comes first;
//! every other key changes something of it. What the machine is then, is made in [`describe`]; whether it can be, is
//! told by [`check`](mod@check).

mod check;
mod describe;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use check::check;
pub use describe::{describe, own_memory};

use super::scalar::{Address, ByteSize, Compatible, NodeName};

/// The machine that the device tree describes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceTree {
    /// A ready machine, whose values the other keys replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Whose tree it is; without it `mainline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Number of processors; at most what the kernels are built for.
    #[schemars(range(min = 1, max = 2048))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// RAM, e.g. `512MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Deals processors and RAM out to this many NUMA nodes.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_nodes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of the root node, most specific first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible: Option<Vec<Compatible>>,
    /// Each processor by its id, in place of `cpus`; the boot processor first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_list: Option<Vec<Cpu>>,
    /// `compatible` of the processors (aarch64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_compatible: Option<Compatible>,
    /// How secondary processors are started (aarch64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_method: Option<EnableMethod>,
    /// Where secondary processors wait for an address, with `spin-table`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_address: Option<Address>,
    /// Each range of RAM, in place of `memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_ranges: Option<Vec<MemoryRange>>,
    /// `/memreserve/`: RAM that the kernel must not use, known to no node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memreserve: Option<Vec<Reservation>>,
    /// Children of `/reserved-memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Vec<Reserved>>,
    /// How PSCI firmware is called (aarch64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psci: Option<Psci>,
    /// Interrupt controller (aarch64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gic: Option<Gic>,
    /// Numbers of the timers' interrupts (aarch64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// PPI of the performance monitors (aarch64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pmu: Option<u32>,
    /// Where the local APIC is (x86_64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_apic: Option<Address>,
    /// Page in which TDX firmware listens for processors to start (x86_64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wakeup_mailbox: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// Hyper-V's buses, one a trust level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmbus: Option<Vec<VmBus>>,
    /// `compatible` of `/hypervisor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<Compatible>,
    /// What OpenHCL's user space is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openhcl: Option<OpenHcl>,
    /// Where the loader puts the initrd (aarch64; loaders fill it in as a rule).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd: Option<AddressRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    /// What a Hyper-V host offers VTL2.
    HypervVtl2,
    /// QEMU's `virt` machine (aarch64).
    QemuVirt,
    /// QEMU's `virt` machine with `virtualization=on`: the kernel begins at EL2 (aarch64).
    QemuVirtEl2,
    /// QEMU's `microvm` machine without ACPI (x86_64).
    QemuMicrovm,
}

/// Whose tree it is: which properties its readers want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Linux as released, by its bindings.
    Mainline,
    /// OpenHCL's kernel and user space.
    Openhcl,
    /// OpenHCL's boot shim: what the host gives it.
    OpenhclHost,
}

impl Dialect {
    /// What it means.
    pub fn data(self) -> &'static fdt::machine::Dialect {
        match self {
            Dialect::Mainline => &fdt::machine::MAINLINE,
            Dialect::Openhcl => &fdt::machine::OPENHCL,
            Dialect::OpenhclHost => &fdt::machine::OPENHCL_HOST,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cpu {
    /// x86_64: local APIC id. aarch64: affinity fields of MPIDR_EL1.
    pub id: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<u32>,
    /// For readers of platform.dts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MemoryRange {
    pub base: Address,
    pub size: ByteSize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<u32>,
    /// Whether it belongs to the trust level below: no RAM of this kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<bool>,
    /// For readers of platform.dts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reservation {
    pub base: Address,
    pub size: ByteSize,
    /// For readers of platform.dts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reserved {
    /// Of the node, without its address.
    pub name: NodeName,
    pub base: Address,
    pub size: ByteSize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible: Option<Compatible>,
    /// Whether the kernel must not even map it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_map: Option<bool>,
    /// For readers of platform.dts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Addresses from `base`, `size` bytes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AddressRange {
    pub base: Address,
    pub size: ByteSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnableMethod {
    Psci,
    /// They wait for an address to appear at `release-address`.
    SpinTable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Psci {
    /// A hypervisor answers.
    Hvc,
    /// Firmware answers.
    Smc,
    None,
}

/// A GICv3. A key that is left out keeps the ready machine's value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gic {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distributor: Option<AddressRange>,
    /// Regions with room for all processors together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redistributors: Option<Vec<AddressRange>>,
    /// Bytes from one processor's frames to the next one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<Address>,
    /// Interrupt translation services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub its: Option<Vec<AddressRange>>,
    /// PPI of the maintenance interrupt, for kernels at EL2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<u32>,
}

/// PPIs, counted from 0. A key that is left out keeps the ready machine's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Timer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_physical: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#virtual: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor_physical: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor_virtual: Option<u32>,
}

/// The first serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Serial {
    #[serde(rename = "type")]
    pub kind: SerialKind,
    /// Address of its registers; with `ns16550-port` the first I/O port.
    pub base: Address,
    /// SPI, counted from 0 (aarch64); without it 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupt: Option<u32>,
    /// What `pl011` and `ns16550` are fed with; without it 24000000 and 1843200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_hz: Option<u32>,
    /// Speed of `sbsa-uart` and `ns16550-port`; without it 115200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// Registers of `ns16550` are `1 << register-shift` bytes apart; without it 0.
    #[schemars(range(max = 4))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register_shift: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SerialKind {
    Pl011,
    /// The part of a PL011 that Arm's server base system architecture asks for.
    SbsaUart,
    /// A 16550A in memory (aarch64).
    Ns16550,
    /// A 16550A at I/O ports (x86_64).
    Ns16550Port,
}

/// Hyper-V's VMBus, as one trust level sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VmBus {
    /// 0 or 2.
    pub vtl: super::types::Vtl,
    /// Address space that devices on the bus may use.
    pub mmio: Vec<AddressRange>,
    /// aarch64: PPI, without it 2. x86_64: vector, without it 0xf3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupt: Option<u32>,
    /// Where messages to the host go; without it 0x800074 of VTL2, 4 of VTL0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<u32>,
    /// For readers of platform.dts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OpenHcl {
    pub isolation: Isolation,
    /// Who chooses which memory is VTL2's; without it `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_allocation: Option<MemoryAllocation>,
    /// How much VTL2 takes for itself, with `vtl2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_size: Option<ByteSize>,
    /// How much address space VTL2 takes for its devices, with `vtl2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmio_size: Option<ByteSize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    None,
    Vbs,
    Snp,
    Tdx,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryAllocation {
    Host,
    Vtl2,
}
