//! Hyper-V's bus under the simple-bus that the kernel makes devices from.

use super::nodes::{GIC_PPI, INTERRUPT_CONTROLLER};
use super::{Dialect, Machine, VmBus, VmBusInterrupt, dialect::VmBusTrigger};
use crate::tree::{Mapping, Node};

/// simple-bus.yaml: the kernel makes devices of a simple-bus' children. Its addresses are the root's, so its counts
/// are too. None for a machine without Hyper-V.
pub(super) fn bus(machine: &Machine, dialect: &Dialect) -> Option<Node> {
    let all = machine.vmbus.iter().enumerate();
    let seen = all.filter(|(_, vmbus)| dialect.levels_together || vmbus.vtl == machine.vtl);
    let children: Vec<Node> = seen.map(|(index, bus)| vmbus(index, bus, dialect)).collect();
    let node = Node::new("bus").string("compatible", "simple-bus").cell_counts(2, 2).flag("ranges");
    (!children.is_empty()).then(|| node.children(children))
}

/// bus/microsoft,vmbus.yaml: everything here but dma-coherent is required, and nothing else is allowed.
fn vmbus(index: usize, vmbus: &VmBus, dialect: &Dialect) -> Node {
    let name = match (dialect.levels_together, vmbus.vtl) {
        (false, _) => "vmbus".to_owned(),
        (true, vtl) => format!("vmbus-vtl{vtl}"),
    };
    let node = match vmbus.mmio.first() {
        Some(first) => Node::at(&name, first.base),
        None => Node::new(name),
    };
    let mappings: Vec<Mapping> = vmbus.mmio.iter().copied().map(Mapping::identity).collect();
    let node = node
        .about(format!("vmbus.{index}"), vmbus.comment.clone())
        .string("compatible", "microsoft,vmbus")
        .cell_counts(2, dialect.vmbus_size_cells)
        .ranges(mappings)
        // The host sees the guest's memory through its caches.
        .flag("dma-coherent");
    let node = match dialect.vmbus_identity {
        true => node
            .u32("microsoft,vtl", vmbus.vtl.into())
            .u32("microsoft,message-connection-id", vmbus.connection_id),
        false => node,
    };
    match (dialect.vmbus_interrupt, vmbus.interrupt) {
        // interrupt-controller/arm,gic-v3.yaml: type, number, flags
        (
            VmBusTrigger::Everywhere { trigger } | VmBusTrigger::Aarch64 { trigger },
            VmBusInterrupt::Ppi(ppi),
        ) => node
            .phandles("interrupt-parent", [INTERRUPT_CONTROLLER])
            .cells("interrupts", [[GIC_PPI, ppi, trigger]]),
        // drivers/hv/vmbus_drv.c doesn't read it where the vector is fixed (HYPERVISOR_CALLBACK_VECTOR); the binding
        // requires it all the same.
        (VmBusTrigger::Everywhere { trigger }, VmBusInterrupt::Vector(vector)) => {
            node.phandles("interrupt-parent", [INTERRUPT_CONTROLLER]).cells("interrupts", [[vector, trigger]])
        }
        (VmBusTrigger::Aarch64 { .. }, VmBusInterrupt::Vector(_)) | (VmBusTrigger::Absent, _) => node,
    }
}
