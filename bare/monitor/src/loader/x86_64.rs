//! x86-64: OVMF has the processor in 64-bit mode, each address mapped to itself.

use core::arch::{asm, x86_64::__cpuid};

use monitor_core::{efi::place, efi::tree::Facts, guest::Region};

use super::{Description, Firmware, Parts, Problem, Ready, firmware::Map};

/// All of the monitor's memory; its last page describes the guest (link/x86_64.ld).
pub const MONITOR: Region = Region { start: 0x10_0000, end: 0x80_0000 };
pub const DESCRIPTION: u64 = MONITOR.end - place::PAGE;
/// The monitor puts the kernel behind the other parts, where there has to be room.
const PARTS_END: u64 = 64 << 20;

pub fn check() -> Result<(), Problem> {
    let has_svm = __cpuid(0x8000_0000).eax >= 0x8000_000a && __cpuid(0x8000_0001).ecx & 1 << 2 != 0;
    if !has_svm {
        return Err(Problem::new(
            "the processor shows no SVM, which the monitor runs on (QEMU: -cpu max, without KVM)",
            "",
        ));
    }
    let cr4: u64;
    // SAFETY: a register is read.
    unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack)) };
    if cr4 & 1 << 12 != 0 {
        return Err(Problem::new(
            "firmware has five levels of page tables, which the monitor can't leave (QEMU: -cpu max,la57=off)",
            "",
        ));
    }
    Ok(())
}

pub fn place(firmware: &Firmware, parts: &Parts) -> Result<Ready, Problem> {
    let map = firmware.map()?;
    for &(start, end) in parts.facts.memory() {
        // The first MiB is never all RAM on a PC.
        if !place::contains(map.usable(), start.max(MONITOR.start), end.min(MONITOR.end))
            && start < MONITOR.end
            || !map.usable().iter().any(|region| region.start < end && start < region.end)
            || map.usable().last().is_none_or(|last| last.end < end)
        {
            return Err(Problem::new(
                "the machine has less memory than vtl2/platform.dtb says (QEMU: -m)",
                "",
            ));
        }
    }
    let files = [parts.kernel, parts.initramfs, parts.command_line, parts.device_tree];
    let pages = |file: &[u8]| (file.len() as u64).next_multiple_of(place::PAGE);
    let total = files.iter().map(|file| pages(file)).sum();
    let start = firmware.allocate(PARTS_END - 1, total, "the parts of the guest")?;
    let mut next = start;
    let placed = files.map(|file| {
        let region = Region { start: next, end: next + file.len() as u64 };
        next += pages(file);
        // SAFETY: within what was allocated.
        unsafe { core::ptr::copy_nonoverlapping(file.as_ptr(), region.start as *mut u8, file.len()) };
        region
    });
    let mut description = Description::new(&parts.facts);
    description.parts(placed);
    Ok(Ready { description, written: [Region::default(); 2] })
}

/// What the machine has of the memory that the device tree names.
pub fn describe_memory(description: &mut Description, map: &Map, facts: &Facts) {
    for &(start, end) in facts.memory() {
        for region in map.usable() {
            description.memory(region.start.max(start), region.end.min(end));
        }
    }
}

/// The monitor makes its own page tables.
pub fn enter(entry: u64, _: &[Region]) -> ! {
    // SAFETY: the monitor lies there, and firmware has been left.
    unsafe { asm!("cli", "jmp {}", in(reg) entry, options(noreturn)) }
}
