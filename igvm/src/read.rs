//! Files of others, read by the crate's parser, which panics on some that are wrong: that is an error like others here.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use igvm::IgvmFile;
use igvm_defs::{IGVM_FORMAT_VERSION_1, IGVM_FORMAT_VERSION_2, IGVM_MAGIC_VALUE, IgvmArchitecture};
use image::Arch;

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("no IGVM file: it doesn't begin with `IGVM`")]
    Magic,
    #[error("format version {0}; 1 and 2 are known")]
    Version(u32),
    #[error("architecture {0}; x64 (0) and aarch64 (1) are known")]
    Arch(u32),
    #[error("the header says {said} bytes, and the file has {present}")]
    Size { said: u32, present: usize },
    #[error("the headers end outside of the file")]
    Headers,
    #[error("an invalid file")]
    Invalid(#[source] igvm::Error),
    #[error("an invalid file: its headers say what no reader can follow")]
    Nonsense,
}

/// The whole file, and whose it is.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(file: &[u8]) -> Result<(IgvmFile, Arch), ReadError> {
    let arch = arch(file)?;
    match quietly(|| IgvmFile::new_from_binary(file, None)) {
        Some(result) => result.map(|read| (read, arch)).map_err(ReadError::Invalid),
        None => Err(ReadError::Nonsense),
    }
}

/// What the fixed header says, as far as the parser takes it for granted.
fn arch(file: &[u8]) -> Result<Arch, ReadError> {
    let word = |number: usize| {
        let bytes = file.get(number * 4..number * 4 + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    };
    // Magic, version, offset and size of the headers, size of the file, checksum, architecture, page size.
    if word(0) != Some(IGVM_MAGIC_VALUE) {
        return Err(ReadError::Magic);
    }
    let fixed: [Option<u32>; 6] = std::array::from_fn(word);
    let [_, Some(version), Some(offset), Some(bytes), Some(said), Some(_)] = fixed else {
        return Err(ReadError::Headers);
    };
    let arch = match version {
        IGVM_FORMAT_VERSION_1 => Arch::X86_64,
        IGVM_FORMAT_VERSION_2 => match word(6).map(IgvmArchitecture) {
            Some(IgvmArchitecture::X64) => Arch::X86_64,
            Some(IgvmArchitecture::AARCH64) => Arch::Aarch64,
            Some(IgvmArchitecture(other)) => return Err(ReadError::Arch(other)),
            None => return Err(ReadError::Headers),
        },
        other => return Err(ReadError::Version(other)),
    };
    if said as usize != file.len() {
        return Err(ReadError::Size { said, present: file.len() });
    }
    match offset.checked_add(bytes) {
        Some(end) if end as usize <= file.len() => Ok(arch),
        _ => Err(ReadError::Headers),
    }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What a function returns, or nothing if it panics, about which nothing is printed.
fn quietly<T>(function: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                before(info);
            }
        }));
    });
    IS_QUIET.set(true);
    // What the function leaves behind is its own, and gone.
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    IS_QUIET.set(false);
    result.ok()
}
