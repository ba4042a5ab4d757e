//! Puts a bzImage where it runs, with what it is to be told (Documentation/arch/x86/boot.rst, 64-bit boot protocol).

use monitor_core::{
    guest::{AVAILABLE, LOWER, Linux, Memory, Region},
    machine::{u16_at, u32_at, u64_at},
};

use crate::memory::Ram;

/// Where the kernel begins, and the address of what it is told.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    pub entry: u64,
    pub boot_params: u64,
}

const PAGE: u64 = 4096;
const BOOT_PARAMS: u64 = 0x1_0000;
const COMMAND_LINE: u64 = 0x1_1000;
const COMMAND_LINE_BYTES_MAX: u64 = 4096;

// Offsets within the image and, from 0x1f1 on, within boot_params.
const SETUP_SECTS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const HEADER_END: usize = 0x201;
const RELOCATABLE: usize = 0x234;
const XLOADFLAGS: usize = 0x236;
const PREF_ADDRESS: usize = 0x258;
const INIT_SIZE: usize = 0x260;
const KERNEL_ALIGNMENT: usize = 0x230;
// Offsets within boot_params alone.
const E820_COUNT: usize = 0x1e8;
const E820_TABLE: usize = 0x2d0;
const E820_MAX: usize = 128;

const KERNEL_64: u16 = 1;
const SETUP_DTB: u32 = 2;

/// `map` is the machine's, which the kernel is told beside its RAM.
pub fn load(linux: &Linux, map: &[Memory], ram: &Ram) -> Result<Loaded, &'static str> {
    let &Linux { kernel, initramfs, command_line, device_tree: blob } = linux;
    let mut header = [0; 0x280];
    ram.read(kernel.start, &mut header).map_err(|_| "the kernel is not in RAM")?;
    if header[MAGIC..MAGIC + 4] != *b"HdrS" || u16_at(&header, XLOADFLAGS) & KERNEL_64 == 0 {
        return Err("the kernel is no bzImage with a 64-bit entry point");
    }
    let parts = [kernel, initramfs, command_line].into_iter().chain(blob);
    let free = parts.map(|region| region.end).max().unwrap_or(0).next_multiple_of(PAGE);
    let (setup_data, free) = device_tree(ram, blob, free)?;

    let setup_sectors = match header[SETUP_SECTS] {
        0 => 4,
        sectors => u64::from(sectors),
    };
    let code = Region { start: kernel.start + (setup_sectors + 1) * 512, end: kernel.end };
    let preferred = u64_at(&header, PREF_ADDRESS);
    let alignment = u64::from(u32_at(&header, KERNEL_ALIGNMENT)).max(PAGE);
    let place = match header[RELOCATABLE] {
        0 if preferred < free => return Err("the kernel can't move, and other parts lie where it must be"),
        0 => preferred,
        _ => free.max(preferred).next_multiple_of(alignment),
    };
    if !ram.contains(place, u64::from(u32_at(&header, INIT_SIZE))) {
        return Err("there is too little memory for the kernel");
    }
    copy(ram, code, place)?;
    let boot_params = boot_params(&header, initramfs, setup_data, place, map, ram);
    ram.write(BOOT_PARAMS, &boot_params).map_err(|_| "no RAM for boot_params")?;
    let length = (command_line.end - command_line.start).min(COMMAND_LINE_BYTES_MAX - 1);
    copy(ram, Region { start: command_line.start, end: command_line.start + length }, COMMAND_LINE)?;
    ram.write(COMMAND_LINE + length, &[0]).map_err(|_| "no RAM for the command line")?;
    Ok(Loaded { entry: place + 0x200, boot_params: BOOT_PARAMS })
}

/// A copy of the device tree with the header that `setup_data` wants. Returns its address and what is free behind.
fn device_tree(ram: &Ram, blob: Option<Region>, free: u64) -> Result<(u64, u64), &'static str> {
    let Some(blob) = blob else { return Ok((0, free)) };
    const HEADER_BYTES: u64 = 16;
    let mut header = [0; HEADER_BYTES as usize];
    header[8..12].copy_from_slice(&SETUP_DTB.to_le_bytes());
    header[12..16].copy_from_slice(&((blob.end - blob.start) as u32).to_le_bytes());
    ram.write(free, &header).map_err(|_| "no RAM for the device tree")?;
    copy(ram, blob, free + HEADER_BYTES)?;
    Ok((free, (free + HEADER_BYTES + (blob.end - blob.start)).next_multiple_of(PAGE)))
}

fn boot_params(
    header: &[u8; 0x280],
    initramfs: Region,
    setup_data: u64,
    place: u64,
    map: &[Memory],
    ram: &Ram,
) -> [u8; PAGE as usize] {
    let mut params = [0; PAGE as usize];
    let end = (MAGIC + usize::from(header[HEADER_END])).min(header.len());
    params[SETUP_SECTS..end].copy_from_slice(&header[SETUP_SECTS..end]);
    let mut put = |at: usize, bytes: &[u8]| params[at..at + bytes.len()].copy_from_slice(bytes);
    // type_of_loader: one without a number.
    put(0x210, &[0xff]);
    put(0x214, &(place as u32).to_le_bytes());
    put(0x218, &(initramfs.start as u32).to_le_bytes());
    put(0x21c, &((initramfs.end - initramfs.start) as u32).to_le_bytes());
    put(0x228, &(COMMAND_LINE as u32).to_le_bytes());
    put(0x250, &setup_data.to_le_bytes());
    let others = map.iter().copied().filter(|memory| ![AVAILABLE, LOWER].contains(&memory.kind));
    let own = ram.regions().iter().map(|region| Memory { region: *region, kind: AVAILABLE });
    let mut count = 0_u8;
    for memory in own.chain(others).take(E820_MAX) {
        let at = E820_TABLE + usize::from(count) * 20;
        put(at, &memory.region.start.to_le_bytes());
        put(at + 8, &(memory.region.end - memory.region.start).to_le_bytes());
        put(at + 16, &memory.kind.to_le_bytes());
        count += 1;
    }
    put(E820_COUNT, &[count]);
    params
}

fn copy(ram: &Ram, from: Region, to: u64) -> Result<(), &'static str> {
    let mut block = [0; 1024];
    let mut done = 0;
    while from.start + done < from.end {
        let length = (from.end - from.start - done).min(block.len() as u64);
        let block = &mut block[..length as usize];
        ram.read(from.start + done, block).map_err(|_| "a part of the guest is not in RAM")?;
        ram.write(to + done, block).map_err(|_| "there is too little memory")?;
        done += length;
    }
    Ok(())
}
