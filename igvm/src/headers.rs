//! From a layout to the headers of the file, pages in ascending order of address.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use igvm::{Arch, IgvmDirectiveHeader, IgvmFile, IgvmInitializationHeader, IgvmPlatformHeader, IgvmRevision};
use igvm_defs::{
    IGVM_NATIVE_PLATFORM_VERSION, IGVM_SEV_SNP_PLATFORM_VERSION, IGVM_TDX_PLATFORM_VERSION,
    IGVM_VHS_PARAMETER, IGVM_VHS_PARAMETER_INSERT, IGVM_VHS_SUPPORTED_PLATFORM,
    IGVM_VSM_ISOLATION_PLATFORM_VERSION, IgvmPageDataFlags, IgvmPageDataType, IgvmPlatformType, PAGE_SIZE_4K,
};
use image::igvm::{Content, Import, Layout, Parameter, ParameterKind, Platform, PlatformKind, Region};

use crate::context;

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
    let masks = Masks(layout.platforms.iter().map(|platform| platform.kind).collect());
    let platforms = layout.platforms.iter().map(|platform| supported(platform, &masks)).collect();
    let policies = layout.platforms.iter().filter_map(|platform| {
        let compatibility_mask = masks.of(platform.kind);
        Some(IgvmInitializationHeader::GuestPolicy { policy: platform.policy?, compatibility_mask })
    });
    let policies = policies.collect();

    let mut directives = Vec::new();
    for range in &layout.required {
        required(range, &masks, &mut directives);
    }
    declare(&layout.parameters, &mut directives);
    let mut areas = layout.parameters.iter().enumerate().peekable();
    for region in &layout.regions {
        while let Some((index, area)) = areas.next_if(|(_, area)| area.gpa < region.gpa) {
            directives.push(insert(index, area, masks.all()));
        }
        pages(region, masks.of_all(&region.platforms), sources, &mut directives)?;
    }
    directives.extend(areas.map(|(index, area)| insert(index, area, masks.all())));
    directives.extend(
        layout
            .platforms
            .iter()
            .filter_map(|platform| context::context(layout.entry, platform, masks.of(platform.kind))),
    );
    IgvmFile::new(revision, platforms, policies, directives).map_err(HeadersError::Invalid)
}

/// The platforms in their order, each of which has a bit.
struct Masks(Vec<PlatformKind>);

impl Masks {
    fn of(&self, kind: PlatformKind) -> u32 {
        let number = self.0.iter().position(|own| *own == kind);
        1 << number.expect("a layout speaks of its own platforms")
    }

    fn of_all(&self, kinds: &[PlatformKind]) -> u32 {
        kinds.iter().map(|kind| self.of(*kind)).sum()
    }

    fn all(&self) -> u32 {
        self.of_all(&self.0)
    }
}

fn supported(platform: &Platform, masks: &Masks) -> IgvmPlatformHeader {
    let (platform_type, highest_vtl, platform_version) = match platform.kind {
        PlatformKind::VsmIsolation => {
            (IgvmPlatformType::VSM_ISOLATION, 2, IGVM_VSM_ISOLATION_PLATFORM_VERSION)
        }
        PlatformKind::Native => (IgvmPlatformType::NATIVE, 0, IGVM_NATIVE_PLATFORM_VERSION),
        PlatformKind::SevSnp => (IgvmPlatformType::SEV_SNP, 2, IGVM_SEV_SNP_PLATFORM_VERSION),
        PlatformKind::Tdx => (IgvmPlatformType::TDX, 2, IGVM_TDX_PLATFORM_VERSION),
    };
    IgvmPlatformHeader::SupportedPlatform(IGVM_VHS_SUPPORTED_PLATFORM {
        compatibility_mask: masks.of(platform.kind),
        highest_vtl,
        platform_type,
        platform_version,
        shared_gpa_boundary: platform.shared_gpa_boundary,
    })
}

/// A range longer than 32 bits tell takes several headers. Without trust levels nothing is protected from others.
fn required(range: &std::ops::Range<u64>, masks: &Masks, directives: &mut Vec<IgvmDirectiveHeader>) {
    const MOST: u64 = 1 << 31;
    let (native, others): (Vec<PlatformKind>, _) =
        masks.0.iter().partition(|kind| **kind == PlatformKind::Native);
    let mut gpa = range.start;
    while gpa < range.end {
        let bytes = (range.end - gpa).min(MOST);
        for (kinds, vtl2_protectable) in [(&others, true), (&native, false)] {
            if !kinds.is_empty() {
                directives.push(IgvmDirectiveHeader::RequiredMemory {
                    gpa,
                    compatibility_mask: masks.of_all(kinds),
                    number_of_bytes: bytes as u32,
                    vtl2_protectable,
                });
            }
        }
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
            ParameterKind::CommandLine => IgvmDirectiveHeader::CommandLine(place),
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
    let data_type = match region.import {
        Import::Normal => IgvmPageDataType::NORMAL,
        Import::Secrets => IgvmPageDataType::SECRETS,
        Import::Cpuid => IgvmPageDataType::CPUID_DATA,
    };
    let mut gpa = region.gpa;
    let mut push = |data: Vec<u8>| {
        let data = if data.iter().all(|byte| *byte == 0) { Vec::new() } else { data };
        directives.push(IgvmDirectiveHeader::PageData {
            gpa,
            compatibility_mask: mask,
            flags: IgvmPageDataFlags::new(),
            data_type,
            data,
        });
        gpa += PAGE_SIZE_4K;
    };
    match &region.content {
        Content::Bytes(bytes) => bytes.chunks(PAGE_SIZE_4K as usize).for_each(|page| push(page.to_vec())),
        Content::Host => (0..region.length_bytes.div_ceil(PAGE_SIZE_4K)).for_each(|_| push(Vec::new())),
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
