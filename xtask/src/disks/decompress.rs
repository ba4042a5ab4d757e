//! Compressed clusters of qcow2 files, unpacked.

use std::io::{self, Read as _};

use flate2::{Decompress as Inflate, FlushDecompress};
use image::inspect::{Compression, Decompress};

pub struct Unpacker;

impl Decompress for Unpacker {
    fn decompress(&self, compression: Compression, packed: &[u8], cluster: &mut [u8]) -> io::Result<()> {
        match compression {
            Compression::Deflate => {
                let mut inflate = Inflate::new(false);
                // It ends when the cluster is full, whatever follows in the last sector.
                inflate.decompress(packed, cluster, FlushDecompress::None)?;
                match inflate.total_out() == cluster.len() as u64 {
                    true => Ok(()),
                    false => {
                        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a compressed cluster is too short"))
                    }
                }
            }
            Compression::Zstd => zstd::Decoder::with_buffer(packed)?.single_frame().read_exact(cluster),
        }
    }
}
