//! What lies where in the machine's memory.

use std::{collections::BTreeMap, ops::Range};

use igvm_defs::PAGE_SIZE_4K;
use image::igvm::start::Host;

use super::{Block, Refusal};

/// Blocks closer to each other than this are one: each is a file of its own for whoever places them.
const GAP_MAX: u64 = 1 << 20;

pub struct Memory<'a> {
    host: &'a Host,
    required: Vec<Range<u64>>,
    /// Address → bytes of memory taken, and what is there; zeros follow.
    placed: BTreeMap<u64, (u64, Vec<u8>)>,
}

impl Memory<'_> {
    pub fn new(host: &Host) -> Memory<'_> {
        Memory { host, required: Vec::new(), placed: BTreeMap::new() }
    }

    /// Memory that has to be there.
    pub fn require(&mut self, gpa: u64, bytes: u64) -> Result<(), Refusal> {
        let needed = gpa..gpa.saturating_add(bytes);
        if !gpa.is_multiple_of(PAGE_SIZE_4K) {
            return Err(Refusal::Unaligned { what: "required memory", gpa });
        }
        if self.required.iter().any(|other| other.start < needed.end && needed.start < other.end) {
            return Err(Refusal::RequiredTwice(needed));
        }
        if !self.is_memory(&needed) {
            return Err(Refusal::RequiredMemory { needed, machine: self.machine() });
        }
        self.required.push(needed);
        Ok(())
    }

    /// Puts `data` at the begin of `bytes` bytes of memory, which nothing else may use.
    pub fn place(&mut self, what: &'static str, gpa: u64, bytes: u64, data: Vec<u8>) -> Result<(), Refusal> {
        let at = gpa..gpa.saturating_add(bytes);
        if !gpa.is_multiple_of(PAGE_SIZE_4K) {
            return Err(Refusal::Unaligned { what, gpa });
        }
        if !self.is_memory(&at) {
            return Err(Refusal::NotMemory { what, at, machine: self.machine() });
        }
        let before = self.placed.range(..at.end).next_back();
        if before.is_some_and(|(start, (length, _))| start + length > at.start) {
            return Err(Refusal::Overlap { what, at });
        }
        self.placed.insert(gpa, (bytes, data));
        Ok(())
    }

    /// Bytes of memory that there are at all.
    pub fn size(&self) -> u64 {
        self.host.memory.iter().map(|range| range.end - range.start).sum()
    }

    fn is_memory(&self, at: &Range<u64>) -> bool {
        self.host.memory.iter().any(|range| range.start <= at.start && at.end <= range.end)
    }

    fn machine(&self) -> String {
        let ranges = self.host.memory.iter().map(|range| format!("{:#x} to {:#x}", range.start, range.end));
        ranges.collect::<Vec<_>>().join(", ")
    }

    /// What was placed, without what is zeros, in few pieces. Between two of them there is nothing else, so they may be one.
    pub fn into_blocks(self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for (gpa, (_, data)) in self.placed {
            if data.iter().all(|byte| *byte == 0) {
                continue;
            }
            match blocks.last_mut() {
                // Both lie in RAM; what is between them as well, if it is one range.
                Some((start, bytes))
                    if {
                        let end = *start + bytes.len() as u64;
                        gpa - end < GAP_MAX
                            && self
                                .host
                                .memory
                                .iter()
                                .any(|range| range.contains(start) && range.contains(&gpa))
                    } =>
                {
                    bytes.resize((gpa - *start) as usize, 0);
                    bytes.extend_from_slice(&data);
                }
                _ => blocks.push((gpa, data)),
            }
        }
        blocks
    }
}
