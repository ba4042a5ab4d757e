//! The host's memory map (IGVM specification, IGVM_VHS_MEMORY_MAP_ENTRY): entries of 24 bytes in ascending order, ended by
//! one without pages.

use crate::{Failure, Range, Ranges};

/// Pieces of memory that the kernel is told of.
pub const RANGES_MAX: usize = 64;

const ENTRY_BYTES: usize = 24;
const PAGE: u64 = 4096;

// Types.
const MEMORY: u16 = 0;
const VTL2_PROTECTABLE: u16 = 3;
const TYPE_MAX: u16 = 5;

/// Memory of this level: what VTL2 can protect, or all of it on a host that doesn't tell the two apart. Ranges that touch
/// are one.
pub fn own(map: &[u8]) -> Result<Ranges<RANGES_MAX>, Failure> {
    // Both are needed, as the first of one kind may come behind all of the other.
    let protectable = of_type(map, VTL2_PROTECTABLE)?;
    let own = if protectable.as_slice().is_empty() { of_type(map, MEMORY)? } else { protectable };
    match own.as_slice().is_empty() {
        true => Err(Failure::MemoryMap("there is no memory in it")),
        false => Ok(own),
    }
}

fn of_type(map: &[u8], wanted: u16) -> Result<Ranges<RANGES_MAX>, Failure> {
    let mut ranges: Ranges<RANGES_MAX> = Ranges::default();
    let mut before = 0;
    for entry in map.chunks_exact(ENTRY_BYTES) {
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| entry[at + byte]));
        let (page, pages) = (word(0), word(8));
        let kind = u16::from_le_bytes([entry[16], entry[17]]);
        if pages == 0 {
            return Ok(ranges);
        }
        let start = page.checked_mul(PAGE);
        let range = start.and_then(|start| Range::of(start, pages.checked_mul(PAGE)?));
        let range = range.ok_or(Failure::MemoryMap("an entry goes beyond all addresses"))?;
        if range.start < before {
            return Err(Failure::MemoryMap("entries overlap, or are not in order"));
        }
        if kind > TYPE_MAX {
            return Err(Failure::MemoryMap("an entry is of a type that isn't known"));
        }
        before = range.end;
        if kind != wanted {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range).ok_or(Failure::TooManyRanges)?,
        }
    }
    Err(Failure::MemoryMap("it has no end"))
}
