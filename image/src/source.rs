//! A disk's content as it is read to be written in another format, with its holes; not where it comes from.

use std::io;
use std::ops::Range;

use crate::sparse::{is_zero, used_blocks};

/// Bytes looked at together: the block of a VHDX, sixteen clusters of a qcow2.
pub(crate) const WINDOW_BYTES: u64 = 1 << 20;

/// Granularity of holes in what is written: the block size of common file systems.
pub(crate) const HOLE_BYTES: usize = 4096;

/// The content of a disk.
pub trait Source {
    /// Length in bytes.
    fn size_bytes(&self) -> u64;

    /// The first range at or behind `from` that may have something other than zeros; None if there is none. Ranges are
    /// not empty and end within the disk. What can't be told cheaply is data.
    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>>;

    /// Fills `buffer` with the bytes at `offset`; they lie within the disk.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        (**self).next_data(from)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

impl<S: Source + ?Sized> Source for &mut S {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        (**self).next_data(from)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

/// Why a disk's content did not get from one file to another.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("cannot read the disk at byte {offset}")]
    Read {
        offset: u64,
        #[source]
        cause: io::Error,
    },
    #[error("cannot compress the disk's bytes from {offset} on")]
    Compress {
        offset: u64,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write at byte {offset}")]
    Output {
        offset: u64,
        #[source]
        cause: io::Error,
    },
}

/// Hands on every window of the disk that has data, in ascending order: its offset, a multiple of its length, and its
/// bytes, which behind the disk's end are zeros. `window_bytes` long each.
pub(crate) fn each_window<E: From<CopyError>>(
    source: &mut impl Source,
    window_bytes: u64,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let size_bytes = source.size_bytes();
    let mut buffer = Vec::new();
    let mut position = 0;
    while position < size_bytes {
        let Some(data) = next_data(source, position)? else { break };
        let window = data.start / window_bytes * window_bytes;
        let end = size_bytes.min(window.saturating_add(window_bytes));
        buffer.resize(window_bytes as usize, 0);
        fill(source, data, window..end, &mut buffer)?;
        take(window, &buffer)?;
        position = end;
    }
    Ok(())
}

/// Reads a window, the first data of which is known. Every byte of `buffer` is written once.
fn fill(
    source: &mut impl Source,
    first: Range<u64>,
    window: Range<u64>,
    buffer: &mut [u8],
) -> Result<(), CopyError> {
    let place = |offset: u64| (offset - window.start) as usize;
    let mut filled = 0;
    let mut next = Some(first);
    while let Some(data) = next.filter(|data| data.start < window.end) {
        let (start, end) = (data.start.max(window.start), data.end.min(window.end));
        buffer[filled..place(start)].fill(0);
        let target = &mut buffer[place(start)..place(end)];
        source.read_at(start, target).map_err(|cause| CopyError::Read { offset: start, cause })?;
        filled = place(end);
        next = if end < window.end { next_data(source, end)? } else { None };
    }
    buffer[filled..].fill(0);
    Ok(())
}

fn next_data(source: &mut impl Source, from: u64) -> Result<Option<Range<u64>>, CopyError> {
    let data = source.next_data(from).map_err(|cause| CopyError::Read { offset: from, cause })?;
    assert!(
        data.as_ref().is_none_or(|data| {
            from <= data.start && data.start < data.end && data.end <= source.size_bytes()
        }),
        "a source keeps the order of its data"
    );
    Ok(data)
}

/// Writes a disk as it is, zeros left out; returns its length in bytes, which the file must be given: it ends with its last
/// data. `out` is empty.
pub fn write_raw(source: &mut impl Source, out: &mut (impl io::Write + io::Seek)) -> Result<u64, CopyError> {
    let mut out = Output::new(out);
    let size_bytes = source.size_bytes();
    each_window(source, WINDOW_BYTES, |offset, window| {
        let length = WINDOW_BYTES.min(size_bytes - offset) as usize;
        out.put_used(offset, &window[..length])
    })?;
    out.flush()?;
    Ok(size_bytes)
}

/// The file that is written: puts bytes where they belong and leaves holes for zeros.
pub(crate) struct Output<'a, W> {
    to: &'a mut W,
    position: u64,
}

impl<'a, W: io::Write + io::Seek> Output<'a, W> {
    /// `to` is empty.
    pub fn new(to: &'a mut W) -> Self {
        Output { to, position: 0 }
    }

    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), CopyError> {
        let mut put = || {
            if self.position != offset {
                self.to.seek(io::SeekFrom::Start(offset))?;
            }
            self.to.write_all(bytes)
        };
        put().map_err(|cause| CopyError::Output { offset, cause })?;
        self.position = offset + bytes.len() as u64;
        Ok(())
    }

    /// Writes what isn't zero.
    pub fn put_used(&mut self, offset: u64, bytes: &[u8]) -> Result<(), CopyError> {
        for range in used_blocks(bytes, HOLE_BYTES) {
            self.put(offset + range.start as u64, &bytes[range])?;
        }
        Ok(())
    }

    /// Makes the file so long, by writing zeros to its end; nothing was put behind it.
    pub fn end(&mut self, size_bytes: u64) -> Result<(), CopyError> {
        self.put(size_bytes - HOLE_BYTES as u64, &[0; HOLE_BYTES])
    }

    pub fn flush(self) -> Result<(), CopyError> {
        self.to.flush().map_err(|cause| CopyError::Output { offset: self.position, cause })
    }
}

/// Whether a block holds nothing: from its first used piece on it is looked at no more.
pub(crate) fn is_empty(block: &[u8]) -> bool {
    block.chunks(HOLE_BYTES).all(is_zero)
}
