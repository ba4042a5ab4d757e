//! The footer that makes a raw disk a fixed VHD, as Azure takes it. Not dynamic or differencing VHDs, nor VHDX.
//!
//! Source: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, sections "Hard Disk Footer Format" and
//! "Appendix: CHS Calculation". A fixed VHD is the raw disk followed by the footer.

mod footer;
mod read;

use uuid::Uuid;

use footer::CHECKSUM_AT;

pub(crate) use footer::{COOKIE, checksum};
pub use footer::{Footer, VhdKind};
pub use read::{NotTaken, read};

pub const FOOTER_BYTES: usize = 512;

/// Azure takes only disks whose size is a multiple of this.
pub const SIZE_STEP_BYTES: u64 = 1024 * 1024;

/// The largest disk that the format can describe in one: 2040 GiB.
pub const MAX_SIZE_BYTES: u64 = 2040 * 1024 * 1024 * 1024;

/// What a footer says about its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vhd {
    /// Size of the raw disk in bytes, without the footer.
    pub disk_bytes: u64,
    pub id: Uuid,
    /// Time of creation in seconds since 2000-01-01 00:00 UTC.
    pub timestamp: u32,
}

/// Why a disk cannot be a fixed VHD.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VhdError {
    #[error("a VHD for Azure has a multiple of 1 MiB, but the disk has {disk_bytes} bytes")]
    NotWholeMebibytes { disk_bytes: u64 },
    #[error("a VHD has 1 MiB to 2040 GiB, but the disk has {disk_bytes} bytes")]
    OutOfRange { disk_bytes: u64 },
}

/// The 512 bytes that follow the raw disk.
pub fn footer(vhd: &Vhd) -> Result<[u8; FOOTER_BYTES], VhdError> {
    let disk_bytes = vhd.disk_bytes;
    check_size(disk_bytes)?;
    let (cylinders, heads, sectors_per_track) = chs(disk_bytes / 512);

    let mut footer = [0; FOOTER_BYTES];
    let mut put = |offset: usize, bytes: &[u8]| {
        footer[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, COOKIE);
    put(8, &2u32.to_be_bytes()); // Features: the reserved bit, which is always set
    put(12, &0x0001_0000u32.to_be_bytes()); // File format version 1.0
    put(16, &u64::MAX.to_be_bytes()); // Data offset: none, since the disk is fixed
    put(24, &vhd.timestamp.to_be_bytes());
    // "win " makes QEMU and others believe the size fields rather than the geometry, which cannot express every size.
    put(28, b"win ");
    put(32, &0x000a_0000u32.to_be_bytes()); // Creator version, that of Windows' own tools
    put(36, b"Wi2k"); // Creator host OS
    put(40, &disk_bytes.to_be_bytes()); // Original size
    put(48, &disk_bytes.to_be_bytes()); // Current size
    put(56, &cylinders.to_be_bytes());
    put(58, &[heads, sectors_per_track]);
    put(60, &2u32.to_be_bytes()); // Disk type: fixed
    put(68, vhd.id.as_bytes());

    let checksum = checksum(&footer, CHECKSUM_AT);
    footer[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
    Ok(footer)
}

fn check_size(disk_bytes: u64) -> Result<(), VhdError> {
    if !disk_bytes.is_multiple_of(SIZE_STEP_BYTES) {
        return Err(VhdError::NotWholeMebibytes { disk_bytes });
    }
    if disk_bytes == 0 || disk_bytes > MAX_SIZE_BYTES {
        return Err(VhdError::OutOfRange { disk_bytes });
    }
    Ok(())
}

/// Cylinders, heads and sectors per track for a number of sectors, by the appendix's algorithm.
fn chs(sectors: u64) -> (u16, u8, u8) {
    let sectors = sectors.min(65535 * 16 * 255);
    if sectors >= 65535 * 16 * 63 {
        return ((sectors / 255 / 16) as u16, 16, 255);
    }
    let (mut sectors_per_track, mut tracks) = (17, sectors / 17);
    let mut heads = tracks.div_ceil(1024).max(4);
    if tracks >= heads * 1024 || heads > 16 {
        (sectors_per_track, heads, tracks) = (31, 16, sectors / 31);
    }
    if tracks >= heads * 1024 {
        (sectors_per_track, heads, tracks) = (63, 16, sectors / 63);
    }
    ((tracks / heads) as u16, heads as u8, sectors_per_track as u8)
}
