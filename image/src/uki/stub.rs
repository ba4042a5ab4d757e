//! The PE image that sections are added to: its headers, read and changed in place through the object crate's types.

use object::LittleEndian as LE;
use object::pe::{self, ImageDosHeader, ImageNtHeaders64, ImageSectionHeader};
use object::pod;
use object::read::pe::ImageNtHeaders;

use super::{Section, UkiError};
use crate::Arch;

/// Page size of x86_64 and of EFI: sections start at pages even where the stub is content with less, so that
/// firmware can protect each by itself.
const PAGE_BYTES: u64 = 4096;

type ShortName = [u8; pe::IMAGE_SIZEOF_SHORT_NAME];

const SECTION_HEADER_BYTES: usize = size_of::<ImageSectionHeader>();

/// A stub under way to become a unified kernel image.
pub(super) struct Stub {
    /// The stub's file, with room for the headers to come.
    bytes: Vec<u8>,
    nt_offset: usize,
    /// Names of the stub's own sections.
    names: Vec<ShortName>,
    /// Where the next section header goes.
    next_header: usize,
    /// Where section headers must end.
    header_limit: usize,
    file_alignment: u64,
    section_alignment: u64,
    /// End of the file so far, and of the loaded image.
    file_end: u64,
    image_end: u64,
}

impl Stub {
    /// Takes the stub of `arch`; its symbol table, which an image should not have, goes.
    pub fn parse(bytes: &[u8], arch: Arch) -> Result<Self, UkiError> {
        let not_pe = |error: object::Error| UkiError::StubNotPe { reason: error.to_string() };
        let nt_offset = ImageDosHeader::parse(bytes).map_err(not_pe)?.nt_headers_offset();
        let mut offset = u64::from(nt_offset);
        let (headers, directories) = ImageNtHeaders64::parse(bytes, &mut offset).map_err(not_pe)?;
        let sections = headers.sections(bytes, offset).map_err(not_pe)?;
        let machine = headers.file_header.machine.get(LE).0;
        if machine != arch.pe_machine() {
            return Err(UkiError::StubMachine { arch, machine });
        }
        let security = directories.get(pe::IMAGE_DIRECTORY_ENTRY_SECURITY);
        if security.is_some_and(|directory| directory.virtual_address.get(LE) != 0) {
            return Err(UkiError::StubSigned);
        }
        let end_of_headers = offset as usize + sections.len() * SECTION_HEADER_BYTES;
        let optional = &headers.optional_header;
        let file_alignment = u64::from(optional.file_alignment.get(LE));
        let section_alignment = u64::from(optional.section_alignment.get(LE));
        if !file_alignment.is_power_of_two() || !section_alignment.is_power_of_two() {
            let reason = "alignments are no powers of two";
            return Err(UkiError::StubLayout { reason });
        }
        let file_bytes = bytes.len();
        let bytes = without_symbols(bytes, &headers.file_header);
        if bytes.len() < end_of_headers {
            let reason = "symbol table lies in its headers";
            return Err(UkiError::StubLayout { reason });
        }
        let size_of_headers = u64::from(optional.size_of_headers.get(LE));
        let mut header_limit = size_of_headers.next_multiple_of(file_alignment).min(bytes.len() as u64);
        let mut image_end = 0;
        for section in sections.iter() {
            let (start, length) = section.pe_file_range();
            let raw_end = u64::from(start) + u64::from(length);
            if raw_end > bytes.len() as u64 {
                let reason = "sections reach beyond its end";
                return Err(UkiError::StubLayout { reason });
            }
            if length > 0 {
                header_limit = header_limit.min(u64::from(start));
            }
            let virtual_end =
                u64::from(section.virtual_address.get(LE)) + u64::from(section.virtual_size.get(LE));
            image_end = image_end.max(virtual_end);
        }
        let mut stub = Stub {
            bytes: bytes.to_vec(),
            nt_offset: nt_offset as usize,
            names: sections.iter().map(|section| section.name).collect(),
            next_header: end_of_headers,
            header_limit: header_limit as usize,
            file_alignment,
            section_alignment: section_alignment.max(PAGE_BYTES),
            file_end: bytes.len() as u64,
            image_end,
        };
        if stub.bytes.len() < file_bytes {
            let header = &mut stub.headers().file_header;
            header.pointer_to_symbol_table.set(LE, 0);
            header.number_of_symbols.set(LE, 0);
            let flags = header.characteristics.get(LE) | pe::IMAGE_FILE_LOCAL_SYMS_STRIPPED;
            header.characteristics.set(LE, flags);
        }
        Ok(stub)
    }

    /// Checks that the stub can take all of `sections`.
    pub fn check_room(&self, sections: &[Section<'_>]) -> Result<(), UkiError> {
        let room = self.header_limit.saturating_sub(self.next_header) / SECTION_HEADER_BYTES;
        let needed = sections.len();
        if room < needed {
            return Err(UkiError::NoHeaderRoom { room, needed });
        }
        for section in sections {
            let name = section.name;
            if section.length_bytes() == 0 {
                return Err(UkiError::EmptySection { name });
            }
            if self.names.contains(&short_name(name)) {
                return Err(UkiError::SectionExists { name });
            }
        }
        Ok(())
    }

    /// Adds a section at the end of file and image; returns its offset in the file.
    pub fn add(&mut self, section: &Section<'_>) -> Result<u64, UkiError> {
        let length = section.length_bytes();
        let file_offset = self.file_end.next_multiple_of(self.file_alignment);
        let raw_length = length.next_multiple_of(self.file_alignment);
        let address = self.image_end.next_multiple_of(self.section_alignment);
        let narrow = |value: u64| u32::try_from(value).map_err(|_| UkiError::TooLarge);
        let kind = match section.is_code {
            true => pe::IMAGE_SCN_CNT_CODE | pe::IMAGE_SCN_MEM_EXECUTE,
            false => pe::IMAGE_SCN_CNT_INITIALIZED_DATA,
        };
        let header = ImageSectionHeader {
            name: short_name(section.name),
            virtual_size: narrow(length)?.into(),
            virtual_address: narrow(address)?.into(),
            size_of_raw_data: narrow(raw_length)?.into(),
            pointer_to_raw_data: narrow(file_offset)?.into(),
            pointer_to_relocations: 0.into(),
            pointer_to_linenumbers: 0.into(),
            number_of_relocations: 0.into(),
            number_of_linenumbers: 0.into(),
            characteristics: (kind | pe::IMAGE_SCN_MEM_READ).into(),
        };
        let end = self.next_header + SECTION_HEADER_BYTES;
        self.bytes[self.next_header..end].copy_from_slice(pod::bytes_of(&header));
        self.next_header = end;
        self.file_end = file_offset + raw_length;
        self.image_end = address + length;
        self.count_section(section, narrow(raw_length)?)?;
        Ok(file_offset)
    }

    /// Length of the file with all that was added.
    pub fn file_end(&self) -> u64 {
        self.file_end
    }

    /// Takes back the stub's word that it needs no memory both writable and executable, as the kernel gives none.
    pub fn clear_nx_compatible(&mut self) {
        let field = &mut self.headers().optional_header.dll_characteristics;
        let flags = field.get(LE);
        field.set(LE, pe::DllFlags(flags.0 & !pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0));
    }

    /// The stub's bytes with their headers complete.
    pub fn finish(mut self) -> Vec<u8> {
        let size_of_image = self.image_end.next_multiple_of(self.section_alignment);
        let size_of_headers = self.header_limit as u32;
        let optional = &mut self.headers().optional_header;
        // `add` refused addresses beyond 32 bits; the last page may end right there.
        optional.size_of_image.set(LE, size_of_image.min(u32::MAX.into()) as u32);
        optional.size_of_headers.set(LE, size_of_headers);
        optional.check_sum.set(LE, 0);
        self.bytes
    }

    fn count_section(&mut self, section: &Section<'_>, raw_length: u32) -> Result<(), UkiError> {
        let headers = self.headers();
        let count = &mut headers.file_header.number_of_sections;
        count.set(LE, count.get(LE) + 1);
        let optional = &mut headers.optional_header;
        let sum = match section.is_code {
            true => &mut optional.size_of_code,
            false => &mut optional.size_of_initialized_data,
        };
        let total = sum.get(LE).checked_add(raw_length);
        sum.set(LE, total.ok_or(UkiError::TooLarge)?);
        Ok(())
    }

    fn headers(&mut self) -> &mut ImageNtHeaders64 {
        let (headers, _) =
            pod::from_bytes_mut(&mut self.bytes[self.nt_offset..]).expect("parsed at the same place before");
        headers
    }
}

fn short_name(name: &str) -> ShortName {
    let mut short = ShortName::default();
    short[..name.len()].copy_from_slice(name.as_bytes());
    short
}

/// A file without the COFF symbol and string tables, if these are what it ends with.
fn without_symbols<'a>(bytes: &'a [u8], header: &pe::ImageFileHeader) -> &'a [u8] {
    let start = header.pointer_to_symbol_table.get(LE) as usize;
    let symbols_bytes = header.number_of_symbols.get(LE) as usize * pe::IMAGE_SIZEOF_SYMBOL;
    let strings = start.checked_add(symbols_bytes).filter(|_| start != 0);
    let strings_length = strings.and_then(|at| bytes.get(at..)?.first_chunk::<4>());
    match (strings, strings_length) {
        // The string table starts with its own length.
        (Some(at), Some(length)) if at + u32::from_le_bytes(*length) as usize == bytes.len() => {
            &bytes[..start]
        }
        _ => bytes,
    }
}
