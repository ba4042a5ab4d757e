//! What the format's values are called: as in profiles where those have them too.

use igvm::IgvmDirectiveHeader;
use igvm_defs::{IGVM_VHS_PARAMETER, IgvmPlatformType};
use image::igvm::PlatformKind;

/// The platform's name.
pub fn platform(kind: IgvmPlatformType) -> String {
    match platform_kind(kind) {
        Some(kind) => kind.name().to_string(),
        None => match kind {
            IgvmPlatformType::SEV => "sev".to_string(),
            IgvmPlatformType::SEV_ES => "sev-es".to_string(),
            IgvmPlatformType::CCA => "cca".to_string(),
            other => format!("platform {}", other.0),
        },
    }
}

/// None for platforms that aren't made here.
pub fn platform_kind(kind: IgvmPlatformType) -> Option<PlatformKind> {
    match kind {
        IgvmPlatformType::NATIVE => Some(PlatformKind::Native),
        IgvmPlatformType::VSM_ISOLATION => Some(PlatformKind::VsmIsolation),
        IgvmPlatformType::SEV_SNP => Some(PlatformKind::SevSnp),
        IgvmPlatformType::TDX => Some(PlatformKind::Tdx),
        _ => None,
    }
}

/// What the host is to put into an area, and where.
pub fn parameter(directive: &IgvmDirectiveHeader) -> Option<(&'static str, &IGVM_VHS_PARAMETER)> {
    Some(match directive {
        IgvmDirectiveHeader::VpCount(place) => ("vp-count", place),
        IgvmDirectiveHeader::EnvironmentInfo(place) => ("environment", place),
        IgvmDirectiveHeader::Srat(place) => ("srat", place),
        IgvmDirectiveHeader::Madt(place) => ("madt", place),
        IgvmDirectiveHeader::Slit(place) => ("slit", place),
        IgvmDirectiveHeader::Pptt(place) => ("pptt", place),
        IgvmDirectiveHeader::MmioRanges(place) => ("mmio-ranges", place),
        IgvmDirectiveHeader::MemoryMap(place) => ("memory-map", place),
        IgvmDirectiveHeader::CommandLine(place) => ("command-line", place),
        IgvmDirectiveHeader::DeviceTree(place) => ("device-tree", place),
        _ => return None,
    })
}

/// The platforms of a mask, `all` where it has all of them.
pub fn mask(platforms: &[(u32, String)], mask: u32) -> String {
    let all: u32 = platforms.iter().map(|(bit, _)| bit).sum();
    let names: Vec<_> =
        platforms.iter().filter(|(bit, _)| bit & mask != 0).map(|(_, name)| name.as_str()).collect();
    if mask & all == all { "all".to_string() } else { names.join(", ") }
}
