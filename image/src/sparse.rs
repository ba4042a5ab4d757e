//! The few non-zero bytes of a large, mostly empty image, held in memory.
//!
//! File system and partition table writers run against a [`Window`] of a [`Sparse`], so that what they decide is known
//! before anything reaches the output. Zeros written where nothing is stored yet take no room, which lets a file
//! system "write" contents that only exist as a length.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// Smallest unit that reaches an output: a sector, which no two of the structures we write share.
pub(crate) const SECTOR_BYTES: usize = 512;

const PAGE_BYTES: usize = 64 * 1024;

/// `size_bytes` bytes that are zero until written.
#[derive(Clone)]
pub(crate) struct Sparse {
    size_bytes: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Sparse {
    pub fn new(size_bytes: u64) -> Self {
        Sparse { size_bytes, pages: BTreeMap::new() }
    }

    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Copies the bytes from `offset` on into `buffer`; the range must lie inside.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) {
        assert!(offset + buffer.len() as u64 <= self.size_bytes);
        let mut done = 0;
        for (page, range) in pieces(offset, buffer.len()) {
            let target = &mut buffer[done..done + range.len()];
            done += range.len();
            match self.pages.get(&page) {
                Some(bytes) => target.copy_from_slice(&bytes[range]),
                None => target.fill(0),
            }
        }
    }

    /// Stores `bytes` at `offset`; the range must lie inside.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) {
        assert!(offset + bytes.len() as u64 <= self.size_bytes);
        let mut done = 0;
        for (page, range) in pieces(offset, bytes.len()) {
            let source = &bytes[done..done + range.len()];
            done += range.len();
            if let Some(stored) = self.pages.get_mut(&page) {
                stored[range].copy_from_slice(source);
            } else if !is_zero(source) {
                let mut stored = vec![0; PAGE_BYTES].into_boxed_slice();
                stored[range].copy_from_slice(source);
                self.pages.insert(page, stored);
            }
        }
    }

    /// Runs of sectors that hold something, in ascending order, as (offset, bytes). Runs never overlap; the last may
    /// be shorter than a sector where the image ends.
    pub fn runs(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pages.iter().flat_map(|(page, bytes)| {
            let base = page * PAGE_BYTES as u64;
            let end = (self.size_bytes - base).min(PAGE_BYTES as u64) as usize;
            used_blocks(&bytes[..end], SECTOR_BYTES)
                .map(move |range| (base + range.start as u64, &bytes[range]))
        })
    }
}

/// Splits `length` bytes at `offset` where pages end: (page number, range within the page).
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let end = offset + length as u64;
    let mut position = offset;
    std::iter::from_fn(move || {
        if position == end {
            return None;
        }
        let page = position / PAGE_BYTES as u64;
        let start = (position % PAGE_BYTES as u64) as usize;
        let stop = PAGE_BYTES.min(start + (end - position) as usize);
        position += (stop - start) as u64;
        Some((page, start..stop))
    })
}

/// Maximal ranges of `bytes`, cut at multiples of `block_bytes`, without an all-zero block.
pub(crate) fn used_blocks(bytes: &[u8], block_bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let block = |start: usize| start..bytes.len().min(start + block_bytes);
        while position < bytes.len() && is_zero(&bytes[block(position)]) {
            position += block_bytes;
        }
        if position >= bytes.len() {
            return None;
        }
        let start = position;
        while position < bytes.len() && !is_zero(&bytes[block(position)]) {
            position += block_bytes;
        }
        Some(start..position.min(bytes.len()))
    })
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Most blocks show in their first bytes that they are used; the fold has no early exit and so becomes wide loads.
    bytes.first().is_none_or(|first| *first == 0) && bytes.iter().fold(0, |all, byte| all | byte) == 0
}

/// A part of a [`Sparse`] as a stream: what a file system sees of its partition.
#[derive(Clone)]
pub(crate) struct Window<'a> {
    store: &'a RefCell<Sparse>,
    range: Range<u64>,
    position: u64,
}

impl<'a> Window<'a> {
    pub fn new(store: &'a RefCell<Sparse>, range: Range<u64>) -> Self {
        assert!(range.start <= range.end && range.end <= store.borrow().size_bytes());
        Window { store, range, position: 0 }
    }

    fn left(&self) -> usize {
        let left = (self.range.end - self.range.start).saturating_sub(self.position);
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}

impl std::fmt::Debug for Window<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({:?} at {})", self.range, self.position)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.left());
        let offset = self.range.start + self.position;
        self.store.borrow().read_at(offset, &mut buffer[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.left());
        let offset = self.range.start + self.position;
        self.store.borrow_mut().write_at(offset, &bytes[..length]);
        self.position += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let size = self.range.end - self.range.start;
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(delta) => size.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
