//! The bytes of a file: each header by the crate, page data straight to its place.
//!
//! The crate's own `serialize` holds every page four times over; here the pages of the value are the only copy.

use std::{
    io::{self, Seek, SeekFrom, Write},
    mem::size_of,
};

use igvm::{FileDataSerializer, IgvmDirectiveHeader, IgvmFile, IgvmPlatformHeader};
use igvm_defs::{
    IGVM_FIXED_HEADER, IGVM_FIXED_HEADER_V2, IGVM_FORMAT_VERSION_1, IGVM_FORMAT_VERSION_2, IGVM_MAGIC_VALUE,
    IGVM_VHS_GUEST_POLICY, IGVM_VHS_VARIABLE_HEADER, IgvmArchitecture, IgvmVariableHeaderType, PAGE_SIZE_4K,
};
use zerocopy::{Immutable, IntoBytes};

/// Why a file can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("a header is invalid")]
    Header(#[source] igvm::BinaryHeaderError),
    #[error("an initialization header of a kind that is never made here")]
    Initialization,
    #[error("the file would be larger than 4 GiB, the limit of the format")]
    TooLarge,
    #[error("can't write the file")]
    Output(#[source] io::Error),
}

/// Writes `file`, for `arch`, to `out` from its beginning on.
pub fn write(file: &IgvmFile, arch: image::Arch, out: &mut (impl Write + Seek)) -> Result<u64, WriteError> {
    let fixed_bytes = match arch {
        image::Arch::X86_64 => size_of::<IGVM_FIXED_HEADER>(),
        image::Arch::Aarch64 => size_of::<IGVM_FIXED_HEADER_V2>(),
    };
    let mut headers = first_headers(file)?;
    let headers_bytes = headers.len() + directives_bytes(file)?;
    let data_start = fixed_bytes + headers_bytes;
    headers.reserve(headers_bytes - headers.len());
    out.seek(SeekFrom::Start(data_start as u64)).map_err(WriteError::Output)?;
    let mut end = data_start;
    for directive in file.directives() {
        if end > u32::MAX as usize {
            return Err(WriteError::TooLarge);
        }
        let mut data = FileDataSerializer::new(end);
        directive.write_binary_header(&mut headers, &mut data).map_err(WriteError::Header)?;
        let data = data.take();
        out.write_all(&data).map_err(WriteError::Output)?;
        end += data.len();
    }
    assert_eq!(headers.len(), headers_bytes, "headers have the size that was reckoned");
    let total = u32::try_from(end).map_err(|_| WriteError::TooLarge)?;
    let fixed = fixed_header(arch, &headers, total);
    let at_start = out.seek(SeekFrom::Start(0)).and_then(|_| out.write_all(&fixed));
    at_start.and_then(|()| out.write_all(&headers)).and_then(|()| out.flush()).map_err(WriteError::Output)?;
    Ok(end as u64)
}

/// Platform and initialization headers, which the crate writes only within a whole file.
fn first_headers(file: &IgvmFile) -> Result<Vec<u8>, WriteError> {
    let mut headers = Vec::new();
    for IgvmPlatformHeader::SupportedPlatform(platform) in file.platforms() {
        append(&mut headers, IgvmVariableHeaderType::IGVM_VHT_SUPPORTED_PLATFORM, platform);
    }
    for header in file.initializations() {
        let igvm::IgvmInitializationHeader::GuestPolicy { policy, compatibility_mask } = *header else {
            return Err(WriteError::Initialization);
        };
        let policy = IGVM_VHS_GUEST_POLICY { policy, compatibility_mask, reserved: 0 };
        append(&mut headers, IgvmVariableHeaderType::IGVM_VHT_GUEST_POLICY, &policy);
    }
    Ok(headers)
}

fn append<T: IntoBytes + Immutable>(headers: &mut Vec<u8>, typ: IgvmVariableHeaderType, header: &T) {
    let bytes = header.as_bytes();
    headers.extend(IGVM_VHS_VARIABLE_HEADER { typ, length: bytes.len() as u32 }.as_bytes());
    headers.extend(bytes);
    headers.resize(headers.len().next_multiple_of(8), 0);
}

/// Bytes of all directives' headers. Those of pages, nearly all, are equally long.
fn directives_bytes(file: &IgvmFile) -> Result<usize, WriteError> {
    let bytes_of = |directive: &IgvmDirectiveHeader| {
        let mut headers = Vec::new();
        let mut data = FileDataSerializer::new(0);
        directive.write_binary_header(&mut headers, &mut data).map_err(WriteError::Header)?;
        Ok(headers.len())
    };
    let mut of_page = None;
    let mut sum = 0;
    for directive in file.directives() {
        sum += match (directive, of_page) {
            (IgvmDirectiveHeader::PageData { .. }, Some(bytes)) => bytes,
            (IgvmDirectiveHeader::PageData { .. }, None) => *of_page.insert(bytes_of(directive)?),
            _ => bytes_of(directive)?,
        };
    }
    Ok(sum)
}

/// The beginning of the file, with the checksum over itself and the headers.
fn fixed_header(arch: image::Arch, headers: &[u8], total_file_size: u32) -> Vec<u8> {
    let make = |checksum: u32| match arch {
        image::Arch::X86_64 => {
            let header = IGVM_FIXED_HEADER {
                magic: IGVM_MAGIC_VALUE,
                format_version: IGVM_FORMAT_VERSION_1,
                variable_header_offset: size_of::<IGVM_FIXED_HEADER>() as u32,
                variable_header_size: headers.len() as u32,
                total_file_size,
                checksum,
            };
            header.as_bytes().to_vec()
        }
        image::Arch::Aarch64 => {
            let header = IGVM_FIXED_HEADER_V2 {
                magic: IGVM_MAGIC_VALUE,
                format_version: IGVM_FORMAT_VERSION_2,
                variable_header_offset: size_of::<IGVM_FIXED_HEADER_V2>() as u32,
                variable_header_size: headers.len() as u32,
                total_file_size,
                checksum,
                architecture: IgvmArchitecture::AARCH64,
                page_size: PAGE_SIZE_4K as u32,
            };
            header.as_bytes().to_vec()
        }
    };
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&make(0));
    checksum.update(headers);
    make(checksum.finalize())
}
