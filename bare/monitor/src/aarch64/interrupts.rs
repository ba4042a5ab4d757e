//! Interrupts where the guest sees Hyper-V's machine: they come to the monitor first, which hands them on through the
//! GIC's list registers (GICv3 and v4 architecture specification, IHI 0069), with their number changed where
//! Hyper-V has another one than QEMU: that of the virtual timer.
//!
//! Number and state of private interrupts are in a page of the redistributor that the guest does not reach by itself, so
//! what it does there is done for it, with the two numbers exchanged.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering},
};

use monitor_core::{VPS_MAX, json::Line};

use super::{
    REDISTRIBUTOR_STRIDE, REDISTRIBUTORS, cpu,
    exit::Frame,
    report,
    stage_2::{GUEST_REDISTRIBUTORS, PRIVATE_FRAME},
};

/// INTIDs of the virtual timer: PPI 11 on QEMU's `virt`, PPI 4 on Hyper-V.
const TIMER: u64 = 27;
const GUEST_TIMER: u64 = 20;

/// INTIDs from here on mean that there is no interrupt.
const SPECIAL: u64 = 1020;
const SGIS: u64 = 16;
/// The priority that Linux gives all interrupts.
const PRIORITY: u64 = 0xa0;

// IHI 0069, ICH_LR<n>_EL2: pending, deactivates the real interrupt, group 1, priority, both numbers.
const PENDING: u64 = 0b01 << 62;
const IS_REAL: u64 = 1 << 61;
const GROUP_1: u64 = 1 << 60;

/// Lets interrupts of this processor come, and its guest have virtual ones.
pub fn prepare() {
    // SAFETY: registers of the GIC's interface, which belongs to the monitor; no guest runs yet.
    unsafe {
        asm!(
            // ICC_PMR_EL1: all priorities; ICC_CTLR_EL1: priority drop and deactivation apart; ICC_IGRPEN1_EL1.
            "msr S3_0_C4_C6_0, {all}",
            "msr S3_0_C12_C12_4, {apart}",
            "msr S3_0_C12_C12_7, {one}",
            // ICH_VMCR_EL2, ICH_LR0_EL2 to ICH_LR3_EL2, ICH_HCR_EL2: on.
            "msr S3_4_C12_C11_7, xzr",
            "msr S3_4_C12_C12_0, xzr",
            "msr S3_4_C12_C12_1, xzr",
            "msr S3_4_C12_C12_2, xzr",
            "msr S3_4_C12_C12_3, xzr",
            "msr S3_4_C12_C11_0, {one}",
            "isb",
            all = in(reg) 0xff_u64,
            apart = in(reg) 2_u64,
            one = in(reg) 1_u64,
            options(nostack)
        );
    }
}

/// An interrupt while the guest ran.
pub extern "C" fn interrupt(_: &mut Frame) {
    deliver();
    let number: u64;
    // SAFETY: ICC_IAR1_EL1 is read, which acknowledges the interrupt.
    unsafe { asm!("mrs {}, S3_0_C12_C12_0", "dsb sy", out(reg) number, options(nostack)) };
    if number >= SPECIAL {
        return;
    }
    // SAFETY: ICC_EOIR1_EL1: the priority drops; the interrupt stays active until the guest has done with it.
    unsafe { asm!("msr S3_0_C12_C12_1, {}", in(reg) number, options(nostack)) };
    let virtual_number = if number == TIMER { GUEST_TIMER } else { number };
    let mut list = PENDING | GROUP_1 | PRIORITY << 48 | virtual_number;
    if number < SGIS {
        // SAFETY: ICC_DIR_EL1: what processors send each other has no real interrupt to be deactivated later.
        unsafe { asm!("msr S3_0_C12_C11_1, {}", in(reg) number, options(nostack)) };
    } else {
        list |= IS_REAL | number << 32;
    }
    if !fill(list) {
        wait(list);
    }
}

/// Interrupts of each processor that had no list register yet; 0 is none. Only their own processor uses them.
static WAITING: [[AtomicU64; WAITING_MAX]; VPS_MAX] =
    [const { [const { AtomicU64::new(0) }; WAITING_MAX] }; VPS_MAX];
const WAITING_MAX: usize = 16;

fn waiting() -> &'static [AtomicU64; WAITING_MAX] {
    &WAITING[cpu::current() as usize % VPS_MAX]
}

/// Keeps an entry until the guest comes back, which it does before it sleeps.
fn wait(entry: u64) {
    let is_same = |slot: &&AtomicU64| slot.load(Ordering::Relaxed) == entry;
    let free = || waiting().iter().find(|slot| slot.load(Ordering::Relaxed) == 0);
    match waiting().iter().find(is_same).or_else(free) {
        Some(slot) => slot.store(entry, Ordering::Relaxed),
        None => {
            report(Line::new("error").text("what", "more interrupts wait than there is room for").end());
        }
    }
    cpu::trap_sleep(true);
}

/// Gives list registers to what waits for them: at each exit of the guest's.
pub fn deliver() {
    let (mut had_some, mut is_left) = (false, false);
    for slot in waiting().iter().filter(|slot| slot.load(Ordering::Relaxed) != 0) {
        had_some = true;
        match fill(slot.load(Ordering::Relaxed)) {
            true => slot.store(0, Ordering::Relaxed),
            false => is_left = true,
        }
    }
    if had_some && !is_left {
        cpu::trap_sleep(false);
    }
}

/// Puts an entry into a list register that is free, or has it already. Four are there on every processor of QEMU's.
fn fill(entry: u64) -> bool {
    let mut lists = [0_u64; 4];
    let empty: u64;
    // SAFETY: ICH_ELRSR_EL2 and the list registers are read.
    unsafe {
        asm!(
            "mrs {0}, S3_4_C12_C11_5",
            "mrs {1}, S3_4_C12_C12_0",
            "mrs {2}, S3_4_C12_C12_1",
            "mrs {3}, S3_4_C12_C12_2",
            "mrs {4}, S3_4_C12_C12_3",
            out(reg) empty, out(reg) lists[0], out(reg) lists[1], out(reg) lists[2], out(reg) lists[3],
            options(nomem, nostack)
        );
    }
    let is_free = |number: usize| empty >> number & 1 != 0;
    // Sent again before it was taken: pending once more beside active, or pending as it was.
    let same = (0..4).find(|number| !is_free(*number) && lists[*number] & 0xffff_ffff == entry & 0xffff_ffff);
    let (number, entry) = match same {
        Some(number) => (number, lists[number] | PENDING),
        None => match (0..4).find(|number| is_free(*number)) {
            Some(number) => (number, entry),
            None => return false,
        },
    };
    // SAFETY: a list register is written.
    unsafe {
        match number {
            0 => asm!("msr S3_4_C12_C12_0, {}", in(reg) entry, options(nostack)),
            1 => asm!("msr S3_4_C12_C12_1, {}", in(reg) entry, options(nostack)),
            2 => asm!("msr S3_4_C12_C12_2, {}", in(reg) entry, options(nostack)),
            _ => asm!("msr S3_4_C12_C12_3, {}", in(reg) entry, options(nostack)),
        }
    }
    true
}

/// The guest writes ICC_SGI1R_EL1, to interrupt another processor. Whether it was that.
pub fn send(syndrome: u64, frame: &Frame) -> bool {
    // Arm ARM, ESR_EL2, ISS of a trapped system register: Op0 3, Op1 0, CRn 12, CRm 11, Op2 5, write.
    const REGISTER: u64 = 0x3f_fc1f;
    const SGI1R_WRITE: u64 = 3 << 20 | 5 << 17 | 12 << 10 | 11 << 1;
    if syndrome & REGISTER != SGI1R_WRITE {
        return false;
    }
    let value = frame.general(syndrome >> 5 & 0x1f);
    // SAFETY: an interrupt is sent, as the guest asked.
    unsafe { asm!("msr S3_0_C12_C11_5, {}", "isb", in(reg) value, options(nostack)) };
    true
}

/// The guest reads or writes the registers of private interrupts. Whether it was that.
pub fn redistributor(syndrome: u64, frame: &mut Frame) -> bool {
    // Arm ARM, ESR_EL2, ISS of a data abort: described, size, register, write.
    let (is_described, size) = (syndrome >> 24 & 1 != 0, syndrome >> 22 & 3);
    let (register, is_write) = (syndrome >> 16 & 0x1f, syndrome >> 6 & 1 != 0);
    let Some(at) = cpu::fault_address().checked_sub(GUEST_REDISTRIBUTORS) else { return false };
    let (vp, frame_offset) = (at / REDISTRIBUTOR_STRIDE, at % REDISTRIBUTOR_STRIDE);
    let Some(offset) = frame_offset.checked_sub(PRIVATE_FRAME).filter(|offset| *offset < 0x1000) else {
        return false;
    };
    // Linux reads and writes words of 32 bits there.
    if !is_described || size != 2 || vp >= VPS_MAX as u64 {
        return false;
    }
    let place = (REDISTRIBUTORS + vp * REDISTRIBUTOR_STRIDE + PRIVATE_FRAME + offset) as *mut u32;
    if is_write {
        let value = exchanged(offset, frame.general(register) as u32);
        // SAFETY: a register of the redistributor, mapped as device memory.
        unsafe { place.write_volatile(value) };
    } else {
        // SAFETY: as above.
        let value = unsafe { place.read_volatile() };
        frame.set_general(register, exchanged(offset, value).into());
    }
    true
}

/// A register's value with the two numbers of the timer exchanged: registers with a bit or two for each interrupt.
/// Priorities, a byte each, stay where they are, since all are the same.
fn exchanged(offset: u64, value: u32) -> u32 {
    /// GICR_ICFGR1, for interrupts from 16 on.
    const CONFIGURATION: u64 = 0xc04;
    let (low, high, mask) = match offset {
        0x80 | 0x100 | 0x180 | 0x200 | 0x280 | 0x300 | 0x380 | 0xd00 => (GUEST_TIMER, TIMER, 1),
        CONFIGURATION => ((GUEST_TIMER - 16) * 2, (TIMER - 16) * 2, 3),
        _ => return value,
    };
    let (a, b) = (value >> low & mask, value >> high & mask);
    value & !(mask << low | mask << high) | b << low | a << high
}
