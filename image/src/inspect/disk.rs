//! The disk in a file, whichever format the file has.

use std::io;
use std::ops::Range;

use serde::Serialize;

use super::finding::Finding;
use super::{qcow2, vhd, vhdx};
use crate::source::Source;

/// What the file says of itself around the disk.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// None: the file is the disk.
    Raw,
    Vhd(vhd::Vhd),
    Vhdx(vhdx::Vhdx),
    Qcow2(qcow2::Qcow2),
}

impl Container {
    /// In the words of people.
    pub fn name(&self) -> &'static str {
        match self {
            Container::Raw => "raw",
            Container::Vhd(vhd) => match vhd.kind {
                vhd::VhdKind::Fixed => "fixed VHD",
                vhd::VhdKind::Dynamic => "dynamic VHD",
                vhd::VhdKind::Differencing => "differencing VHD",
                vhd::VhdKind::Unknown(_) => "VHD",
            },
            Container::Vhdx(_) => "VHDX",
            Container::Qcow2(_) => "qcow2",
        }
    }
}

/// A file's container, and the disk in it where that can be read. What is wrong but doesn't prevent reading goes to
/// `findings`.
pub fn open<'a>(
    file: &'a mut dyn Source,
    decompress: &'a dyn qcow2::Decompress,
    findings: &mut Vec<Finding>,
) -> Result<(Container, Option<Box<dyn Source + 'a>>), Finding> {
    let mut magic = [0; 8];
    let length = file.size_bytes().min(8) as usize;
    file.read_at(0, &mut magic[..length])
        .map_err(|cause| super::finding::unreadable("the file", 0, &cause))?;
    if &magic == b"vhdxfile" {
        let (vhdx, disk) = vhdx::open(file, findings)?;
        return Ok((Container::Vhdx(vhdx), disk));
    }
    if magic.starts_with(b"QFI\xfb") {
        let (qcow2, disk) = qcow2::open(file, decompress, findings)?;
        return Ok((Container::Qcow2(qcow2), disk));
    }
    if let Some(footer_at) = vhd::footer_at(file) {
        let (vhd, disk) = vhd::open(file, footer_at, findings)?;
        return Ok((Container::Vhd(vhd), disk));
    }
    Ok((Container::Raw, Some(Box::new(file))))
}

/// Blocks asked for before a question is answered with "data" for want of a better answer: so that tables made to be
/// long cannot keep a reader forever.
const PATIENCE: u64 = 1 << 20;

/// [`Source::next_data`] of a disk of blocks.
pub(super) fn next_block<D>(
    disk: &mut D,
    from: u64,
    size_bytes: u64,
    block_bytes: u64,
    mut has_data: impl FnMut(&mut D, u64) -> io::Result<bool>,
) -> io::Result<Option<Range<u64>>> {
    if from >= size_bytes {
        return Ok(None);
    }
    let first = from / block_bytes;
    let blocks = size_bytes.div_ceil(block_bytes);
    let mut block = first;
    while block < blocks && block - first < PATIENCE && !has_data(disk, block)? {
        block += 1;
    }
    if block == blocks {
        return Ok(None);
    }
    let start = from.max(block * block_bytes);
    // Neighbours together, within reason.
    let mut end = block + 1;
    while end < blocks && end - block < 4096 && has_data(disk, end)? {
        end += 1;
    }
    Ok(Some(start..size_bytes.min(end.saturating_mul(block_bytes))))
}
