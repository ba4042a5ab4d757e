//! BuildUki: kernel, initramfs and command line behind the EFI stub of their architecture.

use std::fs::File;

use anyhow::{Context as _, Result};
use image::uki::{KernelPart, Part, Uki};

use super::run::{Job, read};
use crate::{profile::types::Arch, store::OutputKind};

pub fn build(
    job: &Job,
    arch: Arch,
    profile: &str,
    command_line: &str,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let stub = job.read("stub")?;
    let release = String::from_utf8(job.read("release")?).context("the kernel's release is not text")?;
    let kernel = read(job.input("kernel"))?;
    let part = |role: &str| -> Result<Part> {
        Ok(Part { source: role.to_string(), length_bytes: job.size_bytes(role)? })
    };
    let uki = Uki {
        arch: arch.into(),
        stub: &stub,
        os_release: &os_release(profile, release.trim()),
        cmdline: command_line,
        uname: release.trim(),
        device_tree: None,
        kernel: KernelPart {
            head: &kernel[..image::kernel::HEAD_BYTES.min(kernel.len())],
            part: part("kernel")?,
        },
        initrd: Some(part("initramfs")?),
    };
    let layout = image::uki::layout(&uki)?;
    let path = job.out("uki.efi");
    let mut file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    file.set_len(layout.size_bytes()).with_context(|| format!("can't write {}", path.display()))?;
    let written = layout.write(|role| File::open(job.input(role)), &mut file);
    written.with_context(|| format!("can't write {}", path.display()))?;
    Ok(vec![("uki.efi", OutputKind::File)])
}

/// os-release(5) of the image: what a boot menu and bootctl show.
fn os_release(profile: &str, release: &str) -> String {
    format!(
        "ID=vtlforge\nNAME=vtlforge\nPRETTY_NAME=\"vtlforge {profile} (Linux {release})\"\nVERSION_ID={release}\nIMAGE_ID={profile}\n"
    )
}
