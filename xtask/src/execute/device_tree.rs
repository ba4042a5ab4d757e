//! EmitDtb: the device tree of the machine that a profile describes.

use anyhow::{Context as _, Result};

use super::run::Job;
use crate::{
    profile::{Arch, Vtl, device_tree, spec::DeviceTreeSpec},
    store::OutputKind,
};

pub fn emit(
    job: &Job,
    arch: Arch,
    vtl: Vtl,
    described: &DeviceTreeSpec,
    command_line: &str,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let machine = device_tree::describe(arch, vtl, described, command_line);
    let tree = machine.tree(described.dialect.data());
    let dtb = fdt::to_dtb(&tree).context("the device tree that the profile describes isn't valid")?;
    job.write("platform.dtb", &dtb)?;
    job.write("platform.dts", fdt::to_dts(&tree).as_bytes())?;
    Ok(vec![("platform.dtb", OutputKind::File), ("platform.dts", OutputKind::File)])
}
