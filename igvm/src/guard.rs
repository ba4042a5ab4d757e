//! Whether a foreign file may be handed to the crate's parser: that one trusts lengths, multiplies what a header
//! names and, on some files, panics. Everything here is read once from front to back.

use std::collections::HashMap;

use igvm_defs::{
    IGVM_FIXED_HEADER, IGVM_FIXED_HEADER_V2, IGVM_FORMAT_VERSION_1, IGVM_FORMAT_VERSION_2, IGVM_MAGIC_VALUE,
    IGVM_VHS_CORIM_DATA, IGVM_VHS_ERROR_RANGE, IGVM_VHS_PAGE_DATA, IGVM_VHS_PAGE_TABLE_RELOCATION,
    IGVM_VHS_PARAMETER, IGVM_VHS_PARAMETER_AREA, IGVM_VHS_PARAMETER_INSERT, IGVM_VHS_RELOCATABLE_REGION,
    IGVM_VHS_REQUIRED_MEMORY, IGVM_VHS_SUPPORTED_PLATFORM, IGVM_VHS_VARIABLE_HEADER, IGVM_VHS_VP_CONTEXT,
    IgvmPageDataType, IgvmPlatformType, IgvmVariableHeaderType as Type, PAGE_SIZE_4K, VbsVpContextHeader,
    VbsVpContextRegister,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Why a file is none that a host would load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    #[error("it is no IGVM file: it begins with neither version of the format's header")]
    Magic,
    #[error("the header says {stated} bytes, and the file has {present}")]
    Size { stated: u64, present: u64 },
    #[error("the headers are to lie from byte {start} to byte {end}, which is no place in the file for them")]
    HeaderPlace { start: u64, end: u64 },
    #[error("the checksum of the headers is {stated:#010x}, and they have {found:#010x}")]
    Checksum { stated: u32, found: u32 },
    #[error("page size {0} is not 4096")]
    PageSize(u32),
    #[error("header {number} ({kind:#x}) at byte {offset}: {reason}")]
    Header { number: usize, kind: u32, offset: usize, reason: Reason },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("no header of that kind is known")]
    Unknown,
    #[error("the headers end in the middle of it")]
    Truncated,
    #[error("it is {0} bytes long, which its kind is not")]
    Length(u32),
    #[error("address {0:#x} is no page's")]
    Address(u64),
    #[error("its {bytes:#x} bytes from {gpa:#x} on reach beyond 52 bits of address")]
    Beyond { gpa: u64, bytes: u64 },
    #[error(
        "its data, {bytes} bytes at {offset}, do not lie behind the headers and before the end of the file"
    )]
    Data { offset: u32, bytes: u64 },
    #[error("the page at {0:#x} is there already")]
    Twice(u64),
    #[error("with it the host would have to fill in more than {MOST_HOST_PAGES} pages")]
    HostPages,
    #[error("with it headers name {} times the data that the file has", MOST_COPIES)]
    Copies,
    #[error("pages of 2 MiB are not understood here")]
    LargePage,
    #[error("VSM isolation has no pages of kind {0}")]
    PageKind(u16),
    #[error("there is no parameter area {0}, or it is in place already")]
    Area(u32),
    #[error("byte {0} is no place in its area")]
    AreaOffset(u32),
    #[error("an alignment that is no power of two")]
    Alignment,
    #[error("the platform mask {0:#x} has no platform, or several where there can be one")]
    Mask(u32),
    #[error("a platform that is in the file already")]
    SamePlatform,
}

/// Pages that the host fills in, of which the file holds nothing: 64 MiB.
const MOST_HOST_PAGES: u64 = 1 << 14;
/// What data may grow to when each header gets its own copy: so many times what the file holds, and some.
const MOST_COPIES: u64 = 4;
const SLACK_PAGES: u64 = 1 << 10;
const ADDRESS_END: u64 = 1 << 52;

/// Checks a whole file; gives the version of its format.
pub fn check(bytes: &[u8]) -> Result<u32, GuardError> {
    let (start, end) = fixed(bytes)?;
    let mut walk = Walk { bytes, data_start: end, ..Walk::default() };
    let (mut at, mut number) = (start, 0);
    while at < end {
        let Ok((header, rest)) = IGVM_VHS_VARIABLE_HEADER::read_from_prefix(&bytes[at..end]) else {
            return Err(GuardError::Header { number, kind: 0, offset: at, reason: Reason::Truncated });
        };
        let fail = |reason| GuardError::Header { number, kind: header.typ.0, offset: at, reason };
        let length = header.length as usize;
        let padded = length.checked_next_multiple_of(8).filter(|padded| *padded <= rest.len());
        let padded = padded.ok_or_else(|| fail(Reason::Truncated))?;
        walk.header(header.typ, &rest[..length]).map_err(fail)?;
        at += size_of::<IGVM_VHS_VARIABLE_HEADER>() + padded;
        number += 1;
    }
    let (header, _) = IGVM_FIXED_HEADER::read_from_prefix(bytes).map_err(|_| GuardError::Magic)?;
    Ok(header.format_version)
}

/// Where the headers begin and end.
fn fixed(bytes: &[u8]) -> Result<(usize, usize), GuardError> {
    let (header, _) = IGVM_FIXED_HEADER::read_from_prefix(bytes).map_err(|_| GuardError::Magic)?;
    let fixed_bytes = match header.format_version {
        _ if header.magic != IGVM_MAGIC_VALUE => return Err(GuardError::Magic),
        IGVM_FORMAT_VERSION_1 => size_of::<IGVM_FIXED_HEADER>(),
        IGVM_FORMAT_VERSION_2 => {
            let (header, _) = IGVM_FIXED_HEADER_V2::read_from_prefix(bytes).map_err(|_| GuardError::Magic)?;
            if u64::from(header.page_size) != PAGE_SIZE_4K {
                return Err(GuardError::PageSize(header.page_size));
            }
            size_of::<IGVM_FIXED_HEADER_V2>()
        }
        _ => return Err(GuardError::Magic),
    };
    let (stated, present) = (u64::from(header.total_file_size), bytes.len() as u64);
    if stated != present {
        return Err(GuardError::Size { stated, present });
    }
    let start = u64::from(header.variable_header_offset);
    let end = start + u64::from(header.variable_header_size);
    // The crate takes no file without data.
    if start < fixed_bytes as u64 || !start.is_multiple_of(8) || !end.is_multiple_of(8) || end >= present {
        return Err(GuardError::HeaderPlace { start, end });
    }
    let (start, end) = (start as usize, end as usize);
    let mut first = bytes[..fixed_bytes].to_vec();
    const CHECKSUM: usize = 20;
    first[CHECKSUM..CHECKSUM + 4].fill(0);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&first);
    checksum.update(&bytes[start..end]);
    let found = checksum.finalize();
    if found != header.checksum {
        return Err(GuardError::Checksum { stated: header.checksum, found });
    }
    Ok((start, end))
}

/// What was seen so far.
#[derive(Default)]
struct Walk<'a> {
    bytes: &'a [u8],
    data_start: usize,
    platforms: HashMap<u32, IgvmPlatformType>,
    /// Bytes of areas that are not in place yet.
    areas: HashMap<u32, u64>,
    /// Page number → platforms that have it.
    pages: HashMap<u64, u32>,
    /// Pages that the host fills in, and those whose data is copied.
    given: u64,
    copied: u64,
}

impl Walk<'_> {
    fn header(&mut self, kind: Type, body: &[u8]) -> Result<(), Reason> {
        match kind {
            Type::IGVM_VHT_SUPPORTED_PLATFORM => self.platform(read(body)?),
            Type::IGVM_VHT_RELOCATABLE_REGION => relocatable(&read(body)?),
            Type::IGVM_VHT_PAGE_TABLE_RELOCATION_REGION => {
                let region: IGVM_VHS_PAGE_TABLE_RELOCATION = read(body)?;
                range(region.gpa, region.size)
            }
            Type::IGVM_VHT_CORIM_DOCUMENT | Type::IGVM_VHT_CORIM_SIGNATURE => {
                let data: IGVM_VHS_CORIM_DATA = read(body)?;
                self.known(data.compatibility_mask)?;
                self.data(data.file_offset, data.size_bytes.into())
            }
            Type::IGVM_VHT_PAGE_DATA => self.page(&read(body)?),
            Type::IGVM_VHT_PARAMETER_AREA => self.area(&read(body)?),
            Type::IGVM_VHT_PARAMETER_INSERT => self.insert(&read(body)?),
            Type::IGVM_VHT_VP_CONTEXT => self.context(&read(body)?),
            Type::IGVM_VHT_REQUIRED_MEMORY => {
                let memory: IGVM_VHS_REQUIRED_MEMORY = read(body)?;
                self.known(memory.compatibility_mask)?;
                range(memory.gpa, memory.number_of_bytes.into())
            }
            Type::IGVM_VHT_ERROR_RANGE => {
                let error: IGVM_VHS_ERROR_RANGE = read(body)?;
                self.known(error.compatibility_mask)?;
                range(error.gpa, error.size_bytes.into())?;
                self.give(u64::from(error.size_bytes) / PAGE_SIZE_4K)
            }
            Type::IGVM_VHT_VP_COUNT_PARAMETER
            | Type::IGVM_VHT_ENVIRONMENT_INFO_PARAMETER
            | Type::IGVM_VHT_SRAT
            | Type::IGVM_VHT_MADT
            | Type::IGVM_VHT_SLIT
            | Type::IGVM_VHT_PPTT
            | Type::IGVM_VHT_MMIO_RANGES
            | Type::IGVM_VHT_MEMORY_MAP
            | Type::IGVM_VHT_COMMAND_LINE
            | Type::IGVM_VHT_DEVICE_TREE => {
                let place: IGVM_VHS_PARAMETER = read(body)?;
                let area = self.areas.get(&place.parameter_area_index);
                let bytes = area.ok_or(Reason::Area(place.parameter_area_index))?;
                let inside = u64::from(place.byte_offset) < *bytes;
                inside.then_some(()).ok_or(Reason::AreaOffset(place.byte_offset))
            }
            // The crate reads or refuses them by itself, and neither allocates nor multiplies.
            Type::IGVM_VHT_GUEST_POLICY
            | Type::IGVM_VHT_CCA_POLICY
            | Type::IGVM_VHT_SNP_ID_BLOCK
            | Type::IGVM_VHT_VBS_MEASUREMENT => Ok(()),
            _ => Err(Reason::Unknown),
        }
    }

    fn platform(&mut self, platform: IGVM_VHS_SUPPORTED_PLATFORM) -> Result<(), Reason> {
        let mask = platform.compatibility_mask;
        if mask.count_ones() != 1 {
            return Err(Reason::Mask(mask));
        }
        let is_known = self.platforms.values().any(|kind| *kind == platform.platform_type);
        if is_known || self.platforms.insert(mask, platform.platform_type).is_some() {
            return Err(Reason::SamePlatform);
        }
        Ok(())
    }

    /// Whether the mask names a platform of the file.
    fn known(&self, mask: u32) -> Result<(), Reason> {
        let known: u32 = self.platforms.keys().sum();
        if mask == 0 || mask & !known != 0 { Err(Reason::Mask(mask)) } else { Ok(()) }
    }

    fn page(&mut self, page: &IGVM_VHS_PAGE_DATA) -> Result<(), Reason> {
        self.known(page.compatibility_mask)?;
        if page.flags.is_2mb_page() {
            return Err(Reason::LargePage);
        }
        let isolated = |(mask, kind): (&u32, &IgvmPlatformType)| {
            mask & page.compatibility_mask != 0 && *kind == IgvmPlatformType::VSM_ISOLATION
        };
        if page.data_type != IgvmPageDataType::NORMAL && self.platforms.iter().any(isolated) {
            return Err(Reason::PageKind(page.data_type.0));
        }
        self.data(page.file_offset, PAGE_SIZE_4K)?;
        self.take(page.gpa, 1, page.compatibility_mask)
    }

    fn area(&mut self, area: &IGVM_VHS_PARAMETER_AREA) -> Result<(), Reason> {
        range(0, area.number_of_bytes)?;
        self.data(area.file_offset, area.number_of_bytes)?;
        self.give(area.number_of_bytes / PAGE_SIZE_4K)?;
        let before = self.areas.insert(area.parameter_area_index, area.number_of_bytes);
        before.map_or(Ok(()), |_| Err(Reason::Area(area.parameter_area_index)))
    }

    fn insert(&mut self, insert: &IGVM_VHS_PARAMETER_INSERT) -> Result<(), Reason> {
        self.known(insert.compatibility_mask)?;
        let index = insert.parameter_area_index;
        let bytes = self.areas.remove(&index).ok_or(Reason::Area(index))?;
        range(insert.gpa, bytes)?;
        self.take(insert.gpa, bytes / PAGE_SIZE_4K, insert.compatibility_mask)
    }

    fn context(&mut self, context: &IGVM_VHS_VP_CONTEXT) -> Result<(), Reason> {
        let mask = context.compatibility_mask;
        let kind = *self.platforms.get(&mask).ok_or(Reason::Mask(mask))?;
        range(context.gpa.get(), PAGE_SIZE_4K)?;
        if kind != IgvmPlatformType::VSM_ISOLATION {
            return self.data(context.file_offset, PAGE_SIZE_4K);
        }
        let header_bytes = size_of::<VbsVpContextHeader>() as u64;
        self.data(context.file_offset, header_bytes)?;
        let at = context.file_offset as usize;
        let (header, _) =
            VbsVpContextHeader::read_from_prefix(&self.bytes[at..]).map_err(|_| Reason::Truncated)?;
        let registers = u64::from(header.register_count) * size_of::<VbsVpContextRegister>() as u64;
        self.data(context.file_offset, header_bytes + registers)
    }

    /// Data behind the headers; an offset of 0 stands for zeros.
    fn data(&mut self, offset: u32, bytes: u64) -> Result<(), Reason> {
        if offset == 0 {
            return Ok(());
        }
        let end = u64::from(offset).checked_add(bytes);
        if (offset as usize) < self.data_start || end.is_none_or(|end| end > self.bytes.len() as u64) {
            return Err(Reason::Data { offset, bytes });
        }
        self.copied += bytes.div_ceil(PAGE_SIZE_4K);
        // Files that hold each page once are let through, not such as name one page ten thousand times.
        let held = self.bytes.len() as u64 / PAGE_SIZE_4K;
        if self.copied > MOST_COPIES * held + SLACK_PAGES { Err(Reason::Copies) } else { Ok(()) }
    }

    /// Pages of the guest, which a platform can have once.
    fn take(&mut self, gpa: u64, count: u64, mask: u32) -> Result<(), Reason> {
        range(gpa, count * PAGE_SIZE_4K)?;
        for page in gpa / PAGE_SIZE_4K..gpa / PAGE_SIZE_4K + count {
            let seen = self.pages.entry(page).or_default();
            if *seen & mask != 0 {
                return Err(Reason::Twice(page * PAGE_SIZE_4K));
            }
            *seen |= mask;
        }
        Ok(())
    }

    fn give(&mut self, pages: u64) -> Result<(), Reason> {
        self.given = self.given.saturating_add(pages);
        if self.given > MOST_HOST_PAGES { Err(Reason::HostPages) } else { Ok(()) }
    }
}

fn relocatable(region: &IGVM_VHS_RELOCATABLE_REGION) -> Result<(), Reason> {
    if !region.relocation_alignment.is_power_of_two() {
        return Err(Reason::Alignment);
    }
    range(region.relocation_region_gpa, region.relocation_region_size)
}

/// Whole pages, at least one, within what addresses can tell.
fn range(gpa: u64, bytes: u64) -> Result<(), Reason> {
    if !gpa.is_multiple_of(PAGE_SIZE_4K) || !bytes.is_multiple_of(PAGE_SIZE_4K) {
        return Err(Reason::Address(gpa | bytes));
    }
    match gpa.checked_add(bytes) {
        Some(end) if bytes > 0 && end <= ADDRESS_END => Ok(()),
        _ => Err(Reason::Beyond { gpa, bytes }),
    }
}

fn read<T: FromBytes + KnownLayout + Immutable>(body: &[u8]) -> Result<T, Reason> {
    T::read_from_bytes(body).map_err(|_| Reason::Length(body.len() as u32))
}
