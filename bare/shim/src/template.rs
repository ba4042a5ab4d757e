//! The device tree that the kernel gets: the built-in one, with the processors, memory and devices that are there.
//!
//! The built-in tree is vtlforge's own, in dialect `mainline`: two cells for addresses and sizes at the root, nodes
//! `cpus`, `memory@…`, a VMBus with one cell for sizes, and on aarch64 `chosen` and a GICv3.

use crate::{
    Failure, Range,
    blob::{Blob, Full, Token, Tokens, Writer},
    host_tree::{HostTree, facts, is_cpu},
};

/// Names that may be missing among the template's.
const NAMES: &[u8] = b"device_type\0reg\0bootargs\0ranges\0";
const DEVICE_TYPE: u32 = 0;
const REG: u32 = 12;
const BOOTARGS: u32 = 16;
const RANGES: u32 = 25;

/// Bytes of a redistributor's frames (GICv3).
const REDISTRIBUTOR_BYTES: u64 = 0x2_0000;

/// What is there.
pub struct Machine<'a> {
    pub host: &'a HostTree<'a>,
    /// This level's memory.
    pub memory: &'a [Range],
    /// The whole command line; none where it travels elsewhere.
    pub bootargs: Option<&'a [u8]>,
}

/// Writes the tree into `out`. Returns its size.
pub fn fill(template: &[u8], machine: &Machine, out: &mut [u8]) -> Result<usize, Failure> {
    let blob = Blob::read(template).map_err(Failure::Template)?;
    let writer = Writer::new(out, blob.reservations).map_err(|Full| Failure::TreeTooLarge)?;
    let mut filler = Filler { blob, machine, writer, had_memory: false, had_cpus: false };
    filler.nodes()?;
    if !filler.had_cpus {
        return Err(Failure::TemplateLacks("processor"));
    }
    if !filler.had_memory {
        return Err(Failure::TemplateLacks("memory"));
    }
    let Filler { writer, .. } = filler;
    writer.finish([blob.strings, NAMES], blob.boot_cpu).map_err(|Full| Failure::TreeTooLarge)
}

struct Filler<'a, 'b> {
    blob: Blob<'a>,
    machine: &'a Machine<'a>,
    writer: Writer<'b>,
    had_memory: bool,
    had_cpus: bool,
}

impl From<Full> for Failure {
    fn from(Full: Full) -> Failure {
        Failure::TreeTooLarge
    }
}

/// The property that is written anew in the node that is being copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replaced {
    Nothing,
    /// `ranges` of the VMBus.
    Windows,
    /// `reg` of the interrupt controller.
    Controller,
    /// `bootargs`.
    Options,
}

impl<'a> Filler<'a, '_> {
    fn nodes(&mut self) -> Result<(), Failure> {
        let mut tokens = self.blob.tokens();
        let mut in_cpus = false;
        let mut replaced = Replaced::Nothing;
        let mut has_replaced = false;
        while let Some(token) = tokens.token().map_err(Failure::Template)? {
            let depth = tokens.depth();
            // What is written anew and wasn't there before comes before the node's children and its end.
            if !matches!(token, Token::Property { .. }) && replaced == Replaced::Options && !has_replaced {
                self.options()?;
                replaced = Replaced::Nothing;
            }
            match token {
                Token::Begin(name) if depth == 2 && is_memory(name) => {
                    tokens.skip_node().map_err(Failure::Template)?;
                    self.memory()?;
                }
                Token::Begin(name) if depth == 3 && in_cpus && is_cpu(name) => {
                    let prototype = tokens;
                    tokens.skip_node().map_err(Failure::Template)?;
                    self.cpus(prototype)?;
                }
                Token::Begin(name) => {
                    if depth == 2 {
                        in_cpus = name == "cpus";
                    }
                    self.writer.begin(name.as_bytes())?;
                    replaced = self.replaced(name, depth, tokens)?;
                    has_replaced = false;
                }
                Token::Property { name, name_offset, value } => match (replaced, name) {
                    (Replaced::Windows, "ranges") => self.windows()?,
                    (Replaced::Controller, "reg") => self.controller()?,
                    (Replaced::Options, "bootargs") => {
                        has_replaced = true;
                        self.options()?;
                    }
                    _ => self.writer.property(name_offset, value)?,
                },
                Token::End => {
                    self.writer.end()?;
                    replaced = Replaced::Nothing;
                }
            }
        }
        Ok(())
    }

    fn replaced(&self, name: &str, depth: usize, tokens: Tokens) -> Result<Replaced, Failure> {
        let facts = facts(tokens).map_err(Failure::Template)?;
        Ok(match () {
            () if facts.is("microsoft,vmbus") && !self.machine.host.windows.as_slice().is_empty() => {
                Replaced::Windows
            }
            () if depth == 2 && facts.is("arm,gic-v3") => Replaced::Controller,
            () if depth == 2 && name == "chosen" && self.machine.bootargs.is_some() => Replaced::Options,
            () => Replaced::Nothing,
        })
    }

    fn name(&self, offset: u32) -> u32 {
        self.blob.strings.len() as u32 + offset
    }

    /// A node for each range, in the place of the first of the template's.
    fn memory(&mut self) -> Result<(), Failure> {
        if self.had_memory {
            return Ok(());
        }
        self.had_memory = true;
        for range in self.machine.memory {
            let mut name = Name::new(b"memory@");
            name.hex(range.start);
            self.writer.begin(name.as_bytes())?;
            self.writer.property(self.name(DEVICE_TYPE), b"memory\0")?;
            self.writer.wide(self.name(REG), &[range.start, range.end - range.start])?;
            self.writer.end()?;
        }
        Ok(())
    }

    /// A copy of the first processor's node for each.
    fn cpus(&mut self, prototype: Tokens<'a>) -> Result<(), Failure> {
        if self.had_cpus {
            return Ok(());
        }
        self.had_cpus = true;
        for id in self.machine.host.cpus() {
            let mut name = Name::new(b"cpu@");
            name.hex(*id);
            self.writer.begin(name.as_bytes())?;
            let mut tokens = prototype;
            while let Some(Token::Property { name, name_offset, value }) =
                tokens.token().map_err(Failure::Template)?
            {
                match (name, value.len()) {
                    // APIC ids have one cell.
                    ("reg", 4) => self.writer.property(name_offset, &(*id as u32).to_be_bytes())?,
                    ("reg", _) => self.writer.wide(name_offset, &[*id])?,
                    _ => self.writer.property(name_offset, value)?,
                }
            }
            self.writer.end()?;
        }
        Ok(())
    }

    fn windows(&mut self) -> Result<(), Failure> {
        // Address twice, then a size of one cell.
        const ROW: usize = 20;
        let mut rows = [0; crate::host_tree::WINDOWS_MAX * ROW];
        let windows = self.machine.host.windows.as_slice();
        for (window, row) in windows.iter().zip(rows.chunks_exact_mut(ROW)) {
            let size = u32::try_from(window.end - window.start);
            let size = size.map_err(|_| Failure::HostTree(crate::blob::Bad::Value("ranges")))?;
            row[..8].copy_from_slice(&window.start.to_be_bytes());
            row[8..16].copy_from_slice(&window.start.to_be_bytes());
            row[16..].copy_from_slice(&size.to_be_bytes());
        }
        Ok(self.writer.property(self.name(RANGES), &rows[..windows.len() * ROW])?)
    }

    /// The host's, where it says, with room for all processors.
    fn controller(&mut self) -> Result<(), Failure> {
        let cpus = self.machine.host.cpus().len();
        let Some(reg) = self.machine.host.controller else {
            return Err(Failure::HostTree(crate::blob::Bad::Value("reg")));
        };
        let size = |pair: &[u8]| pair[8..].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let bytes = reg[16..].chunks_exact(16).fold(0_u64, |sum, pair| sum.saturating_add(size(pair)));
        if bytes < cpus as u64 * REDISTRIBUTOR_BYTES {
            return Err(Failure::Redistributors { bytes, cpus });
        }
        Ok(self.writer.property(self.name(REG), reg)?)
    }

    fn options(&mut self) -> Result<(), Failure> {
        let bootargs = self.machine.bootargs.unwrap_or_default();
        Ok(self.writer.property(self.name(BOOTARGS), bootargs)?)
    }
}

fn is_memory(name: &str) -> bool {
    name == "memory" || name.starts_with("memory@")
}

/// A node's name with a unit address.
struct Name {
    bytes: [u8; 32],
    length: usize,
}

impl Name {
    fn new(base: &[u8]) -> Name {
        let mut name = Name { bytes: [0; 32], length: base.len() };
        name.bytes[..base.len()].copy_from_slice(base);
        name
    }

    fn hex(&mut self, number: u64) {
        let digits = (64 - (number | 1).leading_zeros()).div_ceil(4);
        for digit in (0..digits).rev() {
            let value = (number >> (digit * 4) & 0xf) as u8;
            self.bytes[self.length] = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            self.length += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
