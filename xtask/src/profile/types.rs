//! What a person may write in profiles/*.yaml, profiles/layers/*.yaml, recipes/*/recipe.yaml and
//! profiles/pins.yaml: sparse, no defaults. The JSON schemas that editors use, and the checker of the
//! documents, are made from these types; what the values mean together is decided in `spec`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{ByteSize, FileMode, GitRevision, Name, RelativePath, Sha256, Snapshot, Url};

/// An image: which kernel, at which trust level, with which payload, packed how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// One sentence: what the image is for.
    pub description: Option<String>,
    /// Layers under profiles/layers/, applied in this order before this file. Maps merge key by key, lists
    /// are appended, a scalar set later wins.
    pub inherit: Option<Vec<Name>>,
    pub arch: Option<Arch>,
    pub vtl: Option<Vtl>,
    pub firmware: Option<Firmware>,
    pub console: Option<Console>,
    pub kernel: Option<Kernel>,
    pub device_tree: Option<DeviceTree>,
    pub payload: Option<Payload>,
    pub disk: Option<Disk>,
}

/// Processor architecture, in the names of the Rust and GNU target triples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "aarch64")]
    Aarch64,
}

/// Hyper-V Virtual Trust Level (TLFS, chapter "Virtual Secure Mode"): 0 is a normal guest, 2 the paravisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(schema_with = "super::schema::vtl")]
pub enum Vtl {
    Vtl0,
    Vtl2,
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

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    pub source: Option<KernelSource>,
    /// Patch files or mbox series, relative to the project, applied in this order.
    pub patches: Option<Vec<RelativePath>>,
    /// Kconfig fragments: names of configs/NAME.config, composed in this order.
    pub fragments: Option<Vec<Name>>,
    /// Kernel command line, one option an item; the console is added by the tool.
    pub command_line: Option<Vec<String>>,
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
    Path(String),
}

/// A tarball (.tar.xz, .tar.gz, .tar.zst) with its digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArchiveSource {
    pub url: Url,
    pub sha256: Sha256,
    /// Bytes; the download stops beyond it. Without it, 2 GiB is the limit.
    pub size: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GitSource {
    pub url: Url,
    /// Full commit id.
    pub revision: GitRevision,
}

/// The machine that the device tree describes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceTree {
    pub machine: Option<Machine>,
    /// Number of processors.
    pub cpus: Option<u32>,
    /// RAM, e.g. `512MiB`.
    pub memory: Option<ByteSize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    /// What a Hyper-V host offers VTL2.
    HypervVtl2,
    /// QEMU's `virt` machine (aarch64).
    QemuVirt,
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
    #[schemars(regex(pattern = r"^[A-Z0-9_-]{1,11}$"))]
    pub label: Option<String>,
    /// EFI stub of the unified kernel image: an entry of profiles/pins.yaml.
    pub efi_stub: Option<Name>,
}

/// profiles/pins.yaml: every download, by digest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pins {
    pub pins: BTreeMap<Name, Pin>,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// What it is and what uses it.
    pub description: String,
    /// Linux version, where the pin is a kernel source.
    pub linux: Option<String>,
    /// The file wanted inside the package (for a kernel source: a tarball).
    pub member: Option<RelativePath>,
    pub deb: DebPin,
}

/// A Debian package by exact version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DebPin {
    pub package: Name,
    pub version: String,
    pub architecture: DebArch,
    /// Suite in whose index `pins update` looks for a newer version.
    pub suite: Name,
    /// Path below a mirror's base address.
    pub pool: RelativePath,
    /// Bytes.
    pub size: u64,
    pub sha256: Sha256,
    /// Time stamp of the permanent archive that still has it, `YYYYMMDDTHHMMSSZ`.
    pub snapshot: Snapshot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
    pub description: String,
    /// A program built by cargo.
    pub cargo: Option<CargoBuild>,
    /// A program that comes ready made.
    pub prebuilt: Option<Vec<Prebuilt>>,
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
    pub features: Option<Vec<String>>,
    /// Absolute path in the initramfs.
    pub install: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum CargoSource {
    Git(GitSource),
    /// A local crate, absolute or relative to the project; not hermetic.
    Path(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prebuilt {
    pub arch: Arch,
    pub url: Url,
    pub sha256: Sha256,
    /// Bytes; without it, 2 GiB is the limit.
    pub size: Option<u64>,
    /// Absolute path in the initramfs.
    pub install: String,
    pub mode: Option<FileMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeFile {
    /// Path below the recipe's folder.
    pub source: RelativePath,
    /// Absolute path in the initramfs.
    pub target: String,
    pub mode: Option<FileMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeDirectory {
    pub path: String,
    pub mode: Option<FileMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeLink {
    /// Absolute path of the symbolic link in the initramfs.
    pub path: String,
    /// What it points to.
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeNode {
    pub path: String,
    #[serde(rename = "type")]
    pub kind: NodeKind,
    pub major: u32,
    pub minor: u32,
    pub mode: Option<FileMode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    Char,
    Block,
}
