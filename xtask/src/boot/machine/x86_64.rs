//! x86_64: QEMU's multiboot loader starts the monitor.

use anyhow::{Context as _, Result};
use fdt::{
    Range,
    machine::{self, MAINLINE},
};

use super::{
    COMMAND_LINE, DEVICE_TREE, GIB, GUEST, INITRAMFS, KERNEL, MIB, MONITOR, Machine, Parts, REPORT,
    command_line, place, strings,
};
use crate::{
    boot::{
        Question,
        guest::{Guest, Part, Start},
    },
    profile::types::Vtl,
};

// monitor/src/x86_64: the page that is read, and where the monitor's memory ends.
const GUEST_PAGE: u64 = GUEST_RAM - PAGE;
const GUEST_RAM: u64 = 8 * MIB;
const PAGE: u64 = 4096;

/// A VTL2 kernel gets a machine that has nothing of a PC but a serial port, described by a device tree as Hyper-V does;
/// a normal one a PC, described by ACPI.
pub fn with_monitor(parts: &Parts, vtl: u8) -> Result<Machine> {
    let Question { kernel, cpus, is_self_test, .. } = parts.question;
    let command_line = command_line(parts).into_bytes();
    let (board, device_tree) = match kernel {
        Vtl::Vtl2 => {
            let tree = machine::hyperv_vtl2_x86_64(cpus, pc_memory(parts.memory_bytes)).tree(&MAINLINE);
            let dtb = fdt::to_dtb(&tree).context("the machine's device tree")?;
            ("microvm,acpi=off,rtc=off,pit=off,pic=off", Some(dtb))
        }
        Vtl::Vtl0 => ("q35", None),
    };
    let mut next = GUEST_RAM;
    let mut range = |size: u64| {
        let range = Range::new(next, size);
        next = (next + size).next_multiple_of(PAGE);
        range
    };
    let kernel = range(parts.kernel_bytes);
    let initramfs = range(parts.initramfs_bytes);
    let options = range(command_line.len() as u64);
    let tree = range(device_tree.as_ref().map_or(0, Vec::len) as u64);
    let start = match is_self_test {
        true => Start::SelfTest,
        false => Start::Linux { kernel, initramfs, command_line: options, device_tree: tree },
    };
    let guest = Guest { vtl, cpus, start, report: None, memory: Vec::new() };

    let mut placed = vec![(GUEST, GUEST_PAGE), (KERNEL, kernel.base), (INITRAMFS, initramfs.base)];
    placed.push((COMMAND_LINE, options.base));
    let mut files = vec![(GUEST, guest.page()), (COMMAND_LINE, command_line)];
    if let Some(dtb) = device_tree {
        files.push((DEVICE_TREE, dtb));
        placed.push((DEVICE_TREE, tree.base));
    }
    let placed: Vec<Part> = placed.into_iter().map(|(file, address)| Part { file, address }).collect();
    let mut arguments = strings(&["-M", board, "-cpu", "max", "-kernel", MONITOR]);
    place(&mut arguments, &placed);
    arguments.extend(["-chardev".to_string(), format!("file,id=report,path={REPORT}")]);
    arguments.extend(strings(&["-device", "isa-debugcon,iobase=0xe9,chardev=report"]));
    arguments.extend(strings(&["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]));
    Ok(Machine { arguments, files })
}

/// A PC leaves the last GiB below 4 GiB to devices.
fn pc_memory(memory_bytes: u64) -> Vec<Range> {
    let low = memory_bytes.min(3 * GIB);
    let high = Range::new(4 * GIB, memory_bytes - low);
    [Range::new(0, low), high].into_iter().filter(|range| range.size > 0).collect()
}
