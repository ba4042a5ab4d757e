//! `reg` and `ranges` as numbers again, however they were written. Only these two: other values keep their own type.

use crate::encode::{self, Context};
use crate::phandles::Phandles;
use crate::tree::{CellCounts, Mapping, Node, Range, Value};

/// The entries of `reg`; None if there is none, or if it is not made of whole entries of at most 64 bits a number.
pub(crate) fn reg(node: &Node, parent: CellCounts) -> Option<Vec<Range>> {
    let value = node.get("reg")?;
    if let Value::Reg(entries) = value {
        return Some(entries.clone());
    }
    let rows = rows(&plain_bytes(value)?, [parent.address, parent.size])?;
    Some(rows.into_iter().map(|[base, size]| Range { base, size }).collect())
}

/// The mappings of `ranges`, none for an empty one; None as in [`reg`].
pub(crate) fn ranges(node: &Node, parent: CellCounts) -> Option<Vec<Mapping>> {
    let value = node.get("ranges")?;
    if let Value::Ranges(mappings) = value {
        return Some(mappings.clone());
    }
    let own = node.counts();
    let rows = rows(&plain_bytes(value)?, [own.address, parent.address, own.size])?;
    let mapping = |[child, parent, size]: [u64; 3]| Mapping { child, parent, size };
    Some(rows.into_iter().map(mapping).collect())
}

/// The bytes of a value that depends on nothing but itself.
fn plain_bytes(value: &Value) -> Option<Vec<u8>> {
    let none = CellCounts { address: 0, size: 0 };
    let context = Context { parent: none, own: none, phandles: &Phandles::default() };
    encode::bytes(value, &context).ok()
}

fn rows<const N: usize>(bytes: &[u8], counts: [u32; N]) -> Option<Vec<[u64; N]>> {
    let widths = counts.map(|count| count.min(encode::CELL_COUNT_MAX) as usize * 4);
    let row_width: usize = widths.iter().sum();
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    if row_width == 0 || !bytes.len().is_multiple_of(row_width) {
        return None;
    }
    let mut rows = Vec::with_capacity(bytes.len() / row_width);
    for mut rest in bytes.chunks_exact(row_width) {
        let mut row = [0; N];
        for (number, width) in row.iter_mut().zip(widths) {
            let (digits, behind) = rest.split_at(width);
            rest = behind;
            // Buses with three address cells keep flags in the first: no number of ours.
            let (flags, digits) = digits.split_at(width.saturating_sub(8));
            if flags.iter().any(|byte| *byte != 0) {
                return None;
            }
            *number = digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
        rows.push(row);
    }
    Some(rows)
}
