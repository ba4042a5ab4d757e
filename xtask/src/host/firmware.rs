//! Where distributions put UEFI firmware for QEMU: the code, and the template of its variable store.
//!
//! Only builds without Secure Boot enforcement: the images are not signed with Microsoft's keys. Where a package
//! ships both, the 4 MiB build is taken, which distributions keep when they drop the 2 MiB one.

use std::path::{Path, PathBuf};

use super::{Arch, Host};

/// A pair for QEMU's two pflash drives. `code` is to be mapped read-only; `variables` must be copied, the guest writes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    pub code: PathBuf,
    pub variables: PathBuf,
    pub format: FlashFormat,
}

/// Image format, QEMU's `format=` of the pflash drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashFormat {
    Raw,
    Qcow2,
}

impl FlashFormat {
    pub fn name(self) -> &'static str {
        match self {
            FlashFormat::Raw => "raw",
            FlashFormat::Qcow2 => "qcow2",
        }
    }

    /// As distributions name their files.
    fn of(code: &Path) -> FlashFormat {
        match code.extension().is_some_and(|extension| extension == "qcow2") {
            true => FlashFormat::Qcow2,
            false => FlashFormat::Raw,
        }
    }
}

/// The first pair of the table of which both files are there.
pub fn find(host: &Host, arch: Arch) -> Option<Firmware> {
    places(arch).iter().find_map(|(code, variables)| {
        let (code, variables) = (host.system(code), host.system(variables));
        let format = FlashFormat::of(&code);
        (code.is_file() && variables.is_file()).then_some(Firmware { code, variables, format })
    })
}

/// Where code and variables are looked for, in this order.
pub fn places(arch: Arch) -> &'static [(&'static str, &'static str)] {
    match arch {
        Arch::X86_64 => &[
            // Debian and Ubuntu, package ovmf.
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            // Fedora, package edk2-ovmf.
            ("/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2"),
            ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
            // Arch, package edk2-ovmf: since 2024 and before.
            ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
            ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
            // QEMU's own copy, from an installation out of source.
            ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
            ("/usr/local/share/qemu/edk2-x86_64-code.fd", "/usr/local/share/qemu/edk2-i386-vars.fd"),
        ],
        Arch::Aarch64 => &[
            // Debian and Ubuntu, package qemu-efi-aarch64; Fedora has links under the same names.
            ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
            // Fedora, package edk2-aarch64. The .fd files there are not padded to the 64 MiB that `virt` asks for.
            (
                "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
                "/usr/share/edk2/aarch64/vars-template-pflash.raw",
            ),
            (
                "/usr/share/edk2/aarch64/QEMU_EFI-pflash.qcow2",
                "/usr/share/edk2/aarch64/vars-template-pflash.qcow2",
            ),
            // Arch, package edk2-aarch64 (formerly edk2-armvirt).
            ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
            ("/usr/share/edk2-armvirt/aarch64/QEMU_CODE.fd", "/usr/share/edk2-armvirt/aarch64/QEMU_VARS.fd"),
            ("/usr/share/qemu/edk2-aarch64-code.fd", "/usr/share/qemu/edk2-arm-vars.fd"),
            ("/usr/local/share/qemu/edk2-aarch64-code.fd", "/usr/local/share/qemu/edk2-arm-vars.fd"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::FakeHost;

    #[test]
    fn firmware_is_found_where_each_distribution_puts_it() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for (code, variables) in places(arch) {
                let fake = FakeHost::new(Arch::X86_64);
                fake.file(code, "");
                assert_eq!(find(&fake.host, arch), None, "{code} without {variables}");
                fake.file(variables, "");
                let found = find(&fake.host, arch).expect(code);
                assert_eq!(found.code, fake.host.system(code));
                assert_eq!(found.format == FlashFormat::Qcow2, code.ends_with("qcow2"));
            }
        }
    }
}
