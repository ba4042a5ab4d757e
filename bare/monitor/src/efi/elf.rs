//! The monitor's own file: an ELF program for one address, in one piece (System V ABI, chapters 4 and 5). Pure.

use crate::machine::{u16_at, u32_at, u64_at};

/// Where the monitor belongs and what goes there; behind it come zeros up to `memory_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    pub address: u64,
    pub content: &'a [u8],
    pub memory_bytes: u64,
    pub entry: u64,
}

const PROGRAM_HEADER_BYTES: usize = 56;
const LOAD: u32 = 1;

/// `None` for anything but a 64-bit little-endian program with one piece to load.
pub fn piece(file: &[u8]) -> Option<Piece<'_>> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let headers = usize::try_from(u64_at(file, 32)).ok()?;
    let mut pieces = (0..usize::from(u16_at(file, 56))).filter_map(|number| {
        let start = headers.checked_add(number * PROGRAM_HEADER_BYTES)?;
        file.get(start..start.checked_add(PROGRAM_HEADER_BYTES)?).filter(|header| u32_at(header, 0) == LOAD)
    });
    let (header, None) = (pieces.next()?, pieces.next()) else { return None };
    let (offset, length) =
        (usize::try_from(u64_at(header, 8)).ok()?, usize::try_from(u64_at(header, 32)).ok()?);
    let piece = Piece {
        address: u64_at(header, 24),
        content: file.get(offset..offset.checked_add(length)?)?,
        memory_bytes: u64_at(header, 40),
        entry: u64_at(file, 24),
    };
    (piece.memory_bytes >= length as u64).then_some(piece)
}
