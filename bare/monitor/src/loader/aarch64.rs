//! 64-bit Arm: AAVMF runs at EL2 with translation and caches on, each address mapped to itself.

use core::arch::asm;

use monitor_core::{
    efi::{
        place,
        tree::{self, Facts, TREE_BYTES_MAX, Told},
    },
    guest::Region,
    machine::{u32_at, u64_at},
};

use super::{Description, Firmware, Parts, Problem, Ready, firmware::Map};

/// All of the monitor's memory; its first page describes the guest (link/aarch64.ld).
pub const MONITOR: Region = Region { start: 0x401f_f000, end: 0x4040_0000 };
pub const DESCRIPTION: u64 = MONITOR.start;
/// Where QEMU's `virt` has PCI's configuration space and I/O ports.
const ECAM: u64 = 0x40_1000_0000;
const PORTS: u64 = 0x3eff_0000;

pub fn check() -> Result<(), Problem> {
    let level: u64;
    // SAFETY: a register is read.
    unsafe { asm!("mrs {}, CurrentEL", out(reg) level, options(nomem, nostack)) };
    if level >> 2 & 3 == 2 {
        return Ok(());
    }
    Err(Problem::new(
        "firmware runs below EL2, where the monitor has to be (QEMU: -M virt,virtualization=on)",
        "",
    ))
}

pub fn place(firmware: &Firmware, parts: &Parts) -> Result<Ready, Problem> {
    let too_little = Problem::new("the machine has less memory than vtl2/platform.dtb says (QEMU: -m)", "");
    let map = firmware.map()?;
    let [(first, last)] = *parts.facts.memory() else {
        return Err(Problem::new("vtl2/platform.dtb has memory in several ranges, and here is one", ""));
    };
    // A tree for Hyper-V has memory at 0: then the monitor shows the guest such a machine.
    let is_here = place::contains(map.usable(), first.max(MONITOR.end), last);
    let base = if is_here {
        0
    } else {
        place::find(map.usable(), MONITOR.end, last - first).ok_or(too_little)? - first
    };
    if parts.kernel.get(0x38..0x3c) != Some(b"ARM\x64") {
        return Err(Problem::new("vtl2/kernel is no Image for 64-bit Arm", ""));
    }
    let (offset, bytes) = (u64_at(parts.kernel, 8), u64_at(parts.kernel, 16).max(parts.kernel.len() as u64));
    let too_large =
        Problem::new("kernel and initramfs don't fit into the memory that vtl2/platform.dtb has", "");
    let start = (base + first).max(if is_here { MONITOR.end } else { 0 });
    let room = (offset.checked_add(bytes), parts.initramfs.len() as u64);
    let (Some(kernel_bytes), initramfs_bytes) = room else { return Err(too_large) };
    let placed = place::arm_parts(start, kernel_bytes, initramfs_bytes, TREE_BYTES_MAX as u64);
    let Some([kernel, initramfs, device_tree, end]) = placed.filter(|placed| placed[3] <= base + last) else {
        return Err(too_large);
    };
    firmware.allocate_at(kernel, end, "the parts of the guest")?;
    let (kernel, initramfs_end) = (kernel + offset, initramfs + initramfs_bytes);
    let told = Told {
        command_line: parts.command_line,
        initramfs: (initramfs - base, initramfs_end - base),
        reserved: if is_here { (MONITOR.start, MONITOR.end) } else { (0, 0) },
    };
    // SAFETY: all three lie in what was allocated, behind each other.
    let tree_bytes = unsafe {
        core::ptr::copy_nonoverlapping(parts.kernel.as_ptr(), kernel as *mut u8, parts.kernel.len());
        core::ptr::copy_nonoverlapping(parts.initramfs.as_ptr(), initramfs as *mut u8, parts.initramfs.len());
        let to = core::slice::from_raw_parts_mut(device_tree as *mut u8, TREE_BYTES_MAX);
        tree::rewrite(parts.device_tree, &told, to)
    };
    let Some(tree_bytes) = tree_bytes else {
        return Err(Problem::new(
            "vtl2/platform.dtb is damaged, has no /chosen, or vtl2/cmdline.txt is too long",
            "",
        ));
    };
    let region = |start: u64, bytes: u64| Region { start: start - base, end: start - base + bytes };
    let mut description = Description::new(&parts.facts);
    description.report(ECAM, PORTS);
    description.base(base);
    description.parts([
        region(kernel, parts.kernel.len() as u64),
        region(initramfs, initramfs_bytes),
        Region::default(),
        region(device_tree, tree_bytes as u64),
    ]);
    Ok(Ready { description, written: [MONITOR, Region { start: kernel, end }] })
}

/// The tree's memory is there: it was looked for.
pub fn describe_memory(description: &mut Description, _: &Map, facts: &Facts) {
    for &(start, end) in facts.memory() {
        let start = if start <= MONITOR.start && MONITOR.end < end { MONITOR.end } else { start };
        description.memory(start, end);
    }
}

/// Brings what was written out of the caches, switches them and translation off, and goes.
pub fn enter(entry: u64, written: &[Region]) -> ! {
    let cache_type: u64;
    // SAFETY: a register is read.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) cache_type, options(nomem, nostack)) };
    let line = 4 << (u32_at(&cache_type.to_le_bytes(), 0) >> 16 & 0xf);
    for region in written {
        for address in (region.start..region.end).step_by(line) {
            // SAFETY: memory that is mapped.
            unsafe { asm!("dc civac, {}", in(reg) address, options(nostack)) };
        }
    }
    // SAFETY: this code is at the same address without translation; nothing of firmware's is used any more.
    unsafe {
        asm!(
            "msr daifset, #0xf",
            "dsb sy",
            "mrs {scratch}, sctlr_el2",
            // Translation, data and instruction caches.
            "bic {scratch}, {scratch}, #1",
            "bic {scratch}, {scratch}, #4",
            "bic {scratch}, {scratch}, #0x1000",
            "msr sctlr_el2, {scratch}",
            "isb",
            "ic iallu",
            "tlbi alle2",
            "dsb sy",
            "isb",
            "br {entry}",
            scratch = in(reg) 0_u64,
            entry = in(reg) entry,
            options(noreturn)
        )
    }
}
