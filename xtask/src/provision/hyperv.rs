//! A script for PowerShell that makes a machine of Hyper-V: VTL2 from an IGVM file, and below it the disk of a VTL0
//! profile; and a page for whoever runs it. Facts: OpenVMM's guide ("Windows - Hyper-V"), Microsoft's documentation
//! of New-VM and of Msvm_VirtualSystemSettingData.

use super::{
    powershell::{self, quote},
    template::fill,
};
use crate::{
    digest::Digest,
    profile::{Arch, types::Console},
};

/// Names beside the files.
pub const SCRIPT: &str = "provision.ps1";
pub const README: &str = "README.md";

/// A file beside the script.
pub struct Artifact {
    pub profile: String,
    pub file: String,
    pub sha256: Digest,
}

pub struct Given {
    /// The machine's name, if whoever runs the script gives no other.
    pub name: String,
    pub arch: Arch,
    pub console: Console,
    pub processors: u32,
    pub memory_bytes: u64,
    pub igvm: Artifact,
    pub disk: Option<Artifact>,
}

pub fn script(given: &Given) -> Vec<u8> {
    let disk = given.disk.as_ref();
    let text = fill(
        include_str!("hyperv.ps1"),
        &[
            ("subject", subject(given)),
            ("script", SCRIPT.to_string()),
            ("name", quote(&given.name)),
            ("memory", given.memory_bytes.to_string()),
            ("processors", given.processors.to_string()),
            ("igvm", quote(&given.igvm.file)),
            ("igvm-sha256", quote(&given.igvm.sha256.to_string())),
            ("disk", quote(disk.map_or("", |disk| &disk.file))),
            ("disk-sha256", quote(&disk.map(|disk| disk.sha256.to_string()).unwrap_or_default())),
            ("architecture", quote(architecture(given.arch))),
            ("console-port", port(given.console).to_string()),
        ],
    );
    powershell::file(&text)
}

pub fn readme(given: &Given) -> String {
    let row = |artifact: &Artifact, what: &str| {
        format!("| `{}` | {what} of {} | `{}` |\n", artifact.file, artifact.profile, artifact.sha256)
    };
    let mut files = row(&given.igvm, "VTL2: the IGVM file");
    files += &given.disk.as_ref().map(|disk| row(disk, "VTL0: the disk")).unwrap_or_default();
    fill(
        include_str!("hyperv.md"),
        &[
            ("subject", subject(given)),
            ("files", files),
            ("script", SCRIPT.to_string()),
            ("port", port(given.console).to_string()),
            ("architecture", architecture(given.arch).to_string()),
        ],
    )
}

fn subject(given: &Given) -> String {
    match &given.disk {
        Some(disk) => format!("{} at VTL2 and the disk of {} below it", given.igvm.profile, disk.profile),
        None => format!("{} at VTL2", given.igvm.profile),
    }
}

/// As Windows calls it: PROCESSOR_ARCHITECTURE.
fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "AMD64",
        Arch::Aarch64 => "ARM64",
    }
}

/// The machine's serial port, counted from 1.
fn port(console: Console) -> u8 {
    match console {
        Console::TtyS0 | Console::TtyAma0 => 1,
        Console::TtyS2 => 3,
    }
}
