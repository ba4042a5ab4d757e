//! Nested page tables of the lower level (AMD64 APM volume 2, 15.25): its memory at its own addresses, and nothing
//! else. What it touches besides comes to the monitor.

use core::cell::UnsafeCell;

use monitor_core::guest::Region;

const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = 2 << 20;
const DIRECTORY: u64 = 1 << 30;
/// Tables: the root, one below, page directories of 1 GiB each, and tables for what isn't made of large pages.
const TABLES: usize = 16;
/// Where addresses end for these tables.
pub const END: u64 = 4 * DIRECTORY;

/// Present, writable, and for users, as which the processor walks.
const USED: u64 = 0b111;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

#[repr(C, align(4096))]
struct Tables(UnsafeCell<[[u64; 512]; TABLES]>);

// SAFETY: filled by the first processor before any guest runs, and only read by hardware from then on.
unsafe impl Sync for Tables {}

static TABLES_: Tables = Tables(UnsafeCell::new([[0; 512]; TABLES]));

/// Maps these regions, whole pages below [`END`]. Returns the address of the root. To be called once, before any guest.
pub fn build(regions: &[Region]) -> Result<u64, &'static str> {
    // SAFETY: nobody else uses the tables yet; see `Sync` above.
    let tables = unsafe { &mut *TABLES_.0.get() };
    let mut builder = Builder { base: core::ptr::from_ref(tables) as u64, tables, used: 1 };
    for region in regions {
        if region.end > END {
            return Err("the lower level's memory must lie below 4 GiB");
        }
        if !region.start.is_multiple_of(PAGE) || !region.end.is_multiple_of(PAGE) {
            return Err("the lower level's memory has parts of pages");
        }
        let mut at = region.start;
        while at < region.end {
            let is_large = at % LARGE_PAGE == 0 && region.end - at >= LARGE_PAGE;
            builder.map(at, is_large)?;
            at += if is_large { LARGE_PAGE } else { PAGE };
        }
    }
    Ok(builder.base)
}

struct Builder<'a> {
    tables: &'a mut [[u64; 512]; TABLES],
    base: u64,
    used: usize,
}

impl Builder<'_> {
    fn map(&mut self, address: u64, is_large: bool) -> Result<(), &'static str> {
        let index = |shift: u32| (address >> shift) as usize % 512;
        let directories = self.below(0, index(39))?;
        let directory = self.below(directories, index(30))?;
        if is_large {
            self.tables[directory][index(21)] = address | USED | LARGE;
            return Ok(());
        }
        let table = self.below(directory, index(21))?;
        self.tables[table][index(12)] = address | USED;
        Ok(())
    }

    /// The table that an entry leads to, made if it isn't there.
    fn below(&mut self, table: usize, index: usize) -> Result<usize, &'static str> {
        let entry = self.tables[table][index];
        if entry != 0 {
            return Ok(((entry & ADDRESS) - self.base) as usize / PAGE as usize);
        }
        if self.used == TABLES {
            return Err("the lower level's memory has too many pieces");
        }
        self.used += 1;
        let number = self.used - 1;
        self.tables[table][index] = (self.base + number as u64 * PAGE) | USED;
        Ok(number)
    }
}
