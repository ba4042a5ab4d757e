//! An image decided down to the last byte but for the contents of its large parts, and the one pass that writes it.
//!
//! A [`Layout`] holds every structural byte (tables, headers, directories) and says where each streamed part goes. It
//! is made by [`crate::disk`], [`crate::fat`] or [`crate::uki`] and knows nothing of their formats.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::sparse::{Sparse, used_blocks};

/// Bytes moved at a time, and so the memory that writing needs beside the layout.
const CHUNK_BYTES: usize = 256 * 1024;

/// Granularity of holes in streamed parts: the block size of common file systems.
const HOLE_BYTES: usize = 4096;

/// A part whose bytes come from the caller while writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The caller's name for the contents.
    pub source: String,
    /// Where the part starts in the image, in bytes.
    pub offset: u64,
    pub length_bytes: u64,
}

/// A decided image: `size_bytes` long, zero wherever neither metadata nor a stream lies.
#[derive(Clone)]
pub struct Layout {
    metadata: Sparse,
    streams: Vec<Stream>,
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot open {source_name}")]
    Open {
        source_name: String,
        #[source]
        cause: io::Error,
    },
    #[error("cannot read {source_name}")]
    Read {
        source_name: String,
        #[source]
        cause: io::Error,
    },
    #[error("{source_name} ended after {actual} bytes, but the image was laid out for {planned}")]
    SourceTooShort { source_name: String, planned: u64, actual: u64 },
    #[error("{source_name} is longer than the {planned} bytes the image was laid out for")]
    SourceTooLong { source_name: String, planned: u64 },
    #[error("cannot write the image at byte {offset}")]
    Output {
        offset: u64,
        #[source]
        cause: io::Error,
    },
}

impl Layout {
    /// Takes metadata and streams that do not meet; neighbours in another order than ascending are put in order.
    pub(crate) fn new(metadata: Sparse, mut streams: Vec<Stream>) -> Self {
        streams.sort_by_key(|stream| stream.offset);
        let layout = Layout { metadata, streams };
        layout.assert_disjoint();
        layout
    }

    /// Length of the whole image in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.metadata.size_bytes()
    }

    /// The streamed parts in ascending order of offset, the order in which they are opened.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Writes the image in one ascending pass, each byte at most once.
    ///
    /// `out` must be [`Layout::size_bytes`] long and read as zeros (a fresh file after `set_len`): zero sectors and
    /// zero 4 KiB blocks are skipped, so they stay holes. `open` gets a [`Stream::source`] and returns its contents,
    /// which must be exactly as long as planned. One source is open at a time. `out` is flushed.
    pub fn write<R, W>(
        &self,
        mut open: impl FnMut(&str) -> io::Result<R>,
        out: &mut W,
    ) -> Result<(), WriteError>
    where
        R: Read,
        W: Write + Seek,
    {
        let mut runs = self.metadata.runs().peekable();
        let mut buffer = Vec::new();
        for stream in &self.streams {
            while let Some((offset, bytes)) = runs.next_if(|(offset, _)| *offset < stream.offset) {
                put(out, offset, bytes)?;
            }
            let reader = open(&stream.source)
                .map_err(|cause| WriteError::Open { source_name: stream.source.clone(), cause })?;
            buffer.resize(CHUNK_BYTES, 0);
            copy(stream, reader, &mut buffer, out)?;
        }
        for (offset, bytes) in runs {
            put(out, offset, bytes)?;
        }
        out.flush().map_err(|cause| WriteError::Output { offset: self.size_bytes(), cause })
    }

    fn assert_disjoint(&self) {
        let metadata = self.metadata.runs().map(|(offset, bytes)| offset..offset + bytes.len() as u64);
        let streams = self
            .streams
            .iter()
            .filter(|stream| stream.length_bytes > 0)
            .map(|stream| stream.offset..stream.offset + stream.length_bytes);
        let mut ranges: Vec<_> = metadata.chain(streams).collect();
        ranges.sort_by_key(|range| range.start);
        for pair in ranges.windows(2) {
            assert!(pair[0].end <= pair[1].start, "parts of an image overlap");
        }
        assert!(ranges.last().is_none_or(|range| range.end <= self.size_bytes()));
    }
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layout")
            .field("size_bytes", &self.size_bytes())
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

/// Streams one part to its place, leaving zero blocks out.
fn copy(
    stream: &Stream,
    mut reader: impl Read,
    buffer: &mut [u8],
    out: &mut (impl Write + Seek),
) -> Result<(), WriteError> {
    let mut done = 0;
    while done < stream.length_bytes {
        let offset = stream.offset + done;
        // Up to the next block boundary of the output first, so that later blocks are whole blocks there too.
        let room = buffer.len() - (offset % HOLE_BYTES as u64) as usize;
        let wanted = (stream.length_bytes - done).min(room as u64) as usize;
        let chunk = &mut buffer[..wanted];
        let filled = read_full(&mut reader, chunk).map_err(|cause| read_error(stream, cause))?;
        if filled < wanted {
            return Err(WriteError::SourceTooShort {
                source_name: stream.source.clone(),
                planned: stream.length_bytes,
                actual: done + filled as u64,
            });
        }
        let head = (HOLE_BYTES - (offset % HOLE_BYTES as u64) as usize).min(wanted);
        put_used(out, offset, &chunk[..head])?;
        put_used(out, offset + head as u64, &chunk[head..])?;
        done += wanted as u64;
    }
    let extra = read_full(&mut reader, &mut [0]).map_err(|cause| read_error(stream, cause))?;
    if extra > 0 {
        return Err(WriteError::SourceTooLong {
            source_name: stream.source.clone(),
            planned: stream.length_bytes,
        });
    }
    Ok(())
}

fn read_error(stream: &Stream, cause: io::Error) -> WriteError {
    WriteError::Read { source_name: stream.source.clone(), cause }
}

/// Reads until `buffer` is full or the source ends; returns the number of bytes read.
pub(crate) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(filled)
}

fn put_used(out: &mut (impl Write + Seek), offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
    for range in used_blocks(bytes, HOLE_BYTES) {
        put(out, offset + range.start as u64, &bytes[range])?;
    }
    Ok(())
}

fn put(out: &mut (impl Write + Seek), offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
    out.seek(SeekFrom::Start(offset))
        .and_then(|_| out.write_all(bytes))
        .map_err(|cause| WriteError::Output { offset, cause })
}
