//! x86_64: what is finished in Linux's zero page at run time (Documentation/arch/x86/zero-page.rst): the memory map, the
//! command line and the device tree.

use crate::{Failure, Range, plan::PAGE_BYTES};

// Offsets.
const EXT_CMD_LINE_PTR: usize = 0xc8;
const E820_COUNT: usize = 0x1e8;
const CMD_LINE_PTR: usize = 0x228;
const SETUP_DATA: usize = 0x250;
const E820_TABLE: usize = 0x2d0;
const E820_MAX: usize = 128;
const E820_ENTRY_BYTES: usize = 20;
const E820_RAM: u32 = 1;

/// Header of a node of `setup_data`: next, type, length.
pub const NODE_BYTES: usize = 16;
const SETUP_DTB: u32 = 2;

pub fn finish(
    params: &mut [u8; PAGE_BYTES],
    memory: &[Range],
    command_line: u64,
    tree: u64,
) -> Result<(), Failure> {
    if memory.len() > E820_MAX {
        return Err(Failure::TooManyRanges);
    }
    let mut put = |at: usize, bytes: &[u8]| params[at..at + bytes.len()].copy_from_slice(bytes);
    for (number, range) in memory.iter().enumerate() {
        let at = E820_TABLE + number * E820_ENTRY_BYTES;
        put(at, &range.start.to_le_bytes());
        put(at + 8, &(range.end - range.start).to_le_bytes());
        put(at + 16, &E820_RAM.to_le_bytes());
    }
    put(E820_COUNT, &[memory.len() as u8]);
    put(CMD_LINE_PTR, &(command_line as u32).to_le_bytes());
    put(EXT_CMD_LINE_PTR, &((command_line >> 32) as u32).to_le_bytes());
    put(SETUP_DATA, &tree.to_le_bytes());
    Ok(())
}

/// The header in front of a device tree of this many bytes, the last node.
pub fn node(tree_bytes: usize) -> [u8; NODE_BYTES] {
    let mut node = [0; NODE_BYTES];
    node[8..12].copy_from_slice(&SETUP_DTB.to_le_bytes());
    node[12..].copy_from_slice(&(tree_bytes as u32).to_le_bytes());
    node
}
