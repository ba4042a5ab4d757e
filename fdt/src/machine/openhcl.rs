//! `/openhcl`: no binding, only OpenHCL's own readers (openhcl_boot, bootloader_fdt_parser).

use super::{Dialect, Isolation, Machine, MemoryAllocation, OpenHcl, dialect::OpenHclNode};
use crate::tree::{Node, Range};

/// `openhcl,memory-type` (OpenVMM, loader_defs, MemoryVtlType).
const VTL0: u32 = 0;
const VTL2_RAM: u32 = 1;
const VTL0_MMIO: u32 = 5;
const VTL2_MMIO: u32 = 6;

pub(super) fn openhcl(machine: &Machine, dialect: &Dialect) -> Option<Node> {
    let openhcl = machine.openhcl.as_ref()?;
    let node = Node::new("openhcl").about("openhcl".to_owned(), None);
    match dialect.openhcl {
        OpenHclNode::Absent => None,
        OpenHclNode::Allocation => Some(allocation(node, openhcl)),
        OpenHclNode::Full => {
            let isolation = match openhcl.isolation {
                Isolation::None => "none",
                Isolation::Vbs => "vbs",
                Isolation::Snp => "snp",
                Isolation::Tdx => "tdx",
            };
            // Read as 64-bit numbers whatever the counts say; said so that everybody else reads the same.
            let node = node.cell_counts(2, 2).string("isolation-type", isolation);
            Some(allocation(node, openhcl).children(memory_map(machine)))
        }
    }
}

fn allocation(node: Node, openhcl: &OpenHcl) -> Node {
    match openhcl.allocation {
        MemoryAllocation::Host => node.string("memory-allocation-mode", "host"),
        MemoryAllocation::Vtl2 { memory_size, mmio_size } => {
            let node = node.string("memory-allocation-mode", "vtl2");
            let sizes = [("memory-size", memory_size), ("mmio-size", mmio_size)];
            sizes
                .into_iter()
                .filter_map(|(name, size)| Some((name, size?)))
                .fold(node, |node, (name, size)| node.u64(name, size))
        }
    }
}

/// All memory and all windows by owner, in ascending order.
fn memory_map(machine: &Machine) -> Vec<Node> {
    let mut entries: Vec<(Range, u32, Option<u32>, String)> = Vec::new();
    for (index, memory) in machine.memory.iter().enumerate() {
        let kind = if memory.below { VTL0 } else { VTL2_RAM };
        let numa_node = Some(memory.numa_node.unwrap_or(0));
        entries.push((memory.range, kind, numa_node, format!("memory-ranges.{index}")));
    }
    for (index, vmbus) in machine.vmbus.iter().enumerate() {
        let kind = if vmbus.vtl == 0 { VTL0_MMIO } else { VTL2_MMIO };
        entries.extend(vmbus.mmio.iter().map(|range| (*range, kind, None, format!("vmbus.{index}"))));
    }
    entries.sort();
    entries.into_iter().map(entry).collect()
}

fn entry((range, kind, numa_node, subject): (Range, u32, Option<u32>, String)) -> Node {
    let node = Node::at("memory", range.base)
        .about(subject, None)
        .string("device_type", "memory")
        .reg([range])
        .u32("openhcl,memory-type", kind);
    numa_node.map_or(node.clone(), |number| node.u32("numa-node-id", number))
}
