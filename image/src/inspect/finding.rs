//! What is wrong with an image, and the reading that finds it out.

use std::io;

use serde::Serialize;

use crate::fields::Fields as _;
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

/// The byte range is within the file, or the reader is told.
pub(super) fn read_within(file: &mut dyn Source, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > file.size_bytes()) {
        let problem = format!("its data at {offset} lies behind the end of the file");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
    }
    file.read_at(offset, buffer)
}
