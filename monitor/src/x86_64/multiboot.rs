//! What the multiboot loader tells (Multiboot 0.6.96, 3.3): options, modules, memory.

use crate::memory::{Ram, Region};

/// The loader's structure, at a physical address below 4 GiB.
pub struct Information(u64);

// Offsets of fields, and of those of a module and of an entry of the memory map.
const COMMAND_LINE: u64 = 16;
const MODULES_COUNT: u64 = 20;
const MODULES: u64 = 24;
const MAP_LENGTH: u64 = 44;
const MAP: u64 = 48;
const MODULE_BYTES: u64 = 16;
const AVAILABLE: u32 = 1;

/// What the options say.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The Virtual Trust Level that the guest is told.
    pub vtl: u8,
    pub cpus: u32,
    /// The monitor's own guest runs in the kernel's place.
    pub is_self_test: bool,
}

/// An entry of the memory map.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub region: Region,
    /// 1 is RAM; the numbers are those of ACPI.
    pub kind: u32,
}

impl Information {
    pub fn at(address: u64) -> Information {
        Information(address)
    }

    fn word(&self, offset: u64) -> u32 {
        word(self.0 + offset)
    }

    /// `… vtl=2 cpus=4`; anything else is left alone.
    pub fn options(&self) -> Options {
        let mut options = Options { vtl: 2, cpus: 1, is_self_test: false };
        let mut buffer = [0; 256];
        let text = text(self.word(COMMAND_LINE).into(), &mut buffer);
        for option in text.split(' ') {
            match option.split_once('=') {
                Some(("vtl", value)) => options.vtl = value.parse().unwrap_or(2),
                Some(("cpus", value)) => options.cpus = value.parse().unwrap_or(1),
                None if option == "self-test" => options.is_self_test = true,
                _ => {}
            }
        }
        options
    }

    /// Start and end of module `number`.
    pub fn module(&self, number: u32) -> Option<Region> {
        if number >= self.word(MODULES_COUNT) {
            return None;
        }
        let entry = u64::from(self.word(MODULES)) + u64::from(number) * MODULE_BYTES;
        Some(Region { start: word(entry).into(), end: word(entry + 4).into() })
    }

    /// Entries of the memory map.
    pub fn memory(&self) -> impl Iterator<Item = Memory> {
        let start = u64::from(self.word(MAP));
        let end = start + u64::from(self.word(MAP_LENGTH));
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

    /// RAM without `reserved`.
    pub fn ram(&self, reserved: &[Region]) -> Ram {
        let mut ram = Ram::new();
        for memory in self.memory().filter(|memory| memory.kind == AVAILABLE) {
            let mut start = memory.region.start;
            // `reserved` is in order.
            let region = memory.region;
            for hole in reserved.iter().filter(|hole| hole.start < region.end && hole.end > region.start) {
                ram.add(start, hole.start);
                start = hole.end;
            }
            ram.add(start, memory.region.end);
        }
        ram
    }
}

/// The text at `address` up to its NUL, as much as there is room for.
fn text(address: u64, buffer: &mut [u8; 256]) -> &str {
    let mut length = 0;
    while length < buffer.len() {
        // SAFETY: the loader's text lies in RAM, which is mapped.
        let byte = unsafe { ((address + length as u64) as *const u8).read_volatile() };
        if byte == 0 {
            break;
        }
        buffer[length] = byte;
        length += 1;
    }
    core::str::from_utf8(&buffer[..length]).unwrap_or("")
}

fn word(address: u64) -> u32 {
    // SAFETY: the loader's structures lie in RAM, which is mapped; they need not be aligned.
    unsafe { (address as *const u32).read_unaligned() }
}
