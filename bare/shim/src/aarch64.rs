//! aarch64: entered at EL1 with translation off; X0 has the plan's address.
//!
//! With translation off, memory behaves like a device: compiled code may not count on that, so it is switched on for the
//! shim and off again for the kernel.

use core::{
    arch::{asm, global_asm},
    cell::UnsafeCell,
};

use boot_shim::{
    Range,
    plan::{PAGE_BYTES, Plan},
};

use crate::shim;

const STACK_BYTES: usize = 64 * 1024;

#[repr(C, align(4096))]
pub struct Stack([u8; STACK_BYTES]);

#[unsafe(no_mangle)]
static mut SHIM_STACK: Stack = Stack([0; STACK_BYTES]);

/// Level 1 of translation: 1 GiB an entry.
#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: there is one processor.
unsafe impl Sync for Table {}

#[unsafe(no_mangle)]
static SHIM_TABLE: Table = Table(UnsafeCell::new([0; 512]));

global_asm!(
    ".section .text.start, \"ax\"",
    ".global shim_start",
    "shim_start:",
    "msr daifset, #0xf",
    // Floating point is allowed: compiled code uses its registers.
    "mov x1, #0x300000",
    "msr cpacr_el1, x1",
    // The GiB that the plan is in, at its own address: a block of write-back memory, accessed, inner shareable.
    "adrp x1, SHIM_TABLE",
    "add x1, x1, :lo12:SHIM_TABLE",
    "lsr x2, x0, #30",
    "lsl x3, x2, #30",
    "mov x4, #0x701",
    "orr x3, x3, x4",
    "str x3, [x1, x2, lsl #3]",
    "mov x3, #0xff",
    "msr mair_el1, x3",
    // 39 bits of address, 4 KiB granule, walks through write-back memory, none through TTBR1, 40 bits of physical address.
    "movz x3, #0x0080, lsl #16",
    "movk x3, #0x3519",
    "movk x3, #0x2, lsl #32",
    "msr tcr_el1, x3",
    "msr ttbr0_el1, x1",
    "dsb ish",
    "tlbi vmalle1",
    "dsb ish",
    "isb",
    "mrs x3, sctlr_el1",
    "mov x4, #0x1005",
    "orr x3, x3, x4",
    "msr sctlr_el1, x3",
    "isb",
    "adrp x1, SHIM_STACK",
    "add x1, x1, :lo12:SHIM_STACK",
    "add sp, x1, #{stack_bytes}",
    "b {begin}",
    ".text",
    stack_bytes = const STACK_BYTES,
    begin = sym begin,
);

/// Maps the rest of what the plan names, by whole GiB, and goes on.
extern "C" fn begin(plan: u64) -> ! {
    // SAFETY: the file's own page, which nothing writes.
    let page = unsafe { &*(plan as *const [u8; PAGE_BYTES]) };
    if let Ok(plan) = Plan::parse(page) {
        let inputs = [plan.vp_count, plan.memory_map, plan.host_tree, plan.host_options, plan.template];
        for range in inputs.into_iter().chain([plan.kernel_span, plan.initramfs, plan.command_line, plan.own])
        {
            for number in range.start >> 30..=range.end.saturating_sub(1) >> 30 {
                map(number);
            }
        }
    }
    // SAFETY: the table is complete for all that is used from here on.
    unsafe { asm!("dsb ishst", "isb", options(nostack)) };
    shim(plan)
}

fn map(gib: u64) {
    const BLOCK: u64 = 0x701;
    if gib < 512 {
        // SAFETY: within the table; an entry that was invalid becomes valid, or stays what it is.
        unsafe { SHIM_TABLE.0.get().cast::<u64>().add(gib as usize).write_volatile(gib << 30 | BLOCK) };
    }
}

/// Linux's boot protocol (Documentation/arch/arm64/booting.rst): X0 has the device tree, translation is off, and what was
/// written lies in memory.
pub fn start_kernel(entry: u64, tree: u64, own: Range) -> ! {
    // All that was written lies in the shim's own memory.
    let mut line = own.start;
    while line < own.end {
        // SAFETY: cleans a line of a mapped page; lines of the cache have 64 bytes or more.
        unsafe { asm!("dc civac, {}", in(reg) line, options(nostack, preserves_flags)) };
        line += 64;
    }
    // SAFETY: the kernel never returns; the code here is mapped at its own address.
    unsafe {
        asm!(
            "dsb sy",
            "mrs x4, sctlr_el1",
            "mov x5, #0x1005",
            "bic x4, x4, x5",
            "msr sctlr_el1, x4",
            "isb",
            "ic iallu",
            "tlbi vmalle1",
            "dsb sy",
            "isb",
            "msr cpacr_el1, xzr",
            "mov x1, xzr",
            "mov x2, xzr",
            "mov x3, xzr",
            "br x6",
            in("x0") tree,
            in("x6") entry,
            options(noreturn)
        );
    }
}

// TLFS, "HVC calling convention": function in X0, control word in X1, parameters from X2 on.
const HYPERCALL: u64 = 0x4600_0001;
const SET_VP_REGISTERS: u64 = 0x51;
const FAST: u64 = 1 << 16;
const ONE: u64 = 1 << 32;
const PARTITION_SELF: u64 = u64::MAX;
const VP_SELF: u64 = 0xffff_fffe;

/// HvRegisterGuestCrashP0 to P4, then HvRegisterGuestCrashCtl.
pub fn report(parameters: [u64; 5]) {
    const CRASH_P0: u64 = 0x210;
    const CRASH_CTL: u64 = 0x215;
    for (number, parameter) in parameters.iter().enumerate() {
        set_register(CRASH_P0 + number as u64, *parameter);
    }
    set_register(CRASH_CTL, crate::CRASH_NOTIFY_MESSAGE);
}

fn set_register(name: u64, value: u64) {
    // SAFETY: a hypercall that changes a register of Hyper-V; X0 to X17 may change.
    unsafe {
        asm!(
            "hvc #1",
            inout("x0") HYPERCALL => _, inout("x1") SET_VP_REGISTERS | FAST | ONE => _,
            inout("x2") PARTITION_SELF => _, inout("x3") VP_SELF => _,
            inout("x4") name => _, inout("x5") 0_u64 => _, inout("x6") value => _, inout("x7") 0_u64 => _,
            out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _,
            out("x15") _, out("x16") _, out("x17") _,
            options(nostack)
        );
    }
}

/// PSCI SYSTEM_OFF: there is nobody to return to.
pub fn end() -> ! {
    const SYSTEM_OFF: u64 = 0x8400_0008;
    loop {
        // SAFETY: ends the machine, or does nothing.
        unsafe {
            asm!("hvc #0", inout("x0") SYSTEM_OFF => _, out("x1") _, out("x2") _, out("x3") _, options(nostack))
        };
    }
}
