//! Nodes that machines of every architecture have, and the names that nodes refer to each other by.

use super::{Dialect, Machine, Memory, Reservation, Reserved};
use crate::tree::{Node, Range, Reservation as TreeReservation};

/// The one interrupt controller of each machine.
pub(super) const INTERRUPT_CONTROLLER: &str = "intc";

/// dt-bindings/interrupt-controller/irq.h, arm-gic.h
pub(super) const IRQ_TYPE_EDGE_RISING: u32 = 1;
pub(super) const IRQ_TYPE_EDGE_FALLING: u32 = 2;
pub(super) const IRQ_TYPE_LEVEL_HIGH: u32 = 4;
pub(super) const IRQ_TYPE_LEVEL_LOW: u32 = 8;
pub(super) const GIC_SPI: u32 = 0;
pub(super) const GIC_PPI: u32 = 1;

/// What the host tells memory of an IGVM file's partition by (IGVM specification, MemoryMapEntryType).
const IGVM_MEMORY: u32 = 0;
const IGVM_VTL2_PROTECTABLE: u32 = 3;

/// root-node.yaml: compatible, model and both cell counts are required.
pub(super) fn root(machine: &Machine, dialect: &Dialect) -> Node {
    let own = || machine.compatible.clone();
    let compatible = dialect.root_compatible.map_or_else(own, |name| vec![name.to_owned()]);
    Node::new("")
        .strings("compatible", compatible)
        .string("model", dialect.root_model.unwrap_or(&machine.model))
        .cell_counts(2, 2)
}

/// numa.txt: both kinds of nodes say where they are by one number.
pub(super) fn on_numa_node(node: Node, numa_node: Option<u32>, dialect: &Dialect) -> Node {
    match numa_node.or(dialect.numa_always.then_some(0)) {
        Some(number) => node.u32("numa-node-id", number),
        None => node,
    }
}

/// memory.yaml. Memory of the level below is none of the kernel's.
pub(super) fn memory(machine: &Machine, dialect: &Dialect) -> Vec<Node> {
    let all = machine.memory.iter().enumerate();
    let seen = all.filter(|(_, memory)| dialect.levels_together || !memory.below);
    seen.map(|(index, memory)| memory_node(index, memory, dialect)).collect()
}

fn memory_node(index: usize, memory: &Memory, dialect: &Dialect) -> Node {
    let node = Node::at("memory", memory.range.base)
        .about(format!("memory-ranges.{index}"), memory.comment.clone())
        .string("device_type", "memory")
        .reg([memory.range]);
    let node = on_numa_node(node, memory.numa_node, dialect);
    match (dialect.igvm_type, memory.below) {
        (false, _) => node,
        (true, true) => node.u32("microsoft,igvm-type", IGVM_MEMORY),
        (true, false) => node.u32("microsoft,igvm-type", IGVM_VTL2_PROTECTABLE),
    }
}

pub(super) fn memory_reservations(reservations: &[Reservation]) -> Vec<TreeReservation> {
    let entry = |(index, reservation): (usize, &Reservation)| TreeReservation {
        range: reservation.range,
        subject: Some(format!("memreserve.{index}")),
        comment: reservation.comment.clone(),
    };
    reservations.iter().enumerate().map(entry).collect()
}

/// reserved-memory.yaml: both counts are the root's, and `ranges` is empty.
pub(super) fn reserved_memory(reserved: &[Reserved], mailbox: Option<u64>) -> Option<Node> {
    /// reserved-memory/intel,wakeup-mailbox.yaml: what the ACPI specification gives it.
    const MAILBOX_SIZE: u64 = 0x1000;
    let mailbox = mailbox.map(|base| {
        Node::at("wakeup-mailbox", base)
            .about("wakeup-mailbox".to_owned(), None)
            .string("compatible", "intel,wakeup-mailbox")
            .reg([Range::new(base, MAILBOX_SIZE)])
    });
    let children: Vec<Node> = reserved.iter().enumerate().map(reserved_node).chain(mailbox).collect();
    let node = Node::new("reserved-memory").cell_counts(2, 2).flag("ranges");
    (!children.is_empty()).then(|| node.children(children))
}

fn reserved_node((index, reserved): (usize, &Reserved)) -> Node {
    let node = Node::at(&reserved.name, reserved.range.base)
        .about(format!("reserved.{index}"), reserved.comment.clone());
    let node = match &reserved.compatible {
        Some(compatible) => node.string("compatible", compatible.as_str()),
        None => node,
    };
    let node = node.reg([reserved.range]);
    if reserved.no_map { node.flag("no-map") } else { node }
}

pub(super) fn hypervisor(machine: &Machine, dialect: &Dialect) -> Option<Node> {
    let compatible = machine.hypervisor.as_ref().filter(|_| dialect.hypervisor)?;
    let node = Node::new("hypervisor").about("hypervisor".to_owned(), None);
    Some(node.string("compatible", compatible.as_str()))
}

/// chosen.yaml
pub(super) fn chosen(machine: &Machine, stdout: Option<&Node>) -> Node {
    let chosen = &machine.chosen;
    let mut node = Node::new("chosen").about("chosen".to_owned(), None);
    if let Some(serial) = stdout {
        node = node.string("stdout-path", format!("/{}", serial.name));
    }
    if let Some(bootargs) = &chosen.bootargs {
        node = node.string("bootargs", bootargs.as_str());
    }
    if let Some(initrd) = chosen.initrd {
        // No RAM ends beyond 64 bits, so the kernel refuses an initrd that would.
        node = node
            .u64("linux,initrd-start", initrd.base)
            .u64("linux,initrd-end", initrd.end().unwrap_or(u64::MAX));
    }
    node
}
