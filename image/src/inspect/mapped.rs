//! A disk that lies in a file block by block, wherever a table says; and a stretch of a file.

use std::io;
use std::ops::Range;

use super::finding::read_within;
use crate::source::Source;

/// What a format knows of its blocks.
pub(super) trait Map {
    /// What a block is that has to be unpacked; `Infallible` where none has.
    type Packed;

    fn place(&mut self, file: &mut dyn Source, block: u64) -> io::Result<Place<Self::Packed>>;

    /// All bytes of a block.
    fn unpack(&mut self, file: &mut dyn Source, block: u64, packed: Self::Packed) -> io::Result<&[u8]>;
}

/// Where a block lies in the file.
pub(super) enum Place<Packed> {
    Zero,
    At(u64),
    Packed(Packed),
}

pub(super) struct Mapped<'a, M> {
    pub file: &'a mut dyn Source,
    pub size_bytes: u64,
    pub block_bytes: u64,
    pub map: M,
}

impl<M: Map> Mapped<'_, M> {
    fn has_data(&mut self, block: u64) -> io::Result<bool> {
        Ok(!matches!(self.map.place(self.file, block)?, Place::Zero))
    }

    /// Bytes of one block.
    fn read_block(&mut self, block: u64, within: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self.map.place(self.file, block)? {
            Place::Zero => buffer.fill(0),
            Place::At(place) => read_within(self.file, place.saturating_add(within), buffer)?,
            Place::Packed(packed) => {
                let bytes = self.map.unpack(self.file, block, packed)?;
                buffer.copy_from_slice(&bytes[within as usize..within as usize + buffer.len()]);
            }
        }
        Ok(())
    }
}

/// Blocks asked for before a question is answered with "data" for want of a better answer: so that tables made to be
/// long cannot keep a reader forever.
const PATIENCE: u64 = 1 << 20;

impl<M: Map> Source for Mapped<'_, M> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let (size_bytes, block_bytes) = (self.size_bytes, self.block_bytes);
        if from >= size_bytes {
            return Ok(None);
        }
        let first = from / block_bytes;
        let blocks = size_bytes.div_ceil(block_bytes);
        let mut block = first;
        while block < blocks && block - first < PATIENCE && !self.has_data(block)? {
            block += 1;
        }
        if block == blocks {
            return Ok(None);
        }
        let start = from.max(block * block_bytes);
        // Neighbours together, within reason.
        let mut end = block + 1;
        while end < blocks && end - block < 4096 && self.has_data(end)? {
            end += 1;
        }
        Ok(Some(start..size_bytes.min(end.saturating_mul(block_bytes))))
    }

    fn read_at(&mut self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let (block, within) = (offset / self.block_bytes, offset % self.block_bytes);
            let length = (self.block_bytes - within).min(buffer.len() as u64) as usize;
            let (now, rest) = buffer.split_at_mut(length);
            self.read_block(block, within, now)?;
            (buffer, offset) = (rest, offset + length as u64);
        }
        Ok(())
    }
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
