//! Whether a file is a fixed VHD that Azure takes, by its size and its last 512 bytes.
//!
//! Sources: "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format"; for Azure's part, "Prepare a Windows
//! VHD or VHDX to upload to Azure", "Convert the virtual disk to a fixed size VHD", and "Prepare Linux for imaging in Azure".

use super::{FOOTER_BYTES, Footer, Vhd, VhdError, VhdKind, check_size};

/// What makes a file something else, in the order in which it is looked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("its last 512 bytes are no VHD footer, which begins with `conectix`")]
    NoFooter,
    #[error("the checksum of its footer is wrong")]
    Checksum,
    #[error("it is a {0} VHD, and only fixed ones are taken")]
    NotFixed(&'static str),
    #[error("its footer says {said} bytes of disk, but {found} bytes are before the footer")]
    OtherSize { said: u64, found: u64 },
    #[error(transparent)]
    Size(#[from] VhdError),
}

/// `footer` is the end of a file of `file_bytes`.
pub fn read(footer: &[u8; FOOTER_BYTES], file_bytes: u64) -> Result<Vhd, NotTaken> {
    let footer = Footer::read(footer).ok_or(NotTaken::NoFooter)?;
    if !footer.checksum_is_right {
        return Err(NotTaken::Checksum);
    }
    match footer.kind {
        VhdKind::Fixed => {}
        VhdKind::Dynamic => return Err(NotTaken::NotFixed("dynamic")),
        VhdKind::Differencing => return Err(NotTaken::NotFixed("differencing")),
        VhdKind::Unknown(_) => return Err(NotTaken::NotFixed("strange")),
    }
    let (said, found) = (footer.current_bytes, file_bytes.saturating_sub(FOOTER_BYTES as u64));
    if said != found {
        return Err(NotTaken::OtherSize { said, found });
    }
    check_size(found)?;
    Ok(Vhd { disk_bytes: found, id: footer.id, timestamp: footer.time_stamp })
}
