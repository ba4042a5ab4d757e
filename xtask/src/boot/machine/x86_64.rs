//! x86_64: QEMU's multiboot loader starts the monitor.

use anyhow::{Context as _, Result};
use fdt::{
    Range,
    machine::{self, MAINLINE},
};
use image::igvm::start::{Registers, Run};

use super::{
    COMMAND_LINE, DEVICE_TREE, GIB, GUEST, INITRAMFS, KERNEL, MIB, MONITOR, Machine, Parts, REPORT, REQUESTS,
    command_line, place, strings,
};
use crate::{
    boot::{
        Question,
        guest::{Guest, Part, Start},
    },
    profile::types::Vtl,
};

// bare/monitor/src/x86_64: the page that is read, and where the monitor's memory ends.
const GUEST_PAGE: u64 = GUEST_RAM - PAGE;
const GUEST_RAM: u64 = 8 * MIB;
const PAGE: u64 = 4096;
/// The second serial port: a kernel finds it, and leaves it to whoever opens it, which nobody does.
const REQUEST_PORT: u16 = 0x2f8;

/// A VTL2 kernel gets a machine that has nothing of a PC but a serial port, described by a device tree as Hyper-V does;
/// a normal one a PC, described by ACPI.
pub fn with_monitor(parts: &Parts, vtl: u8) -> Result<Machine> {
    let Question { kernel, cpus, is_self_test, .. } = parts.question;
    let command_line = command_line(parts).into_bytes();
    let (board, device_tree) = match kernel {
        Vtl::Vtl2 => {
            let memory = match &parts.lower {
                Some(layout) => layout.vtl2.clone(),
                None => pc_memory(parts.memory_bytes),
            };
            let tree = machine::hyperv_vtl2_x86_64(cpus, memory).tree(&MAINLINE);
            let dtb = fdt::to_dtb(&tree).context("the machine's device tree")?;
            (MICROVM, Some(dtb))
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
    let requests = parts.question.is_shutdown.then_some(REQUEST_PORT);
    let (memory, lower) = match &parts.lower {
        Some(layout) => (layout.vtl2.clone(), layout.vtl0.clone()),
        None => Default::default(),
    };
    let below = lower.iter().map(|range| range.base + range.size).max().unwrap_or(0);
    let guest = Guest { vtl, cpus, start, report: None, base: 0, requests, memory, lower };

    let mut placed = vec![(GUEST, GUEST_PAGE), (KERNEL, kernel.base), (INITRAMFS, initramfs.base)];
    placed.push((COMMAND_LINE, options.base));
    let mut files = vec![(GUEST, guest.page()), (COMMAND_LINE, command_line)];
    if let Some(dtb) = device_tree {
        files.push((DEVICE_TREE, dtb));
        placed.push((DEVICE_TREE, tree.base));
    }
    let placed: Vec<Part> =
        placed.into_iter().map(|(file, address)| Part { file: file.to_string(), address }).collect();
    let mut arguments = arguments(board, &placed);
    if let Some(port) = requests {
        arguments.push("-device".to_string());
        arguments.push(format!("isa-serial,index=1,iobase={port:#x},chardev={REQUESTS}"));
    }
    Ok(Machine { arguments, files, memory_bytes: parts.memory_bytes.max(below) })
}

/// A guest that a host has loaded, with its memory behind the monitor's.
pub fn loaded(cpus: u32, memory_bytes: u64, runs: &[Run], registers: Registers) -> Machine {
    let guest = Guest {
        vtl: 2,
        cpus,
        start: Start::State(Box::new(registers)),
        report: None,
        base: GUEST_RAM,
        requests: None,
        memory: vec![Range::new(0, memory_bytes)],
        lower: Vec::new(),
    };
    let mut placed = vec![Part { file: GUEST.to_string(), address: GUEST_PAGE }];
    placed.extend(runs.iter().map(|run| Part { file: run.file.clone(), address: GUEST_RAM + run.gpa }));
    let files = vec![(GUEST, guest.page())];
    Machine { arguments: arguments(MICROVM, &placed), files, memory_bytes: GUEST_RAM + memory_bytes }
}

/// Nothing of a PC but a serial port.
const MICROVM: &str = "microvm,acpi=off,rtc=off,pit=off,pic=off";

fn arguments(board: &str, placed: &[Part]) -> Vec<String> {
    let mut arguments = strings(&["-M", board, "-cpu", "max", "-kernel", MONITOR]);
    place(&mut arguments, placed);
    arguments.extend(["-chardev".to_string(), format!("file,id=report,path={REPORT}")]);
    arguments.extend(strings(&["-device", "isa-debugcon,iobase=0xe9,chardev=report"]));
    arguments.extend(strings(&["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]));
    arguments
}

/// A PC leaves the last GiB below 4 GiB to devices.
fn pc_memory(memory_bytes: u64) -> Vec<Range> {
    let low = memory_bytes.min(3 * GIB);
    let high = Range::new(4 * GIB, memory_bytes - low);
    [Range::new(0, low), high].into_iter().filter(|range| range.size > 0).collect()
}
