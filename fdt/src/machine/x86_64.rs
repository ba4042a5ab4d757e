//! The tree of an x86_64 machine without ACPI.

use super::dialect::{CpuStatus, VmBusTrigger};
use super::nodes::{
    INTERRUPT_CONTROLLER, chosen, hypervisor, memory, memory_reservations, on_numa_node, reserved_memory,
    root,
};
use super::{Cpu, Dialect, Machine, X86_64, openhcl, serial, vmbus};
use crate::tree::{Node, Range, Tree, X86_SIZE_MAX_BYTES};

pub(super) fn tree(machine: &Machine, platform: &X86_64, dialect: &Dialect) -> Tree {
    let has_controller = matches!(dialect.vmbus_interrupt, VmBusTrigger::Everywhere { .. });
    let root = root(machine, dialect)
        .children(dialect.chosen_on_x86.then(|| chosen(machine, None)))
        .children(hypervisor(machine, dialect))
        .child(cpus(&machine.cpus, dialect))
        .children(memory(machine, dialect))
        .children(reserved_memory(&machine.reserved, platform.wakeup_mailbox))
        .children(has_controller.then(|| local_apic(platform.local_apic_base)))
        .children(vmbus::bus(machine, dialect))
        .children(dialect.port_bus.then(|| serial::port_bus(machine.serial.as_ref())).flatten())
        .children(openhcl::openhcl(machine, dialect));
    Tree {
        memory_reservations: memory_reservations(&machine.memory_reservations),
        boot_cpu: machine.cpus.first().and_then(|cpu| cpu.id.try_into().ok()).unwrap_or_default(),
        size_max_bytes: X86_SIZE_MAX_BYTES,
        root,
    }
}

/// cpus.yaml. Without cpu nodes the kernel (arch/x86/kernel/devicetree.c, dtb_cpu_setup) knows of no CPU at all.
fn cpus(cpus: &[Cpu], dialect: &Dialect) -> Node {
    let children = cpus.iter().enumerate().map(|(index, described)| cpu(index, described, dialect));
    Node::new("cpus").cell_counts(1, 0).children(children)
}

/// cpu.yaml; `reg` is the local APIC id (x86/ce4100.txt).
fn cpu(index: usize, cpu: &Cpu, dialect: &Dialect) -> Node {
    let node = Node::at("cpu", cpu.id)
        .about(format!("cpu-list.{index}"), cpu.comment.clone())
        .string("device_type", "cpu")
        .reg([Range::new(cpu.id, 0)]);
    let node = match dialect.cpu_status {
        CpuStatus::Absent => node,
        CpuStatus::Okay | CpuStatus::SecondaryDisabled => node.string("status", "okay"),
    };
    on_numa_node(node, cpu.numa_node, dialect)
}

/// interrupt-controller.yaml. What the interrupts of VMBus refer to, and nothing more: the kernel finds the local APIC
/// by itself. There is no `compatible`, because the only binding for one (intel,ce4100-lapic.yaml) forbids the
/// `#address-cells` that dtc up to 1.6 asks of every interrupt controller.
fn local_apic(base: u64) -> Node {
    const REGISTERS_SIZE: u64 = 0x1000;
    Node::at("interrupt-controller", base)
        .about("local-apic".to_owned(), None)
        .label(INTERRUPT_CONTROLLER)
        .reg([Range::new(base, REGISTERS_SIZE)])
        .flag("interrupt-controller")
        .u32("#address-cells", 0)
        // Vector, trigger (dt-bindings/interrupt-controller/irq.h)
        .u32("#interrupt-cells", 2)
        // "Operational, but should not be used" (Devicetree Specification 2.3.4): architecture code drives it, and no
        // driver ever binds to it. Were it "okay", fw_devlink would have VMBus wait for that driver, and the VMBus
        // module gives up if its device is not probed at once (drivers/hv/vmbus_drv.c, hv_acpi_init).
        .string("status", "reserved")
}
