//! qcow2, version 3: what QEMU takes. No backing files, snapshots or encryption.
//!
//! Source: QEMU, docs/interop/qcow2.txt, sections in brackets below. Clusters have 64 KiB; one of the disk that is all
//! zero takes no room. Compressed clusters are Zstandard frames, which QEMU reads since version 5.1.

mod refcounts;
mod write;

pub use write::{Compress, Qcow2Layout};

use crate::source::CopyError;

const CLUSTER_BITS: u32 = 16;
pub const CLUSTER_BYTES: u64 = 1 << CLUSTER_BITS;

const SECTOR_BYTES: u64 = 512;

/// Entries of a table of eight-byte entries that fills a cluster.
const ENTRIES_A_CLUSTER: u64 = CLUSTER_BYTES / 8;

/// Bytes of the disk that one L2 table describes.
const BYTES_A_TABLE: u64 = ENTRIES_A_CLUSTER * CLUSTER_BYTES;

/// QEMU refuses an L1 table of more than 32 MiB.
pub const MAX_SIZE_BYTES: u64 = (32 << 20) / 8 * BYTES_A_TABLE;

/// Why a disk cannot become a qcow2 file.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    #[error("QEMU takes qcow2 files up to {MAX_SIZE_BYTES} bytes, but the disk has {disk_bytes}")]
    TooLarge { disk_bytes: u64 },
    #[error(transparent)]
    Copy(#[from] CopyError),
}
