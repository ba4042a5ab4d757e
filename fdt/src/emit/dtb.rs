//! The flattened blob, version 17 (Devicetree Specification 5), written by vm-fdt.

use vm_fdt::{FdtReserveEntry, FdtWriter};

use crate::check::{Problems, check};
use crate::encode::{self, Context};
use crate::phandles::Phandles;
use crate::tree::{CellCounts, DEFAULT_CELL_COUNTS, Node, Tree};

#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    #[error(transparent)]
    Invalid(#[from] Problems),
    #[error("cannot write the device tree")]
    Write(#[from] vm_fdt::Error),
}

/// The blob of a tree without problems; equal trees have equal blobs.
///
/// # Errors
/// [`EmitError::Invalid`] with everything that [`check`] finds; [`EmitError::Write`] if vm-fdt knows of a rule that
/// the check doesn't.
pub fn to_dtb(tree: &Tree) -> Result<Vec<u8>, EmitError> {
    let problems = check(tree);
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    let phandles = Phandles::assign(&tree.root);
    let reservations = &tree.memory_reservations;
    let reservations: Vec<FdtReserveEntry> = reservations
        .iter()
        .map(|reservation| FdtReserveEntry::new(reservation.range.base, reservation.range.size))
        .collect::<Result<_, _>>()?;
    let mut writer = FdtWriter::new_with_mem_reserv(&reservations)?;
    writer.set_boot_cpuid_phys(tree.boot_cpu);
    write_node(&mut writer, &tree.root, DEFAULT_CELL_COUNTS, &phandles)?;
    Ok(writer.finish()?)
}

fn write_node(
    writer: &mut FdtWriter,
    node: &Node,
    parent: CellCounts,
    phandles: &Phandles,
) -> Result<(), EmitError> {
    let own = node.counts();
    let open = writer.begin_node(&node.name)?;
    let context = Context { parent, own, phandles };
    for property in &node.properties {
        let bytes = encode::bytes(&property.value, &context).expect("the check encodes every value");
        writer.property(&property.name, &bytes)?;
    }
    if let Some(phandle) = phandles.implicit(node) {
        writer.property_phandle(phandle)?;
    }
    for child in &node.children {
        write_node(writer, child, own, phandles)?;
    }
    Ok(writer.end_node(open)?)
}
