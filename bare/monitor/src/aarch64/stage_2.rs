//! The second stage of translation (Arm ARM, "Stage 2 translations"): the machine that Hyper-V shows, made of QEMU's. RAM begins at 0, and the
//! devices are where Hyper-V has them for VTL2; anything else faults.

use core::{
    arch::asm,
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{REDISTRIBUTOR_STRIDE, REDISTRIBUTORS};
use crate::memory::Ram;

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

/// Where VTL2 finds its devices (vtlforge's fdt crate, `hyperv_vtl2_aarch64`), and where they are on QEMU's `virt`.
pub const GUEST_REDISTRIBUTORS: u64 = 0xeffe_e000;
const GUEST_SERIAL: u64 = 0xeffe_c000;
const GUEST_DISTRIBUTOR: u64 = 0xffff_0000;
const SERIAL: u64 = 0x0900_0000;
const DISTRIBUTOR: u64 = 0x0800_0000;
const DISTRIBUTOR_BYTES: u64 = 0x1_0000;
/// A redistributor's second frame, whose first page has the registers of private interrupts.
pub const PRIVATE_FRAME: u64 = 0x1_0000;

/// RAM ends where the GiB of the devices begins.
const RAM_END_MAX: u64 = 3 * GIB;

/// Level 1, a table of level 2 for each of the first four GiB, and tables of level 3 for devices.
const LEVEL_3: usize = 5;
const TABLES: usize = LEVEL_3 + 8;

#[repr(C, align(4096))]
struct Tables(UnsafeCell<[[u64; 512]; TABLES]>);

// SAFETY: the first processor fills them before any guest runs; afterwards they are only read by hardware.
unsafe impl Sync for Tables {}

static TABLES_: Tables = Tables(UnsafeCell::new([[0; 512]; TABLES]));
static IN_USE: AtomicBool = AtomicBool::new(false);

// Arm ARM, VMSAv8-64 descriptors: a block, a table or a page; accessed, read and written.
const IS_BLOCK: u64 = 0b01;
const IS_TABLE: u64 = 0b11;
const IS_PAGE: u64 = 0b11;
const COMMON: u64 = 1 << 10 | 0b11 << 6;
/// Write-back, inner shareable.
const MEMORY: u64 = COMMON | 0b1111 << 2 | 0b11 << 8;
/// Device-nGnRE, never executed.
const DEVICE: u64 = COMMON | 0b0001 << 2 | 1 << 54;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Fills the tables. To be called once, by the first processor.
pub fn map(ram: &Ram, cpus: u32) -> Result<(), &'static str> {
    // SAFETY: nobody else uses the tables yet; see `Sync` above.
    let tables = unsafe { &mut *TABLES_.0.get() };
    let base = core::ptr::from_ref(tables) as u64;
    for number in 0..4 {
        tables[0][number] = (base + (1 + number as u64) * PAGE) | IS_TABLE;
    }
    let mut builder = Builder { tables, base, used: LEVEL_3 };
    for region in ram.regions() {
        if region.start % BLOCK != 0 || region.end % BLOCK != 0 || region.end > RAM_END_MAX {
            return Err("the guest's memory must be whole 2 MiB below 3 GiB");
        }
        for address in (region.start..region.end).step_by(BLOCK as usize) {
            builder.block(address, ram.base + address);
        }
    }
    builder.device(GUEST_SERIAL, SERIAL, PAGE)?;
    builder.device(GUEST_DISTRIBUTOR, DISTRIBUTOR, DISTRIBUTOR_BYTES)?;
    for cpu in 0..u64::from(cpus) {
        let frame = cpu * REDISTRIBUTOR_STRIDE;
        // All but the page that comes to the monitor (`interrupts`).
        builder.device(GUEST_REDISTRIBUTORS + frame, REDISTRIBUTORS + frame, PRIVATE_FRAME)?;
    }
    // Firmware would have enabled the serial port: 8 bits with a queue, transmitter and receiver on (PL011 3.3).
    // SAFETY: two registers of the serial port, mapped as device memory.
    unsafe {
        ((SERIAL + 0x2c) as *mut u32).write_volatile(0x70);
        ((SERIAL + 0x30) as *mut u32).write_volatile(0x301);
    }
    IN_USE.store(true, Ordering::Release);
    Ok(())
}

/// Switches to the tables on this processor; whether there are any.
pub fn use_tables() -> bool {
    // 39 bits of address from level 1 on, 4 KiB granule, walks through write-back memory, 40 bits of physical address.
    const VTCR: u64 = 25 | 0b01 << 6 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 0b010 << 16 | 1 << 31;
    let is_used = IN_USE.load(Ordering::Acquire);
    let table = if is_used { TABLES_.0.get() as u64 } else { 0 };
    // SAFETY: registers that only matter to the guest, which doesn't run yet.
    unsafe {
        asm!(
            "msr vtcr_el2, {}",
            "msr vttbr_el2, {}",
            "dsb ish",
            "tlbi vmalls12e1is",
            "dsb ish",
            "isb",
            in(reg) VTCR,
            in(reg) table,
            options(nostack)
        );
    }
    is_used
}

struct Builder<'a> {
    tables: &'a mut [[u64; 512]; TABLES],
    base: u64,
    used: usize,
}

impl Builder<'_> {
    /// Both addresses are multiples of 2 MiB, the guest's below 4 GiB.
    fn block(&mut self, guest: u64, machine: u64) {
        self.tables[1 + (guest / GIB) as usize][(guest / BLOCK % 512) as usize] = machine | MEMORY | IS_BLOCK;
    }

    fn device(&mut self, guest: u64, machine: u64, bytes: u64) -> Result<(), &'static str> {
        for offset in (0..bytes).step_by(PAGE as usize) {
            let at = guest + offset;
            let (level_2, index) = (1 + (at / GIB) as usize, (at / BLOCK % 512) as usize);
            let entry = self.tables[level_2][index];
            let table = if entry == 0 {
                if self.used == TABLES {
                    return Err("there are more processors than the machine of VTL2 has room for");
                }
                self.used += 1;
                let table = self.used - 1;
                self.tables[level_2][index] = (self.base + table as u64 * PAGE) | IS_TABLE;
                table
            } else {
                ((entry & ADDRESS) - self.base) as usize / PAGE as usize
            };
            self.tables[table][(at / PAGE % 512) as usize] = (machine + offset) | DEVICE | IS_PAGE;
        }
        Ok(())
    }
}
