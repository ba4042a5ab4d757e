//! PackIgvm: what a VTL2 host loads, laid out here and written by the program that knows the format.

use std::ops::Range;

use anyhow::{Context as _, Result};
use image::{
    igvm::{Image, Platform, PlatformKind},
    uki::{KernelPart, Part},
};
use serde_json::json;

use super::{
    payload::{cargo, run},
    run::{Job, read},
    uki::image_arch,
};
use crate::{
    member::member,
    profile::{Arch, Vtl, device_tree, spec::DeviceTreeSpec},
    store::OutputKind,
};

const PROGRAM: &str = "vtlforge-igvm";

pub fn pack(
    job: &Job,
    arch: Arch,
    vtl: Vtl,
    described: &DeviceTreeSpec,
    command_line: &str,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let machine = device_tree::describe(arch, vtl, described, command_line);
    let kernel = read(job.input("kernel"))?;
    let part = |role: &str| -> Result<Part> {
        Ok(Part { source: role.to_string(), length_bytes: job.size_bytes(role)? })
    };
    let image = Image {
        arch: image_arch(arch),
        platforms: vec![Platform { kind: PlatformKind::VsmIsolation }],
        memory: memory(&machine),
        command_line,
        kernel: KernelPart {
            head: &kernel[..image::kernel::HEAD_BYTES.min(kernel.len())],
            part: part("kernel")?,
        },
        initramfs: part("initramfs")?,
    };
    let mut invalid = None;
    let layout = image::igvm::layout(&image, |initramfs| {
        let mut machine = machine.clone();
        if arch == Arch::Aarch64 {
            machine.chosen.initrd = Some(fdt::Range::new(initramfs.start, initramfs.end - initramfs.start));
        }
        let tree = fdt::to_dtb(&machine.tree(described.dialect.data()));
        tree.map_err(|error| invalid = Some(error)).unwrap_or_default()
    })?;
    if let Some(error) = invalid {
        return Err(error).context("the device tree that the profile describes isn't valid");
    }
    let sources: serde_json::Map<_, _> =
        ["kernel", "initramfs"].map(|role| (role.to_string(), json!(job.input(role)))).into_iter().collect();
    let request = json!({
        "layout": layout,
        "sources": sources,
        "file": job.out("vtl2.igvm"),
        "measurements": job.out("measurements.json"),
    });
    let path = job.work.scratch().join("request.json");
    std::fs::write(&path, serde_json::to_vec(&request)?)
        .with_context(|| format!("can't write {}", path.display()))?;
    run_program(job, &["pack".as_ref(), path.as_os_str()])?;
    Ok(vec![("vtl2.igvm", OutputKind::File), ("measurements.json", OutputKind::File)])
}

/// RAM of the machine, as neighbours that don't touch.
fn memory(machine: &fdt::machine::Machine) -> Vec<Range<u64>> {
    let own = machine.memory.iter().filter(|memory| !memory.below);
    let mut ranges: Vec<Range<u64>> =
        own.map(|memory| memory.range.base..memory.range.base.saturating_add(memory.range.size)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let touches = next.start <= before.end;
        if touches {
            before.end = before.end.max(next.end);
        }
        touches
    });
    ranges
}

/// Builds the program if it isn't built, and runs it.
fn run_program(job: &Job, arguments: &[&std::ffi::OsStr]) -> Result<()> {
    let member = member(PROGRAM)?;
    let mut build = cargo(job)?.directory(&member.workspace).args(&member.arguments);
    if job.context.offline {
        build = build.env("CARGO_NET_OFFLINE", "true");
    }
    run(job, &build).context("can't build the program that writes IGVM files")?;
    let command = job.context.tools.host().command(&member.program).args(arguments);
    run(job, &command)
}
