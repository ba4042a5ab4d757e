//! Where TDX begins: the last page of the first 4 GiB, in 32-bit protected mode with flat segments.
//!
//! Each processor starts there with its number in ESI. The first goes to long mode with the registers of the layout;
//! the others wait for ever, since nothing of Linux's at this version asks for them through memory: it asks Hyper-V.
//! Source: Intel TDX Module Base Architecture Specification, "TD VCPU Initial State".

use super::{Content, Import, PAGE_BYTES, PlatformKind, Region, Role, x86_64::Registers};

const PAGE: u64 = (4 << 30) - PAGE_BYTES;
const VECTOR: usize = 0xff0;

/// The page, which is TDX's alone.
pub(super) fn region(registers: &Registers) -> Region {
    Region {
        gpa: PAGE,
        length_bytes: PAGE_BYTES,
        role: Role::ResetVector,
        content: Content::Bytes(code(registers)),
        import: Import::Normal,
        platforms: vec![PlatformKind::Tdx],
    }
}

/// Machine code; EFER.LME is set and can't be changed, so paging makes long mode.
fn code(registers: &Registers) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE_BYTES as usize);
    // test esi, esi; jz first; wait: pause; jmp wait
    page.extend([0x85, 0xf6, 0x74, 0x04, 0xf3, 0x90, 0xeb, 0xfc]);
    // first: lgdt [pointer]
    page.extend([0x0f, 0x01, 0x15]);
    let pointer = page.len();
    page.extend([0; 4]);
    // mov eax, cr4; or eax, PAE; mov cr4, eax
    page.extend([0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x20, 0x0f, 0x22, 0xe0]);
    // mov eax, tables; mov cr3, eax
    page.push(0xb8);
    page.extend((registers.cr3 as u32).to_le_bytes());
    page.extend([0x0f, 0x22, 0xd8]);
    // mov eax, cr0; or eax, PG; mov cr0, eax
    page.extend([0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0]);
    // jmp 0x10:long
    page.push(0xea);
    let long = page.len() + 6;
    page.extend((PAGE as u32 + long as u32).to_le_bytes());
    page.extend([0x10, 0x00]);
    // long: mov eax, 0x18; mov ds, eax; mov es, eax; mov ss, eax; mov fs, eax; mov gs, eax
    page.extend([0xb8, 0x18, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0x8e, 0xe0, 0x8e, 0xe8]);
    // mov rsi, boot_params; mov rax, entry; jmp rax
    page.extend([0x48, 0xbe]);
    page.extend(registers.rsi.to_le_bytes());
    page.extend([0x48, 0xb8]);
    page.extend(registers.rip.to_le_bytes());
    page.extend([0xff, 0xe0]);
    let table = page.len();
    page.extend(registers.gdt_limit.to_le_bytes());
    page.extend((registers.gdt_base as u32).to_le_bytes());
    page[pointer..pointer + 4].copy_from_slice(&(PAGE as u32 + table as u32).to_le_bytes());
    page.resize(VECTOR, 0);
    // jmp to the beginning of the page
    page.push(0xe9);
    page.extend((-(VECTOR as i32 + 5)).to_le_bytes());
    page.resize(PAGE_BYTES as usize, 0);
    page
}
