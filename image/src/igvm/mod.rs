//! What a VTL2 host loads: kernel, initramfs and all that they are told, placed in the memory of a described machine.
//!
//! A [`Layout`] is decided in full: every page's address, contents and role, the memory that must be there, what the
//! host fills in, and the first processor's registers. It says nothing of the file's own bytes; who writes those
//! (the IGVM tool beside this crate) decides nothing. Pages are in ascending order of address, as hosts import them
//! and measurements chain them.
//! Sources: the IGVM specification (crate igvm_defs); Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol",
//! and Documentation/arch/arm64/booting.rst.

mod aarch64;
pub mod fit;
mod hex;
pub mod policy;
mod reset;
pub mod shim;
pub mod start;
mod x86_64;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Arch;
use crate::kernel::{self, KernelError};
use crate::uki::{KernelPart, Part};

/// The unit that hosts import and measure.
pub const PAGE_BYTES: u64 = 4096;

/// What goes into the file.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    pub arch: Arch,
    /// Each kind once.
    pub platforms: Vec<PlatformKind>,
    /// Whether confidential guests may be looked into.
    pub policy: GuestPolicy,
    /// Where memory begins that confidential guests share; none for the usual place.
    pub shared_gpa_boundary: Option<u64>,
    /// RAM of VTL2, in ascending order: pages, not touching each other.
    pub memory: Vec<Range<u64>>,
    pub command_line: &'a str,
    pub kernel: KernelPart<'a>,
    pub initramfs: Part,
    /// What the host starts in the kernel's place; none: the kernel itself.
    pub shim: Option<shim::Shim<'a>>,
}

/// A kind of machine that the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformKind {
    /// Hyper-V's own isolation of trust levels.
    VsmIsolation,
    /// No isolation: what QEMU loads.
    Native,
    /// AMD's encrypted guests.
    SevSnp,
    /// Intel's encrypted guests.
    Tdx,
}

impl PlatformKind {
    /// As one writes it in a profile.
    pub fn name(self) -> &'static str {
        match self {
            PlatformKind::VsmIsolation => "vsm-isolation",
            PlatformKind::Native => "native",
            PlatformKind::SevSnp => "sev-snp",
            PlatformKind::Tdx => "tdx",
        }
    }
}

/// Who may look into a confidential guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestPolicy {
    /// Nobody.
    Release,
    /// The host, through the processor's debugging calls.
    Debug,
}

/// A platform, with what is its own in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Platform {
    pub kind: PlatformKind,
    /// As the processor takes it; platforms without one don't have it.
    pub policy: Option<u64>,
    /// Memory from here on is shared; 0 where nothing is.
    pub shared_gpa_boundary: u64,
    /// Page of the first processor's registers, where they lie in memory.
    pub context_gpa: Option<u64>,
}

impl Platform {
    fn new(kind: PlatformKind, image: &Image<'_>) -> Platform {
        let boundary = |usual: u64| image.shared_gpa_boundary.unwrap_or(usual);
        let (policy, shared_gpa_boundary) = match kind {
            PlatformKind::VsmIsolation | PlatformKind::Native => (None, 0),
            PlatformKind::SevSnp => {
                (Some(policy::sev_snp(image.policy)), boundary(SEV_SNP_SHARED_GPA_BOUNDARY))
            }
            PlatformKind::Tdx => (Some(policy::tdx(image.policy)), boundary(TDX_SHARED_GPA_BOUNDARY)),
        };
        Platform { kind, policy, shared_gpa_boundary, context_gpa: None }
    }
}

/// Where Hyper-V has the border of shared memory: bit 46, and on TDX bit 47, the shared bit of 48-bit addresses.
const SEV_SNP_SHARED_GPA_BOUNDARY: u64 = 1 << 46;
const TDX_SHARED_GPA_BOUNDARY: u64 = 1 << 47;

/// A file that is decided but for the contents of its large parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layout {
    pub arch: Arch,
    pub platforms: Vec<Platform>,
    /// Memory that the host must give, in ascending order.
    pub required: Vec<Range<u64>>,
    /// Pages with contents, in ascending order of address.
    pub regions: Vec<Region>,
    /// Pages that the host fills in, in ascending order of address.
    pub parameters: Vec<Parameter>,
    pub entry: Entry,
}

/// Pages in a row that have one origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Region {
    /// Guest physical address of the first page.
    pub gpa: u64,
    /// Bytes of contents; zeros follow to the end of the last page.
    pub length_bytes: u64,
    pub role: Role,
    pub content: Content,
    pub import: Import,
    /// The platforms that it is for, in the order of the file.
    pub platforms: Vec<PlatformKind>,
}

/// How pages are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Import {
    /// Measured.
    Normal,
    /// SEV-SNP: keys from the processor's firmware.
    Secrets,
    /// SEV-SNP: what the processor is, checked by its firmware.
    Cpuid,
}

/// Where the bytes of a region come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The caller's contents of this name, from this byte on.
    Source {
        name: String,
        offset: u64,
    },
    Bytes(#[serde(with = "hex")] Vec<u8>),
    /// Nothing of the file's: the host fills the pages in.
    Host,
}

/// What pages are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Kernel,
    Initramfs,
    DeviceTree,
    CommandLine,
    BootParams,
    PageTables,
    SegmentTable,
    /// The boot shim, and what it is told.
    Shim,
    ShimPlan,
    /// Where the kernel finds the two pages below.
    ConfidentialBlob,
    Secrets,
    Cpuid,
    /// TDX's first instructions.
    ResetVector,
}

/// Pages that the host fills with what it knows of the machine. Nothing measures them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameter {
    pub gpa: u64,
    /// Whole pages.
    pub size_bytes: u64,
    pub kind: ParameterKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterKind {
    /// Number of processors, a 32-bit number.
    VpCount,
    /// Array of memory ranges, ended by one without pages.
    MemoryMap,
    /// The host's description of the machine as a blob.
    DeviceTree,
    /// Options for the command line, a text with its NUL.
    CommandLine,
}

/// Registers that the first processor begins with; the others are as after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// Long mode, memory mapped to itself by the page tables at `cr3`, flat segments.
    X86_64 { rip: u64, rsi: u64, cr3: u64, gdt_base: u64, gdt_limit: u16 },
    /// EL1, translation off, interrupts masked.
    Aarch64 { pc: u64, x0: u64 },
}

/// Why a file can't be laid out.
#[derive(Debug, thiserror::Error)]
pub enum IgvmError {
    #[error("kernel {source_name}")]
    Kernel {
        source_name: String,
        #[source]
        cause: KernelError,
    },
    #[error("kernel {source_name} is for {actual}, but the file is for {wanted}")]
    KernelArch { source_name: String, wanted: Arch, actual: Arch },
    #[error("kernel {source_name} is cut short: its header says that it begins at byte {begin}")]
    KernelShort { source_name: String, begin: u64 },
    #[error("kernel {source_name} runs at {address:#x} only, where there is no memory for it")]
    KernelFixed { source_name: String, address: u64 },
    #[error("{} is a platform of x86_64 alone", .platform.name())]
    PlatformArch { platform: PlatformKind },
    #[error("there is no platform that the file is for")]
    NoPlatform,
    #[error("the kernel command line has a NUL or another control character in it")]
    CommandLine,
    #[error(
        "no range of memory has the {needed} bytes that kernel, initramfs and tables need in a row; the largest has {largest}"
    )]
    NoRoom { needed: u64, largest: u64 },
}

/// Decides the file. `device_tree` makes the tree for an initramfs that lies in that range of addresses.
pub fn layout(
    image: &Image<'_>,
    device_tree: impl FnOnce(Range<u64>) -> Vec<u8>,
) -> Result<Layout, IgvmError> {
    let source_name = image.kernel.part.source.clone();
    let found = match kernel::identify(image.kernel.head) {
        Ok(found) => found,
        Err(cause) => return Err(IgvmError::Kernel { source_name, cause }),
    };
    if found.arch != image.arch {
        return Err(IgvmError::KernelArch { source_name, wanted: image.arch, actual: found.arch });
    }
    if image.command_line.contains(char::is_control) {
        return Err(IgvmError::CommandLine);
    }
    if image.platforms.is_empty() {
        return Err(IgvmError::NoPlatform);
    }
    let foreign = image.platforms.iter().find(|kind| **kind != PlatformKind::VsmIsolation);
    if let (Arch::Aarch64, Some(&platform)) = (image.arch, foreign) {
        return Err(IgvmError::PlatformArch { platform });
    }
    let mut layout = match &image.shim {
        None => direct(image, device_tree)?,
        Some(shim) => {
            let base = shim::base(&image.memory)?;
            let rest = Image { memory: shim::remaining(&image.memory, base), ..image.clone() };
            shim::wrap(image, shim, base, direct(&rest, device_tree)?)?
        }
    };
    layout.regions.sort_by(|a, b| (a.gpa, &a.platforms).cmp(&(b.gpa, &b.platforms)));
    layout.assert_disjoint();
    Ok(layout)
}

/// Whatever the kernel needs that the host starts.
fn direct(image: &Image<'_>, device_tree: impl FnOnce(Range<u64>) -> Vec<u8>) -> Result<Layout, IgvmError> {
    match image.arch {
        Arch::X86_64 => x86_64::layout(image, device_tree),
        Arch::Aarch64 => aarch64::layout(image, device_tree),
    }
}

impl Layout {
    /// A layout without pages.
    fn new(image: &Image<'_>, entry: Entry) -> Layout {
        Layout {
            arch: image.arch,
            platforms: image.platforms.iter().map(|kind| Platform::new(*kind, image)).collect(),
            required: image.memory.clone(),
            regions: Vec::new(),
            parameters: Vec::new(),
            entry,
        }
    }

    /// Adds measured pages for all platforms.
    fn push(&mut self, gpa: u64, length_bytes: u64, role: Role, content: Content) {
        let platforms = self.kinds();
        self.regions.push(Region { gpa, length_bytes, role, content, import: Import::Normal, platforms });
    }

    /// Kinds of all platforms.
    fn kinds(&self) -> Vec<PlatformKind> {
        self.platforms.iter().map(|platform| platform.kind).collect()
    }

    fn has(&self, kind: PlatformKind) -> bool {
        self.platforms.iter().any(|platform| platform.kind == kind)
    }

    /// Pages of one platform don't meet; those of two may lie at one address.
    fn assert_disjoint(&self) {
        for platform in &self.platforms {
            let pages = |gpa: u64, bytes: u64| gpa..gpa + bytes.next_multiple_of(PAGE_BYTES);
            let own = self.regions.iter().filter(|region| region.platforms.contains(&platform.kind));
            let regions = own.map(|region| pages(region.gpa, region.length_bytes));
            let parameters = self.parameters.iter().map(|area| pages(area.gpa, area.size_bytes));
            let context = platform.context_gpa.map(|gpa| pages(gpa, PAGE_BYTES));
            let mut ranges: Vec<_> = regions.chain(parameters).chain(context).collect();
            ranges.sort_by_key(|range| range.start);
            assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "pages overlap");
        }
    }
}

/// Hands out pages in ascending order.
struct Cursor {
    next: u64,
}

impl Cursor {
    fn take(&mut self, bytes: u64, alignment: u64) -> u64 {
        let at = self.next.next_multiple_of(alignment);
        self.next = at + bytes.next_multiple_of(PAGE_BYTES);
        at
    }

    fn bytes(&mut self, layout: &mut Layout, role: Role, bytes: Vec<u8>) -> u64 {
        let length_bytes = bytes.len() as u64;
        let gpa = self.take(length_bytes, PAGE_BYTES);
        layout.push(gpa, length_bytes, role, Content::Bytes(bytes));
        gpa
    }
}

/// The largest range of memory.
fn largest(memory: &[Range<u64>]) -> u64 {
    memory.iter().map(|range| range.end - range.start).max().unwrap_or(0)
}

/// Areas that every file has.
const PARAMETERS: [(ParameterKind, u64); 3] = [
    (ParameterKind::VpCount, PAGE_BYTES),
    (ParameterKind::MemoryMap, PAGE_BYTES),
    (ParameterKind::DeviceTree, 16 * PAGE_BYTES),
];

fn parameters(cursor: &mut Cursor) -> Vec<Parameter> {
    let place = |(kind, size_bytes)| Parameter { gpa: cursor.take(size_bytes, PAGE_BYTES), size_bytes, kind };
    PARAMETERS.map(place).into()
}
