//! What the multiboot loader tells (Multiboot 0.6.96, 3.3): memory.

use monitor_core::guest::{Memory, Region};

// Offsets of fields of the loader's structure.
const MAP_LENGTH: u64 = 44;
const MAP: u64 = 48;

/// Entries of the memory map; `information` is the physical address, below 4 GiB, of the loader's structure.
pub fn memory(information: u64) -> impl Iterator<Item = Memory> {
    let start = u64::from(word(information + MAP));
    let end = start + u64::from(word(information + MAP_LENGTH));
    let mut next = start;
    core::iter::from_fn(move || {
        if next + 20 > end {
            return None;
        }
        // The size in front doesn't count itself.
        let (entry, size) = (next + 4, word(next));
        next = entry + u64::from(size);
        let wide = |at: u64| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let region = Region { start: wide(entry), end: wide(entry) + wide(entry + 8) };
        Some(Memory { region, kind: word(entry + 16) })
    })
}

fn word(address: u64) -> u32 {
    // SAFETY: the loader's structures lie in RAM, which is mapped; they need not be aligned.
    unsafe { (address as *const u32).read_unaligned() }
}
