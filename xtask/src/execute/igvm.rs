//! PackIgvm: what a VTL2 host loads, laid out here and written by the program that knows the format.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use image::{
    igvm::{
        GuestPolicy, Image, Layout, PlatformKind,
        fit::{self, Fit},
        shim::Shim,
    },
    uki::{KernelPart, Part},
};
use serde_json::json;
use sha2::{Digest as _, Sha384};

use super::{
    payload::{cargo, run},
    run::Job,
};
use crate::{
    member::member,
    profile::{
        Arch, Vtl, device_tree,
        spec::{DeviceTreeSpec, IgvmSpec},
        types::{IgvmPlatform, IgvmPolicy},
    },
    store::OutputKind,
};

const PROGRAM: &str = "vtlforge-igvm";
/// The step's inputs, and the artifacts that they are, as the map of origins names them.
const KERNEL: (&str, &str) = ("kernel", "kernel");
const INITRAMFS: (&str, &str) = ("initramfs", "initramfs.cpio.zst");
const SHIM: (&str, &str) = ("shim", "boot-shim");

/// What the step's action says.
pub struct Wanted<'a> {
    pub arch: Arch,
    pub vtl: Vtl,
    pub described: &'a DeviceTreeSpec,
    pub command_line: &'a str,
    pub igvm: &'a IgvmSpec,
}

pub fn pack(job: &Job, wanted: &Wanted) -> Result<Vec<(&'static str, OutputKind)>> {
    let machine = device_tree::describe(wanted.arch, wanted.vtl, wanted.described, wanted.command_line);
    let head = head(job, "kernel")?;
    let layout = layout(job, wanted, &machine, &head)?;
    let fit = fit(job, wanted, &layout, &head)?;
    if !fit.fits() {
        bail!(
            "kernel and payload don't fit into the memory that the profile gives VTL2:\n{fit}  hint: give it more \
             (`device-tree.memory`), a smaller payload, or, if it does with less, a smaller `igvm.reserve`"
        );
    }

    let sources = [KERNEL, INITRAMFS, SHIM].into_iter().filter(|(role, _)| job.inputs.contains_key(*role));
    let sources: serde_json::Map<_, _> =
        sources.map(|(role, name)| (name.to_string(), json!(job.input(role)))).collect();
    let names: Vec<&'static str> = wanted.igvm.platforms.iter().filter_map(|kind| kind.corim()).collect();
    let corims: serde_json::Map<_, _> = wanted
        .igvm
        .platforms
        .iter()
        .filter_map(|platform| {
            Some((platform_kind(*platform).name().to_string(), json!(job.out(platform.corim()?))))
        })
        .collect();
    let request = json!({
        "layout": layout,
        "memory": fit,
        "sources": sources,
        "file": job.out("vtl2.igvm"),
        "map": job.out("vtl2.map.json"),
        "measurements": job.out("measurements.json"),
        "endorsements": corims,
        "security-version": wanted.igvm.security_version,
    });
    let path = job.work.scratch().join("request.json");
    fs::write(&path, serde_json::to_vec(&request)?)
        .with_context(|| format!("can't write {}", path.display()))?;
    run_program(job, &["pack".as_ref(), path.as_os_str()])?;
    let files = ["vtl2.igvm", "vtl2.map.json", "measurements.json"].into_iter().chain(names);
    Ok(files.map(|name| (name, OutputKind::File)).collect())
}

fn layout(job: &Job, wanted: &Wanted, machine: &fdt::machine::Machine, head: &[u8]) -> Result<Layout> {
    let part = |(role, name): (&str, &str)| -> Result<Part> {
        Ok(Part { source: name.to_string(), length_bytes: job.size_bytes(role)? })
    };
    let image = Image {
        arch: wanted.arch.into(),
        platforms: wanted.igvm.platforms.iter().map(|platform| platform_kind(*platform)).collect(),
        policy: match wanted.igvm.policy {
            IgvmPolicy::Release => GuestPolicy::Release,
            IgvmPolicy::Debug => GuestPolicy::Debug,
        },
        shared_gpa_boundary: wanted.igvm.shared_gpa_boundary.map(|address| address.0),
        memory: device_tree::own_memory(machine),
        command_line: wanted.command_line,
        kernel: KernelPart { head, part: part(KERNEL)? },
        initramfs: part(INITRAMFS)?,
        shim: shim(job, wanted, head)?,
    };
    let mut invalid = None;
    let layout = image::igvm::layout(&image, |initramfs| {
        let mut machine = machine.clone();
        if wanted.arch == Arch::Aarch64 {
            machine.chosen.initrd = Some(fdt::Range::new(initramfs.start, initramfs.end - initramfs.start));
        }
        let tree = fdt::to_dtb(&machine.tree(wanted.described.dialect.data()));
        tree.map_err(|error| invalid = Some(error)).unwrap_or_default()
    });
    if let Some(error) = invalid {
        return Err(error).context("the device tree that the profile describes isn't valid");
    }
    layout.context(
        "the IGVM file can't be laid out\n  hint: `device-tree.memory` of the profile is VTL2's memory",
    )
}

/// The boot shim, where the step has one, with what it is to see to.
fn shim<'a>(job: &Job, wanted: &'a Wanted, head: &[u8]) -> Result<Option<Shim<'a>>> {
    if !job.inputs.contains_key(SHIM.0) {
        return Ok(None);
    }
    let kernel = image::igvm::shim::kernel_bytes(wanted.arch.into(), head, job.size_bytes("kernel")?);
    Ok(Some(Shim {
        part: Part { source: SHIM.1.to_string(), length_bytes: job.size_bytes(SHIM.0)? },
        kernel_digest: sha384(job.input("kernel"), kernel.start)?,
        initramfs_digest: sha384(job.input("initramfs"), 0)?,
        host_options: &wanted.igvm.host_options,
    }))
}

/// Digest of a file from this byte on.
fn sha384(path: &Path, start: u64) -> Result<[u8; 48]> {
    let mut digest = Sha384::new();
    let mut read = || -> io::Result<()> {
        let mut file = File::open(path)?;
        file.seek(io::SeekFrom::Start(start))?;
        io::copy(&mut file, &mut digest).map(drop)
    };
    read().with_context(|| format!("can't read {}", path.display()))?;
    Ok(digest.finalize().into())
}

/// What takes how much of the machine's memory.
fn fit(job: &Job, wanted: &Wanted, layout: &Layout, kernel_head: &[u8]) -> Result<Fit> {
    let path = job.input("initramfs");
    let unpacked =
        || -> io::Result<u64> { io::copy(&mut zstd::Decoder::new(File::open(path)?)?, &mut io::sink()) };
    let sizes = fit::Sizes {
        kernel: image::kernel::runtime_bytes(kernel_head).unwrap_or(job.size_bytes("kernel")?),
        initramfs_unpacked: unpacked().with_context(|| format!("can't unpack {}", path.display()))?,
        unpacking: fit::zstd_workspace(&head(job, "initramfs")?).unwrap_or(0),
        reserve: wanted.igvm.reserve.0,
    };
    Ok(Fit::new(layout, &sizes))
}

/// The first bytes of an input.
fn head(job: &Job, role: &str) -> Result<Vec<u8>> {
    let path = job.input(role);
    let mut head = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(image::kernel::HEAD_BYTES as u64).read_to_end(&mut head));
    read.with_context(|| format!("can't read {}", path.display()))?;
    Ok(head)
}

fn platform_kind(platform: IgvmPlatform) -> PlatformKind {
    match platform {
        IgvmPlatform::VsmIsolation => PlatformKind::VsmIsolation,
        IgvmPlatform::Native => PlatformKind::Native,
        IgvmPlatform::SevSnp => PlatformKind::SevSnp,
        IgvmPlatform::Tdx => PlatformKind::Tdx,
    }
}

/// Builds the program if it isn't built, and runs it.
fn run_program(job: &Job, arguments: &[&OsStr]) -> Result<()> {
    let member = member(PROGRAM)?;
    let mut build = cargo(job)?.directory(&member.workspace).args(&member.arguments);
    if job.context.offline {
        build = build.env("CARGO_NET_OFFLINE", "true");
    }
    run(job, &build).context("can't build the program that writes IGVM files")?;
    let command = job.context.tools.host().command(&member.program).args(arguments);
    run(job, &command)
}
