//! Values to big-endian bytes, given the cell counts that rule them. Neither names nor structure: that is emission.

use crate::check::ProblemKind;
use crate::phandles::Phandles;
use crate::tree::{Cell, CellCounts, Mapping, Range, Value};

/// Linux takes no more than four cells an address (`OF_MAX_ADDR_CELLS`).
pub(crate) const CELL_COUNT_MAX: u32 = 4;

/// What a value's encoding depends on beside itself.
pub(crate) struct Context<'a> {
    /// Counts of the parent, which rule `reg`.
    pub parent: CellCounts,
    /// Counts of the node, which rule the child side of `ranges`.
    pub own: CellCounts,
    pub phandles: &'a Phandles<'a>,
}

/// The bytes of a value, or the first reason why it has none.
pub(crate) fn bytes(value: &Value, context: &Context) -> Result<Vec<u8>, ProblemKind> {
    let words = match value {
        Value::Empty => return Ok(Vec::new()),
        Value::U64(number) => return Ok(number.to_be_bytes().to_vec()),
        Value::Bytes(bytes) => return Ok(bytes.clone()),
        Value::Strings(strings) => return string_bytes(strings),
        Value::Cells(rows) => {
            let cells = rows.iter().flatten();
            cells.map(|cell| resolve(cell, context.phandles)).collect::<Result<Vec<_>, _>>()?
        }
        Value::Reg(entries) => reg_rows(entries, context.parent)?.concat(),
        Value::Ranges(mappings) => ranges_rows(mappings, context.own, context.parent)?.concat(),
    };
    Ok(words.iter().flat_map(|word| word.to_be_bytes()).collect())
}

/// `reg` as cells, one row an entry.
pub(crate) fn reg_rows(entries: &[Range], parent: CellCounts) -> Result<Vec<Vec<u32>>, ProblemKind> {
    let row = |entry: &Range| row([(entry.base, parent.address), (entry.size, parent.size)]);
    entries.iter().map(row).collect()
}

/// `ranges` as cells, one row a mapping.
pub(crate) fn ranges_rows(
    mappings: &[Mapping],
    own: CellCounts,
    parent: CellCounts,
) -> Result<Vec<Vec<u32>>, ProblemKind> {
    let row = |mapping: &Mapping| {
        row([(mapping.child, own.address), (mapping.parent, parent.address), (mapping.size, own.size)])
    };
    mappings.iter().map(row).collect()
}

fn row<const N: usize>(numbers: [(u64, u32); N]) -> Result<Vec<u32>, ProblemKind> {
    let mut cells = Vec::with_capacity(2 * N);
    for (number, count) in numbers {
        let (high, low) = ((number >> 32) as u32, number as u32);
        match count {
            0 if number == 0 => {}
            1 if high == 0 => cells.push(low),
            0 | 1 => return Err(ProblemKind::DoesNotFit { number, cells: count }),
            2..=CELL_COUNT_MAX => {
                cells.extend((2..count).map(|_| 0));
                cells.extend([high, low]);
            }
            _ => return Err(ProblemKind::CellCount { count }),
        }
    }
    Ok(cells)
}

fn resolve(cell: &Cell, phandles: &Phandles) -> Result<u32, ProblemKind> {
    match cell {
        Cell::U32(number) => Ok(*number),
        Cell::Phandle(label) => {
            phandles.get(label).ok_or_else(|| ProblemKind::DanglingReference { label: label.clone() })
        }
    }
}

fn string_bytes(strings: &[String]) -> Result<Vec<u8>, ProblemKind> {
    let mut bytes = Vec::new();
    for string in strings {
        if string.contains('\0') {
            return Err(ProblemKind::NulInString);
        }
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
    }
    Ok(bytes)
}
