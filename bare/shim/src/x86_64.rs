//! x86_64: entered in long mode with all memory that matters mapped at its own address, RSI has the plan's address.

use core::arch::{asm, global_asm};

use boot_shim::Range;

use crate::shim;

const STACK_BYTES: usize = 64 * 1024;

#[repr(C, align(4096))]
pub struct Stack([u8; STACK_BYTES]);

#[unsafe(no_mangle)]
static mut SHIM_STACK: Stack = Stack([0; STACK_BYTES]);

global_asm!(
    ".section .text.start, \"ax\"",
    ".global shim_start",
    "shim_start:",
    "cli",
    "cld",
    // SSE, which compiled code uses: OSFXSR and OSXMMEXCPT; no emulation of the coprocessor, and its monitor bit.
    "mov rax, cr4",
    "or rax, 0x600",
    "mov cr4, rax",
    "mov rax, cr0",
    "and rax, -5",
    "or rax, 2",
    "mov cr0, rax",
    "lea rsp, [rip + SHIM_STACK + {stack_bytes}]",
    "mov rdi, rsi",
    "call {shim}",
    "ud2",
    ".text",
    stack_bytes = const STACK_BYTES,
    shim = sym shim,
);

/// Linux's 64-bit entry (Documentation/arch/x86/boot.rst): RSI has boot_params.
pub fn start_kernel(entry: u64, boot_params: u64, _: Range) -> ! {
    // SAFETY: the kernel never returns.
    unsafe {
        asm!(
            "xor ebx, ebx",
            "xor ebp, ebp",
            "xor edi, edi",
            "jmp {entry}",
            entry = in(reg) entry,
            in("rsi") boot_params,
            options(noreturn)
        );
    }
}

/// HV_X64_MSR_CRASH_P0 to P4, then HV_X64_MSR_CRASH_CTL.
pub fn report(parameters: [u64; 5]) {
    const CRASH_P0: u32 = 0x4000_0100;
    const CRASH_CTL: u32 = 0x4000_0105;
    for (number, parameter) in parameters.iter().enumerate() {
        write_msr(CRASH_P0 + number as u32, *parameter);
    }
    write_msr(CRASH_CTL, crate::CRASH_NOTIFY_MESSAGE);
}

fn write_msr(msr: u32, value: u64) {
    // SAFETY: registers of Hyper-V that change nothing in memory.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

/// Ends the processor by a triple fault: there is nobody to return to.
pub fn end() -> ! {
    let nothing = [0_u64; 2];
    // SAFETY: without a table of exceptions, the first ends the machine.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &nothing, options(noreturn)) };
}
