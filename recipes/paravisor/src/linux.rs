//! Puts a Linux kernel into VTL0's memory, with what it is to be told (Linux, Documentation/arch/x86/boot.rst, 64-bit
//! boot protocol; zero-page.rst).

use crate::{
    memory::{Memory, NotThere},
    paging,
    registers::{Begin, long_mode},
    tables,
};

const PAGE: u64 = 4096;

// Places in the first range, which is the one below 1 MiB.
const BOOT_PARAMS: u64 = 0x2_0000;
const COMMAND_LINE: u64 = 0x2_1000;
const DESCRIPTORS: u64 = 0x2_2000;
const ACPI: u64 = 0x2_3000;
const ACPI_END: u64 = 0x2_5000;
const PAGE_TABLES: u64 = 0x3_0000;

// Offsets in the image and, from 0x1f1 on, in boot_params.
const SETUP_SECTORS: usize = 0x1f1;
const SETUP_END: usize = 0x201;
const MAGIC: usize = 0x202;
const KERNEL_ALIGNMENT: usize = 0x230;
const RELOCATABLE: usize = 0x234;
const LOAD_FLAGS: usize = 0x236;
const INIT_SIZE: usize = 0x260;
const HEADER_BYTES: usize = 0x280;
// Offsets in boot_params alone.
const ACPI_ROOT: usize = 0x70;
const E820_COUNT: usize = 0x1e8;
const E820_TABLE: usize = 0x2d0;

const RAM: u32 = 1;
const ACPI_MEMORY: u32 = 3;

/// Loads it. An error says what is wrong with the image, or that there is too little memory.
pub fn load(memory: &Memory, kernel: &[u8], initramfs: &[u8], command_line: &str) -> Result<Begin, String> {
    let header = header(kernel)?;
    let (base, size) = memory.ranges().max_by_key(|(_, size)| *size).ok_or("the guest has no memory")?;
    let too_little = |what: &str| format!("the guest has too little memory for {what}");
    let word = |at: usize| u64::from(u32::from_le_bytes(header[at..at + 4].try_into().unwrap_or_default()));
    let place = base.next_multiple_of(word(KERNEL_ALIGNMENT).max(PAGE).next_power_of_two());
    let initramfs_place = (base + size).saturating_sub(initramfs.len() as u64) & !(PAGE - 1);
    if place + word(INIT_SIZE) > initramfs_place {
        return Err(too_little("kernel and initramfs"));
    }
    let sectors = match header[SETUP_SECTORS] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let code = kernel.get((sectors + 1) * 512..).ok_or("the kernel's image ends before its code")?;
    let write =
        |at: u64, bytes: &[u8], what: &str| memory.write(at, bytes).map_err(|NotThere| too_little(what));
    write(place, code, "the kernel")?;
    write(initramfs_place, initramfs, "the initramfs")?;
    if command_line.len() as u64 >= DESCRIPTORS - COMMAND_LINE {
        return Err(format!("the command line has {} bytes, and 4095 are the most", command_line.len()));
    }
    write(COMMAND_LINE, format!("{command_line}\0").as_bytes(), "the command line")?;
    write(ACPI, &tables::acpi(ACPI), "the ACPI tables")?;
    write(DESCRIPTORS, &descriptors(), "the descriptors")?;
    let initramfs = (initramfs_place, initramfs.len() as u64);
    write(BOOT_PARAMS, &boot_params(memory, header, place, initramfs), "boot_params")?;
    let cr3 = paging::identity(memory, PAGE_TABLES)?;
    Ok(Begin { registers: long_mode(place + 0x200, 0, cr3, DESCRIPTORS), rsi: BOOT_PARAMS })
}

/// The image's header, if it is one that can be started here.
fn header(kernel: &[u8]) -> Result<&[u8], String> {
    const KERNEL_64: u8 = 1;
    let header =
        kernel.get(..HEADER_BYTES).ok_or("VTL0's kernel is no kernel: it is shorter than a header")?;
    if header[MAGIC..MAGIC + 4] != *b"HdrS" {
        let what = if kernel.get(0x38..0x3c) == Some(b"ARM\x64") { "an arm64 Image" } else { "not known" };
        return Err(format!("VTL0's kernel is no bzImage, which is what starts here; it is {what}"));
    }
    if header[LOAD_FLAGS] & KERNEL_64 == 0 || header[RELOCATABLE] == 0 {
        return Err("VTL0's kernel is a bzImage without a 64-bit entry (CONFIG_X86_64), or can't move \
                    (CONFIG_RELOCATABLE)"
            .to_string());
    }
    Ok(header)
}

/// Null, 32-bit code, and 64-bit code and data where the protocol wants them.
pub fn descriptors() -> Vec<u8> {
    [0, 0x00cf_9b00_0000_ffff, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff_u64]
        .into_iter()
        .flat_map(u64::to_le_bytes)
        .collect()
}

fn boot_params(memory: &Memory, header: &[u8], place: u64, initramfs: (u64, u64)) -> Vec<u8> {
    let mut params = vec![0; PAGE as usize];
    let end = (MAGIC + usize::from(header[SETUP_END])).min(header.len());
    params[SETUP_SECTORS..end].copy_from_slice(&header[SETUP_SECTORS..end]);
    let mut put = |at: usize, bytes: &[u8]| params[at..at + bytes.len()].copy_from_slice(bytes);
    // type_of_loader: one without a number.
    put(0x210, &[0xff]);
    put(0x214, &(place as u32).to_le_bytes());
    put(0x218, &(initramfs.0 as u32).to_le_bytes());
    put(0x21c, &(initramfs.1 as u32).to_le_bytes());
    put(0x228, &(COMMAND_LINE as u32).to_le_bytes());
    put(ACPI_ROOT, &ACPI.to_le_bytes());
    let map = memory_map(memory);
    for (number, (start, end, kind)) in map.iter().enumerate() {
        let at = E820_TABLE + number * 20;
        put(at, &start.to_le_bytes());
        put(at + 8, &(end - start).to_le_bytes());
        put(at + 16, &kind.to_le_bytes());
    }
    put(E820_COUNT, &[map.len() as u8]);
    params
}

/// Start, end and kind: all memory is RAM, but where ACPI's tables are.
fn memory_map(memory: &Memory) -> Vec<(u64, u64, u32)> {
    let mut map = Vec::new();
    for (base, size) in memory.ranges() {
        let end = base + size;
        if (base..end).contains(&ACPI) && ACPI_END <= end {
            map.push((base, ACPI, RAM));
            map.push((ACPI, ACPI_END, ACPI_MEMORY));
            map.push((ACPI_END, end, RAM));
        } else {
            map.push((base, end, RAM));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mapping::Mapping, registers};

    fn memory() -> Memory {
        Memory::new(vec![Mapping::anonymous(0x2_0000, 0x7_0000), Mapping::anonymous(0x100_0000, 0x80_0000)])
    }

    fn image() -> Vec<u8> {
        let mut image = vec![0; 1024 + 4096];
        image[SETUP_SECTORS] = 1;
        image[SETUP_END] = 0x6a;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[KERNEL_ALIGNMENT..KERNEL_ALIGNMENT + 4].copy_from_slice(&0x20_0000_u32.to_le_bytes());
        image[RELOCATABLE] = 1;
        image[LOAD_FLAGS] = 1;
        image[INIT_SIZE..INIT_SIZE + 4].copy_from_slice(&0x40_0000_u32.to_le_bytes());
        image[1024..].fill(0x90);
        image
    }

    #[test]
    fn a_kernel_in_place() {
        let memory = memory();
        let begin = load(&memory, &image(), b"initramfs", "console=ttyS0").unwrap();
        let register = |name| begin.registers.iter().find(|(known, _)| *known == name).unwrap().1;
        assert_eq!((register(registers::RIP), begin.rsi), (0x100_0200, BOOT_PARAMS));
        let mut bytes = [0; 4096];
        memory.read(0x100_0000, &mut bytes).unwrap();
        assert_eq!(bytes, [0x90; 4096]);
        memory.read(BOOT_PARAMS, &mut bytes).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(0x218), word(0x21c), word(0x228)), (0x17f_f000, 9, 0x2_1000));
        assert_eq!((word(ACPI_ROOT), bytes[E820_COUNT]), (ACPI as u32, 4));
        assert_eq!((word(E820_TABLE + 20), word(E820_TABLE + 36)), (ACPI as u32, ACPI_MEMORY));
        // The first instruction is reached by the page tables.
        let paging =
            paging::Paging { cr0: 1 << 31, cr3: register(registers::CR3) as u64, cr4: 0x20, efer: 0x500 };
        assert_eq!(paging::translate(&memory, &paging, 0x100_0200), Some(0x100_0200));
        assert_eq!(paging::translate(&memory, &paging, 1 << 32), None);
    }

    #[test]
    fn what_cannot_be_started() {
        let check = |kernel: &[u8], command_line: &str, wanted: &str| {
            let error = load(&memory(), kernel, b"", command_line).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        };
        check(b"MZ", "", "shorter than a header");
        check(&vec![0; 4096], "", "no bzImage");
        let mut arm = vec![0; 4096];
        arm[0x38..0x3c].copy_from_slice(b"ARM\x64");
        check(&arm, "", "an arm64 Image");
        let mut old = image();
        old[LOAD_FLAGS] = 0;
        check(&old, "", "CONFIG_X86_64");
        let mut large = image();
        large[INIT_SIZE + 3] = 0x10;
        check(&large, "", "too little memory");
        check(&image(), &"x".repeat(4096), "4095 are the most");
        check(&image()[..HEADER_BYTES], "", "ends before its code");
    }
}
