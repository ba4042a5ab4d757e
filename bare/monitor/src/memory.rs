//! The guest's RAM: a few ranges of its physical addresses, which lie at their own place in the machine, or all moved by
//! as much. The monitor maps the machine's memory at its own addresses.

use monitor_core::{
    OutsideRam,
    guest::{AVAILABLE, MEMORY_MAX, Memory, Region},
};

/// What is the guest's, and nothing of the monitor's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ram {
    regions: [Region; MEMORY_MAX],
    count: usize,
    /// Where the guest's address 0 lies.
    pub base: u64,
}

impl Ram {
    pub const fn new() -> Ram {
        Ram { regions: [Region { start: 0, end: 0 }; MEMORY_MAX], count: 0, base: 0 }
    }

    /// Adds a range; one more than there is room for is not the guest's.
    pub fn add(&mut self, start: u64, end: u64) {
        if start < end && self.count < self.regions.len() {
            self.regions[self.count] = Region { start, end };
            self.count += 1;
        }
    }

    /// RAM of a memory map without `reserved`, which is in order.
    pub fn of(map: &[Memory], reserved: &[Region], base: u64) -> Ram {
        let mut ram = Ram { base, ..Ram::new() };
        for memory in map.iter().filter(|memory| memory.kind == AVAILABLE) {
            let region = memory.region;
            let mut start = region.start;
            for hole in reserved.iter().filter(|hole| hole.start < region.end && hole.end > region.start) {
                ram.add(start, hole.start);
                start = hole.end;
            }
            ram.add(start, region.end);
        }
        ram
    }

    pub fn regions(&self) -> &[Region] {
        &self.regions[..self.count]
    }

    pub fn contains(&self, address: u64, length: u64) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        self.regions().iter().any(|region| region.start <= address && end <= region.end)
    }

    pub fn read(&self, address: u64, to: &mut [u8]) -> Result<(), OutsideRam> {
        if !self.contains(address, to.len() as u64) {
            return Err(OutsideRam);
        }
        let address = self.base + address;
        // SAFETY: the range is RAM, mapped at its own address, and no Rust object lies in the guest's RAM. That the
        // guest may write it at the same time gives bytes of either state, which callers take as hostile anyway.
        unsafe { core::ptr::copy_nonoverlapping(address as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    pub fn write(&self, address: u64, from: &[u8]) -> Result<(), OutsideRam> {
        if !self.contains(address, from.len() as u64) {
            return Err(OutsideRam);
        }
        let address = self.base + address;
        // SAFETY: as in `read`.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), address as *mut u8, from.len()) };
        Ok(())
    }
}
