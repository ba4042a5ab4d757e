//! aarch64: QEMU's `virt` starts the monitor as it would a kernel, at EL2.

use anyhow::{Context as _, Result, ensure};
use fdt::{
    Range,
    machine::{self, Chosen, MAINLINE, PsciConduit, VmBus, VmBusInterrupt},
};
use image::igvm::start::{Registers, Run};

use super::{
    DEVICE_TREE, GIB, GUEST, INITRAMFS, KERNEL, MIB, MONITOR, Machine, Parts, REPORT, REQUESTS, command_line,
    place, strings,
};
use crate::{
    boot::guest::{Guest, Part, Start},
    report::bytes,
};

// Where things are on QEMU's `virt` (hw/arm/virt.c): RAM, PCI configuration space, PCI's I/O ports.
const RAM: u64 = GIB;
const ECAM: u64 = 0x40_1000_0000;
const PORTS: u64 = 0x3eff_0000;
// bare/monitor/src/aarch64: the page that is read, and where the monitor's memory ends.
const GUEST_PAGE: u64 = RAM + 2 * MIB - 0x1000;
const REQUEST_DEVICE: u16 = 2;
const GUEST_RAM: u64 = RAM + 4 * MIB;

pub fn with_monitor(parts: &Parts, vtl: u8) -> Result<Machine> {
    let end = RAM + parts.memory_bytes;
    let kernel = Range::new(GUEST_RAM, image_bytes(parts.kernel_head));
    let initramfs = Range::new((kernel.base + kernel.size).next_multiple_of(2 * MIB), parts.initramfs_bytes);
    let tree_base = (initramfs.base + initramfs.size).next_multiple_of(2 * MIB);
    ensure!(
        tree_base + 2 * MIB <= end,
        "kernel and initramfs need more than the {} of memory that the machine has\n  hint: give it more with --memory",
        bytes(parts.memory_bytes)
    );
    let cpus = parts.question.cpus;
    let memory = Range::new(GUEST_RAM, end - GUEST_RAM);
    let chosen = Chosen { bootargs: Some(command_line(parts)), initrd: Some(initramfs) };
    let mut virt = machine::qemu_virt_aarch64(cpus, vec![memory], PsciConduit::Hvc, chosen);
    virt.vtl = vtl;
    // As in the ready machine for Hyper-V itself.
    virt.vmbus = vec![VmBus {
        vtl,
        mmio: vec![Range::new(0xf_f000_0000, 0x1000_0000)],
        interrupt: VmBusInterrupt::Ppi(2),
        connection_id: if vtl == 2 { 0x80_0074 } else { 4 },
        comment: None,
    }];
    let dtb = fdt::to_dtb(&virt.tree(&MAINLINE)).context("the machine's device tree")?;
    let start = match parts.question.is_self_test {
        true => Start::SelfTest,
        false => Start::Linux {
            kernel,
            initramfs,
            // It is in the tree.
            command_line: Range::new(0, 0),
            device_tree: Range::new(tree_base, dtb.len() as u64),
        },
    };
    let requests = parts.question.is_shutdown.then_some(REQUEST_DEVICE);
    let guest = Guest {
        vtl,
        cpus,
        start,
        report: Some((ECAM, PORTS)),
        base: 0,
        requests,
        memory: vec![memory],
        lower: Vec::new(),
    };

    let placed =
        [(GUEST, GUEST_PAGE), (KERNEL, kernel.base), (INITRAMFS, initramfs.base), (DEVICE_TREE, tree_base)];
    let placed = placed.map(|(file, address)| Part { file: file.to_string(), address });
    let files = vec![(GUEST, guest.page()), (DEVICE_TREE, dtb)];
    let mut arguments = arguments(&placed);
    if requests.is_some() {
        arguments.push("-device".to_string());
        arguments.push(format!("pci-serial,chardev={REQUESTS},addr={REQUEST_DEVICE}"));
    }
    Ok(Machine { arguments, files, memory_bytes: parts.memory_bytes })
}

/// A guest that a host has loaded, with its memory behind the monitor's.
pub fn loaded(cpus: u32, memory_bytes: u64, runs: &[Run], registers: Registers) -> Machine {
    let guest = Guest {
        vtl: 2,
        cpus,
        start: Start::State(Box::new(registers)),
        report: Some((ECAM, PORTS)),
        base: GUEST_RAM,
        requests: None,
        memory: vec![Range::new(0, memory_bytes)],
        lower: Vec::new(),
    };
    let mut placed = vec![Part { file: GUEST.to_string(), address: GUEST_PAGE }];
    placed.extend(runs.iter().map(|run| Part { file: run.file.clone(), address: GUEST_RAM + run.gpa }));
    let files = vec![(GUEST, guest.page())];
    Machine { arguments: arguments(&placed), files, memory_bytes: GUEST_RAM - RAM + memory_bytes }
}

fn arguments(placed: &[Part]) -> Vec<String> {
    let mut arguments =
        strings(&["-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72", "-kernel", MONITOR]);
    place(&mut arguments, placed);
    arguments.extend(["-chardev".to_string(), format!("file,id=report,path={REPORT}")]);
    arguments.extend(strings(&["-device", "pci-serial,chardev=report,addr=1"]));
    arguments
}

/// Memory that an arm64 kernel takes from its first byte on: `image_size` of its header.
fn image_bytes(head: &[u8]) -> u64 {
    head.get(16..24).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}
