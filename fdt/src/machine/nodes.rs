//! Nodes that machines of every architecture have, and the names that nodes refer to each other by.

use super::{Dialect, Machine, VmBus, VmBusInterrupt};
use crate::tree::{Mapping, Node, Range};

/// The one interrupt controller of each machine.
pub(super) const INTERRUPT_CONTROLLER: &str = "intc";

/// dt-bindings/interrupt-controller/irq.h, arm-gic.h
pub(super) const IRQ_TYPE_EDGE_RISING: u32 = 1;
pub(super) const IRQ_TYPE_LEVEL_HIGH: u32 = 4;
pub(super) const GIC_SPI: u32 = 0;
pub(super) const GIC_PPI: u32 = 1;

/// root-node.yaml: compatible, model and both cell counts are required.
pub(super) fn root(machine: &Machine) -> Node {
    Node::new("")
        .strings("compatible", machine.compatible.iter().cloned())
        .string("model", machine.model.as_str())
        .cell_counts(2, 2)
}

/// memory.yaml
pub(super) fn memory(range: &Range) -> Node {
    Node::at("memory", range.base).string("device_type", "memory").reg([*range])
}

/// simple-bus.yaml: the kernel makes devices of a simple-bus' children. Its addresses are the root's, so its counts
/// are too.
pub(super) fn bus(vmbus: &VmBus, dialect: &Dialect) -> Node {
    Node::new("bus")
        .string("compatible", "simple-bus")
        .cell_counts(2, 2)
        .flag("ranges")
        .child(self::vmbus(vmbus, dialect))
}

/// bus/microsoft,vmbus.yaml: everything here but dma-coherent is required, and nothing else is allowed.
fn vmbus(vmbus: &VmBus, dialect: &Dialect) -> Node {
    let node = match vmbus.mmio.first() {
        Some(first) => Node::at("vmbus", first.base),
        None => Node::new("vmbus"),
    };
    let mappings: Vec<Mapping> = vmbus.mmio.iter().copied().map(Mapping::identity).collect();
    let node = node
        .string("compatible", "microsoft,vmbus")
        .cell_counts(2, dialect.vmbus_size_cells)
        .ranges(mappings)
        // The host sees the guest's memory through its caches.
        .flag("dma-coherent")
        .phandles("interrupt-parent", [INTERRUPT_CONTROLLER]);
    match vmbus.interrupt {
        // interrupt-controller/arm,gic-v3.yaml: type, number, flags
        VmBusInterrupt::Ppi(ppi) => node.cells("interrupts", [[GIC_PPI, ppi, IRQ_TYPE_EDGE_RISING]]),
        // drivers/hv/vmbus_drv.c doesn't read it where the vector is fixed (HYPERVISOR_CALLBACK_VECTOR); the binding
        // requires it all the same.
        VmBusInterrupt::Vector(vector) => node.cells("interrupts", [[vector, IRQ_TYPE_EDGE_RISING]]),
    }
}
