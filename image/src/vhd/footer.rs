//! What a footer says, whether or not it is right, and the checksum of it and of the header of dynamic VHDs.
//!
//! Source: "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format".

use serde::Serialize;
use uuid::Uuid;

use super::FOOTER_BYTES;
use crate::fields::Fields as _;

/// What every footer begins with.
pub(crate) const COOKIE: &[u8; 8] = b"conectix";
pub(super) const CHECKSUM_AT: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Footer {
    pub kind: VhdKind,
    pub creator: String,
    pub creator_host: String,
    /// Seconds since 2000-01-01 00:00 UTC.
    pub time_stamp: u32,
    pub original_bytes: u64,
    pub current_bytes: u64,
    /// Cylinders, heads, sectors per track.
    pub geometry: (u16, u8, u8),
    pub id: Uuid,
    pub checksum_is_right: bool,
    /// What is there, and what would be right.
    #[serde(skip)]
    pub(crate) checksums: (u32, u32),
    /// Where the header of a dynamic one begins.
    #[serde(skip)]
    pub(crate) header_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VhdKind {
    Fixed,
    Dynamic,
    Differencing,
    Unknown(u32),
}

impl Footer {
    /// None: it doesn't begin as footers do.
    pub fn read(bytes: &[u8; FOOTER_BYTES]) -> Option<Footer> {
        let bytes = &bytes[..];
        let text = |offset| String::from_utf8_lossy(&bytes.array::<4>(offset)).trim_end().to_owned();
        let checksums = (bytes.be32(CHECKSUM_AT), checksum(bytes, CHECKSUM_AT));
        bytes.starts_with(COOKIE).then(|| Footer {
            kind: match bytes.be32(60) {
                2 => VhdKind::Fixed,
                3 => VhdKind::Dynamic,
                4 => VhdKind::Differencing,
                other => VhdKind::Unknown(other),
            },
            creator: text(28),
            creator_host: text(36),
            time_stamp: bytes.be32(24),
            original_bytes: bytes.be64(40),
            current_bytes: bytes.be64(48),
            geometry: (bytes.be16(56), bytes[58], bytes[59]),
            id: Uuid::from_bytes(bytes.array(68)),
            checksum_is_right: checksums.0 == checksums.1,
            checksums,
            header_at: bytes.be64(16),
        })
    }
}

/// One's complement of the sum of all bytes but the checksum's.
pub(crate) fn checksum(structure: &[u8], at: usize) -> u32 {
    let others = structure[..at].iter().chain(&structure[at + 4..]);
    !others.map(|byte| u32::from(*byte)).sum::<u32>()
}
