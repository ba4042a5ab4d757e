//! The guest that is part of the monitor, at EL1: how it asks, and how it ends.

use core::arch::{asm, global_asm};

use monitor_core::{guest::Aarch64State, smccc};

use super::{SHARED, cpu};
use crate::self_test::{is_harmless, run};

const STACK_BYTES: usize = 16 * 1024;

#[repr(C, align(16))]
pub struct Stack([u8; STACK_BYTES]);

#[unsafe(no_mangle)]
static mut MONITOR_GUEST_STACK: Stack = Stack([0; STACK_BYTES]);

unsafe extern "C" {
    fn monitor_guest_start();
}

global_asm!(
    "monitor_guest_start:",
    "adrp x1, MONITOR_GUEST_STACK",
    "add x1, x1, :lo12:MONITOR_GUEST_STACK",
    "add sp, x1, #{stack_bytes}",
    "b {guest}",
    // Undefined instructions are skipped; anything else stays here, and the machine hangs, which shows.
    ".balign 2048",
    "monitor_guest_vectors:",
    ".rept 4",
    "b .",
    ".balign 128",
    ".endr",
    "mrs x18, elr_el1",
    "add x18, x18, #4",
    "msr elr_el1, x18",
    "eret",
    ".balign 128",
    ".rept 11",
    "b .",
    ".balign 128",
    ".endr",
    guest = sym guest,
    stack_bytes = const STACK_BYTES,
);

/// State of the guest that runs in a kernel's place.
pub fn state() -> Aarch64State {
    cpu::allow_floating_point(true);
    cpu::own_guest_state(monitor_guest_start as *const () as u64)
}

extern "C" fn guest() -> ! {
    let region = SHARED.take().board.ram.regions()[0];
    run((region.start, region.end))
}

/// X1, and X2 to X17 in and out; X0 comes back.
pub fn guest_call(control: u64, words: &mut [u64; 16]) -> u64 {
    hvc(smccc::HYPERCALL, control, words)
}

fn hvc(function: u64, argument: u64, words: &mut [u64; 16]) -> u64 {
    let mut result = function;
    let place = words.as_mut_ptr();
    // SAFETY: the monitor changes X0 to X17 alone, and X18 where the instruction turns out undefined.
    unsafe {
        asm!(
            "stp x19, {place}, [sp, #-16]!",
            "mov x19, {place}",
            "ldp x2, x3, [x19]",
            "ldp x4, x5, [x19, #16]",
            "ldp x6, x7, [x19, #32]",
            "ldp x8, x9, [x19, #48]",
            "ldp x10, x11, [x19, #64]",
            "ldp x12, x13, [x19, #80]",
            "ldp x14, x15, [x19, #96]",
            "ldp x16, x17, [x19, #112]",
            "hvc #0",
            "stp x2, x3, [x19]",
            "ldp x19, x2, [sp], #16",
            place = in(reg) place,
            inout("x0") result,
            inout("x1") argument => _,
            out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _,
            out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _,
            out("x17") _, out("x18") _,
        );
    }
    result
}

/// A call to firmware, or one that nobody knows.
pub fn guest_nonsense(random: u64) {
    if is_harmless(random) {
        hvc(random, random >> 7, &mut [random; 16]);
    }
}

/// The cheapest way to the monitor and back.
pub fn guest_exit() {
    hvc(smccc::VERSION, 0, &mut [0; 16]);
}

pub fn guest_end() -> ! {
    loop {
        hvc(smccc::PSCI_SYSTEM_OFF, 0, &mut [0; 16]);
    }
}
