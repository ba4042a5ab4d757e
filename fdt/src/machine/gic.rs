//! The interrupt controller of aarch64 machines.

use super::nodes::{GIC_PPI, INTERRUPT_CONTROLLER, IRQ_TYPE_LEVEL_HIGH};
use super::{Dialect, GicV3};
use crate::tree::{Node, Range};

/// interrupt-controller/arm,gic-v3.yaml: `reg` is the distributor, then the redistributor regions.
pub(super) fn gic(gic: &GicV3, dialect: &Dialect) -> Node {
    let mut frames = vec![gic.distributor];
    frames.extend(&gic.redistributors);
    let regions = u32::try_from(gic.redistributors.len()).unwrap_or(u32::MAX);
    let node = Node::at(dialect.gic_name, gic.distributor.base)
        .about("gic".to_owned(), None)
        .label(INTERRUPT_CONTROLLER)
        .string("compatible", "arm,gic-v3")
        .reg(frames)
        .flag("interrupt-controller");
    let node = match dialect.gic_counts || !gic.its.is_empty() {
        true => node.cell_counts(2, 2).flag("ranges"),
        // No child has an interrupt of its own; dtc up to 1.6 wants it said.
        false => node.u32("#address-cells", 0),
    };
    let node = node.u32("#interrupt-cells", 3).u32("#redistributor-regions", regions);
    let node = match gic.redistributor_stride {
        Some(stride) => node.u64("redistributor-stride", stride),
        None => node,
    };
    let node = match gic.maintenance_ppi {
        Some(ppi) => node.cells("interrupts", [[GIC_PPI, ppi, IRQ_TYPE_LEVEL_HIGH]]),
        None => node,
    };
    node.children(gic.its.iter().map(its))
}

/// interrupt-controller/arm,gic-v3.yaml, patternProperties.
fn its(range: &Range) -> Node {
    Node::at("msi-controller", range.base)
        .string("compatible", "arm,gic-v3-its")
        .reg([*range])
        .flag("msi-controller")
        .u32("#msi-cells", 1)
}
