//! A guest that is part of this program: it does each thing once that comes back to VTL2, tries what it must not be able
//! to do, measures what the way up and down costs, and ends as it is told. A line each on its serial port.

use std::arch::global_asm;

use crate::{
    config::Ending,
    linux::descriptors,
    memory::{Memory, NotThere},
    paging,
    registers::{self, Begin, long_mode},
};

// Places in the range below 1 MiB.
const DESCRIPTORS: u64 = 0x2_2000;
const INTERRUPTS: u64 = 0x2_4000;
const PAGE_TABLES: u64 = 0x3_0000;
const CODE: u64 = 0x4_0000;
const STACK_END: u64 = 0x5_0000;

/// How often it goes up and down to measure that.
pub const ROUNDS: u32 = 2000;

/// How often it asks for anything at random.
const CALLS: u32 = 500;

const INVALID_OPCODE: usize = 6;
const GENERAL_PROTECTION: usize = 13;
const TIMER: usize = 0x40;

global_asm!(
    ".pushsection .rodata.vtl0_guest, \"a\"",
    ".balign 16",
    ".global vtl0_guest_begin, vtl0_guest_end, vtl0_guest_undefined, vtl0_guest_protection, vtl0_guest_timer",
    "vtl0_guest_begin:",
    // How it ends.
    "mov r15, rsi",
    // R14 counts undefined instructions, R13 protection faults, R12 ticks.
    "xor r14, r14",
    "xor r13, r13",
    "xor r12, r12",
    "lea rdi, [rip + 10f]",
    "call 30f",
    // CPUID, answered by VTL2.
    "mov eax, 0x40000100",
    "cpuid",
    "lea rdi, [rip + 11f]",
    "call 31f",
    // An MSR of VTL2's.
    "mov ecx, 0x1b",
    "rdmsr",
    "lea rdi, [rip + 12f]",
    "call 31f",
    // One that isn't there faults.
    "mov ecx, 0xdeadbee",
    "rdmsr",
    "mov rax, r13",
    "lea rdi, [rip + 13f]",
    "call 31f",
    // The monitor, VTL2's kernel, and nothing: all read as ones, and stay as they are.
    "mov rbx, 0x100000",
    "mov eax, [rbx]",
    "mov qword ptr [rbx], 0",
    "mov rbx, 0x1000000",
    "and eax, 0xffffffff",
    "mov ecx, [rbx]",
    "and eax, ecx",
    "mov qword ptr [rbx], 0",
    "mov rbx, 0xfee00000",
    "mov ecx, [rbx]",
    "and eax, ecx",
    "mov rbx, 0",
    "mov ecx, [rbx]",
    "and eax, ecx",
    "mov rdi, 0x100000",
    "mov rcx, 512",
    "push rax",
    "xor eax, eax",
    "rep stosq",
    "pop rax",
    "lea rdi, [rip + 14f]",
    "call 31f",
    // VTL switches and SVM are not for this level: undefined.
    "mov rcx, 0x11",
    "vmmcall",
    "mov rcx, 0x12",
    "vmmcall",
    // Its address has to be one, or it is that which is wrong.
    "xor eax, eax",
    "vmrun rax",
    "mov rax, r14",
    "lea rdi, [rip + 15f]",
    "call 31f",
    // No hypercall changes what the monitor holds: SET_VP_REGISTERS with pages of VTL2's.
    "mov rcx, 0x100000051",
    "mov rdx, 0x1000000",
    "mov r8, 0x1000000",
    "vmmcall",
    "lea rdi, [rip + 16f]",
    "call 31f",
    // Hypercalls with whatever words, and Hyper-V's MSRs read and written with them (Marsaglia, "Xorshift RNGs", 2003).
    "mov rbp, 0x5eed5eed",
    "mov r10d, {calls}",
    "21: mov rax, rbp",
    "shl rax, 13",
    "xor rbp, rax",
    "mov rax, rbp",
    "shr rax, 7",
    "xor rbp, rax",
    "mov rax, rbp",
    "shl rax, 17",
    "xor rbp, rax",
    "mov rcx, rbp",
    "mov rdx, rbp",
    "ror rdx, 17",
    "mov r8, rbp",
    "ror r8, 31",
    "vmmcall",
    "mov ecx, ebp",
    "and ecx, 0x1ff",
    "or ecx, 0x40000000",
    "rdmsr",
    "mov eax, ebp",
    "mov rdx, rbp",
    "shr rdx, 32",
    "wrmsr",
    "dec r10d",
    "jnz 21b",
    "mov eax, {calls}",
    "lea rdi, [rip + 22f]",
    "call 31f",
    // The timer: on, vector 0x40, undivided, twenty million nanoseconds.
    "mov ecx, 0x80f",
    "mov eax, 0x1ff",
    "xor edx, edx",
    "wrmsr",
    "mov ecx, 0x83e",
    "mov eax, 0xb",
    "wrmsr",
    "mov ecx, 0x832",
    "mov eax, 0x40",
    "wrmsr",
    "mov ecx, 0x838",
    "mov eax, 20000000",
    "wrmsr",
    "sti",
    "hlt",
    "cli",
    "mov rax, r12",
    "lea rdi, [rip + 17f]",
    "call 31f",
    // And once without waiting for it in HLT.
    "mov ecx, 0x838",
    "mov eax, 1000000",
    "xor edx, edx",
    "wrmsr",
    "sti",
    "2: pause",
    "cmp r12, 2",
    "jb 2b",
    "cli",
    "mov rax, r12",
    "lea rdi, [rip + 17f]",
    "call 31f",
    // What exits cost: to VTL2 and back, and to the monitor alone.
    "mov r8d, 0x40000100",
    "call 33f",
    "lea rdi, [rip + 18f]",
    "call 31f",
    "mov r8d, 0x40000001",
    "call 33f",
    "lea rdi, [rip + 19f]",
    "call 31f",
    // The end.
    "cmp r15, 1",
    "je 3f",
    "ja 4f",
    "mov al, 0xfe",
    "out 0x64, al",
    "3: lea rbx, [rip + 20f]",
    "lidt [rbx]",
    "ud2",
    "4: cli",
    "hlt",
    "jmp 4b",
    // Prints the text at RDI.
    "30: mov dx, 0x3f8",
    "5: mov al, [rdi]",
    "test al, al",
    "jz 6f",
    "out dx, al",
    "inc rdi",
    "jmp 5b",
    "6: ret",
    // Prints the text at RDI, RAX in hexadecimal, and a line end.
    "31: push rax",
    "call 30b",
    "pop rbx",
    "mov ecx, 60",
    "7: mov rax, rbx",
    "shr rax, cl",
    "and eax, 15",
    "cmp al, 10",
    "jb 8f",
    "add al, 39",
    "8: add al, 48",
    "out dx, al",
    "sub ecx, 4",
    "jns 7b",
    "mov al, 10",
    "out dx, al",
    "ret",
    // Asks for leaf R8D many times. RAX: how long that took, by the time stamp counter.
    "33: rdtsc",
    "shl rdx, 32",
    "lea r9, [rax + rdx]",
    "mov r10d, {rounds}",
    "9: mov eax, r8d",
    "cpuid",
    "dec r10d",
    "jnz 9b",
    "rdtsc",
    "shl rdx, 32",
    "add rax, rdx",
    "sub rax, r9",
    "ret",
    // VMMCALL and VMRUN have three bytes, RDMSR two; the latter's exception has an error code.
    "vtl0_guest_undefined:",
    "inc r14",
    "add qword ptr [rsp], 3",
    "iretq",
    "vtl0_guest_protection:",
    "inc r13",
    "add rsp, 8",
    "add qword ptr [rsp], 2",
    "iretq",
    "vtl0_guest_timer:",
    "inc r12",
    "push rax",
    "push rcx",
    "push rdx",
    "mov ecx, 0x80b",
    "xor eax, eax",
    "xor edx, edx",
    "wrmsr",
    "pop rdx",
    "pop rcx",
    "pop rax",
    "iretq",
    "10: .asciz \"test guest at VTL0\\n\"",
    "11: .asciz \"cpuid \"",
    "12: .asciz \"apic-base \"",
    "13: .asciz \"protection-faults \"",
    "14: .asciz \"foreign-memory \"",
    "15: .asciz \"undefined-instructions \"",
    "16: .asciz \"hypercall-status \"",
    "17: .asciz \"ticks \"",
    "18: .asciz \"round-trips-tsc \"",
    "19: .asciz \"plain-exits-tsc \"",
    "22: .asciz \"random-calls \"",
    "20: .skip 16, 0",
    "vtl0_guest_end:",
    ".popsection",
    rounds = const ROUNDS,
    calls = const CALLS,
);

unsafe extern "C" {
    static vtl0_guest_begin: u8;
    static vtl0_guest_end: u8;
    static vtl0_guest_undefined: u8;
    static vtl0_guest_protection: u8;
    static vtl0_guest_timer: u8;
}

/// Puts it in place.
pub fn load(memory: &Memory, ends: Ending) -> Result<Begin, String> {
    let missing = |NotThere| "the test guest needs memory from 0x22000 to 0x50000".to_string();
    // SAFETY: the bytes between the two symbols are constants of this program; of the others only addresses are taken.
    let (code, handlers) = unsafe {
        let begin = &raw const vtl0_guest_begin;
        let length = (&raw const vtl0_guest_end).offset_from_unsigned(begin);
        let handlers = [
            (INVALID_OPCODE, &raw const vtl0_guest_undefined),
            (GENERAL_PROTECTION, &raw const vtl0_guest_protection),
            (TIMER, &raw const vtl0_guest_timer),
        ];
        let handlers = handlers.map(|(vector, handler)| (vector, handler.offset_from_unsigned(begin) as u64));
        (std::slice::from_raw_parts(begin, length), handlers)
    };
    memory.write(CODE, code).map_err(missing)?;
    memory.write(DESCRIPTORS, &descriptors()).map_err(missing)?;
    memory.write(INTERRUPTS, &[0; 4096]).map_err(missing)?;
    for (vector, offset) in handlers {
        // Interrupt gate, present, in the 64-bit code segment; it lies below 4 GiB.
        let address = CODE + offset;
        let gate = address & 0xffff | 0x10 << 16 | 0x8e00 << 32 | (address >> 16 & 0xffff) << 48;
        memory.write_u64(INTERRUPTS + vector as u64 * 16, gate).map_err(missing)?;
    }
    let cr3 = paging::identity(memory, PAGE_TABLES)?;
    let mut registers = long_mode(CODE, STACK_END, cr3, DESCRIPTORS);
    registers.push((registers::IDTR, registers::table(INTERRUPTS, 4095)));
    let rsi = match ends {
        Ending::Reset => 0,
        Ending::Crash => 1,
        Ending::Halt => 2,
    };
    Ok(Begin { registers, rsi })
}
