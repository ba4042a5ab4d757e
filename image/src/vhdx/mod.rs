//! Dynamic VHDX: what Hyper-V takes. Not fixed or differencing ones.
//!
//! Source: Microsoft, [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format", sections in brackets below. Everything is
//! aligned to 1 MiB, the disk says that its physical sectors have 4 KiB, and the log is empty, so the file can be
//! attached and written to at once. A block of the disk that is all zero takes no room.

mod write;

use uuid::{Uuid, uuid};

pub use write::{Identity, VhdxLayout};

use crate::source::CopyError;

const MIB: u64 = 1 << 20;

/// Alignment of everything behind the headers.
const STEP_BYTES: u64 = MIB;

/// Smallest allowed block (2.6.2.1); larger ones only where the table would grow large.
const MIN_BLOCK_BYTES: u64 = MIB;

pub const LOGICAL_SECTOR_BYTES: u64 = 512;
const PHYSICAL_SECTOR_BYTES: u32 = 4096;

/// The largest disk (2.6.2.2): 64 TiB.
pub const MAX_SIZE_BYTES: u64 = 64 << 40;

pub(crate) const HEADER_BYTES: usize = 4096;
/// The two headers (2.2).
pub(crate) const HEADERS_AT: [u64; 2] = [64 << 10, 128 << 10];
pub(crate) const REGION_TABLE_BYTES: usize = 64 << 10;
/// The two region tables (2.2).
pub(crate) const REGION_TABLES_AT: [u64; 2] = [192 << 10, 256 << 10];
pub(crate) const METADATA_TABLE_BYTES: usize = 64 << 10;

pub(crate) const BAT_REGION: Uuid = uuid!("2DC27766-F623-4200-9D64-115E9BFD4A08");
pub(crate) const METADATA_REGION: Uuid = uuid!("8B7CA206-4790-4B9A-B8FE-575F050F886E");

pub(crate) const FILE_PARAMETERS: Uuid = uuid!("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
pub(crate) const VIRTUAL_DISK_SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
pub(crate) const VIRTUAL_DISK_ID: Uuid = uuid!("BECA12AB-B2E6-4523-93EF-C309E000C746");
pub(crate) const LOGICAL_SECTOR_SIZE: Uuid = uuid!("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
pub(crate) const PHYSICAL_SECTOR_SIZE: Uuid = uuid!("CDA348C7-445D-4471-9CC9-E9885251C556");

/// States of a payload block (2.5.1.1).
const BLOCK_ZERO: u64 = 2;
const BLOCK_FULLY_PRESENT: u64 = 6;

/// Why a disk cannot become a VHDX.
#[derive(Debug, thiserror::Error)]
pub enum VhdxError {
    #[error("a VHDX has 512 bytes to 64 TiB, but the disk has {disk_bytes} bytes")]
    OutOfRange { disk_bytes: u64 },
    #[error(transparent)]
    Copy(#[from] CopyError),
}

/// CRC-32C (Castagnoli), as all its structures have it.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    CRC.checksum(bytes)
}

/// Payload blocks that share a block of sector bitmaps (2.5): after so many entries of the table comes one for it.
pub(crate) fn chunk_ratio(block_bytes: u64, logical_sector_bytes: u64) -> u64 {
    (1 << 23) * logical_sector_bytes / block_bytes
}
