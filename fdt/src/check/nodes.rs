//! A node against its parent: `reg`, `ranges` and the unit address (Devicetree Specification 2.2.1.1, 2.3.5 … 2.3.8).

use super::{Above, ProblemKind, Walk};
use crate::decode;
use crate::tree::{CellCounts, Node};

/// What is wrong with the length of a property that the cell counts rule; nothing for every other property.
pub(super) fn shape(
    name: &str,
    length: usize,
    parent: CellCounts,
    own: CellCounts,
    has_parent: bool,
) -> Option<ProblemKind> {
    if !has_parent {
        return None;
    }
    let cells = match name {
        "reg" => parent.address.checked_add(parent.size)?,
        "ranges" if length == 0 => return (own != parent).then_some(ProblemKind::RangesNotIdentity),
        "ranges" => own.address.checked_add(parent.address)?.checked_add(own.size)?,
        _ => return None,
    };
    let unit = usize::try_from(cells).ok()?.checked_mul(4)?;
    let fits = length > 0 && unit > 0 && length.is_multiple_of(unit);
    (!fits).then_some(ProblemKind::Length { length, unit })
}

impl<'a> Walk<'a> {
    /// Said once for a parent, though every child with an address asks for it.
    pub(super) fn counts(&mut self, node: &'a Node) {
        if node.children.iter().any(|child| child.get("reg").is_some()) {
            for name in ["#address-cells", "#size-cells"].into_iter().filter(|name| node.get(name).is_none())
            {
                self.report(None, ProblemKind::MissingCellCount { name });
            }
        }
    }

    /// The unit address is there exactly if the node has an address, and says the same.
    pub(super) fn address(&mut self, node: &'a Node, above: Above) {
        // Buses with addresses of another kind (PCI, USB) have unit addresses of another kind too.
        if above.counts.address > 2 {
            return;
        }
        match (node.unit_address(), first_address(node, above.counts)) {
            (Some(unit), Address::None) => {
                let unit = unit.to_owned();
                self.report(None, ProblemKind::MissingReg { unit });
            }
            (None, Address::Known(address)) => self.report(None, ProblemKind::MissingUnitAddress { address }),
            (Some(unit), Address::Known(address)) if unit != format!("{address:x}") => {
                let unit = unit.to_owned();
                self.report(None, ProblemKind::UnitAddressMismatch { unit, address });
            }
            (Some(_), Address::Known(_)) | (None, Address::None) | (_, Address::Malformed) => {}
        }
    }
}

enum Address {
    None,
    Known(u64),
    /// There is a value, but not of this form; its length is reported elsewhere.
    Malformed,
}

/// The address of the first `reg` entry, else where the first mapping of `ranges` is in the parent.
fn first_address(node: &Node, parent: CellCounts) -> Address {
    if node.get("reg").is_some() {
        let entries = decode::reg(node, parent).unwrap_or_default();
        return entries.first().map_or(Address::Malformed, |entry| Address::Known(entry.base));
    }
    match decode::ranges(node, parent) {
        Some(mappings) => mappings.first().map_or(Address::None, |mapping| Address::Known(mapping.parent)),
        None if node.get("ranges").is_some() => Address::Malformed,
        None => Address::None,
    }
}
