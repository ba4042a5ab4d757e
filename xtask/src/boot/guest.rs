//! What the monitor is told of its guest: which parts lie where, and how the first processor begins. The one answer to
//! "how does the monitor get its guest", whoever puts the parts into memory. The page is described in bare/monitor/src/guest.rs.

use fdt::Range;
use image::igvm::start::{Aarch64, Registers, Segment, X86_64};

/// A file of the boot's folder, and the physical address of its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub file: String,
    pub address: u64,
}

#[derive(Clone, Debug)]
pub struct Guest {
    /// The Virtual Trust Level that the guest is told.
    pub vtl: u8,
    pub cpus: u32,
    pub start: Start,
    /// aarch64: PCI configuration space and the window of PCI's I/O ports, for the report.
    pub report: Option<(u64, u64)>,
    /// Physical address where the guest's address 0 lies; 0 where its addresses are physical ones.
    pub base: u64,
    /// Where requests to the guest come in: x86_64: port of a 16550; aarch64: device on PCI.
    pub requests: Option<u16>,
    /// The guest's RAM; empty where the machine's own loader knows it (x86_64).
    pub memory: Vec<Range>,
    /// Memory of the level below the guest, where there is one.
    pub lower: Vec<Range>,
}

#[derive(Clone, Debug)]
pub enum Start {
    /// The monitor's own guest runs in the kernel's place.
    SelfTest,
    /// By Linux's boot protocol: kernel, initramfs, command line, device tree. On x86_64 the monitor puts them where they run.
    Linux { kernel: Range, initramfs: Range, command_line: Range, device_tree: Range },
    /// In this state: everything is where it belongs.
    State(Box<Registers>),
}

const WORDS: usize = 512;
const VERSION: u64 = 1;
const AVAILABLE: u64 = 1;
const LOWER: u64 = 0x4c4f_5745;
/// Where registers begin.
const STATE: usize = 128;

impl Guest {
    /// The page.
    pub fn page(&self) -> Vec<u8> {
        let mut words = [0; WORDS];
        words[0] = u64::from_le_bytes(*b"VTLFORGE");
        words[1..4].copy_from_slice(&[VERSION, self.vtl.into(), self.cpus.into()]);
        (words[5], words[6]) = self.report.unwrap_or_default();
        words[7] = self.base;
        words[120] = self.requests.unwrap_or(0).into();
        match &self.start {
            Start::SelfTest => words[4] = 0,
            Start::Linux { kernel, initramfs, command_line, device_tree } => {
                words[4] = 1;
                let parts = [kernel, initramfs, command_line, device_tree];
                let ends = parts.into_iter().flat_map(|part| [part.base, part.base + part.size]);
                words[8..16].iter_mut().zip(ends).for_each(|(word, end)| *word = end);
            }
            Start::State(registers) => {
                words[4] = 2;
                let state = match registers.as_ref() {
                    Registers::X86_64(registers) => x86_64(registers),
                    Registers::Aarch64(registers) => aarch64(registers),
                };
                words[STATE..STATE + state.len()].copy_from_slice(&state);
            }
        }
        let own = self.memory.iter().map(|range| (range, AVAILABLE));
        let map: Vec<_> = own.chain(self.lower.iter().map(|range| (range, LOWER))).collect();
        words[16] = map.len() as u64;
        for ((range, kind), entry) in map.into_iter().zip(words[17..].chunks_exact_mut(3)) {
            entry.copy_from_slice(&[range.base, range.base + range.size, kind]);
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// HV_INITIAL_VP_CONTEXT (TLFS), then RBP, RSI, R8 to R12.
fn x86_64(registers: &X86_64) -> Vec<u64> {
    let mut words = vec![registers.rip, registers.rsp, registers.rflags];
    // CS, DS, ES, FS, GS, SS, TR, LDTR.
    for segment in registers.segments.iter().chain([&Segment::default()]) {
        let Segment { base, limit, selector, attributes } = *segment;
        words.extend([base, u64::from(limit) | u64::from(selector) << 32 | u64::from(attributes) << 48]);
    }
    for table in [registers.idtr, registers.gdtr] {
        words.extend([u64::from(table.limit) << 48, table.base]);
    }
    words.extend([registers.efer, registers.cr0, registers.cr3, registers.cr4, registers.pat]);
    words.extend([registers.rbp, registers.rsi]);
    words.extend(registers.r8_to_r12);
    words
}

fn aarch64(registers: &Aarch64) -> Vec<u64> {
    let Aarch64 { pc, x0_to_x7, cpsr, sctlr, tcr, mair, vbar, ttbr } = *registers;
    [&[pc][..], &x0_to_x7, &[cpsr, sctlr, tcr, mair, vbar], &ttbr].concat()
}
