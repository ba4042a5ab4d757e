//! VTL0's physical memory, bounds checked. What lies outside isn't there.

use crate::mapping::Mapping;

pub struct Memory {
    mappings: Vec<Mapping>,
}

/// A range that isn't wholly VTL0's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotThere;

impl Memory {
    pub fn new(mappings: Vec<Mapping>) -> Memory {
        Memory { mappings }
    }

    /// Base and size of each range.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.mappings.iter().map(|mapping| (mapping.base(), mapping.size()))
    }

    pub fn read(&self, address: u64, to: &mut [u8]) -> Result<(), NotThere> {
        let (mapping, offset) = self.find(address, to.len())?;
        mapping.read(offset, to);
        Ok(())
    }

    pub fn write(&self, address: u64, from: &[u8]) -> Result<(), NotThere> {
        let (mapping, offset) = self.find(address, from.len())?;
        mapping.write(offset, from);
        Ok(())
    }

    pub fn read_u64(&self, address: u64) -> Result<u64, NotThere> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub fn write_u64(&self, address: u64, value: u64) -> Result<(), NotThere> {
        self.write(address, &value.to_le_bytes())
    }

    fn find(&self, address: u64, length: usize) -> Result<(&Mapping, usize), NotThere> {
        self.mappings
            .iter()
            .find_map(|mapping| {
                let offset = address.checked_sub(mapping.base())?;
                let end = offset.checked_add(length as u64)?;
                (end <= mapping.size()).then_some((mapping, offset as usize))
            })
            .ok_or(NotThere)
    }
}
