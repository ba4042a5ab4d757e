//! What a person may write in profiles/*.yaml, profiles/layers/*.yaml, recipes/*/recipe.yaml and
//! profiles/pins.yaml: sparse, no defaults. The JSON schemas that editors use, and the checker of the
//! documents, are made from these types; what the values mean together is decided in `spec`.

use std::{borrow::Cow, collections::BTreeMap};

use release::pack::Packing;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::device_tree::DeviceTree;
use super::scalar::{
    Address, ByteSize, CargoFeature, DebVersion, FileMode, GitRevision, GitUrl, InstallPath, KernelOption,
    LinkTarget, LinuxVersion, LocalPath, Name, RelativePath, Sha256, Snapshot, Url, VolumeLabel,
};

/// An image: which kernel, at which trust level, with which payload, packed how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// One sentence: what the image is for.
    pub description: Option<String>,
    /// Layers under profiles/layers/, applied in this order before this file. Maps merge key by key, lists
    /// are appended, a scalar set later wins.
    #[allow(dead_code, reason = "read in the documents, before there is a profile")]
    pub inherit: Option<Vec<Name>>,
    pub arch: Option<Arch>,
    pub vtl: Option<Vtl>,
    pub firmware: Option<Firmware>,
    pub console: Option<Console>,
    pub kernel: Option<Kernel>,
    pub device_tree: Option<DeviceTree>,
    pub payload: Option<Payload>,
    pub igvm: Option<Igvm>,
    pub disk: Option<Disk>,
    pub release: Option<ReleaseSettings>,
    /// Two profiles for the two levels of one machine, in place of everything but the description.
    pub pair: Option<Pair>,
}

/// Names of profiles that are built, released and booted together.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pair {
    /// The paravisor's: a profile with `vtl: 2`.
    pub vtl2: Name,
    /// The guest's below it: a profile with `vtl: 0` for the same architecture.
    pub vtl0: Name,
}

/// Processor architecture, in the names of the Rust and GNU target triples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-other-names" = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}))]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Arch {
    /// As one writes it in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }
}

impl From<Arch> for image::Arch {
    fn from(arch: Arch) -> image::Arch {
        match arch {
            Arch::X86_64 => image::Arch::X86_64,
            Arch::Aarch64 => image::Arch::Aarch64,
        }
    }
}

/// Hyper-V Virtual Trust Level (TLFS, chapter "Virtual Secure Mode"): 0 is a normal guest, 2 the paravisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Vtl {
    Vtl0,
    Vtl2,
}

impl Vtl {
    pub fn number(self) -> u8 {
        match self {
            Vtl::Vtl0 => 0,
            Vtl::Vtl2 => 2,
        }
    }
}

impl TryFrom<u8> for Vtl {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Vtl::Vtl0),
            2 => Ok(Vtl::Vtl2),
            _ => Err(format!("there is no profile for trust level {number}, only for 0 and 2")),
        }
    }
}

impl From<Vtl> for u8 {
    fn from(vtl: Vtl) -> u8 {
        vtl.number()
    }
}

impl JsonSchema for Vtl {
    fn schema_name() -> Cow<'static, str> {
        "Vtl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Hyper-V Virtual Trust Level: 0 is a normal guest, 2 the paravisor.",
            "type": "integer",
            "enum": [0, 2],
        })
    }
}

/// Who starts the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// UEFI, from a unified kernel image on the EFI system partition (Hyper-V generation 2, Azure, OVMF).
    Uefi,
    /// The host, from an IGVM file, as Hyper-V starts VTL2.
    Igvm,
}

/// Serial port that carries the kernel's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Console {
    /// First 16550 UART (x86_64).
    #[serde(rename = "ttyS0")]
    TtyS0,
    /// Third 16550 UART, where OpenHCL puts VTL2's console (x86_64).
    #[serde(rename = "ttyS2")]
    TtyS2,
    /// First PL011 or SBSA UART (aarch64).
    #[serde(rename = "ttyAMA0")]
    TtyAma0,
}

impl Console {
    /// The device's name in the kernel.
    pub fn name(self) -> &'static str {
        match self {
            Console::TtyS0 => "ttyS0",
            Console::TtyS2 => "ttyS2",
            Console::TtyAma0 => "ttyAMA0",
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    pub source: Option<KernelSource>,
    /// Patch files or mbox series, relative to the project, applied in this order.
    pub patches: Option<Vec<RelativePath>>,
    /// Kconfig fragments: names of configs/NAME.config, composed in this order.
    pub fragments: Option<Vec<Name>>,
    /// Kernel command line, one option an item; the console is added by the tool.
    pub command_line: Option<Vec<KernelOption>>,
}

/// Where the kernel's source comes from.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum KernelSource {
    /// An entry of profiles/pins.yaml.
    Pin(Name),
    /// A tarball anywhere.
    Archive(ArchiveSource),
    /// A revision of a Git repository.
    Git(GitSource),
    /// A local tree, absolute or relative to the project; built incrementally, so not hermetic.
    Path(LocalPath),
}

/// A tarball (.tar.xz, .tar.gz, .tar.zst) with its digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArchiveSource {
    pub url: Url,
    pub sha256: Sha256,
    /// Bytes; the download stops beyond it. Without it, 2 GiB is the limit.
    #[schemars(range(min = 1))]
    pub size: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GitSource {
    pub url: GitUrl,
    /// Full commit id.
    pub revision: GitRevision,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Payload {
    /// Recipes: names of folders under recipes/; one of them brings /init.
    pub recipes: Option<Vec<Name>>,
    /// zstd level of the initramfs.
    #[schemars(range(min = 1, max = 19))]
    pub compression_level: Option<u8>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disk {
    /// Size of the whole disk, a multiple of 1 MiB (Azure's rule), e.g. `256MiB`.
    pub size: Option<ByteSize>,
    /// Volume label of the EFI system partition: at most 11 characters of A-Z, 0-9, `_` and `-`.
    pub label: Option<VolumeLabel>,
    /// EFI stub of the unified kernel image: an entry of profiles/pins.yaml.
    pub efi_stub: Option<Name>,
    /// What is made of disk.raw for those who take another format. Without it all; `[]` is none.
    pub formats: Option<Vec<DiskFormat>>,
    /// Without it `none`: what fills a disk is compressed already.
    pub qcow2_compression: Option<Qcow2Compression>,
}

/// A file that holds a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// disk.vhd, fixed: Azure.
    Vhd,
    /// disk.vhdx, dynamic: Hyper-V.
    Vhdx,
    /// disk.qcow2: QEMU and what is built on it.
    Qcow2,
}

/// How the clusters of disk.qcow2 are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Qcow2Compression {
    None,
    /// Zstandard: QEMU 5.1 and newer.
    Zstd,
}

/// What `cargo xtask release` makes of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReleaseSettings {
    /// How disks and kernels with symbols are packed.
    pub packing: Option<Packing>,
}

/// The IGVM file, of profiles that the host starts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Igvm {
    /// Platforms that the file is for; without it `vsm-isolation` alone. The others are x86_64's.
    pub platforms: Option<Vec<IgvmPlatform>>,
    /// Whether the host may look into confidential guests; `debug` names the file vtl2-debug.igvm. Without it `release`.
    pub policy: Option<IgvmPolicy>,
    /// Where memory begins that confidential guests share, a power of two; without it bit 46 for `sev-snp` and bit
    /// 47 for `tdx`.
    pub shared_gpa_boundary: Option<Address>,
    /// What the host starts. Without it `direct`.
    pub entry: Option<IgvmEntry>,
    /// Names of options that the host may add to the kernel's command line, with the boot shim; `"*"` is all. Without it
    /// none.
    pub host_options: Option<Vec<KernelOption>>,
    /// Memory to be kept free for the payload once it runs: the build fails if it isn't there. Without it 16 MiB.
    pub reserve: Option<ByteSize>,
    /// Security version that the measurements are endorsed for (CoRIM).
    pub security_version: Option<u32>,
}

/// What the host starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IgvmEntry {
    /// The kernel, told of the machine that the profile describes.
    Direct,
    /// The boot shim, which checks kernel and initramfs, and tells the kernel of the machine that the host describes.
    Shim,
}

/// A kind of machine that an IGVM file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IgvmPlatform {
    /// Hyper-V's own isolation of trust levels.
    VsmIsolation,
    /// No isolation: QEMU 10.1 and newer.
    Native,
    /// AMD's encrypted guests.
    SevSnp,
    /// Intel's encrypted guests.
    Tdx,
}

impl IgvmPlatform {
    /// Name of the endorsement of what the platform measures; None where it measures nothing.
    pub fn corim(self) -> Option<&'static str> {
        match self {
            IgvmPlatform::VsmIsolation => Some("vsm-isolation.corim"),
            IgvmPlatform::Native => None,
            IgvmPlatform::SevSnp => Some("sev-snp.corim"),
            IgvmPlatform::Tdx => Some("tdx.corim"),
        }
    }
}

/// Who may look into a confidential guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IgvmPolicy {
    /// Nobody.
    Release,
    /// The host.
    Debug,
}

/// profiles/pins.yaml: every download, by digest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pins {
    #[schemars(extend("patternErrorMessage" = format!("expected {}", Name::WANTED)))]
    pub pins: BTreeMap<Name, Pin>,
    /// Pins of the packages that together hold rustc and the standard library for aarch64, unpacked over each
    /// other, for machines whose own Rust toolchain lacks that target.
    pub rust_for_aarch64: Option<Vec<Name>>,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// What it is and what uses it.
    pub description: String,
    /// Linux version, where the pin is a kernel source.
    pub linux: Option<LinuxVersion>,
    /// The file wanted inside the package (for a kernel source: a tarball).
    pub member: Option<RelativePath>,
    pub deb: DebPin,
}

/// A Debian package by exact version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DebPin {
    pub package: Name,
    pub version: DebVersion,
    pub architecture: DebArch,
    /// Suite in whose index `pins update` looks for a newer version.
    pub suite: Name,
    /// Path below a mirror's base address.
    pub pool: RelativePath,
    /// Bytes.
    #[schemars(range(min = 1))]
    pub size: u64,
    pub sha256: Sha256,
    /// Time stamp of the permanent archive that still has it, `YYYYMMDDTHHMMSSZ`.
    pub snapshot: Snapshot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DebArch {
    All,
    Amd64,
    Arm64,
}

/// recipes/NAME/recipe.yaml: how a part of the payload is made and where it goes in the initramfs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// One sentence: what it brings.
    #[allow(dead_code, reason = "for readers of the recipe")]
    pub description: String,
    /// A program built by cargo. A recipe has this, `prebuilt`, or neither.
    pub cargo: Option<CargoBuild>,
    /// A program that comes ready made: an entry for each architecture.
    pub prebuilt: Option<Vec<Prebuilt>>,
    /// Files of pinned packages, for each architecture.
    pub packages: Option<Vec<PackageFile>>,
    /// Files of the recipe's folder.
    pub files: Option<Vec<RecipeFile>>,
    pub directories: Option<Vec<RecipeDirectory>>,
    pub links: Option<Vec<RecipeLink>>,
    pub nodes: Option<Vec<RecipeNode>>,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CargoBuild {
    /// Where the crate is; without it, the recipe's own folder.
    pub source: Option<CargoSource>,
    pub package: Name,
    pub binary: Name,
    pub features: Option<Vec<CargoFeature>>,
    /// Absolute path in the initramfs.
    pub install: InstallPath,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum CargoSource {
    Git(GitSource),
    /// A local crate, absolute or relative to the project; not hermetic.
    Path(LocalPath),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prebuilt {
    pub arch: Arch,
    pub url: Url,
    pub sha256: Sha256,
    /// Bytes; without it, 2 GiB is the limit.
    #[schemars(range(min = 1))]
    pub size: Option<u64>,
    /// Absolute path in the initramfs.
    pub install: InstallPath,
    /// Without it `0755`.
    pub mode: Option<FileMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackageFile {
    pub arch: Arch,
    /// The package's entry in profiles/pins.yaml.
    pub pin: Name,
    /// Path of a regular file inside the package.
    pub member: RelativePath,
    /// Absolute path in the initramfs.
    pub install: InstallPath,
    /// Without it `0755`.
    pub mode: Option<FileMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeFile {
    /// Path below the recipe's folder.
    pub source: RelativePath,
    /// Absolute path in the initramfs.
    pub target: InstallPath,
    /// Without it `0644`.
    pub mode: Option<FileMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeDirectory {
    pub path: InstallPath,
    /// Without it `0755`.
    pub mode: Option<FileMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeLink {
    /// Absolute path of the symbolic link in the initramfs.
    pub path: InstallPath,
    /// What it points to.
    pub to: LinkTarget,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeNode {
    pub path: InstallPath,
    #[serde(rename = "type")]
    pub kind: NodeKind,
    /// 12 bits in Linux.
    #[schemars(range(max = 4095))]
    pub major: u32,
    /// 20 bits in Linux.
    #[schemars(range(max = 1_048_575))]
    pub minor: u32,
    /// Without it `0600`.
    pub mode: Option<FileMode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    Char,
    Block,
}
