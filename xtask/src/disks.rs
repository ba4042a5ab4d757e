//! Files that hold a disk: read with their holes, written in the formats of others. The formats are in the library
//! `image`; here are files, threads and compression.

mod raw;
mod zstd;

use std::{fs::File, path::Path};

use anyhow::{Context as _, Result};
use image::{
    qcow2::Qcow2Layout,
    source::Source,
    vhdx::{Identity, VhdxLayout},
};

pub use self::{raw::Raw, zstd::Zstd};
use crate::profile::types::Qcow2Compression;

/// A new file `path`; on an error it is left as far as it came.
pub fn write_vhdx(source: &mut impl Source, identity: &Identity, path: &Path) -> Result<()> {
    let mut write = || -> Result<()> {
        let layout = VhdxLayout::new(source.size_bytes())?;
        layout.write(identity, source, &mut File::create_new(path)?)?;
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

/// A new file `path`; on an error it is left as far as it came.
pub fn write_qcow2(source: &mut impl Source, compression: Qcow2Compression, path: &Path) -> Result<()> {
    let mut write = || -> Result<()> {
        let layout = Qcow2Layout::new(source.size_bytes())?;
        let mut file = File::create_new(path)?;
        match compression {
            Qcow2Compression::None => layout.write(source, None, &mut file)?,
            Qcow2Compression::Zstd => layout.write(source, Some(&mut Zstd::new()), &mut file)?,
        };
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}
