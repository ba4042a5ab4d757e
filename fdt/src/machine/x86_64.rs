//! The tree of an x86_64 machine without ACPI.

use super::nodes::{INTERRUPT_CONTROLLER, bus, memory, root};
use super::{Dialect, Machine, X86_64};
use crate::tree::{Node, Range, Tree, X86_SIZE_MAX_BYTES};

pub(super) fn tree(machine: &Machine, platform: &X86_64, dialect: &Dialect) -> Tree {
    let root = root(machine)
        .child(cpus(&platform.apic_ids))
        .children(machine.memory.iter().map(memory))
        .child(local_apic(platform.local_apic_base))
        .children(machine.vmbus.iter().map(|vmbus| bus(vmbus, dialect)));
    Tree {
        memory_reservations: machine.memory_reservations.clone(),
        boot_cpu: platform.apic_ids.first().copied().unwrap_or_default(),
        size_max_bytes: X86_SIZE_MAX_BYTES,
        root,
    }
}

/// cpus.yaml. Without cpu nodes the kernel (arch/x86/kernel/devicetree.c, dtb_cpu_setup) knows of no CPU at all.
fn cpus(apic_ids: &[u32]) -> Node {
    Node::new("cpus").cell_counts(1, 0).children(apic_ids.iter().copied().map(cpu))
}

/// cpu.yaml; `reg` is the local APIC id (x86/ce4100.txt).
fn cpu(apic_id: u32) -> Node {
    Node::at("cpu", apic_id.into()).string("device_type", "cpu").reg([Range::new(apic_id.into(), 0)])
}

/// interrupt-controller.yaml. What the interrupts of VMBus refer to, and nothing more: the kernel finds the local APIC
/// by itself. There is no `compatible`, because the only binding for one (intel,ce4100-lapic.yaml) forbids the
/// `#address-cells` that dtc up to 1.6 asks of every interrupt controller.
fn local_apic(base: u64) -> Node {
    const REGISTERS_SIZE: u64 = 0x1000;
    Node::at("interrupt-controller", base)
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
