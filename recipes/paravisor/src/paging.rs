//! From the guest's virtual addresses to physical ones, by its own page tables (AMD64 APM volume 2, 5.3).

use crate::memory::Memory;

/// Registers that say how addresses are translated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paging {
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
}

const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// `None`: not mapped, or by tables that aren't in the guest's memory, or in a mode other than long and unpaged. Rights
/// are not looked at: it is asked only for what the processor has let through.
pub fn translate(memory: &Memory, paging: &Paging, address: u64) -> Option<u64> {
    const PAGING_ON: u64 = 1 << 31;
    const LONG_MODE: u64 = 1 << 10;
    const FIVE_LEVELS: u64 = 1 << 12;
    if paging.cr0 & PAGING_ON == 0 {
        return Some(address);
    }
    if paging.efer & LONG_MODE == 0 || paging.cr4 & FIVE_LEVELS != 0 {
        return None;
    }
    let mut table = paging.cr3 & ADDRESS;
    for shift in [39, 30, 21, 12] {
        let entry = memory.read_u64(table + (address >> shift & 0x1ff) * 8).ok()?;
        if entry & PRESENT == 0 {
            return None;
        }
        let is_page = shift == 12 || entry & LARGE != 0 && shift < 39;
        if is_page {
            let within = (1_u64 << shift) - 1;
            return Some(entry & ADDRESS & !within | address & within);
        }
        table = entry & ADDRESS;
    }
    None
}

/// Bytes at a virtual address, as many as can be had.
pub fn read(memory: &Memory, paging: &Paging, address: u64, to: &mut [u8]) -> usize {
    for (number, byte) in to.iter_mut().enumerate() {
        let physical = translate(memory, paging, address.wrapping_add(number as u64));
        let read = physical.map(|physical| memory.read(physical, std::slice::from_mut(byte)));
        if !matches!(read, Some(Ok(()))) {
            return number;
        }
    }
    to.len()
}

/// Page tables at `place` that map the first 4 GiB to themselves, in pages of 2 MiB: six pages. Returns CR3.
pub fn identity(memory: &Memory, place: u64) -> Result<u64, String> {
    const WRITABLE: u64 = 1 << 1;
    const TABLES: u64 = 6;
    let missing = |_| format!("no memory for page tables at {place:#x}");
    memory.write(place, &[0; (TABLES * 4096) as usize]).map_err(missing)?;
    let (directories, first) = (place + 4096, place + 2 * 4096);
    memory.write_u64(place, directories | PRESENT | WRITABLE).map_err(missing)?;
    for directory in 0..4 {
        let table = first + directory * 4096;
        memory.write_u64(directories + directory * 8, table | PRESENT | WRITABLE).map_err(missing)?;
        for page in 0..512 {
            let address = directory << 30 | page << 21;
            memory.write_u64(table + page * 8, address | PRESENT | WRITABLE | LARGE).map_err(missing)?;
        }
    }
    Ok(place)
}
