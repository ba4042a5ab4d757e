//! A disk from one file to another of any format.

use std::{
    fs::{File, Permissions},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use image::{
    ident,
    inspect::{self, Finding},
    qcow2::Qcow2Layout,
    source::{Source, write_raw},
    vhd,
    vhdx::{Identity, VhdxLayout},
};

use super::{Raw, Unpacker, Zstd};
use crate::digest::Digest;

/// What a file is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Raw,
    FixedVhd,
    Vhdx,
    Qcow2 { is_compressed: bool },
}

/// Makes `to`, which must not be there, of the disk in `from`; returns what is odd about `from` but doesn't prevent it.
/// The file is there whole or not at all.
pub fn convert(from: &Path, to: &Path, target: Target) -> Result<Vec<Finding>> {
    if to.exists() {
        bail!("{} is there already\n  hint: remove it, or name another file", to.display());
    }
    let mut file = Raw::open(from)?;
    let mut findings = Vec::new();
    let opened = inspect::open(&mut file, &Unpacker, &mut findings);
    let disk = opened.and_then(|(_, disk)| disk.ok_or_else(|| findings.remove(0)));
    let unreadable =
        |finding: Finding| anyhow::anyhow!("{}: {finding}\n  hint: {}", from.display(), finding.hint);
    let mut disk = disk.map_err(unreadable)?;

    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("there is no folder {} for the new file\n  hint: mkdir -p {0}", folder.display());
    }
    let mut making = tempfile::Builder::new();
    // What the user's umask leaves of it.
    let making = making.prefix(".converting").permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    let making = making.with_context(|| format!("can't write into {}", folder.display()))?;
    write(&mut *disk, target, making.as_file()).with_context(|| format!("can't make {}", to.display()))?;
    making.persist_noclobber(to).with_context(|| format!("can't make {}", to.display()))?;
    Ok(findings)
}

fn write(disk: &mut dyn Source, target: Target, mut file: &File) -> Result<()> {
    let size_bytes = disk.size_bytes();
    let mut disk = disk;
    match target {
        Target::Raw => {
            write_raw(&mut disk, &mut file)?;
            file.set_len(size_bytes)?;
        }
        Target::FixedVhd => {
            let id = ident::guid(&seed(disk)?, "vhd");
            let footer = vhd::footer(&vhd::Vhd { disk_bytes: size_bytes, id, timestamp: 0 })?;
            write_raw(&mut disk, &mut file)?;
            file.seek(SeekFrom::Start(size_bytes))?;
            file.write_all(&footer)?;
        }
        Target::Vhdx => {
            let layout = VhdxLayout::new(size_bytes)?;
            let seed = seed(disk)?;
            layout.write(&identity(&seed), &mut disk, &mut file)?;
        }
        Target::Qcow2 { is_compressed } => {
            let layout = Qcow2Layout::new(size_bytes)?;
            let mut zstd = is_compressed.then(Zstd::new);
            layout.write(&mut disk, zstd.as_mut().map(|zstd| zstd as _), &mut file)?;
        }
    }
    Ok(())
}

/// The identifiers of a VHDX.
pub fn identity(seed: &[u8; 32]) -> Identity {
    let id = |role| ident::guid(seed, role);
    Identity { file_write: id("vhdx file"), data_write: id("vhdx data"), disk: id("vhdx disk") }
}

/// From the disk's size and its first MiB, where the partition table has the identifiers of the disk: the same file for
/// the same disk, without reading all of it first.
fn seed(disk: &mut dyn Source) -> Result<[u8; 32]> {
    let mut head = vec![0; disk.size_bytes().min(1 << 20) as usize];
    disk.read_at(0, &mut head)?;
    let mut text = format!("vtlforge converted {} ", disk.size_bytes()).into_bytes();
    text.append(&mut head);
    Ok(Digest::of(&text).0)
}
