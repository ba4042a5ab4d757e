//! What a step does, with typed parameters: everything that decides its outputs beside inputs and tools.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    kernel::{Composed, lint::Rules},
    profile::{
        FileMode, Sha256,
        spec::{DeviceTreeSpec, IgvmSpec},
        types::{Arch, DebPin, NodeKind, Qcow2Compression, Vtl},
    },
};

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Action {
    /// Downloads a Debian package. → `file`
    FetchDeb(DebPin),
    /// Downloads one file. → `file`
    FetchUrl { url: String, sha256: Sha256, size_bytes: Option<u64> },
    /// Exports one revision of a Git repository and applies patches. `patch-NNN` → `tree`
    FetchGit { url: String, revision: String, patches: Vec<String> },
    /// Takes one file out of a package. `package` → `file`
    ExtractMember { member: String },
    /// Unpacks a source tree and applies patches. `source`, `patch-NNN` → `tree`
    UnpackSource { from: SourceFrom, patches: Vec<String> },
    /// Unpacks several packages over each other. `package-NN` → `tree`
    UnpackDebs,
    /// Unpacks the packages of the builder's root over each other, and makes these links. `package-NNN` → `tree`
    UnpackRoot { links: BTreeMap<String, String> },
    /// Resolves fragments with the kernel's own conf and proves that they survived and that no rule is broken.
    /// `source` → `kernel.config`
    ResolveKconfig {
        arch: Arch,
        vtl: Vtl,
        /// Content of the file that KCONFIG_ALLCONFIG names.
        all_config: String,
        /// What the final configuration has to keep.
        rules: Rules,
        /// Where each request stands, for the report; reports don't decide outputs.
        #[serde(skip)]
        composed: Composed,
    },
    /// `source`, `config` → `kernel`, `vmlinux`, `System.map`, `release`
    BuildKernel { arch: Arch },
    /// → `platform.dtb`, `platform.dts`
    EmitDtb { arch: Arch, vtl: Vtl, described: Box<DeviceTreeSpec>, command_line: String },
    /// Brings the crates that a Cargo.lock names. `crate` → `tree`
    VendorCrates { package: String },
    /// `crate`, `vendor`, `rust` → `program`, `program.debug`, `crates.json`
    BuildPayload { arch: Arch, package: String, binary: String, features: Vec<String>, rust: RustFrom },
    /// The program that stands in for Hyper-V when an image is booted here. `crate`, `rust` → as above
    BuildMonitor { arch: Arch, rust: RustFrom },
    /// What a VTL2 host starts before the kernel, to lie at this address. `crate`, `vendor`, `rust` → as above,
    /// and `shim`, the program as it lies in memory
    BuildShim { arch: Arch, base: u64, rust: RustFrom },
    /// The program that UEFI starts from the disk of a VTL2 profile, which brings the monitor and its guest into memory.
    /// `crate`, `vendor`, `rust` → `loader.efi`, and what it is made of: `program`, `program.debug`, `crates.json`
    BuildLoader { arch: Arch, rust: RustFrom },
    /// → `initramfs.cpio.zst`
    PackInitramfs { entries: BTreeMap<String, InitramfsEntry>, compression_level: u8 },
    /// `stub`, `kernel`, `release`, `initramfs` → `uki.efi`
    BuildUki { arch: Arch, profile: String, command_line: String },
    /// What a VTL2 host loads, what each page of it is, and what its platforms measure. `kernel`, `initramfs` →
    /// `vtl2.igvm`, `vtl2.map.json`, `measurements.json`, `PLATFORM.corim`
    PackIgvm { arch: Arch, vtl: Vtl, described: Box<DeviceTreeSpec>, command_line: String, igvm: IgvmSpec },
    /// → `disk.raw`
    PackDisk { profile: String, size_bytes: u64, label: String, esp: BTreeMap<String, EspFile> },
    /// `disk` → `disk.vhd`
    PackVhd { profile: String, size_bytes: u64 },
    /// `disk` → `disk.vhdx`
    PackVhdx { profile: String },
    /// `disk` → `disk.qcow2`
    PackQcow2 { compression: Qcow2Compression },
}

/// What `source` of UnpackSource is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceFrom {
    /// A package with the tarball as its file `member`.
    Deb {
        member: String,
    },
    Tarball,
}

/// Where the compiler and the standard library of a payload come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RustFrom {
    /// The toolchain of this machine, for a target that it has.
    Toolchain { target: String },
    /// Debian's packages, unpacked: input `rust`.
    Debian { target: String },
    /// That of the builder's root.
    Builder { target: String },
}

/// One entry of an initramfs; the map's key is its absolute path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitramfsEntry {
    Directory {
        mode: FileMode,
    },
    /// Content is the input of this role.
    File {
        role: String,
        mode: FileMode,
    },
    Link {
        to: String,
    },
    Node(InitramfsNode),
}

/// A file of the EFI system partition; the map's key is its path there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EspFile {
    /// Content is the input of this role.
    Input(String),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InitramfsNode {
    pub kind: NodeKind,
    pub major: u32,
    pub minor: u32,
    pub mode: FileMode,
}

impl Action {
    /// Name of the kind, as in a plan's JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Action::FetchDeb(_) => "fetch-deb",
            Action::FetchUrl { .. } => "fetch-url",
            Action::FetchGit { .. } => "fetch-git",
            Action::ExtractMember { .. } => "extract-member",
            Action::UnpackSource { .. } => "unpack-source",
            Action::UnpackDebs => "unpack-debs",
            Action::UnpackRoot { .. } => "unpack-root",
            Action::ResolveKconfig { .. } => "resolve-kconfig",
            Action::BuildKernel { .. } => "build-kernel",
            Action::EmitDtb { .. } => "emit-dtb",
            Action::VendorCrates { .. } => "vendor-crates",
            Action::BuildPayload { .. } => "build-payload",
            Action::BuildMonitor { .. } => "build-monitor",
            Action::BuildShim { .. } => "build-shim",
            Action::BuildLoader { .. } => "build-loader",
            Action::PackInitramfs { .. } => "pack-initramfs",
            Action::BuildUki { .. } => "build-uki",
            Action::PackIgvm { .. } => "pack-igvm",
            Action::PackDisk { .. } => "pack-disk",
            Action::PackVhd { .. } => "pack-vhd",
            Action::PackVhdx { .. } => "pack-vhdx",
            Action::PackQcow2 { .. } => "pack-qcow2",
        }
    }

    /// The architecture of a configuration that the step resolves.
    pub fn config_arch(&self) -> Option<Arch> {
        match self {
            Action::ResolveKconfig { arch, .. } => Some(*arch),
            _ => None,
        }
    }

    pub fn is_resolve_kconfig(&self) -> bool {
        self.config_arch().is_some()
    }

    /// What this tool's own code contributes to the outputs of such a step: the digest of the library that
    /// writes the bytes where it is ours, and a number that whoever changes a step's behaviour raises.
    pub fn version(&self) -> String {
        let (number, code) = match self {
            Action::PackIgvm { .. } => {
                (1, concat!(env!("VTLFORGE_IMAGE_CODE"), " ", env!("VTLFORGE_IGVM_CODE")))
            }
            Action::FetchDeb(_) | Action::FetchUrl { .. } | Action::FetchGit { .. } => (1, ""),
            Action::ExtractMember { .. } | Action::UnpackSource { .. } | Action::UnpackDebs => (1, ""),
            Action::UnpackRoot { .. } => (1, ""),
            Action::ResolveKconfig { .. } | Action::BuildKernel { .. } => (1, ""),
            Action::BuildShim { .. } => (1, ""),
            Action::VendorCrates { .. } => (2, ""),
            Action::BuildPayload { .. } | Action::BuildMonitor { .. } => (2, ""),
            Action::BuildLoader { .. } => (1, env!("VTLFORGE_IMAGE_CODE")),
            Action::EmitDtb { .. } => (2, env!("VTLFORGE_FDT_CODE")),
            Action::PackInitramfs { .. }
            | Action::BuildUki { .. }
            | Action::PackDisk { .. }
            | Action::PackVhd { .. }
            | Action::PackVhdx { .. }
            | Action::PackQcow2 { .. } => (1, env!("VTLFORGE_IMAGE_CODE")),
        };
        format!("{number}{}{code}", if code.is_empty() { "" } else { " " })
    }

    /// Whether the step runs programs that decide what it makes: those of the builder's root, if there is one.
    pub fn runs_tools(&self) -> bool {
        match self {
            Action::ResolveKconfig { .. }
            | Action::BuildKernel { .. }
            | Action::BuildPayload { .. }
            | Action::BuildMonitor { .. }
            | Action::BuildShim { .. }
            | Action::BuildLoader { .. } => true,
            Action::FetchDeb(_)
            | Action::FetchUrl { .. }
            | Action::FetchGit { .. }
            | Action::ExtractMember { .. }
            | Action::UnpackSource { .. }
            | Action::UnpackDebs
            | Action::UnpackRoot { .. }
            | Action::EmitDtb { .. }
            | Action::VendorCrates { .. }
            | Action::PackInitramfs { .. }
            | Action::BuildUki { .. }
            | Action::PackIgvm { .. }
            | Action::PackDisk { .. }
            | Action::PackVhd { .. }
            | Action::PackVhdx { .. }
            | Action::PackQcow2 { .. } => false,
        }
    }

    /// How much of the machine the step wants while it runs.
    pub fn weight(&self) -> Weight {
        match self {
            Action::FetchDeb(_)
            | Action::FetchUrl { .. }
            | Action::FetchGit { .. }
            | Action::VendorCrates { .. }
            | Action::ExtractMember { .. }
            | Action::EmitDtb { .. }
            | Action::PackInitramfs { .. }
            | Action::BuildUki { .. }
            | Action::PackDisk { .. }
            | Action::PackVhd { .. }
            | Action::PackVhdx { .. }
            | Action::PackQcow2 { .. } => Weight::Light,
            Action::UnpackSource { .. }
            | Action::UnpackDebs
            | Action::UnpackRoot { .. }
            | Action::ResolveKconfig { .. }
            | Action::BuildPayload { .. }
            | Action::BuildMonitor { .. }
            | Action::BuildShim { .. }
            | Action::BuildLoader { .. }
            | Action::PackIgvm { .. } => Weight::OneCore,
            Action::BuildKernel { .. } => Weight::AllCores,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Over in a moment, or waiting for others most of the time: welcome beside anything.
    Light,
    OneCore,
    /// Runs as many jobs as it is given; nothing but light steps beside it.
    AllCores,
}
