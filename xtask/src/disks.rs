//! Files that hold a disk: read with their holes, written in the formats of others. The formats are in the library
//! `image`; here are files, threads and compression.

mod convert;
mod decompress;
mod raw;
mod zstd;

use std::{fs::File, path::Path};

use anyhow::{Context as _, Result};
use image::{qcow2::Qcow2Layout, source::Source as _, vhdx::VhdxLayout};

pub use self::{
    convert::{Target, convert},
    decompress::Unpacker,
    raw::Raw,
    zstd::Zstd,
};
use crate::profile::types::Qcow2Compression;

/// A new file `path`, with identifiers from the seed; on an error it is left as far as it came.
pub fn write_vhdx(disk: &mut Raw, seed: &[u8; 32], path: &Path) -> Result<()> {
    let mut write = || -> Result<()> {
        let layout = VhdxLayout::new(disk.size_bytes())?;
        layout.write(&convert::identity(seed), disk, &mut File::create_new(path)?)?;
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

/// A new file `path`; on an error it is left as far as it came.
pub fn write_qcow2(disk: &mut Raw, compression: Qcow2Compression, path: &Path) -> Result<()> {
    let mut write = || -> Result<()> {
        let layout = Qcow2Layout::new(disk.size_bytes())?;
        let mut file = File::create_new(path)?;
        match compression {
            Qcow2Compression::None => layout.write(disk, None, &mut file)?,
            Qcow2Compression::Zstd => layout.write(disk, Some(&mut Zstd::new()), &mut file)?,
        };
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}
