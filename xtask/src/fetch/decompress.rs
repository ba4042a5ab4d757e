//! Decompression of whatever a tarball comes in: xz, gzip, zstd or nothing, known by the first bytes and
//! not by the name. Broken or truncated data is an error of the reader, never a short result.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    thread,
};

use liblzma::{bufread::XzDecoder, stream::MtStreamBuilder};

/// Limits of the memory that xz may use: beyond the first it decodes with fewer threads, beyond the
/// second it gives up (`xz -9` needs 65 MiB).
const XZ_THREADS_MEMORY: u64 = 1 << 30;
const XZ_MEMORY: u64 = 2 << 30;

/// The longest magic number below.
const MAGIC_BYTES: usize = 6;

pub type Source = Box<dyn Read + Send>;

/// The decompressed content of `source`.
pub fn decompress(mut source: Source) -> io::Result<Source> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    source.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    let kind = Compression::of(&magic);
    let source = BufReader::with_capacity(256 << 10, Cursor::new(magic).chain(source));
    Ok(match kind {
        Compression::Xz => Box::new(Xz { decoder: Some(xz_stream(source)?) }),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
        Compression::None => Box::new(source),
    })
}

enum Compression {
    Xz,
    Gzip,
    Zstd,
    None,
}

impl Compression {
    fn of(magic: &[u8]) -> Compression {
        match magic {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// A decoder of one xz stream that uses all processors where the stream has several blocks, as Debian's
/// packages and `xz -T0` have.
fn xz_stream<R: BufRead>(source: R) -> io::Result<XzDecoder<R>> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get()) as u32;
    let stream = MtStreamBuilder::new()
        .threads(threads)
        .memlimit_threading(XZ_THREADS_MEMORY)
        .memlimit_stop(XZ_MEMORY)
        .decoder()?;
    Ok(XzDecoder::new_stream(source, stream))
}

/// A file of one or more xz streams with padding between them (xz file format, section 2): the threaded
/// decoder of liblzma stops after the first.
struct Xz<R: BufRead> {
    decoder: Option<XzDecoder<R>>,
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.decoder.take().map(XzDecoder::into_inner) else { break };
            if skip_zeros(&mut rest)? {
                self.decoder = Some(xz_stream(rest)?);
            }
        }
        Ok(0)
    }
}

/// Skips stream padding; says whether anything follows it.
fn skip_zeros(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        let (available, zeros) = (bytes.len(), bytes.iter().take_while(|byte| **byte == 0).count());
        source.consume(zeros);
        if zeros < available || available == 0 {
            return Ok(available > 0);
        }
    }
}
