//! A file loaded as a host loads it for VTL2: the platform chosen, memory checked, parameters filled in, the first
//! processor's registers taken. What a host would refuse is refused, with the first reason.
//!
//! Pages become runs of memory; whoever has the machine puts them there. Measurements and signatures are not looked at.
//! Sources: the IGVM specification (crate igvm_defs), OpenVMM's loader (vmm_core/vm_loader, igvm_attest).

mod areas;
mod memory;
mod registers;

use std::ops::Range;

use igvm::{IgvmDirectiveHeader as Directive, IgvmFile, IgvmPlatformHeader, hv_defs::Vtl};
use igvm_defs::{IGVM_VHS_SUPPORTED_PLATFORM, IgvmPageDataType, IgvmPlatformType, PAGE_SIZE_4K};
use image::{
    Arch,
    igvm::start::{Host, Registers},
};

use areas::Areas;
use memory::Memory;

/// Memory in a row: its address and bytes.
pub type Block = (u64, Vec<u8>);

/// The loaded guest.
#[derive(Debug)]
pub struct Loaded {
    /// In ascending order of address.
    pub blocks: Vec<Block>,
    /// Whether the file has a place for what the host adds to the command line.
    pub takes_command_line: bool,
    pub registers: Registers,
}

/// Why a host refuses a file.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the file is for {found}, and the machine is {wanted}")]
    Arch { found: Arch, wanted: Arch },
    #[error(
        "the file has no VSM_ISOLATION platform, which Hyper-V's own isolation of trust levels is; it has {found}"
    )]
    Platform { found: String },
    #[error("the file's VSM_ISOLATION platform is for trust level {found}, not for 2")]
    Level { found: u8 },
    #[error(
        "the file needs memory at {:#x} to {:#x}, and the machine has {machine}", .needed.start, .needed.end
    )]
    RequiredMemory { needed: Range<u64>, machine: String },
    #[error("memory at {:#x} to {:#x} is required twice", .0.start, .0.end)]
    RequiredTwice(Range<u64>),
    #[error("the {what} at {gpa:#x} is not aligned to 4 KiB")]
    Unaligned { what: &'static str, gpa: u64 },
    #[error("the {what} at {:#x} to {:#x} is not in the machine's memory, which is {machine}", .at.start, .at.end)]
    NotMemory { what: &'static str, at: Range<u64>, machine: String },
    #[error("the {what} at {:#x} overlaps another one", .at.start)]
    Overlap { what: &'static str, at: Range<u64> },
    #[error("the page at {gpa:#x} is of type {kind}, which VTL2 of Hyper-V doesn't have")]
    PageType { gpa: u64, kind: String },
    #[error(
        "parameter area {index} is {bytes:#x} bytes long: not a number of whole pages that memory has room for"
    )]
    AreaSize { index: u32, bytes: u64 },
    #[error(
        "the {what} doesn't fit into parameter area {index}: it needs {needed:#x} bytes from byte {offset:#x} on, and the area has {size:#x}"
    )]
    AreaSmall { what: &'static str, index: u32, offset: u32, needed: u64, size: u64 },
    #[error("parameter area {index} is used, but not declared before, or in memory already")]
    NoArea { index: u32 },
    #[error("the file asks for {what}, which this host doesn't have")]
    NoParameter { what: &'static str },
    #[error("the file has no registers for the first processor at trust level 2")]
    NoContext,
    #[error("the file has registers for the first processor at trust level 2 more than once")]
    SecondContext,
    #[error("the file has {what}, which VTL2 of Hyper-V doesn't have")]
    OtherContext { what: &'static str },
}

/// Loads `file` for VTL2.
///
/// # Errors
/// The first reason for which a host would refuse it.
pub fn load(file: &IgvmFile, arch: Arch, host: &Host) -> Result<Loaded, Refusal> {
    if arch != host.arch {
        return Err(Refusal::Arch { found: arch, wanted: host.arch });
    }
    let platform = platform(file)?;
    let is_ours = |mask: u32| mask & platform.compatibility_mask != 0;
    let directives =
        || file.directives().iter().filter(|header| header.compatibility_mask().is_none_or(is_ours));

    let mut memory = Memory::new(host);
    let mut required = Vec::new();
    for header in directives() {
        if let Directive::RequiredMemory { gpa, number_of_bytes, vtl2_protectable, .. } = header {
            memory.require(*gpa, (*number_of_bytes).into())?;
            if *vtl2_protectable {
                required.push(*gpa..gpa + u64::from(*number_of_bytes));
            }
        }
    }
    let mut areas = Areas::new(host, required);
    let mut registers = None;
    for header in directives() {
        let found = match header {
            Directive::PageData { gpa, data_type, data, .. } => {
                page(*gpa, *data_type, data, &mut memory)?;
                continue;
            }
            Directive::X64VbsVpContext { vtl, registers, .. } => {
                level(*vtl)?;
                Registers::X86_64(registers::x86_64(registers))
            }
            Directive::AArch64VbsVpContext { vtl, registers, .. } => {
                level(*vtl)?;
                Registers::Aarch64(registers::aarch64(registers))
            }
            Directive::SnpVpContext { .. } => {
                return Err(Refusal::OtherContext { what: "registers of SEV-SNP" });
            }
            Directive::X64NativeVpContext { .. } => {
                return Err(Refusal::OtherContext { what: "registers of a machine without isolation" });
            }
            Directive::AArch64CcaVpContext { .. } => {
                return Err(Refusal::OtherContext { what: "registers of CCA" });
            }
            Directive::SnpIdBlock { .. } => {
                return Err(Refusal::OtherContext { what: "an ID block of SEV-SNP" });
            }
            Directive::RequiredMemory { .. }
            | Directive::ErrorRange { .. }
            | Directive::VbsMeasurement { .. } => continue,
            area => {
                areas.take(area, &mut memory)?;
                continue;
            }
        };
        if registers.replace(found).is_some() {
            return Err(Refusal::SecondContext);
        }
    }
    let registers = registers.ok_or(Refusal::NoContext)?;
    let takes_command_line = directives().any(|header| matches!(header, Directive::CommandLine(_)));
    Ok(Loaded { blocks: memory.into_blocks(), takes_command_line, registers })
}

fn platform(file: &IgvmFile) -> Result<&IGVM_VHS_SUPPORTED_PLATFORM, Refusal> {
    let all = || {
        file.platforms().iter().map(|header| match header {
            IgvmPlatformHeader::SupportedPlatform(platform) => platform,
        })
    };
    let Some(platform) = all().find(|platform| platform.platform_type == IgvmPlatformType::VSM_ISOLATION)
    else {
        let names: Vec<_> = all().map(|platform| format!("{:?}", platform.platform_type)).collect();
        return Err(Refusal::Platform { found: names.join(", ") });
    };
    if platform.highest_vtl != 2 {
        return Err(Refusal::Level { found: platform.highest_vtl });
    }
    Ok(platform)
}

fn level(vtl: Vtl) -> Result<(), Refusal> {
    match vtl {
        Vtl::Vtl2 => Ok(()),
        _ => Err(Refusal::OtherContext { what: "registers of a trust level below" }),
    }
}

fn page(gpa: u64, kind: IgvmPageDataType, data: &[u8], memory: &mut Memory) -> Result<(), Refusal> {
    if kind != IgvmPageDataType::NORMAL {
        return Err(Refusal::PageType { gpa, kind: format!("{kind:?}") });
    }
    memory.place("page", gpa, PAGE_SIZE_4K, data.to_vec())
}
