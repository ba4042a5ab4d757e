//! What a Linux kernel image is, told from its first bytes.
//!
//! Sources: Linux, Documentation/arch/x86/boot.rst ("The Real-Mode Kernel Header") and
//! Documentation/arch/arm64/booting.rst ("Call the kernel image").

use object::LittleEndian;
use object::pe::{self, ImageDosHeader, ImageNtHeaders64};
use object::read::pe::ImageNtHeaders;

use crate::Arch;
use crate::fields::Fields as _;

/// As much of a kernel's start as [`identify`] ever looks at; a shorter kernel is given whole.
pub const HEAD_BYTES: usize = 4096;

/// A kernel image that a boot loader could start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub arch: Arch,
    /// The kernel's own EFI entry, if it has one.
    pub efi_stub: Option<EfiStub>,
}

/// A kernel's face as an EFI application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EfiStub {
    /// Whether it says it runs with memory that is never both writable and executable (NX_COMPAT).
    pub nx_compatible: bool,
}

/// Why some bytes are not the start of a kernel image.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    #[error("it is neither an x86 bzImage nor an arm64 Image{hint}")]
    Unknown { hint: &'static str },
    #[error("it is a bzImage of boot protocol {major}.{minor:02}, older than 2.12")]
    BootProtocol { major: u8, minor: u8 },
    #[error("it is a bzImage without a 64-bit entry")]
    Not64Bit,
    #[error("its EFI header is broken: {reason}")]
    BrokenEfiHeader { reason: String },
    #[error("it is a kernel for {arch}, but its EFI header has machine type {machine:#06x}")]
    EfiMachine { arch: Arch, machine: u16 },
}

/// Identifies a kernel by the first [`HEAD_BYTES`] of it.
pub fn identify(head: &[u8]) -> Result<Kernel, KernelError> {
    let arch = if bytes_at(head, 0x202, 4) == Some(b"HdrS") {
        check_setup_header(head)?;
        Arch::X86_64
    } else if bytes_at(head, 0x38, 4) == Some(b"ARM\x64") {
        Arch::Aarch64
    } else {
        return Err(KernelError::Unknown { hint: hint(head) });
    };
    let efi_stub = match head.starts_with(b"MZ") {
        true => Some(efi_stub(head, arch)?),
        false => None,
    };
    Ok(Kernel { arch, efi_stub })
}

/// Memory that the kernel takes from its place on, as its header says: `init_size` of a bzImage, which covers the
/// kernel unpacked and running, or `image_size` of an arm64 Image. None for bytes that [`identify`] refuses.
pub fn runtime_bytes(head: &[u8]) -> Option<u64> {
    match identify(head).ok()?.arch {
        Arch::X86_64 => bytes_at(head, 0x260, 4).map(|bytes| bytes.le32(0).into()),
        Arch::Aarch64 => bytes_at(head, 0x10, 8).map(|bytes| bytes.le64(0)),
    }
}

/// Checks the fields of a bzImage's setup header that make it one for x86_64.
fn check_setup_header(head: &[u8]) -> Result<(), KernelError> {
    let Some(&[minor, major]) = bytes_at(head, 0x206, 2) else {
        return Err(KernelError::Unknown { hint: hint(head) });
    };
    if (major, minor) < (2, 12) {
        return Err(KernelError::BootProtocol { major, minor });
    }
    // Bit 0 of xloadflags is XLF_KERNEL_64.
    match bytes_at(head, 0x236, 2) {
        Some(flags) if flags[0] & 1 != 0 => Ok(()),
        _ => Err(KernelError::Not64Bit),
    }
}

fn efi_stub(head: &[u8], arch: Arch) -> Result<EfiStub, KernelError> {
    let broken = |error: object::Error| KernelError::BrokenEfiHeader { reason: error.to_string() };
    let mut offset = ImageDosHeader::parse(head).map_err(broken)?.nt_headers_offset().into();
    let (headers, _) = ImageNtHeaders64::parse(head, &mut offset).map_err(broken)?;
    let machine = headers.file_header().machine.get(LittleEndian).0;
    if machine != arch.pe_machine() {
        return Err(KernelError::EfiMachine { arch, machine });
    }
    let flags = headers.optional_header().dll_characteristics.get(LittleEndian);
    Ok(EfiStub { nx_compatible: flags.0 & pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0 != 0 })
}

/// What the bytes may be instead.
fn hint(head: &[u8]) -> &'static str {
    match head {
        [0x1f, 0x8b, ..] => " (it is gzip data: take Image rather than Image.gz)",
        [0x7f, b'E', b'L', b'F', ..] => " (it is an ELF file, perhaps vmlinux)",
        [b'M', b'Z', _, _, b'z', b'i', b'm', b'g', ..] => " (it is a compressed EFI image: take Image)",
        _ => "",
    }
}

fn bytes_at(head: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    head.get(offset..offset + length)
}
