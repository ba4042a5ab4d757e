//! Entry of processors, in assembly: from 32-bit protected mode, where a multiboot loader leaves the first, and from
//! real mode, where others begin.

use core::arch::global_asm;

use super::{first, other};

/// Bytes of stack a processor has.
const STACK_BYTES: usize = 32 * 1024;
/// Where others begin; below 1 MiB, by the startup interrupt's vector.
pub const TRAMPOLINE: u64 = 0x8000;
pub const TRAMPOLINE_BYTES: usize = 4096;

#[repr(C, align(4096))]
pub struct Stacks([[u8; STACK_BYTES]; monitor_core::VPS_MAX]);

#[unsafe(no_mangle)]
static mut MONITOR_STACKS: Stacks = Stacks([[0; STACK_BYTES]; monitor_core::VPS_MAX]);

unsafe extern "C" {
    /// Bytes of the trampoline.
    pub static monitor_trampoline: u8;
    pub static monitor_trampoline_end: u8;
    /// Page tables that map each address to itself, and the segment table.
    pub static monitor_pml4: u8;
    pub static monitor_gdt: u8;
}

global_asm!(
    // Multiboot 1 (0.6.96, 3.1): page-aligned modules, memory map, and where to load what follows.
    ".section .multiboot, \"ax\"",
    ".balign 4",
    "monitor_header:",
    ".long 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)",
    ".long monitor_header, monitor_begin, monitor_load_end, monitor_end, monitor_start",
    ".code32",
    ".global monitor_start",
    "monitor_start:",
    "cli",
    "cld",
    "mov edi, ebx",
    // 512 pages of 1 GiB.
    "mov dword ptr [monitor_pml4], offset monitor_pdpt + 3",
    "mov dword ptr [monitor_pml4 + 4], 0",
    "xor ecx, ecx",
    "2: mov eax, ecx",
    "shl eax, 30",
    "or eax, 0x83",
    "mov [monitor_pdpt + ecx * 8], eax",
    "mov eax, ecx",
    "shr eax, 2",
    "mov [monitor_pdpt + ecx * 8 + 4], eax",
    "inc ecx",
    "cmp ecx, 512",
    "jb 2b",
    "lgdt [monitor_gdt_pointer]",
    "xor esi, esi",
    "jmp monitor_long",
    // From 64-bit mode, each address mapped to itself: the same tables, filled anew.
    ".code64",
    ".global monitor_start_64",
    "monitor_start_64:",
    "cli",
    "cld",
    "lea rax, [monitor_pdpt + 3]",
    "mov [monitor_pml4], rax",
    "mov eax, 0x83",
    "lea rdi, [monitor_pdpt]",
    "mov ecx, 512",
    "4: mov [rdi], rax",
    "add rax, 0x40000000",
    "add rdi, 8",
    "dec ecx",
    "jnz 4b",
    "lgdt [monitor_gdt_pointer]",
    "mov eax, 0x620",
    "mov cr4, rax",
    "lea rax, [monitor_pml4]",
    "mov cr3, rax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x1900",
    "wrmsr",
    "mov rax, cr0",
    "and eax, 0x9ffffff3",
    "or eax, 0x80000023",
    "mov cr0, rax",
    "xor esi, esi",
    "xor edi, edi",
    "mov rsp, offset MONITOR_STACKS + {stack_bytes}",
    "push 0x10",
    "lea rax, [monitor_long_64]",
    "push rax",
    "retfq",
    ".code32",
    // Common to all processors: ESI is the processor's number, EDI its argument.
    "monitor_long:",
    // PAE, SSE.
    "mov eax, cr4",
    "or eax, 0x620",
    "mov cr4, eax",
    "mov eax, offset monitor_pml4",
    "mov cr3, eax",
    // Long mode, no-execute pages, SVM.
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x1900",
    "wrmsr",
    "mov eax, cr0",
    "and eax, 0x9ffffff3",
    "or eax, 0x80000023",
    "mov cr0, eax",
    "jmp 0x10, offset monitor_long_64",
    ".code64",
    "monitor_long_64:",
    "mov eax, 0x18",
    "mov ds, ax",
    "mov es, ax",
    "mov ss, ax",
    "xor eax, eax",
    "mov fs, ax",
    "mov gs, ax",
    "mov eax, esi",
    "inc eax",
    "imul rax, rax, {stack_bytes}",
    "lea rsp, [rax + MONITOR_STACKS]",
    "test esi, esi",
    "jnz 3f",
    "call {first}",
    "3: mov edi, esi",
    "call {other}",
    "ud2",
    // Copied to TRAMPOLINE; its addresses are those there.
    ".code16",
    ".global monitor_trampoline",
    "monitor_trampoline:",
    "cli",
    "xor ax, ax",
    "mov ds, ax",
    "lgdtd [{trampoline} + 0x40]",
    "mov eax, cr0",
    "or al, 1",
    "mov cr0, eax",
    ".byte 0x66, 0xea",
    ".long monitor_protected",
    ".word 0x08",
    // At the offset named above.
    ".skip 0x40 - (. - monitor_trampoline)",
    ".word 31",
    ".long monitor_gdt",
    ".global monitor_trampoline_end",
    "monitor_trampoline_end:",
    ".code32",
    "monitor_protected:",
    "mov eax, 0x18",
    "mov ds, ax",
    "mov ss, ax",
    // CPUID leaf 1: the APIC id is the processor's number.
    "mov eax, 1",
    "cpuid",
    "shr ebx, 24",
    "mov esi, ebx",
    "jmp monitor_long",
    ".code64",
    ".section .data, \"aw\"",
    ".balign 8",
    ".global monitor_gdt",
    "monitor_gdt:",
    // Null; 32-bit code; 64-bit code and data where Linux's boot protocol wants them.
    ".quad 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff",
    "monitor_gdt_pointer:",
    ".word 31",
    ".quad monitor_gdt",
    ".section .bss, \"aw\", @nobits",
    ".balign 4096",
    ".global monitor_pml4",
    "monitor_pml4: .skip 4096",
    "monitor_pdpt: .skip 4096",
    ".text",
    first = sym first,
    other = sym other,
    stack_bytes = const STACK_BYTES,
    trampoline = const TRAMPOLINE,
);
