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
        Packing::ZstdSeekable => pack_in_frames(from, to),
    }
}

/// The Zstandard Seekable Format, version 0.1.0: frames that know nothing of each other, and a frame that is skipped by
/// readers of plain Zstandard with the size of each, packed and not, as 32-bit little-endian numbers.
fn pack_in_frames(from: &mut dyn Read, mut to: impl Write) -> io::Result<()> {
    const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
    const SEEKABLE_MAGIC: u32 = 0x8f92_eab1;
    const FOOTER_BYTES: u32 = 9;
    // The frames have checksums of their own.
    const NO_CHECKSUMS: u8 = 0;
    let mut encoder = zstd::bulk::Compressor::new(LEVEL)?;
    encoder.include_checksum(true)?;
    let (mut table, mut count) = (Vec::new(), 0_u32);
    let mut content = Vec::new();
    while (&mut *from).take(u64::from(FRAME_BYTES)).read_to_end(&mut content)? != 0 {
        let frame = encoder.compress(&content)?;
        to.write_all(&frame)?;
        table.extend((frame.len() as u32).to_le_bytes());
        table.extend((content.len() as u32).to_le_bytes());
        count += 1;
        content.clear();
    }
    to.write_all(&SKIPPABLE_MAGIC.to_le_bytes())?;
    to.write_all(&(table.len() as u32 + FOOTER_BYTES).to_le_bytes())?;
    to.write_all(&table)?;
    to.write_all(&count.to_le_bytes())?;
    to.write_all(&[NO_CHECKSUMS])?;
    to.write_all(&SEEKABLE_MAGIC.to_le_bytes())?;
    to.flush()
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

    /// Judged by a reader of the format that is not ours.
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
