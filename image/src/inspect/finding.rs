//! What is wrong with an image, and the reading that finds it out.

use std::io;

use serde::Serialize;
use uuid::Uuid;

use crate::source::Source;

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    pub place: String,
    pub problem: String,
    pub hint: String,
}

impl Finding {
    pub fn new(place: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Finding { place: place.into(), problem: problem.into(), hint: hint.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

pub(super) const COPY_AGAIN: &str =
    "the file was cut off or changed on its way: copy it again, or make it anew";

/// Reads a structure that must be there whole. `length` is ours, never the file's without a limit.
pub(super) fn read(
    file: &mut dyn Source,
    place: &str,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, Finding> {
    let size_bytes = file.size_bytes();
    if offset.checked_add(length as u64).is_none_or(|end| end > size_bytes) {
        let problem = format!("{length} bytes at {offset} are not within its {size_bytes} bytes");
        return Err(Finding::new(place, problem, COPY_AGAIN));
    }
    let mut bytes = vec![0; length];
    file.read_at(offset, &mut bytes).map_err(|cause| unreadable(place, offset, &cause))?;
    Ok(bytes)
}

pub(super) fn unreadable(place: &str, offset: u64, cause: &io::Error) -> Finding {
    Finding::new(place, format!("it cannot be read at byte {offset}: {cause}"), COPY_AGAIN)
}

/// Numbers of a structure that was read whole.
pub(super) trait Fields {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N];

    fn le16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.array(offset))
    }
    fn le32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }
    fn le64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }
    fn be16(&self, offset: usize) -> u16 {
        u16::from_be_bytes(self.array(offset))
    }
    fn be32(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.array(offset))
    }
    fn be64(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.array(offset))
    }
    /// A GUID with its first three fields little-endian, as Microsoft and UEFI have them.
    fn guid(&self, offset: usize) -> Uuid {
        Uuid::from_bytes_le(self.array(offset))
    }
}

impl Fields for [u8] {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        std::array::from_fn(|index| self[offset + index])
    }
}

/// A table of a file, of which a page at a time is held.
pub(super) struct Paged {
    pub start: u64,
    pub length_bytes: u64,
    page: Option<u64>,
    bytes: Vec<u8>,
}

const PAGE_BYTES: u64 = 4096;

impl Paged {
    /// The table lies within its file.
    pub fn new(start: u64, length_bytes: u64) -> Self {
        Paged { start, length_bytes, page: None, bytes: Vec::new() }
    }

    /// Bytes of the table that don't cross a page.
    pub fn array<const N: usize>(&mut self, file: &mut dyn Source, offset: u64) -> io::Result<[u8; N]> {
        let page = offset / PAGE_BYTES;
        if self.page != Some(page) {
            let start = page * PAGE_BYTES;
            let length = PAGE_BYTES.min(self.length_bytes.saturating_sub(start));
            self.page = None;
            self.bytes.resize(length as usize, 0);
            file.read_at(self.start + start, &mut self.bytes)?;
            self.page = Some(page);
        }
        let at = (offset % PAGE_BYTES) as usize;
        let bytes = self.bytes.get(at..at + N).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(bytes.array(0))
    }
}

/// Where a block of a disk lies in the file that holds it.
pub(super) enum Place {
    Zero,
    At(u64),
}

/// Reads a disk block by block: `part` fills bytes of one block.
pub(super) fn read_mapped<S>(
    disk: &mut S,
    mut offset: u64,
    mut buffer: &mut [u8],
    mut part: impl FnMut(&mut S, u64, &mut [u8]) -> io::Result<()>,
    block_bytes: u64,
) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = block_bytes - offset % block_bytes;
        let length = left.min(buffer.len() as u64) as usize;
        let (now, rest) = buffer.split_at_mut(length);
        part(disk, offset, now)?;
        (buffer, offset) = (rest, offset + length as u64);
    }
    Ok(())
}

/// The byte range is within the file, or the reader is told.
pub(super) fn read_within(file: &mut dyn Source, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > file.size_bytes()) {
        let problem = format!("its data at {offset} lies behind the end of the file");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
    }
    file.read_at(offset, buffer)
}
