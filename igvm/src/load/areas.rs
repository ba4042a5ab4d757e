//! Parameter areas: declared, filled with what the host knows, put into memory.

use std::{collections::BTreeMap, ops::Range};

use igvm::IgvmDirectiveHeader as Directive;
use igvm_defs::{
    IGVM_VHS_MEMORY_MAP_ENTRY, IGVM_VHS_MEMORY_RANGE, IGVM_VHS_MMIO_RANGES, IGVM_VHS_PARAMETER,
    MemoryMapEntryType, PAGE_SIZE_4K,
};
use image::igvm::start::Host;
use zerocopy::IntoBytes as _;

use super::{Refusal, memory::Memory};

pub struct Areas<'a> {
    host: &'a Host,
    /// Memory that VTL2 can keep from lower levels.
    protectable: Vec<Range<u64>>,
    /// Those that are not in memory yet.
    open: BTreeMap<u32, Vec<u8>>,
}

impl Areas<'_> {
    pub fn new(host: &Host, mut protectable: Vec<Range<u64>>) -> Areas<'_> {
        protectable.sort_by_key(|range| range.start);
        Areas { host, protectable, open: BTreeMap::new() }
    }

    /// Does what one of the headers about areas says.
    pub fn take(&mut self, header: &Directive, memory: &mut Memory) -> Result<(), Refusal> {
        match header {
            Directive::ParameterArea { number_of_bytes, parameter_area_index, initial_data } => {
                self.declare(*parameter_area_index, *number_of_bytes, initial_data, memory)
            }
            Directive::ParameterInsert(insert) => {
                let index = insert.parameter_area_index;
                let data = self.open.remove(&index).ok_or(Refusal::NoArea { index })?;
                memory.place("parameter area", insert.gpa, data.len() as u64, data)
            }
            Directive::VpCount(at) => self.fill("number of processors", at, &self.host.vps.to_le_bytes()),
            // Whether memory is shared until it is accepted: not without hardware isolation.
            Directive::EnvironmentInfo(at) => self.fill("environment", at, &[0; 4]),
            Directive::MemoryMap(at) => self.fill("memory map", at, &self.memory_map()),
            Directive::MmioRanges(at) => self.fill("MMIO ranges", at, self.mmio().as_bytes()),
            Directive::CommandLine(at) => {
                self.fill("command line", at, &[self.host.command_line.as_bytes(), &[0]].concat())
            }
            Directive::DeviceTree(at) => self.fill("device tree", at, &self.host.device_tree),
            Directive::Srat(_) => Err(Refusal::NoParameter { what: "an ACPI table (SRAT)" }),
            Directive::Madt(_) => Err(Refusal::NoParameter { what: "an ACPI table (MADT)" }),
            Directive::Slit(_) => Err(Refusal::NoParameter { what: "an ACPI table (SLIT)" }),
            Directive::Pptt(_) => Err(Refusal::NoParameter { what: "an ACPI table (PPTT)" }),
            _ => Ok(()),
        }
    }

    fn declare(&mut self, index: u32, bytes: u64, initial: &[u8], memory: &Memory) -> Result<(), Refusal> {
        let is_sound = bytes > 0 && bytes.is_multiple_of(PAGE_SIZE_4K) && bytes <= memory.size();
        if !is_sound || initial.len() as u64 > bytes {
            return Err(Refusal::AreaSize { index, bytes });
        }
        let mut area = initial.to_vec();
        area.resize(bytes as usize, 0);
        match self.open.insert(index, area) {
            None => Ok(()),
            Some(_) => Err(Refusal::NoArea { index }),
        }
    }

    fn fill(&mut self, what: &'static str, at: &IGVM_VHS_PARAMETER, data: &[u8]) -> Result<(), Refusal> {
        let (index, offset) = (at.parameter_area_index, at.byte_offset);
        let area = self.open.get_mut(&index).ok_or(Refusal::NoArea { index })?;
        let (needed, size) = (data.len() as u64, area.len() as u64);
        let place = area.get_mut(offset as usize..offset as usize + data.len());
        place.ok_or(Refusal::AreaSmall { what, index, offset, needed, size })?.copy_from_slice(data);
        Ok(())
    }

    /// RAM in ascending order, what VTL2 can protect apart; an entry without pages ends it.
    fn memory_map(&self) -> Vec<u8> {
        let mut entries = Vec::new();
        let mut push = |range: Range<u64>, entry_type: MemoryMapEntryType| {
            if range.start < range.end {
                entries.push(entry(range, entry_type));
            }
        };
        for range in &self.host.memory {
            let mut next = range.start;
            for own in self.protectable.iter().filter(|own| range.start <= own.start && own.end <= range.end)
            {
                push(next..own.start, MemoryMapEntryType::MEMORY);
                push(own.clone(), MemoryMapEntryType::VTL2_PROTECTABLE);
                next = own.end;
            }
            push(next..range.end, MemoryMapEntryType::MEMORY);
        }
        entries.push(entry(0..0, MemoryMapEntryType::MEMORY));
        entries.iter().flat_map(|entry| entry.as_bytes().to_vec()).collect()
    }

    fn mmio(&self) -> IGVM_VHS_MMIO_RANGES {
        let range = |number: usize| {
            let range = self.host.mmio.get(number).cloned().unwrap_or_default();
            IGVM_VHS_MEMORY_RANGE {
                starting_gpa_page_number: range.start / PAGE_SIZE_4K,
                number_of_pages: (range.end - range.start) / PAGE_SIZE_4K,
            }
        };
        IGVM_VHS_MMIO_RANGES { mmio_ranges: [range(0), range(1)] }
    }
}

fn entry(range: Range<u64>, entry_type: MemoryMapEntryType) -> IGVM_VHS_MEMORY_MAP_ENTRY {
    IGVM_VHS_MEMORY_MAP_ENTRY {
        starting_gpa_page_number: range.start / PAGE_SIZE_4K,
        number_of_pages: (range.end - range.start) / PAGE_SIZE_4K,
        entry_type,
        flags: 0,
        reserved: 0,
    }
}
