//! What the shared core asks of the machine below it.

use crate::hypercall::StartContext;

/// An address range that isn't wholly in the guest's RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideRam;

/// The machine: the guest's memory, its processors' interrupts, time, and the channel for the report.
pub trait Machine {
    /// Whether all of `length` bytes at the guest-physical `address` are the guest's RAM.
    fn is_ram(&self, address: u64, length: u64) -> bool;

    /// Reads the guest's RAM; nothing is read when a part of the range lies outside.
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), OutsideRam>;

    /// Writes the guest's RAM; nothing is written when a part of the range lies outside.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), OutsideRam>;

    /// Partition reference time in units of 100 ns (TLFS, "Reference Counter").
    fn now_100ns(&self) -> u64;

    /// Asserts an edge interrupt on a virtual processor: a vector of the local APIC, or an INTID of the GIC.
    fn interrupt(&mut self, vp: u32, vector: u32);

    /// Lets a virtual processor that has not run yet begin with this state.
    fn start(&mut self, vp: u32, context: &StartContext);

    /// Reads a register of the level below, while that doesn't run on processor `vp`; `None` for one that isn't there.
    /// 128 bits, low half first.
    fn lower_register(&self, vp: u32, name: u32) -> Option<[u64; 2]> {
        let _ = (vp, name);
        None
    }

    /// Writes a register of the level below, as above.
    fn set_lower_register(&mut self, vp: u32, name: u32, value: [u64; 2]) -> Option<()> {
        let _ = (vp, name, value);
        None
    }

    /// Takes one line of the report, without line end.
    fn report(&mut self, line: &str);
}

/// A little-endian number in `bytes` at `offset`; 0 beyond the end, which callers have excluded by size.
pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..offset + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// As [`u64_at`].
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..offset + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// As [`u64_at`].
pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    bytes.get(offset..offset + 2).and_then(|part| part.try_into().ok()).map_or(0, u16::from_le_bytes)
}
