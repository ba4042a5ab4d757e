//! Entry of processors and of exceptions, in assembly.

use core::arch::global_asm;

use super::{
    exit::{fault, handle},
    first, other,
};

/// Bytes of stack a processor has.
const STACK_BYTES: usize = 20 * 1024;

#[repr(C, align(4096))]
pub struct Stacks([[u8; STACK_BYTES]; monitor_core::VPS_MAX]);

#[unsafe(no_mangle)]
static mut MONITOR_STACKS: Stacks = Stacks([[0; STACK_BYTES]; monitor_core::VPS_MAX]);

/// Where the stack of a processor begins, at its upper end.
pub fn stack_end(vp: u64) -> u64 {
    (&raw const MONITOR_STACKS) as u64 + (vp + 1) * STACK_BYTES as u64
}

unsafe extern "C" {
    /// Where firmware starts another processor, with its number in X0.
    pub fn monitor_other();
}

global_asm!(
    ".section .text.start, \"ax\"",
    ".global monitor_start",
    "monitor_start:",
    "mov x0, xzr",
    "adrp x1, {first}",
    "add x1, x1, :lo12:{first}",
    "b 1f",
    ".global monitor_other",
    "monitor_other:",
    "adrp x1, {other}",
    "add x1, x1, :lo12:{other}",
    // Stack of processor X0; floating point is allowed at EL2.
    "1: adrp x2, MONITOR_STACKS",
    "add x2, x2, :lo12:MONITOR_STACKS",
    "mov x3, #{stack_bytes}",
    "add x4, x0, #1",
    "madd x2, x4, x3, x2",
    "mov sp, x2",
    "mov x3, #0x33ff",
    "msr cptr_el2, x3",
    "isb",
    "br x1",
    // Arm ARM, VBAR_EL2: sixteen entries of 128 bytes. Only the guest's synchronous exceptions are expected.
    ".balign 2048",
    ".global monitor_vectors",
    "monitor_vectors:",
    ".rept 8",
    ".balign 128",
    "b 9f",
    ".endr",
    ".balign 128",
    "b 2f",
    ".rept 7",
    ".balign 128",
    "b 9f",
    ".endr",
    "2: sub sp, sp, #784",
    "stp x0, x1, [sp]",
    "stp x2, x3, [sp, #16]",
    "stp x4, x5, [sp, #32]",
    "stp x6, x7, [sp, #48]",
    "stp x8, x9, [sp, #64]",
    "stp x10, x11, [sp, #80]",
    "stp x12, x13, [sp, #96]",
    "stp x14, x15, [sp, #112]",
    "stp x16, x17, [sp, #128]",
    "stp x18, x19, [sp, #144]",
    "stp x29, x30, [sp, #160]",
    "mrs x1, fpcr",
    "mrs x2, fpsr",
    "stp x1, x2, [sp, #176]",
    "add x3, sp, #256",
    "stp q0, q1, [x3]",
    "stp q2, q3, [x3, #32]",
    "stp q4, q5, [x3, #64]",
    "stp q6, q7, [x3, #96]",
    "stp q8, q9, [x3, #128]",
    "stp q10, q11, [x3, #160]",
    "stp q12, q13, [x3, #192]",
    "stp q14, q15, [x3, #224]",
    "stp q16, q17, [x3, #256]",
    "stp q18, q19, [x3, #288]",
    "stp q20, q21, [x3, #320]",
    "stp q22, q23, [x3, #352]",
    "stp q24, q25, [x3, #384]",
    "stp q26, q27, [x3, #416]",
    "stp q28, q29, [x3, #448]",
    "stp q30, q31, [x3, #480]",
    "mov x0, sp",
    "bl {handle}",
    "add x3, sp, #256",
    "ldp q0, q1, [x3]",
    "ldp q2, q3, [x3, #32]",
    "ldp q4, q5, [x3, #64]",
    "ldp q6, q7, [x3, #96]",
    "ldp q8, q9, [x3, #128]",
    "ldp q10, q11, [x3, #160]",
    "ldp q12, q13, [x3, #192]",
    "ldp q14, q15, [x3, #224]",
    "ldp q16, q17, [x3, #256]",
    "ldp q18, q19, [x3, #288]",
    "ldp q20, q21, [x3, #320]",
    "ldp q22, q23, [x3, #352]",
    "ldp q24, q25, [x3, #384]",
    "ldp q26, q27, [x3, #416]",
    "ldp q28, q29, [x3, #448]",
    "ldp q30, q31, [x3, #480]",
    "ldp x1, x2, [sp, #176]",
    "msr fpcr, x1",
    "msr fpsr, x2",
    "ldp x0, x1, [sp]",
    "ldp x2, x3, [sp, #16]",
    "ldp x4, x5, [sp, #32]",
    "ldp x6, x7, [sp, #48]",
    "ldp x8, x9, [sp, #64]",
    "ldp x10, x11, [sp, #80]",
    "ldp x12, x13, [sp, #96]",
    "ldp x14, x15, [sp, #112]",
    "ldp x16, x17, [sp, #128]",
    "ldp x18, x19, [sp, #144]",
    "ldp x29, x30, [sp, #160]",
    "add sp, sp, #784",
    "eret",
    "9: bl {fault}",
    first = sym first,
    other = sym other,
    handle = sym handle,
    fault = sym fault,
    stack_bytes = const STACK_BYTES,
);
