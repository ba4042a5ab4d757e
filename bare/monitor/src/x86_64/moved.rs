//! A guest whose memory lies elsewhere than it thinks: nested page tables (AMD64 APM volume 2, 15.25) that move all of it
//! by as much, so that it has its first MiB to itself whatever the monitor and firmware keep there.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};

use super::svm::{Control, field};
use crate::memory::Ram;

const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = 2 << 20;
const GIB: u64 = 1 << 30;
/// RAM ends where a PC's devices begin.
const RAM_END_MAX: u64 = 3 * GIB;
/// The large page with the local APIC, the one device that VTL2 reaches in memory.
const APIC: u64 = 0xfee0_0000;

/// Present, writable, and for users, as which the processor walks.
const USED: u64 = 0b111;
const LARGE: u64 = 1 << 7;

/// Root, the level below, four directories of 1 GiB.
#[repr(C, align(4096))]
struct Tables(UnsafeCell<[[u64; 512]; 6]>);

// SAFETY: filled by the first processor before any guest runs, and only read by hardware from then on.
unsafe impl Sync for Tables {}

static TABLES: Tables = Tables(UnsafeCell::new([[0; 512]; 6]));
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Fills the tables. To be called once, before any guest runs.
pub fn map(ram: &Ram) -> Result<(), &'static str> {
    // SAFETY: nobody else uses the tables yet; see `Sync` above.
    let tables = unsafe { &mut *TABLES.0.get() };
    let table = |number: u64| (TABLES.0.get() as u64 + number * PAGE) | USED;
    tables[0][0] = table(1);
    for number in 0..4 {
        tables[1][number as usize] = table(2 + number);
    }
    let mut put = |guest: u64, machine: u64| {
        tables[2 + (guest / GIB) as usize][(guest / LARGE_PAGE % 512) as usize] = machine | USED | LARGE;
    };
    for region in ram.regions() {
        if region.start % LARGE_PAGE != 0 || region.end % LARGE_PAGE != 0 || region.end > RAM_END_MAX {
            return Err("the guest's memory must be whole 2 MiB below 3 GiB");
        }
        for address in (region.start..region.end).step_by(LARGE_PAGE as usize) {
            put(address, ram.base + address);
        }
    }
    put(APIC, APIC);
    IN_USE.store(true, Ordering::Release);
    Ok(())
}

/// Has this processor's guest use the tables, where there are any.
pub fn translate(control: Control) {
    if IN_USE.load(Ordering::Acquire) {
        control.put(field::NESTED_PAGING, 1);
        control.put(field::NESTED_CR3, TABLES.0.get() as u64);
    }
}
