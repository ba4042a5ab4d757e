//! Where a kernel build puts what this tool takes from it, relative to the build directory
//! (Documentation/kbuild, arch/*/Makefile).

use crate::profile::Arch;

/// The kernel's release string, one line, written by `make prepare`.
pub const RELEASE: &str = "include/config/kernel.release";
/// The final configuration.
pub const DOT_CONFIG: &str = ".config";
/// The ELF file before it is packed.
pub const VMLINUX: &str = "vmlinux";

/// The bootable form of the kernel that an architecture's firmware takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// make's target, also the file's name among the outputs.
    pub target: &'static str,
    /// Path in the build directory.
    pub path: &'static str,
}

/// x86_64: bzImage, with setup header and EFI entry; aarch64: the flat Image, not Image.gz, since
/// only the flat one is a PE file and can be loaded without a decompressor.
pub const fn kernel_image(arch: Arch) -> KernelImage {
    match arch {
        Arch::X86_64 => KernelImage { target: "bzImage", path: "arch/x86/boot/bzImage" },
        Arch::Aarch64 => KernelImage { target: "Image", path: "arch/arm64/boot/Image" },
    }
}
