//! A program for UEFI: a position-independent ELF program wrapped as PE, since compilers here have targets with the
//! former and not always with the latter.
//!
//! Each loadable segment becomes a section at its own address, each relative relocation a base relocation. Sources: System V
//! ABI, "Program Header"; Microsoft, "PE Format"; UEFI 2.10, 2.1.1.

use std::collections::BTreeMap;

use object::{
    LittleEndian as LE, Object as _, elf,
    endian::{U16, U32, U64},
    pe, pod,
    read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _},
};

use crate::Arch;
use crate::fields::Fields as _;

/// Why a program can't be wrapped.
#[derive(Debug, thiserror::Error)]
pub enum EfiError {
    #[error("not a 64-bit ELF program: {reason}")]
    NotElf { reason: String },
    #[error("the program has machine type {machine}, but is to be for {arch}")]
    Machine { arch: Arch, machine: u16 },
    #[error("the program is not position-independent")]
    FixedAddress,
    #[error("the program needs relocation {kind:#x} at {address:#x}, which UEFI has not")]
    Relocation { kind: u64, address: u64 },
    #[error("the program's segment at {address:#x} {reason}")]
    Segment { address: u64, reason: &'static str },
}

const PAGE: u32 = 0x1000;
const FILE_ALIGNMENT: u32 = 0x200;
/// Entries of the table of data directories, and the only one that isn't empty.
const DIRECTORIES: usize = 16;
const BASE_RELOCATIONS: usize = 5;
const MACHINE_TYPES: [(Arch, elf::Machine, elf::RelocationType); 2] = [
    (Arch::X86_64, elf::EM_X86_64, elf::R_X86_64_RELATIVE),
    (Arch::Aarch64, elf::EM_AARCH64, elf::R_AARCH64_RELATIVE),
];

struct Section {
    name: &'static [u8],
    address: u32,
    memory_bytes: u32,
    content: Vec<u8>,
    characteristics: u32,
}

/// The program as an EFI application. Its checksum is 0, "not computed".
pub fn wrap(arch: Arch, program: &[u8]) -> Result<Vec<u8>, EfiError> {
    let not_elf = |error: object::Error| EfiError::NotElf { reason: error.to_string() };
    let file = ElfFile64::<LE>::parse(program).map_err(not_elf)?;
    let header = file.elf_header();
    let (_, machine, relative) =
        MACHINE_TYPES.into_iter().find(|(known, ..)| *known == arch).expect("each architecture is there");
    if header.e_machine(LE) != machine {
        return Err(EfiError::Machine { arch, machine: header.e_machine(LE).0 });
    }
    let mut sections = Vec::new();
    for segment in file.elf_program_headers().iter().filter(|header| header.p_type(LE) == elf::PT_LOAD) {
        let outside = || EfiError::NotElf { reason: "a segment lies outside of the file".to_string() };
        let data = segment.data(LE, program).map_err(|()| outside())?;
        sections.push(section(
            segment.p_vaddr(LE),
            segment.p_memsz(LE),
            segment.p_flags(LE),
            data,
            &sections,
        )?);
    }
    let mut places = Vec::new();
    for (address, info, value) in relocations(&file, program, &sections)? {
        // Type in the lower half, symbol in the upper: none, where only the program's own place matters.
        if info != u64::from(relative.0) || !fix(&mut sections, address, value) {
            return Err(EfiError::Relocation { kind: info, address });
        }
        places.push(address as u32);
    }
    let entry = file.entry() as u32;
    let end = sections.last().map_or(PAGE, |last| last.address + last.memory_bytes.next_multiple_of(PAGE));
    let content = base_relocations(places);
    sections.push(Section {
        name: b".reloc",
        address: end,
        memory_bytes: content.len() as u32,
        content,
        characteristics: pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0
            | pe::IMAGE_SCN_MEM_READ.0
            | pe::IMAGE_SCN_MEM_DISCARDABLE.0,
    });
    Ok(write(arch, entry, &sections))
}

/// Place, type and value of each relocation, as the dynamic segment has them.
fn relocations(
    file: &ElfFile64<LE>,
    program: &[u8],
    sections: &[Section],
) -> Result<Vec<(u64, u64, u64)>, EfiError> {
    const ENTRY_BYTES: usize = 24;
    let mut segments = file.elf_program_headers().iter();
    // The type of the program says nothing: linkers call one that doesn't begin at 0 an executable, whatever else it is.
    let entries = segments.find_map(|header| header.dynamic(LE, program).ok().flatten());
    let entries = entries.ok_or(EfiError::FixedAddress)?;
    let value = |tag: elf::DynamicTag| {
        entries.iter().find(|entry| entry.d_tag.get(LE) == tag).map_or(0, |entry| entry.d_val.get(LE))
    };
    let (address, bytes) = (value(elf::DT_RELA), value(elf::DT_RELASZ));
    let outside = || EfiError::NotElf { reason: "its relocations lie outside of it".to_string() };
    let table = sections.iter().find_map(|section| {
        let start = usize::try_from(address.checked_sub(section.address.into())?).ok()?;
        section.content.get(start..start.checked_add(usize::try_from(bytes).ok()?)?)
    });
    let table = if bytes == 0 { &[][..] } else { table.ok_or_else(outside)? };
    let entry = |entry: &[u8]| (entry.le64(0), entry.le64(8), entry.le64(16));
    Ok(table.chunks_exact(ENTRY_BYTES).map(entry).collect())
}

fn section(
    address: u64,
    memory: u64,
    flags: elf::ProgramFlags,
    data: &[u8],
    before: &[Section],
) -> Result<Section, EfiError> {
    let bad = |reason| EfiError::Segment { address, reason };
    let end = before.last().map_or(PAGE, |last| last.address + last.memory_bytes.next_multiple_of(PAGE));
    let start = u32::try_from(address).map_err(|_| bad("lies beyond 4 GiB"))?;
    let memory_bytes = u32::try_from(memory).map_err(|_| bad("is larger than 4 GiB"))?;
    if !start.is_multiple_of(PAGE) || start < end || start.checked_add(memory_bytes).is_none() {
        return Err(bad("shares a page with another, or the headers"));
    }
    let (name, characteristics): (&[u8], _) = match flags.0 & elf::PF_X.0 != 0 {
        true => (b".text", pe::IMAGE_SCN_CNT_CODE.0 | pe::IMAGE_SCN_MEM_EXECUTE.0 | pe::IMAGE_SCN_MEM_READ.0),
        false => (
            b".data",
            pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0 | pe::IMAGE_SCN_MEM_READ.0 | pe::IMAGE_SCN_MEM_WRITE.0,
        ),
    };
    Ok(Section { name, address: start, memory_bytes, content: data.to_vec(), characteristics })
}

/// Puts what a pointer at `address` is when the program lies at 0; false where nothing of the program lies.
fn fix(sections: &mut [Section], address: u64, value: u64) -> bool {
    sections.iter_mut().any(|section| {
        let at = address.checked_sub(section.address.into()).and_then(|at| usize::try_from(at).ok());
        let place = at.and_then(|at| section.content.get_mut(at..at.checked_add(8)?));
        place.map(|place| place.copy_from_slice(&value.to_le_bytes())).is_some()
    })
}

/// Blocks of a page each: its address, the block's size, places within it.
fn base_relocations(places: Vec<u32>) -> Vec<u8> {
    let mut pages: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    places.into_iter().for_each(|place| pages.entry(place / PAGE).or_default().push(place % PAGE));
    let mut blocks = Vec::new();
    for (page, mut places) in pages {
        places.sort_unstable();
        let mut entries: Vec<u16> =
            places.into_iter().map(|place| pe::IMAGE_REL_BASED_DIR64.0 << 12 | place as u16).collect();
        if !entries.len().is_multiple_of(2) {
            entries.push(pe::IMAGE_REL_BASED_ABSOLUTE.0 << 12);
        }
        blocks.extend((page * PAGE).to_le_bytes());
        blocks.extend((8 + entries.len() as u32 * 2).to_le_bytes());
        entries.iter().for_each(|entry| blocks.extend(entry.to_le_bytes()));
    }
    blocks
}

fn write(arch: Arch, entry: u32, sections: &[Section]) -> Vec<u8> {
    const DOS_BYTES: u32 = size_of::<pe::ImageDosHeader>() as u32;
    let header_bytes = DOS_BYTES as usize
        + size_of::<pe::ImageNtHeaders64>()
        + DIRECTORIES * size_of::<pe::ImageDataDirectory>()
        + sections.len() * size_of::<pe::ImageSectionHeader>();
    let header_bytes = (header_bytes as u32).next_multiple_of(FILE_ALIGNMENT);
    let size_of_all = |wanted: u32| {
        let sizes = sections.iter().filter(|section| section.characteristics & wanted != 0);
        sizes.map(|section| (section.content.len() as u32).next_multiple_of(FILE_ALIGNMENT)).sum::<u32>()
    };
    let last = sections.last().expect("there is one for relocations");
    // Every field of these structures is a number.
    let zeros = vec![0; size_of::<pe::ImageNtHeaders64>().max(size_of::<pe::ImageDosHeader>())];
    let (dos, _) = pod::from_bytes::<pe::ImageDosHeader>(&zeros).expect("there are enough");
    let mut dos = *dos;
    dos.e_magic = U16::new(LE, pe::IMAGE_DOS_SIGNATURE);
    dos.e_lfanew = U32::new(LE, DOS_BYTES);
    let (headers, _) = pod::from_bytes::<pe::ImageNtHeaders64>(&zeros).expect("there are enough");
    let mut headers = *headers;
    headers.signature = U32::new(LE, pe::IMAGE_NT_SIGNATURE);
    let file = &mut headers.file_header;
    file.machine = U16::new(LE, pe::Machine(arch.pe_machine()));
    file.number_of_sections = U16::new(LE, sections.len() as u16);
    let optional_bytes =
        size_of::<pe::ImageOptionalHeader64>() + DIRECTORIES * size_of::<pe::ImageDataDirectory>();
    file.size_of_optional_header = U16::new(LE, optional_bytes as u16);
    file.characteristics = U16::new(LE, pe::IMAGE_FILE_EXECUTABLE_IMAGE | pe::IMAGE_FILE_LARGE_ADDRESS_AWARE);
    let optional = &mut headers.optional_header;
    optional.magic = U16::new(LE, pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC);
    optional.size_of_code = U32::new(LE, size_of_all(pe::IMAGE_SCN_CNT_CODE.0));
    optional.size_of_initialized_data = U32::new(LE, size_of_all(pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0));
    optional.address_of_entry_point = U32::new(LE, entry);
    optional.base_of_code = U32::new(LE, sections[0].address);
    optional.image_base = U64::new(LE, 0);
    optional.section_alignment = U32::new(LE, PAGE);
    optional.file_alignment = U32::new(LE, FILE_ALIGNMENT);
    optional.size_of_image = U32::new(LE, (last.address + last.memory_bytes).next_multiple_of(PAGE));
    optional.size_of_headers = U32::new(LE, header_bytes);
    optional.subsystem = U16::new(LE, pe::IMAGE_SUBSYSTEM_EFI_APPLICATION);
    optional.dll_characteristics = U16::new(LE, pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT);
    optional.number_of_rva_and_sizes = U32::new(LE, DIRECTORIES as u32);

    let mut bytes = pod::bytes_of(&dos).to_vec();
    bytes.extend(pod::bytes_of(&headers));
    for directory in 0..DIRECTORIES {
        let (address, size) = match directory {
            BASE_RELOCATIONS => (last.address, last.memory_bytes),
            _ => (0, 0),
        };
        bytes.extend(address.to_le_bytes().into_iter().chain(size.to_le_bytes()));
    }
    let mut at = header_bytes;
    for section in sections {
        let raw = (section.content.len() as u32).next_multiple_of(FILE_ALIGNMENT);
        let mut name = [0; 8];
        name[..section.name.len()].copy_from_slice(section.name);
        bytes.extend(name);
        let numbers = [section.memory_bytes, section.address, raw, at, 0, 0, 0, section.characteristics];
        numbers.into_iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        at += raw;
    }
    bytes.resize(header_bytes as usize, 0);
    for section in sections {
        bytes.extend(&section.content);
        bytes.resize(bytes.len().next_multiple_of(FILE_ALIGNMENT as usize), 0);
    }
    bytes
}
