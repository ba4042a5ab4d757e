//! The processor: model-specific registers, CPUID, time, the local APIC.

use core::{
    arch::{asm, x86_64::__cpuid_count},
    sync::atomic::{AtomicU64, Ordering},
};

/// QEMU's local APIC timer.
pub const APIC_HZ: u64 = 1_000_000_000;

const APIC_BASE: u32 = 0x1b;
const X2APIC: u64 = 1 << 10;
const X2APIC_ICR: u32 = 0x830;
const APIC: u64 = 0xfee0_0000;
const ICR_LOW: u64 = 0x300;
const ICR_HIGH: u64 = 0x310;
const TIMER_DIVIDER: u64 = 0x3e0;
const TIMER_INITIAL: u64 = 0x380;
const TIMER_CURRENT: u64 = 0x390;

static TSC_HZ: AtomicU64 = AtomicU64::new(1);

pub fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: callers name registers that the processor has; reading one changes nothing.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

pub fn write_msr(msr: u32, value: u64) {
    // SAFETY: callers write registers of SVM and of the local APIC, none of which changes what Rust relies on.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let words = __cpuid_count(leaf, subleaf);
    [words.eax, words.ebx, words.ecx, words.edx]
}

pub fn has_svm() -> bool {
    cpuid(0x8000_0000, 0)[0] >= 0x8000_000a && cpuid(0x8000_0001, 0)[2] & 1 << 2 != 0
}

pub fn tsc() -> u64 {
    // SAFETY: a counter is read.
    unsafe { core::arch::x86_64::_rdtsc() }
}

pub fn tsc_hz() -> u64 {
    TSC_HZ.load(Ordering::Relaxed)
}

pub fn now_100ns() -> u64 {
    (u128::from(tsc()) * 10_000_000 / u128::from(tsc_hz().max(1))) as u64
}

/// Finds out how fast the time stamp counter is, by the timer of the local APIC.
pub fn measure_tsc() {
    const TICKS: u32 = (APIC_HZ / 200) as u32;
    write_apic(TIMER_DIVIDER, 0b1011);
    write_apic(TIMER_INITIAL, u32::MAX);
    let (start, tsc_start) = (read_apic(TIMER_CURRENT), tsc());
    let mut passed = 0;
    while passed < TICKS {
        passed = start - read_apic(TIMER_CURRENT);
    }
    let tsc_passed = tsc() - tsc_start;
    write_apic(TIMER_INITIAL, 0);
    let hz = u128::from(tsc_passed) * u128::from(APIC_HZ) / u128::from(passed);
    TSC_HZ.store(hz as u64, Ordering::Relaxed);
}

/// This processor does nothing any more.
pub fn halt() -> ! {
    loop {
        // SAFETY: without interrupts the processor stays here.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Sends an interrupt with this vector to the processor with this APIC id.
pub fn send_interrupt(apic_id: u32, vector: u8) {
    command(apic_id, vector.into());
}

/// Starts a processor that waits since power-on, at a page below 1 MiB (Intel SDM 3A, "Multiple-Processor (MP)
/// Initialization").
pub fn start(apic_id: u32, page: u64) {
    const INIT: u32 = 0x4500;
    const STARTUP: u32 = 0x4600;
    command(apic_id, INIT);
    let until = tsc() + tsc_hz() / 1000;
    while tsc() < until {
        core::hint::spin_loop();
    }
    command(apic_id, STARTUP | (page >> 12) as u32);
}

fn command(apic_id: u32, low: u32) {
    if read_msr(APIC_BASE) & X2APIC != 0 {
        write_msr(X2APIC_ICR, u64::from(apic_id) << 32 | u64::from(low));
        return;
    }
    // The guest may be between its own two writes.
    let high = read_apic(ICR_HIGH);
    write_apic(ICR_HIGH, apic_id << 24);
    write_apic(ICR_LOW, low);
    write_apic(ICR_HIGH, high);
}

fn read_apic(register: u64) -> u32 {
    // SAFETY: a register of the local APIC, which is where it is after reset.
    unsafe { ((APIC + register) as *const u32).read_volatile() }
}

fn write_apic(register: u64, value: u32) {
    // SAFETY: as above.
    unsafe { ((APIC + register) as *mut u32).write_volatile(value) }
}
