//! From a layout to the headers of the file, pages in ascending order of address.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use igvm::{
    Arch, IgvmDirectiveHeader, IgvmFile, IgvmPlatformHeader, IgvmRevision,
    hv_defs::Vtl,
    registers::{AArch64Register, SegmentRegister, TableRegister, X86Register},
};
use igvm_defs::{
    IGVM_VHS_PARAMETER, IGVM_VHS_PARAMETER_INSERT, IGVM_VHS_SUPPORTED_PLATFORM,
    IGVM_VSM_ISOLATION_PLATFORM_VERSION, IgvmPageDataFlags, IgvmPageDataType, IgvmPlatformType, PAGE_SIZE_4K,
};
use image::igvm::{Content, Entry, Layout, Parameter, ParameterKind, PlatformKind, Region};

/// Why the headers can't be made.
#[derive(Debug, thiserror::Error)]
pub enum HeadersError {
    #[error("the layout names contents `{name}`, which were not given")]
    NoSource { name: String },
    #[error("can't read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the headers contradict each other")]
    Invalid(#[source] igvm::Error),
}

/// The file of a layout. `sources` has the path of each of its contents.
pub fn file(layout: &Layout, sources: &BTreeMap<String, PathBuf>) -> Result<IgvmFile, HeadersError> {
    let revision = match layout.arch {
        image::Arch::X86_64 => IgvmRevision::V1,
        image::Arch::Aarch64 => IgvmRevision::V2 { arch: Arch::AArch64, page_size: PAGE_SIZE_4K as u32 },
    };
    let platforms: Vec<_> = layout
        .platforms
        .iter()
        .enumerate()
        .map(|(number, platform)| supported(number, platform.kind))
        .collect();
    let all = (1_u32 << layout.platforms.len()) - 1;
    let mut directives = Vec::new();
    for range in &layout.required {
        required(range, all, &mut directives);
    }
    declare(&layout.parameters, &mut directives);
    let mut areas = layout.parameters.iter().enumerate().peekable();
    for region in &layout.regions {
        while let Some((index, area)) = areas.next_if(|(_, area)| area.gpa < region.gpa) {
            directives.push(insert(index, area, all));
        }
        pages(region, all, sources, &mut directives)?;
    }
    directives.extend(areas.map(|(index, area)| insert(index, area, all)));
    for (number, platform) in layout.platforms.iter().enumerate() {
        directives.push(context(layout.entry, platform.kind, 1 << number));
    }
    IgvmFile::new(revision, platforms, Vec::new(), directives).map_err(HeadersError::Invalid)
}

fn supported(number: usize, kind: PlatformKind) -> IgvmPlatformHeader {
    let (platform_type, highest_vtl, platform_version) = match kind {
        PlatformKind::VsmIsolation => {
            (IgvmPlatformType::VSM_ISOLATION, 2, IGVM_VSM_ISOLATION_PLATFORM_VERSION)
        }
    };
    IgvmPlatformHeader::SupportedPlatform(IGVM_VHS_SUPPORTED_PLATFORM {
        compatibility_mask: 1 << number,
        highest_vtl,
        platform_type,
        platform_version,
        shared_gpa_boundary: 0,
    })
}

/// A range longer than 32 bits tell takes several headers.
fn required(range: &std::ops::Range<u64>, mask: u32, directives: &mut Vec<IgvmDirectiveHeader>) {
    const MOST: u64 = 1 << 31;
    let mut gpa = range.start;
    while gpa < range.end {
        let bytes = (range.end - gpa).min(MOST);
        directives.push(IgvmDirectiveHeader::RequiredMemory {
            gpa,
            compatibility_mask: mask,
            number_of_bytes: bytes as u32,
            vtl2_protectable: true,
        });
        gpa += bytes;
    }
}

/// An area for each parameter, and what the host puts there.
fn declare(parameters: &[Parameter], directives: &mut Vec<IgvmDirectiveHeader>) {
    for (index, area) in parameters.iter().enumerate() {
        let parameter_area_index = index as u32;
        directives.push(IgvmDirectiveHeader::ParameterArea {
            number_of_bytes: area.size_bytes,
            parameter_area_index,
            initial_data: Vec::new(),
        });
        let place = IGVM_VHS_PARAMETER { parameter_area_index, byte_offset: 0 };
        directives.push(match area.kind {
            ParameterKind::VpCount => IgvmDirectiveHeader::VpCount(place),
            ParameterKind::MemoryMap => IgvmDirectiveHeader::MemoryMap(place),
            ParameterKind::DeviceTree => IgvmDirectiveHeader::DeviceTree(place),
        });
    }
}

fn insert(index: usize, area: &Parameter, mask: u32) -> IgvmDirectiveHeader {
    IgvmDirectiveHeader::ParameterInsert(IGVM_VHS_PARAMETER_INSERT {
        gpa: area.gpa,
        compatibility_mask: mask,
        parameter_area_index: index as u32,
    })
}

/// A header for each page of a region. A page of zeros has no data.
fn pages(
    region: &Region,
    mask: u32,
    sources: &BTreeMap<String, PathBuf>,
    directives: &mut Vec<IgvmDirectiveHeader>,
) -> Result<(), HeadersError> {
    let mut gpa = region.gpa;
    let mut push = |data: Vec<u8>| {
        let data = if data.iter().all(|byte| *byte == 0) { Vec::new() } else { data };
        directives.push(IgvmDirectiveHeader::PageData {
            gpa,
            compatibility_mask: mask,
            flags: IgvmPageDataFlags::new(),
            data_type: IgvmPageDataType::NORMAL,
            data,
        });
        gpa += PAGE_SIZE_4K;
    };
    match &region.content {
        Content::Bytes(bytes) => bytes.chunks(PAGE_SIZE_4K as usize).for_each(|page| push(page.to_vec())),
        Content::Source { name, offset } => {
            let path = sources.get(name).ok_or_else(|| HeadersError::NoSource { name: name.clone() })?;
            read_pages(path, *offset, region.length_bytes, push)
                .map_err(|cause| HeadersError::Read { path: path.clone(), cause })?;
        }
    }
    Ok(())
}

fn read_pages(path: &Path, offset: u64, length_bytes: u64, mut push: impl FnMut(Vec<u8>)) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut left = length_bytes;
    while left > 0 {
        let mut page = vec![0; left.min(PAGE_SIZE_4K) as usize];
        file.read_exact(&mut page)?;
        left -= page.len() as u64;
        push(page);
    }
    Ok(())
}

fn context(entry: Entry, kind: PlatformKind, mask: u32) -> IgvmDirectiveHeader {
    match kind {
        PlatformKind::VsmIsolation => match entry {
            Entry::X86_64 { .. } => IgvmDirectiveHeader::X64VbsVpContext {
                vtl: Vtl::Vtl2,
                registers: x86_64_registers(entry),
                compatibility_mask: mask,
            },
            Entry::Aarch64 { pc, x0 } => IgvmDirectiveHeader::AArch64VbsVpContext {
                vtl: Vtl::Vtl2,
                registers: aarch64_registers(pc, x0),
                compatibility_mask: mask,
            },
        },
    }
}

fn x86_64_registers(entry: Entry) -> Vec<X86Register> {
    let Entry::X86_64 { rip, rsi, cr3, gdt_base, gdt_limit } = entry else { unreachable!() };
    let segment =
        |selector, attributes| SegmentRegister { base: 0, limit: 0xffff_ffff, selector, attributes };
    let data = segment(0x18, 0xc093);
    vec![
        X86Register::Gdtr(TableRegister { base: gdt_base, limit: gdt_limit }),
        X86Register::Ds(data),
        X86Register::Es(data),
        X86Register::Fs(data),
        X86Register::Gs(data),
        X86Register::Ss(data),
        X86Register::Cs(segment(0x10, 0xa09b)),
        X86Register::Cr0(0x8000_0031),
        X86Register::Cr3(cr3),
        X86Register::Cr4(0x20),
        X86Register::Efer(0x500),
        X86Register::Pat(0x0007_0406_0007_0406),
        X86Register::Rip(rip),
        X86Register::Rsi(rsi),
        X86Register::Rflags(2),
    ]
}

fn aarch64_registers(pc: u64, x0: u64) -> Vec<AArch64Register> {
    vec![
        AArch64Register::Pc(pc),
        AArch64Register::X0(x0),
        AArch64Register::X1(0),
        AArch64Register::X2(0),
        AArch64Register::X3(0),
        // EL1 with its own stack pointer; debug exceptions, SErrors, IRQs and FIQs masked.
        AArch64Register::Cpsr(0x3c5),
        // Its reserved bits that read as one; translation and caches off.
        AArch64Register::SctlrEl1(0x30d0_0800),
    ]
}
