//! Whether a file is a fixed VHD that Azure takes, by its size and its last 512 bytes.
//!
//! Sources: "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format"; for Azure's part, "Prepare a Windows
//! VHD or VHDX to upload to Azure" and "Create and upload a generic Linux VM to Azure".

use uuid::Uuid;

use super::{FOOTER_BYTES, MAX_SIZE_BYTES, SIZE_STEP_BYTES, Vhd};

/// What makes a file something else, in the order in which it is looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("its last 512 bytes are no VHD footer, which begins with `conectix`")]
    NoFooter,
    #[error("the checksum of its footer is wrong")]
    Checksum,
    #[error("it is a {0} VHD, and only fixed ones are taken")]
    NotFixed(&'static str),
    #[error("its footer says {said} bytes of disk, but {found} bytes are before the footer")]
    OtherSize { said: u64, found: u64 },
    #[error("its disk has {0} bytes, which is no multiple of 1 MiB")]
    NotWholeMebibytes(u64),
    #[error("its disk has {0} bytes, and a fixed VHD has 1 MiB to 2040 GiB")]
    OutOfRange(u64),
}

/// `footer` is the end of a file of `file_bytes`.
pub fn read(footer: &[u8; FOOTER_BYTES], file_bytes: u64) -> Result<Vhd, NotTaken> {
    let u32_at =
        |offset| u32::from_be_bytes(*footer[offset..].first_chunk().expect("a footer has 512 bytes"));
    let u64_at =
        |offset| u64::from_be_bytes(*footer[offset..].first_chunk().expect("a footer has 512 bytes"));
    if !footer.starts_with(b"conectix") {
        return Err(NotTaken::NoFooter);
    }
    let others = footer[..64].iter().chain(&footer[68..]);
    if !others.map(|byte| u32::from(*byte)).sum::<u32>() != u32_at(64) {
        return Err(NotTaken::Checksum);
    }
    match u32_at(60) {
        2 => {}
        3 => return Err(NotTaken::NotFixed("dynamic")),
        4 => return Err(NotTaken::NotFixed("differencing")),
        _ => return Err(NotTaken::NotFixed("strange")),
    }
    let (said, found) = (u64_at(48), file_bytes.saturating_sub(FOOTER_BYTES as u64));
    if said != found {
        return Err(NotTaken::OtherSize { said, found });
    }
    if !found.is_multiple_of(SIZE_STEP_BYTES) {
        return Err(NotTaken::NotWholeMebibytes(found));
    }
    if found == 0 || found > MAX_SIZE_BYTES {
        return Err(NotTaken::OutOfRange(found));
    }
    let id = Uuid::from_slice(&footer[68..84]).expect("16 bytes");
    Ok(Vhd { disk_bytes: found, id, timestamp: u32_at(24) })
}
