//! The disk in a file, whichever format the file has.

use serde::Serialize;

use super::finding::Finding;
use super::{qcow2, vhd, vhdx};
use crate::source::Source;
use crate::vhd::VhdKind;

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
            Container::Vhd(vhd) => match vhd.footer.kind {
                VhdKind::Fixed => "fixed VHD",
                VhdKind::Dynamic => "dynamic VHD",
                VhdKind::Differencing => "differencing VHD",
                VhdKind::Unknown(_) => "VHD",
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
