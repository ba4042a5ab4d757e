//! Files of others: checked, then read by the crate.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use igvm::{IgvmFile, IgvmPlatformHeader};
use igvm_defs::IGVM_VHS_SUPPORTED_PLATFORM;

use crate::{
    guard::{self, GuardError},
    read::{self, ReadError},
};

/// Why a file can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("can't read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} is larger than 4 GiB, the limit of the format", .path.display())]
    TooLarge { path: PathBuf },
    #[error("{}", .path.display())]
    Invalid {
        path: PathBuf,
        #[source]
        cause: ParseError,
    },
}

/// Why bytes are no file that a host would load.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error(transparent)]
    Refused(GuardError),
    #[error(transparent)]
    Invalid(ReadError),
}

/// A file, and what the crate's value of it doesn't tell.
pub struct Foreign {
    pub file: IgvmFile,
    pub arch: image::Arch,
    pub version: u32,
    pub size_bytes: u64,
}

impl Foreign {
    /// Reads a whole file.
    pub fn open(path: &Path) -> Result<Foreign, OpenError> {
        let failed = |cause| OpenError::Read { path: path.to_owned(), cause };
        if fs::metadata(path).map_err(failed)?.len() > u32::MAX.into() {
            return Err(OpenError::TooLarge { path: path.to_owned() });
        }
        let bytes = fs::read(path).map_err(failed)?;
        Foreign::parse(&bytes).map_err(|cause| OpenError::Invalid { path: path.to_owned(), cause })
    }

    pub fn parse(bytes: &[u8]) -> Result<Foreign, ParseError> {
        let version = guard::check(bytes).map_err(ParseError::Refused)?;
        let (file, arch) = read::read(bytes).map_err(ParseError::Invalid)?;
        Ok(Foreign { file, arch, version, size_bytes: bytes.len() as u64 })
    }

    pub fn platforms(&self) -> impl Iterator<Item = &IGVM_VHS_SUPPORTED_PLATFORM> {
        self.file.platforms().iter().map(|IgvmPlatformHeader::SupportedPlatform(platform)| platform)
    }
}
