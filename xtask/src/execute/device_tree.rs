//! EmitDtb: the device tree of the machine that a profile describes.

use anyhow::{Context as _, Result};
use fdt::{
    Range,
    machine::{self, Chosen, MAINLINE, Machine, PsciConduit},
};

use super::run::Job;
use crate::{
    profile::types::{self, Arch},
    store::OutputKind,
};

const GIB: u64 = 1 << 30;

/// Where QEMU's `virt` machine has its RAM (QEMU, hw/arm/virt.c, VIRT_MEM).
const QEMU_VIRT_RAM_BASE: u64 = GIB;

/// RAM of a PC-like machine leaves the last gigabyte below 4 GiB to devices.
const LOW_RAM_END: u64 = 3 * GIB;

pub fn emit(
    job: &Job,
    arch: Arch,
    machine: types::Machine,
    cpus: u32,
    memory_bytes: u64,
    command_line: &str,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let tree = describe(arch, machine, cpus, memory_bytes, command_line).tree(&MAINLINE);
    let dtb = fdt::to_dtb(&tree).context("the device tree that the profile describes isn't valid")?;
    job.write("platform.dtb", &dtb)?;
    job.write("platform.dts", fdt::to_dts(&tree).as_bytes())?;
    Ok(vec![("platform.dtb", OutputKind::File), ("platform.dts", OutputKind::File)])
}

fn describe(
    arch: Arch,
    machine: types::Machine,
    cpus: u32,
    memory_bytes: u64,
    command_line: &str,
) -> Machine {
    // x86 takes its command line from boot_params; an x86 tree has no /chosen.
    let chosen = || Chosen { bootargs: Some(command_line.to_string()), initrd: None };
    match (machine, arch) {
        (types::Machine::HypervVtl2, Arch::X86_64) => {
            machine::hyperv_vtl2_x86_64(cpus, split_at_device_hole(memory_bytes))
        }
        (types::Machine::HypervVtl2, Arch::Aarch64) => {
            machine::hyperv_vtl2_aarch64(cpus, split_at_device_hole(memory_bytes), chosen())
        }
        (types::Machine::QemuVirt, Arch::X86_64 | Arch::Aarch64) => {
            let memory = vec![Range::new(QEMU_VIRT_RAM_BASE, memory_bytes)];
            machine::qemu_virt_aarch64(cpus, memory, PsciConduit::Hvc, chosen())
        }
    }
}

fn split_at_device_hole(memory_bytes: u64) -> Vec<Range> {
    if memory_bytes <= LOW_RAM_END {
        return vec![Range::new(0, memory_bytes)];
    }
    vec![Range::new(0, LOW_RAM_END), Range::new(4 * GIB, memory_bytes - LOW_RAM_END)]
}
