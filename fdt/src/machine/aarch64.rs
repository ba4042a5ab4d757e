//! The tree of an aarch64 machine without ACPI.

use super::dialect::{CpuStatus, Psci, Timer};
use super::nodes::{
    GIC_PPI, INTERRUPT_CONTROLLER, IRQ_TYPE_LEVEL_HIGH, chosen, hypervisor, memory, memory_reservations,
    on_numa_node, reserved_memory, root,
};
use super::{
    Aarch64, ArchTimer, Cpu, Dialect, EnableMethod, Machine, PsciConduit, gic, openhcl, serial, vmbus,
};
use crate::tree::{ARM64_SIZE_MAX_BYTES, Node, Range, Tree};

pub(super) fn tree(machine: &Machine, platform: &Aarch64, dialect: &Dialect) -> Tree {
    let serial = machine.serial.as_ref().map(serial::memory_mapped).unwrap_or_default();
    let root = root(machine, dialect)
        // Every device's interrupts arrive here.
        .phandles("interrupt-parent", [INTERRUPT_CONTROLLER])
        .child(chosen(machine, serial.last()))
        .children(hypervisor(machine, dialect))
        .child(cpus(machine, platform, dialect))
        .children(memory(machine, dialect))
        .children(reserved_memory(&machine.reserved, None))
        .children(platform.psci.and_then(|conduit| psci(conduit, dialect)))
        .child(gic::gic(&platform.gic, dialect))
        .children(timer(&platform.timer, dialect))
        .children(platform.pmu_ppi.map(pmu))
        .children(serial)
        .children(vmbus::bus(machine, dialect))
        .children(openhcl::openhcl(machine, dialect));
    Tree {
        memory_reservations: memory_reservations(&machine.memory_reservations),
        // The kernel takes the boot CPU from MPIDR_EL1, not from the header, which has no room for Aff3.
        boot_cpu: 0,
        size_max_bytes: ARM64_SIZE_MAX_BYTES,
        root,
    }
}

/// cpus.yaml. arm/cpus.yaml: two cells hold every MPIDR, Aff3 in the first.
fn cpus(machine: &Machine, platform: &Aarch64, dialect: &Dialect) -> Node {
    let cpus = machine.cpus.iter().enumerate();
    Node::new("cpus")
        .cell_counts(2, 0)
        .children(cpus.map(|(index, described)| cpu(index, described, platform, dialect)))
}

/// arm/cpus.yaml: compatible, device_type and reg are required; enable-method is on 64-bit systems.
fn cpu(index: usize, cpu: &Cpu, platform: &Aarch64, dialect: &Dialect) -> Node {
    let node = Node::at("cpu", cpu.id)
        .about(format!("cpu-list.{index}"), cpu.comment.clone())
        .string("device_type", "cpu")
        .string("compatible", dialect.cpu_compatible.unwrap_or(&platform.cpu_compatible))
        .reg([Range::new(cpu.id, 0)]);
    let node = match platform.enable_method {
        EnableMethod::Psci => node.string("enable-method", "psci"),
        EnableMethod::SpinTable { release_address } => {
            node.string("enable-method", "spin-table").u64("cpu-release-addr", release_address)
        }
    };
    let node = match (dialect.cpu_status, index) {
        (CpuStatus::Absent, _) => node,
        (CpuStatus::Okay, _) | (CpuStatus::SecondaryDisabled, 0) => node.string("status", "okay"),
        (CpuStatus::SecondaryDisabled, _) => node.string("status", "disabled"),
    };
    on_numa_node(node, cpu.numa_node, dialect)
}

/// arm/psci.yaml
fn psci(conduit: PsciConduit, dialect: &Dialect) -> Option<Node> {
    let method = match conduit {
        PsciConduit::Hvc => "hvc",
        PsciConduit::Smc => "smc",
    };
    let node = Node::new("psci").about("psci".to_owned(), None);
    match dialect.psci {
        Psci::Absent => None,
        Psci::Standard => {
            Some(node.strings("compatible", ["arm,psci-1.0", "arm,psci-0.2"]).string("method", method))
        }
        Psci::WithFunctions => Some(
            node.string("compatible", "arm,psci-0.2")
                .string("method", method)
                .u32("cpu_off", 1)
                .u32("cpu_on", 2),
        ),
    }
}

/// timer/arm,arch_timer.yaml: names say which are there; the order is that of the binding.
fn timer(timer: &ArchTimer, dialect: &Dialect) -> Option<Node> {
    let all = [
        ("sec-phys", timer.secure_physical),
        ("phys", Some(timer.physical)),
        ("virt", Some(timer.virtual_)),
        ("hyp-phys", timer.hypervisor_physical),
        ("hyp-virt", timer.hypervisor_virtual),
    ];
    let (chosen, trigger) = match dialect.timer {
        Timer::All { trigger } => (&all[..], trigger),
        Timer::Virtual { trigger } => (&all[2..3], trigger),
        Timer::Absent => return None,
    };
    let present = chosen.iter().filter_map(|(name, ppi)| Some((*name, (*ppi)?)));
    let (names, ppis): (Vec<&str>, Vec<u32>) = present.unzip();
    let node = Node::new("timer")
        .about("timer".to_owned(), None)
        .string("compatible", "arm,armv8-timer")
        .cells("interrupts", ppis.into_iter().map(|ppi| [GIC_PPI, ppi, trigger]))
        .strings("interrupt-names", names)
        // A virtual machine's timers don't lose power.
        .flag("always-on");
    Some(node)
}

/// arm/pmu.yaml; "arm,armv8-pmuv3" is for what emulates no CPU in particular.
fn pmu(ppi: u32) -> Node {
    Node::new("pmu")
        .about("pmu".to_owned(), None)
        .string("compatible", "arm,armv8-pmuv3")
        .cells("interrupts", [[GIC_PPI, ppi, IRQ_TYPE_LEVEL_HIGH]])
}
