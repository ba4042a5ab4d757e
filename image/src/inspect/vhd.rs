//! VHDs of others, fixed and dynamic, read.
//!
//! Source: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0.

use std::convert::Infallible;
use std::io;

use serde::Serialize;

use super::finding::{COPY_AGAIN, Finding, Paged, read};
use super::mapped::{Map, Mapped, Part, Place};
use crate::fields::Fields as _;
use crate::source::Source;
use crate::vhd::{COOKIE, FOOTER_BYTES, Footer, VhdKind, checksum};

const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vhd {
    #[serde(flatten)]
    pub footer: Footer,
    /// Of a dynamic one.
    pub block_bytes: Option<u32>,
}

/// Where the footer is: at the end, or only its copy at the start.
pub(super) fn footer_at(file: &mut dyn Source) -> Option<u64> {
    let size_bytes = file.size_bytes();
    [size_bytes.checked_sub(FOOTER_BYTES as u64), Some(0)].into_iter().flatten().find(|offset| {
        let mut cookie = [0; 8];
        offset + FOOTER_BYTES as u64 <= size_bytes
            && file.read_at(*offset, &mut cookie).is_ok()
            && &cookie == COOKIE
    })
}

/// What the footer says, and the disk if it can be read.
pub(super) fn open<'a>(
    file: &'a mut dyn Source,
    footer_at: u64,
    findings: &mut Vec<Finding>,
) -> Result<(Vhd, Option<Box<dyn Source + 'a>>), Finding> {
    let place = "VHD footer";
    let bytes = read(file, place, footer_at, FOOTER_BYTES)?;
    let footer = Footer::read(&bytes.array(0))
        .ok_or_else(|| Finding::new(place, "it doesn't begin with conectix", COPY_AGAIN))?;
    if !footer.checksum_is_right {
        let (said, right) = footer.checksums;
        let problem = format!("its checksum is {said:#010x}, not {right:#010x}");
        findings.push(Finding::new(place, problem, COPY_AGAIN));
    }
    let mut vhd = Vhd { footer, block_bytes: None };
    match vhd.footer.kind {
        VhdKind::Fixed => {
            let (said, room) = (vhd.footer.current_bytes, file.size_bytes() - FOOTER_BYTES as u64);
            if vhd.footer.checksum_is_right && (footer_at != room || said != room) {
                let problem = format!("it tells of {said} bytes, but {room} lie before it");
                findings.push(Finding::new(place, problem, COPY_AGAIN));
            }
            Ok((vhd, Some(Box::new(Part { file, start: 0, size_bytes: said.min(room) }))))
        }
        VhdKind::Dynamic => {
            if footer_at == 0 {
                let problem = "only its copy at the start is there, none at the end";
                findings.push(Finding::new(place, problem, COPY_AGAIN));
            }
            let disk = dynamic(file, &vhd.footer, findings)?;
            vhd.block_bytes = Some(disk.block_bytes as u32);
            Ok((vhd, Some(Box::new(disk))))
        }
        VhdKind::Differencing => {
            let problem = "it has only what differs from another disk";
            findings.push(Finding::new(place, problem, "merge it with its parent first"));
            Ok((vhd, None))
        }
        VhdKind::Unknown(kind) => {
            let problem = format!("its disk type {kind} is none of 2 (fixed), 3 (dynamic), 4 (differencing)");
            findings.push(Finding::new(place, problem, COPY_AGAIN));
            Ok((vhd, None))
        }
    }
}

/// Section "Dynamic Disk Header Format".
fn dynamic<'a>(
    file: &'a mut dyn Source,
    footer: &Footer,
    findings: &mut Vec<Finding>,
) -> Result<Mapped<'a, Blocks>, Finding> {
    let place = "VHD dynamic header";
    let header = read(file, place, footer.header_at, 1024)?;
    let broken = |problem: String| Err(Finding::new(place, problem, COPY_AGAIN));
    if &header[..8] != b"cxsparse" {
        return broken("it doesn't begin with cxsparse".to_owned());
    }
    if checksum(&header, 36) != header.be32(36) {
        findings.push(Finding::new(place, "its checksum is wrong", COPY_AGAIN));
    }
    let (table_at, entries, block_bytes) = (header.be64(16), header.be32(28), header.be32(32));
    if !block_bytes.is_power_of_two() || u64::from(block_bytes) < SECTOR_BYTES {
        return broken(format!("its blocks of {block_bytes} bytes are no power of two of 512 or more"));
    }
    let (size_bytes, table_bytes) = (footer.current_bytes, u64::from(entries) * 4);
    if size_bytes > u64::from(entries) * u64::from(block_bytes) {
        return broken(format!("its table of {entries} blocks is too short for {size_bytes} bytes"));
    }
    if table_at.checked_add(table_bytes).is_none_or(|end| end > file.size_bytes()) {
        return broken(format!("its table of {entries} blocks at {table_at} is not within the file"));
    }
    let block_bytes = u64::from(block_bytes);
    // A bit a sector, in whole sectors.
    let bitmap_bytes = (block_bytes / SECTOR_BYTES).div_ceil(8).next_multiple_of(SECTOR_BYTES);
    let map = Blocks { bitmap_bytes, table: Paged::new(table_at, table_bytes) };
    Ok(Mapped { file, size_bytes, block_bytes, map })
}

/// Section "Block Allocation Table and Data Blocks".
struct Blocks {
    bitmap_bytes: u64,
    table: Paged,
}

impl Map for Blocks {
    type Packed = Infallible;

    fn place(&mut self, file: &mut dyn Source, block: u64) -> io::Result<Place<Infallible>> {
        Ok(match u32::from_be_bytes(self.table.array(file, block * 4)?) {
            u32::MAX => Place::Zero,
            sector => Place::At(u64::from(sector) * SECTOR_BYTES + self.bitmap_bytes),
        })
    }

    fn unpack(&mut self, _: &mut dyn Source, _: u64, packed: Infallible) -> io::Result<&[u8]> {
        match packed {}
    }
}
