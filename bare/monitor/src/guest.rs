//! What the monitor is told of its guest: a page of little-endian words of 64 bits, the same on both architectures,
//! written by whoever put the guest's parts into memory.
//!
//! | word | |
//! |---|---|
//! | 0, 1 | "VTLFORGE", version |
//! | 2, 3 | trust level that the guest is told, processors |
//! | 4 | how the guest starts ([`Start`]): 0 self-test, 1 Linux, 2 state |
//! | 5, 6 | aarch64: PCI configuration space, window of PCI's I/O ports, for the report |
//! | 7 | physical address where the guest's address 0 lies; 0: its addresses are physical ones |
//! | 8-15 | Linux: start and end of kernel, initramfs, command line, device tree; equal where there is none |
//! | 16 | entries of the memory map; 0: that of the machine's own loader |
//! | 17- | memory map: start, end and kind each; the kinds are ACPI's, and 0x4c4f5745 for a level below the guest |
//! | 120 | where requests to the guest come in, while it idles: x86_64: port of a 16550; aarch64: device on PCI; 0: none do |
//! | 128- | x86_64: HV_INITIAL_VP_CONTEXT (TLFS 7.9.1), 28 words, then RBP, RSI, R8 to R12 |
//! | 128- | aarch64: PC, X0 to X7, CPSR, SCTLR, TCR, MAIR, VBAR, TTBR0, TTBR1, all of EL1 |

use crate::{
    hypercall::StartContext,
    machine::{u32_at, u64_at},
};

pub const PAGE_BYTES: usize = 4096;
/// "VTLFORGE"
pub const MAGIC: u64 = u64::from_le_bytes(*b"VTLFORGE");
pub const VERSION: u64 = 1;
/// Entries that the memory map can have.
pub const MEMORY_MAX: usize = 32;

/// A range of physical memory, end excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    pub start: u64,
    pub end: u64,
}

/// An entry of a memory map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub region: Region,
    /// 1 is RAM; the numbers are those of ACPI.
    pub kind: u32,
}

pub const AVAILABLE: u32 = 1;
/// Memory of the level below the guest: not the guest's, which isn't told of it.
pub const LOWER: u32 = 0x4c4f_5745;

/// Of the guest's address 0, where it isn't the physical one: translated in pieces of this size.
const ALIGNMENT: u64 = 2 << 20;

/// The page's content. Where it says nonsense, that is told; what lies outside of RAM is for who uses it to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The Virtual Trust Level that the guest is told.
    pub vtl: u8,
    pub cpus: u32,
    pub start: Start,
    pub report: Report,
    /// Where the guest's address 0 lies. Not 0: the guest's machine is the one that Hyper-V shows, whatever the real one.
    pub base: u64,
    /// Where requests come in; 0: nowhere.
    pub requests: u64,
    memory: [Memory; MEMORY_MAX],
    memory_count: usize,
}

/// Where the channel of the report is: aarch64 alone, x86-64 has its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub ecam: u64,
    pub ports: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one, and no heap to box it on")]
pub enum Start {
    /// The monitor's own guest runs in the kernel's place.
    SelfTest,
    /// By Linux's boot protocol.
    Linux(Linux),
    /// In this state; everything is where it belongs.
    State(State),
}

/// Parts of a Linux guest. On aarch64 they lie where they run; on x86_64 the monitor puts them in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linux {
    pub kernel: Region,
    pub initramfs: Region,
    pub command_line: Region,
    pub device_tree: Option<Region>,
}

/// The first processor's registers, of either architecture: who uses one knows which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub x86_64: StartContext,
    /// RBP, RSI, R8 to R12.
    pub x86_64_general: [u64; 7],
    pub aarch64: Aarch64State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aarch64State {
    pub pc: u64,
    pub x0_to_x7: [u64; 8],
    pub cpsr: u64,
    pub sctlr: u64,
    pub tcr: u64,
    pub mair: u64,
    pub vbar: u64,
    pub ttbr: [u64; 2],
}

// Numbers of words.
const PARTS: usize = 8;
const MEMORY: usize = 16;
const REQUESTS: usize = 120;
const STATE: usize = 128;
const CONTEXT_WORDS: usize = 28;

impl Guest {
    /// # Errors
    /// What is wrong with the page, for the report.
    pub fn parse(page: &[u8; PAGE_BYTES]) -> Result<Guest, &'static str> {
        let word = |number: usize| u64_at(page, number * 8);
        let region = |number: usize| Region { start: word(number), end: word(number + 1) };
        if word(0) != MAGIC {
            return Err("nobody described the guest");
        }
        if word(1) != VERSION {
            return Err("the guest is described in another version of the format");
        }
        let start = match word(4) {
            0 => Start::SelfTest,
            1 => {
                let device_tree = region(PARTS + 6);
                Start::Linux(Linux {
                    kernel: region(PARTS),
                    initramfs: region(PARTS + 2),
                    command_line: region(PARTS + 4),
                    device_tree: Some(device_tree).filter(|tree| tree.start != tree.end),
                })
            }
            2 => Start::State(state(page)),
            _ => return Err("the guest starts in a way that isn't known"),
        };
        let parts = (0..4).map(|part| region(PARTS + part * 2));
        if matches!(start, Start::Linux(_)) && parts.into_iter().any(|part| part.end < part.start) {
            return Err("a part of the guest ends before it starts");
        }
        let mut guest = Guest {
            vtl: word(2) as u8,
            cpus: word(3).min(u32::MAX.into()) as u32,
            start,
            report: Report { ecam: word(5), ports: word(6) },
            base: word(7),
            requests: word(REQUESTS),
            memory: [Memory::default(); MEMORY_MAX],
            memory_count: 0,
        };
        if !guest.base.is_multiple_of(ALIGNMENT) {
            return Err("the guest's memory does not begin at a multiple of 2 MiB");
        }
        let count = word(MEMORY);
        if count > MEMORY_MAX as u64 {
            return Err("the memory map has too many entries");
        }
        for number in 0..count as usize {
            let at = MEMORY + 1 + number * 3;
            guest.memory[number] = Memory { region: region(at), kind: u32_at(page, (at + 2) * 8) };
        }
        guest.memory_count = count as usize;
        Ok(guest)
    }

    /// The memory map; empty where the machine's own loader has it.
    pub fn memory(&self) -> &[Memory] {
        &self.memory[..self.memory_count]
    }
}

fn state(page: &[u8; PAGE_BYTES]) -> State {
    let word = |number: usize| u64_at(page, (STATE + number) * 8);
    State {
        x86_64: StartContext::parse(&page[STATE * 8..]),
        x86_64_general: core::array::from_fn(|number| word(CONTEXT_WORDS + number)),
        aarch64: Aarch64State {
            pc: word(0),
            x0_to_x7: core::array::from_fn(|number| word(1 + number)),
            cpsr: word(9),
            sctlr: word(10),
            tcr: word(11),
            mair: word(12),
            vbar: word(13),
            ttbr: [word(14), word(15)],
        },
    }
}
