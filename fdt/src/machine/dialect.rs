//! Where the readers of a tree differ about the same machine, as data, each difference with its reason. Another
//! dialect is another constant here, and another field where it needs one.
//!
//! `openhcl` and `openhcl-host` follow OpenVMM's openhcl_boot (dt.rs) and host_fdt_parser. Names of nodes are ours
//! where their readers don't look at them: theirs number CPUs in decimal from 1, which no unit address may.

use super::nodes::{IRQ_TYPE_EDGE_FALLING, IRQ_TYPE_EDGE_RISING, IRQ_TYPE_LEVEL_HIGH, IRQ_TYPE_LEVEL_LOW};

/// What a family of readers expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// As one writes it in a profile.
    pub name: &'static str,
    /// `compatible` of the root in place of the machine's own.
    pub root_compatible: Option<&'static str>,
    /// `model` of the root in place of the machine's own.
    pub root_model: Option<&'static str>,
    /// `/hypervisor`.
    pub hypervisor: bool,
    /// `compatible` of aarch64 CPUs in place of the machine's own.
    pub cpu_compatible: Option<&'static str>,
    pub cpu_status: CpuStatus,
    /// `numa-node-id` on every CPU and memory node, 0 where the machine says nothing.
    pub numa_always: bool,
    pub psci: Psci,
    /// The GIC's node name, and whether it counts addresses of children that it may not have.
    pub gic_name: &'static str,
    pub gic_counts: bool,
    pub timer: Timer,
    /// `#size-cells` of the VMBus node.
    pub vmbus_size_cells: u32,
    /// `microsoft,vtl` and `microsoft,message-connection-id` of the VMBus node.
    pub vmbus_identity: bool,
    pub vmbus_interrupt: VmBusTrigger,
    /// Memory of the trust level below, and its VMBus, stand beside the kernel's own.
    pub levels_together: bool,
    /// `microsoft,igvm-type` of memory nodes.
    pub igvm_type: bool,
    pub openhcl: OpenHclNode,
    /// `/chosen` on x86_64, with the command line.
    pub chosen_on_x86: bool,
    /// I/O ports of x86_64 are a bus with the serial port on it.
    pub port_bus: bool,
}

/// `status` of cpu nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuStatus {
    /// None: what says nothing is there to be used (Devicetree Specification 2.3.4).
    Absent,
    Okay,
    /// aarch64: "okay" for the boot CPU, "disabled" for those that PSCI starts; x86_64: "okay".
    SecondaryDisabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Psci {
    /// `arm,psci-1.0`, whose functions have fixed numbers.
    Standard,
    /// `arm,psci-0.2` with numbers of functions for those who still read them.
    WithFunctions,
    /// Left out: whoever reads this tree writes another for the kernel.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// All timers that the machine has, `interrupts` with this trigger.
    All {
        trigger: u32,
    },
    /// The virtual one alone.
    Virtual {
        trigger: u32,
    },
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmBusTrigger {
    /// `interrupts` on every architecture.
    Everywhere {
        trigger: u32,
    },
    /// On aarch64 alone; x86_64 has no interrupt controller node then.
    Aarch64 {
        trigger: u32,
    },
    Absent,
}

/// How much of `/openhcl` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenHclNode {
    Absent,
    /// Isolation, allocation, and the whole memory map by owner.
    Full,
    /// What the host asks for: allocation.
    Allocation,
}

/// Linux as released; what its bindings say, and nothing else.
pub const MAINLINE: Dialect = Dialect {
    name: "mainline",
    root_compatible: None,
    root_model: None,
    // No binding knows the node, and the kernel asks the hypervisor itself (CPUID, SMCCC).
    hypervisor: false,
    cpu_compatible: None,
    // arm/cpus.yaml has no `status`; a CPU that is "disabled" needs an enable-method to be used at all.
    cpu_status: CpuStatus::Absent,
    numa_always: false,
    psci: Psci::Standard,
    // interrupt-controller.yaml asks for this name.
    gic_name: "interrupt-controller",
    gic_counts: false,
    // timer/arm,arch_timer.yaml: at least two of them.
    timer: Timer::All { trigger: IRQ_TYPE_LEVEL_HIGH },
    // bus/microsoft,vmbus.yaml: `#size-cells: const: 1`, so a window of 4 GiB or more has to be given in parts.
    vmbus_size_cells: 1,
    // bus/microsoft,vmbus.yaml: additionalProperties: false.
    vmbus_identity: false,
    // bus/microsoft,vmbus.yaml requires `interrupts`, though x86 doesn't read it.
    vmbus_interrupt: VmBusTrigger::Everywhere { trigger: IRQ_TYPE_EDGE_RISING },
    // The kernel takes every memory node for its own, and drives one VMBus only.
    levels_together: false,
    igvm_type: false,
    openhcl: OpenHclNode::Absent,
    chosen_on_x86: false,
    // The kernel finds the serial ports of a PC by itself; a node would claim them a second time.
    port_bus: false,
};

/// What OpenHCL's boot shim hands to its kernel and, through /proc/device-tree, to its user space.
pub const OPENHCL: Dialect = Dialect {
    name: "openhcl",
    // User space recognises the tree by it.
    root_compatible: Some("microsoft,openvmm"),
    root_model: None,
    hypervisor: true,
    cpu_compatible: Some("arm,arm-v8"),
    cpu_status: CpuStatus::SecondaryDisabled,
    // User space requires it of every CPU and memory range.
    numa_always: true,
    psci: Psci::WithFunctions,
    gic_name: "intc",
    gic_counts: true,
    // VTL2 of Hyper-V has no other timer.
    timer: Timer::Virtual { trigger: IRQ_TYPE_LEVEL_LOW },
    // Windows above 4 GiB in one piece.
    vmbus_size_cells: 2,
    // Its kernel drives the bus of VTL2 while user space serves that of VTL0: each is told by number.
    vmbus_identity: true,
    vmbus_interrupt: VmBusTrigger::Aarch64 { trigger: IRQ_TYPE_EDGE_FALLING },
    levels_together: false,
    igvm_type: false,
    openhcl: OpenHclNode::Full,
    chosen_on_x86: false,
    port_bus: false,
};

/// What the host hands to OpenHCL's boot shim, which makes the tree above of it.
pub const OPENHCL_HOST: Dialect = Dialect {
    name: "openhcl-host",
    root_model: Some("microsoft,hyperv"),
    hypervisor: false,
    // The shim counts the CPUs that are "okay", on aarch64 too.
    cpu_status: CpuStatus::Okay,
    psci: Psci::Absent,
    timer: Timer::Absent,
    vmbus_interrupt: VmBusTrigger::Absent,
    // The shim divides memory and buses among the levels.
    levels_together: true,
    igvm_type: true,
    openhcl: OpenHclNode::Allocation,
    // The shim reads the host's part of the command line there.
    chosen_on_x86: true,
    // The shim looks for COM3 there, to know whether VTL2 has a console.
    port_bus: true,
    ..OPENHCL
};

/// All of them, by name.
pub const ALL: [&Dialect; 3] = [&MAINLINE, &OPENHCL, &OPENHCL_HOST];
