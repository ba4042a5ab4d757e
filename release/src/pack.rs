//! How artifacts are packed: Zstandard (RFC 8878), plain or in independent frames with a table at the end, so that a
//! reader can begin anywhere (the Zstandard Seekable Format, which every reader of Zstandard reads as well).

use std::io::{self, Read, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the artifacts of a bundle that gain by it are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// As they are.
    None,
    /// Zstandard.
    #[default]
    Zstd,
    /// Zstandard in frames of 1 MiB that can be read singly.
    ZstdSeekable,
}

/// Disks are mostly empty: more than this gains nothing that is worth the time.
const LEVEL: i32 = 12;
const FRAME_BYTES: u32 = 1 << 20;
const BUFFER_BYTES: usize = 1 << 20;

impl Packing {
    /// What a packed file's name ends in.
    pub fn suffix(self) -> &'static str {
        match self {
            Packing::None => "",
            Packing::Zstd | Packing::ZstdSeekable => ".zst",
        }
    }

    /// How a bundle packed like this has the artifact `name`: only disks and kernels with symbols gain by it, and the
    /// rest is for use as it is.
    pub fn of(self, name: &str) -> Packing {
        let is_disk = [".raw", ".vhd", ".vhdx", ".qcow2"].iter().any(|suffix| name.ends_with(suffix));
        let gains = name == "vmlinux" || is_disk;
        if gains { self } else { Packing::None }
    }
}

/// Equal content gives equal bytes. `size_bytes` is how much will be read.
pub fn pack(from: &mut dyn Read, size_bytes: u64, to: impl Write, packing: Packing) -> io::Result<()> {
    match packing {
        Packing::None => copy(from, to),
        Packing::Zstd => {
            let mut encoder = zstd::Encoder::new(to, LEVEL)?;
            encoder.include_checksum(true)?;
            encoder.set_pledged_src_size(Some(size_bytes))?;
            copy(from, &mut encoder)?;
            encoder.finish()?.flush()
        }
        Packing::ZstdSeekable => {
            let options = zeekstd::EncodeOptions::new()
                .checksum_flag(true)
                .compression_level(LEVEL)
                .frame_size_policy(zeekstd::FrameSizePolicy::Uncompressed(FRAME_BYTES));
            let mut encoder = options.into_encoder(to).map_err(io::Error::other)?;
            read(from, |part| encoder.compress(part).map(drop).map_err(io::Error::other))?;
            encoder.finish().map(drop).map_err(io::Error::other)
        }
    }
}

/// The content of a packed file.
pub fn unpack<'a>(from: impl Read + 'a, packing: Packing) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::None => Box::new(from),
        Packing::Zstd | Packing::ZstdSeekable => Box::new(zstd::Decoder::new(from)?),
    })
}

fn copy(from: &mut dyn Read, mut to: impl Write) -> io::Result<()> {
    read(from, |part| to.write_all(part))
}

fn read(from: &mut dyn Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn packed(content: &[u8], packing: Packing) -> Vec<u8> {
        let mut packed = Vec::new();
        pack(&mut Cursor::new(content), content.len() as u64, &mut packed, packing).unwrap();
        packed
    }

    fn sample(size_bytes: usize) -> Vec<u8> {
        (0..size_bytes as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x1f).collect()
    }

    #[test]
    fn what_is_packed_comes_back() {
        for size_bytes in [0, 1, FRAME_BYTES as usize, (5 << 20) + 17] {
            let content = sample(size_bytes);
            for packing in [Packing::None, Packing::Zstd, Packing::ZstdSeekable] {
                let first = packed(&content, packing);
                assert_eq!(first, packed(&content, packing), "{packing:?} of {size_bytes}: twice the same");
                let mut back = Vec::new();
                unpack(first.as_slice(), packing).unwrap().read_to_end(&mut back).unwrap();
                assert!(back == content, "{packing:?} of {size_bytes}");
            }
        }
    }

    #[test]
    fn a_part_is_read_without_the_rest() {
        let content = sample(9 << 20);
        let packed = packed(&content, Packing::ZstdSeekable);
        let (from, to) = ((4 << 20) + 5, (4 << 20) + 4101);
        let mut decoder = zeekstd::DecodeOptions::new(Cursor::new(packed.as_slice()));
        decoder = decoder.offset(from as u64).offset_limit(to as u64);
        let mut part = Vec::new();
        decoder.into_decoder().unwrap().read_to_end(&mut part).unwrap();
        assert!(part == content[from..to]);
    }
}
