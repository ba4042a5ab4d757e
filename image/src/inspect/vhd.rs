//! VHDs of others, fixed and dynamic, read.
//!
//! Source: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0.

use std::io;
use std::ops::Range;

use serde::Serialize;
use uuid::Uuid;

use super::finding::{COPY_AGAIN, Fields, Finding, Paged, Place, read, read_mapped, read_within};
use crate::source::Source;
use crate::vhd::FOOTER_BYTES;

const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vhd {
    pub kind: VhdKind,
    pub creator: String,
    pub creator_host: String,
    /// Seconds since 2000-01-01 00:00 UTC.
    pub time_stamp: u32,
    pub original_bytes: u64,
    pub current_bytes: u64,
    /// Cylinders, heads, sectors per track.
    pub geometry: (u16, u8, u8),
    pub id: Uuid,
    pub checksum_is_right: bool,
    /// Of a dynamic one.
    pub block_bytes: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VhdKind {
    Fixed,
    Dynamic,
    Differencing,
    Unknown(u32),
}

/// Where the footer is: at the end, or only its copy at the start.
pub(super) fn footer_at(file: &mut dyn Source) -> Option<u64> {
    let size_bytes = file.size_bytes();
    [size_bytes.checked_sub(FOOTER_BYTES as u64), Some(0)].into_iter().flatten().find(|offset| {
        let mut cookie = [0; 8];
        offset + FOOTER_BYTES as u64 <= size_bytes
            && file.read_at(*offset, &mut cookie).is_ok()
            && &cookie == b"conectix"
    })
}

/// What the footer says, and the disk if it can be read.
pub(super) fn open<'a>(
    file: &'a mut dyn Source,
    footer_at: u64,
    findings: &mut Vec<Finding>,
) -> Result<(Vhd, Option<Box<dyn Source + 'a>>), Finding> {
    let place = "VHD footer";
    let footer = read(file, place, footer_at, FOOTER_BYTES)?;
    let text = |range: Range<usize>| String::from_utf8_lossy(&footer[range]).trim_end().to_owned();
    let mut vhd = Vhd {
        kind: match footer.be32(60) {
            2 => VhdKind::Fixed,
            3 => VhdKind::Dynamic,
            4 => VhdKind::Differencing,
            other => VhdKind::Unknown(other),
        },
        creator: text(28..32),
        creator_host: text(36..40),
        time_stamp: footer.be32(24),
        original_bytes: footer.be64(40),
        current_bytes: footer.be64(48),
        geometry: (footer.be16(56), footer[58], footer[59]),
        id: Uuid::from_bytes(footer.array(68)),
        checksum_is_right: checksum(&footer, 64) == footer.be32(64),
        block_bytes: None,
    };
    if !vhd.checksum_is_right {
        let problem =
            format!("its checksum is {:#010x}, not {:#010x}", footer.be32(64), checksum(&footer, 64));
        findings.push(Finding::new(place, problem, COPY_AGAIN));
    }
    let size_bytes = file.size_bytes();
    match vhd.kind {
        VhdKind::Fixed => {
            let room = size_bytes - FOOTER_BYTES as u64;
            if vhd.checksum_is_right && (footer_at != room || vhd.current_bytes != room) {
                let problem = format!("it tells of {} bytes, but {room} lie before it", vhd.current_bytes);
                findings.push(Finding::new(place, problem, COPY_AGAIN));
            }
            let size_bytes = vhd.current_bytes.min(room);
            Ok((vhd, Some(Box::new(Part { file, start: 0, size_bytes }))))
        }
        VhdKind::Dynamic => {
            if footer_at == 0 {
                let problem = "only its copy at the start is there, none at the end";
                findings.push(Finding::new(place, problem, COPY_AGAIN));
            }
            let disk = dynamic(file, &footer, findings)?;
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

/// One's complement of the sum of all bytes but the checksum's.
fn checksum(structure: &[u8], at: usize) -> u32 {
    let others = structure.iter().enumerate().filter(|(index, _)| !(at..at + 4).contains(index));
    !others.map(|(_, byte)| u32::from(*byte)).sum::<u32>()
}

/// Section "Dynamic Disk Header Format".
fn dynamic<'a>(
    file: &'a mut dyn Source,
    footer: &[u8],
    findings: &mut Vec<Finding>,
) -> Result<Dynamic<'a>, Finding> {
    let place = "VHD dynamic header";
    let header = read(file, place, footer.be64(16), 1024)?;
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
    let (size_bytes, table_bytes) = (footer.be64(48), u64::from(entries) * 4);
    if size_bytes > u64::from(entries) * u64::from(block_bytes) {
        return broken(format!("its table of {entries} blocks is too short for {size_bytes} bytes"));
    }
    if table_at.checked_add(table_bytes).is_none_or(|end| end > file.size_bytes()) {
        return broken(format!("its table of {entries} blocks at {table_at} is not within the file"));
    }
    let block_bytes = u64::from(block_bytes);
    // A bit a sector, in whole sectors.
    let bitmap_bytes = (block_bytes / SECTOR_BYTES).div_ceil(8).next_multiple_of(SECTOR_BYTES);
    Ok(Dynamic { file, size_bytes, block_bytes, bitmap_bytes, table: Paged::new(table_at, table_bytes) })
}

/// A stretch of a file.
pub(super) struct Part<'a> {
    pub file: &'a mut dyn Source,
    pub start: u64,
    pub size_bytes: u64,
}

impl Source for Part<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let data = self.file.next_data(self.start + from)?;
        let data = data.map(|data| data.start - self.start..(data.end - self.start).min(self.size_bytes));
        Ok(data.filter(|data| data.start < data.end))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(self.start + offset, buffer)
    }
}

struct Dynamic<'a> {
    file: &'a mut dyn Source,
    size_bytes: u64,
    block_bytes: u64,
    bitmap_bytes: u64,
    table: Paged,
}

impl Dynamic<'_> {
    fn place(&mut self, block: u64) -> io::Result<Place> {
        let sector = u32::from_be_bytes(self.table.array(self.file, block * 4)?);
        Ok(match sector {
            u32::MAX => Place::Zero,
            sector => Place::At(u64::from(sector) * SECTOR_BYTES + self.bitmap_bytes),
        })
    }
}

impl Source for Dynamic<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        super::disk::next_block(self, from, self.size_bytes, self.block_bytes, |disk, block| {
            Ok(matches!(disk.place(block)?, Place::At(_)))
        })
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let block_bytes = self.block_bytes;
        let part = |disk: &mut Self, offset: u64, buffer: &mut [u8]| match disk.place(offset / block_bytes)? {
            Place::Zero => {
                buffer.fill(0);
                Ok(())
            }
            Place::At(place) => read_within(disk.file, place.saturating_add(offset % block_bytes), buffer),
        };
        read_mapped(self, offset, buffer, part, block_bytes)
    }
}
