//! PackDisk: the EFI system partition in a GPT. PackVhd, PackVhdx, PackQcow2: that disk as Azure, Hyper-V and QEMU
//! take it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom, Write as _},
};

use anyhow::{Context as _, Result};
use image::{
    disk::{Content, Disk, DiskLayout, Partition, Size},
    fat,
    gpt::PartitionKind,
    ident, vhd,
};

use super::run::Job;
use crate::{
    digest::Digest,
    disks::{self, Raw},
    export,
    plan::EspFile,
    profile::types::Qcow2Compression,
    store::OutputKind,
};

/// Identifiers of a profile's image follow from its name and the role alone: the same disk in every build, two
/// disks told apart on one machine.
fn seed(profile: &str) -> [u8; 32] {
    Digest::of(format!("vtlforge image {profile}").as_bytes()).0
}

pub fn pack(
    job: &Job,
    profile: &str,
    size_bytes: u64,
    label: &str,
    esp: &BTreeMap<String, EspFile>,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let seed = seed(profile);
    let mut files = Vec::new();
    for (path, file) in esp {
        let length_bytes = match file {
            EspFile::Input(role) => job.size_bytes(role)?,
            EspFile::Text(text) => text.len() as u64,
        };
        files.push(fat::File { path: path.clone(), source: path.clone(), length_bytes });
    }
    let volume = fat::Volume {
        volume_id: ident::volume_id(&seed, "esp"),
        label: fat::VolumeLabel::new(label)?,
        files,
    };
    let layout = DiskLayout::new(&Disk {
        size_bytes,
        guid: ident::guid(&seed, "disk"),
        partitions: vec![Partition {
            name: "EFI system partition".to_string(),
            kind: PartitionKind::EfiSystem,
            guid: ident::guid(&seed, "esp"),
            size: Size::Rest,
            content: Content::Fat(volume),
        }],
    })
    .context("the artifacts don't fit on the profile's disk\n  hint: set a larger `disk.size`")?;

    let path = job.out("disk.raw");
    let mut file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    file.set_len(size_bytes).with_context(|| format!("can't write {}", path.display()))?;
    let open = |path: &str| -> std::io::Result<Box<dyn Read>> {
        Ok(match &esp[path] {
            EspFile::Input(role) => Box::new(File::open(job.input(role))?),
            EspFile::Text(text) => Box::new(std::io::Cursor::new(text.clone().into_bytes())),
        })
    };
    layout.write(open, &mut file).with_context(|| format!("can't write {}", path.display()))?;
    Ok(vec![("disk.raw", OutputKind::File)])
}

pub fn pack_vhd(job: &Job, profile: &str, size_bytes: u64) -> Result<Vec<(&'static str, OutputKind)>> {
    let id = ident::guid(&seed(profile), "vhd");
    // The format counts seconds from the year 2000; no build has a time of its own.
    let footer = vhd::footer(&vhd::Vhd { disk_bytes: size_bytes, id, timestamp: 0 })?;
    let path = job.out("disk.vhd");
    export::copy(job.input("disk"), &path)?;
    let write = || -> std::io::Result<()> {
        let mut file = File::options().write(true).open(&path)?;
        file.seek(SeekFrom::Start(size_bytes))?;
        file.write_all(&footer)
    };
    write().with_context(|| format!("can't write {}", path.display()))?;
    Ok(vec![("disk.vhd", OutputKind::File)])
}

pub fn pack_vhdx(job: &Job, profile: &str) -> Result<Vec<(&'static str, OutputKind)>> {
    disks::write_vhdx(&mut Raw::open(job.input("disk"))?, &seed(profile), &job.out("disk.vhdx"))?;
    Ok(vec![("disk.vhdx", OutputKind::File)])
}

pub fn pack_qcow2(job: &Job, compression: Qcow2Compression) -> Result<Vec<(&'static str, OutputKind)>> {
    disks::write_qcow2(&mut Raw::open(job.input("disk"))?, compression, &job.out("disk.qcow2"))?;
    Ok(vec![("disk.qcow2", OutputKind::File)])
}
