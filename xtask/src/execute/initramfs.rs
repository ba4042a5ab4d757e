//! PackInitramfs: the payload as a newc archive, compressed with zstd.

use std::{collections::BTreeMap, fs::File, io::BufWriter};

use anyhow::{Context as _, Result};
use image::cpio::{self, Archive, Entry, Kind, Meta};

use super::run::Job;
use crate::{
    plan::{InitramfsEntry, InitramfsNode},
    profile::types::NodeKind,
    store::OutputKind,
};

/// Permissions of directories that entries need and no recipe names.
const PARENT: Meta = Meta { permissions: 0o755, uid: 0, gid: 0, mtime: 0 };

pub fn pack(
    job: &Job,
    entries: &BTreeMap<String, InitramfsEntry>,
    compression_level: u8,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let mut members = Vec::new();
    for (path, entry) in entries {
        members.push(member(job, path, entry)?);
    }
    cpio::add_missing_parents(&mut members, PARENT);
    let archive = Archive::new(members).context("the recipes don't fit together")?;

    let path = job.out("initramfs.cpio.zst");
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    let mut encoder = zstd::Encoder::new(BufWriter::new(file), i32::from(compression_level))?;
    // The frame carries its check and its size, so that a loader can refuse a broken one early.
    encoder.include_checksum(true)?;
    let written = archive.write(|role| File::open(job.input(role)), &mut encoder);
    written.with_context(|| format!("can't write {}", path.display()))?;
    encoder
        .finish()
        .and_then(|buffer| buffer.into_inner().map_err(Into::into))
        .with_context(|| format!("can't write {}", path.display()))?;
    Ok(vec![("initramfs.cpio.zst", OutputKind::File)])
}

fn member(job: &Job, path: &str, entry: &InitramfsEntry) -> Result<Entry> {
    let (kind, permissions) = match entry {
        InitramfsEntry::Directory { mode } => (Kind::Directory, mode.0),
        InitramfsEntry::Link { to } => (Kind::Symlink { target: to.clone() }, 0o777),
        InitramfsEntry::Node(InitramfsNode { kind, major, minor, mode }) => {
            let (major, minor) = (*major, *minor);
            let kind = match kind {
                NodeKind::Char => Kind::CharDevice { major, minor },
                NodeKind::Block => Kind::BlockDevice { major, minor },
            };
            (kind, mode.0)
        }
        InitramfsEntry::File { role, mode } => {
            (Kind::File { source: role.clone(), length_bytes: job.size_bytes(role)? }, mode.0)
        }
    };
    let meta = Meta { permissions, ..Meta::default() };
    Ok(Entry { path: path.trim_start_matches('/').to_string(), kind, meta })
}
