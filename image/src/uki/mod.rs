//! Unified kernel images: an EFI stub with kernel, initramfs and command line as further PE sections.
//!
//! Sections come in the order .osrel, .cmdline, .uname, .dtb, .initrd, .linux. The kernel is last because a kernel
//! that is run in place writes behind itself. The image's checksum field is 0, "not computed": UEFI firmware reads it
//! nowhere, and a signature would change it. Not here: signing, measuring (.pcrsig), splash images.
//! Sources: UAPI Group, "Unified Kernel Image (UKI)"; Microsoft, "PE Format".

mod stub;

use crate::Arch;
use crate::kernel::{self, KernelError};
use crate::layout::{Layout, Stream};
use crate::sparse::Sparse;
use stub::Stub;

/// What goes into a unified kernel image.
#[derive(Clone, Debug)]
pub struct Uki<'a> {
    pub arch: Arch,
    /// The EFI stub, whole: systemd's linuxx64.efi.stub or linuxaa64.efi.stub.
    pub stub: &'a [u8],
    /// Text of the image's os-release file.
    pub os_release: &'a str,
    pub cmdline: &'a str,
    /// The kernel's release, as `uname -r` prints it.
    pub uname: &'a str,
    pub device_tree: Option<&'a [u8]>,
    pub kernel: KernelPart<'a>,
    pub initrd: Option<Part>,
}

/// Contents known by name and length, read when the image is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The caller's name for the contents.
    pub source: String,
    pub length_bytes: u64,
}

/// The kernel, and its first bytes to be checked before.
#[derive(Clone, Debug)]
pub struct KernelPart<'a> {
    /// The first [`kernel::HEAD_BYTES`] of the kernel, or all of a shorter one.
    pub head: &'a [u8],
    pub part: Part,
}

/// Why a unified kernel image cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum UkiError {
    #[error("the EFI stub is no 64-bit PE image: {reason}")]
    StubNotPe { reason: String },
    #[error("the EFI stub has machine type {machine:#06x}, but {arch} is {:#06x}", .arch.pe_machine())]
    StubMachine { arch: Arch, machine: u16 },
    #[error("the EFI stub is signed, which adding sections would break")]
    StubSigned,
    #[error("the EFI stub's {reason}")]
    StubLayout { reason: &'static str },
    #[error("the EFI stub already has a section {name}")]
    SectionExists { name: &'static str },
    #[error("the EFI stub's headers have room for {room} more sections, but {needed} are needed")]
    NoHeaderRoom { room: usize, needed: usize },
    #[error("kernel {source_name}")]
    Kernel {
        source_name: String,
        #[source]
        cause: KernelError,
    },
    #[error("kernel {source_name} is for {actual}, but the image is for {wanted}")]
    KernelArch { source_name: String, wanted: Arch, actual: Arch },
    #[error("kernel {source_name} has no EFI stub (CONFIG_EFI_STUB)")]
    KernelWithoutEfiStub { source_name: String },
    #[error("{field} has a NUL or another control character in it")]
    ControlCharacter { field: &'static str },
    #[error("the device tree does not start with the magic number of a DTB")]
    DeviceTree,
    #[error("section {name} would be empty")]
    EmptySection { name: &'static str },
    #[error("the image would be larger than 4 GiB, the limit of PE")]
    TooLarge,
}

/// A section to be added.
struct Section<'a> {
    name: &'static str,
    content: SectionContent<'a>,
    is_code: bool,
}

enum SectionContent<'a> {
    Bytes(&'a [u8]),
    Part(&'a Part),
}

impl Section<'_> {
    fn length_bytes(&self) -> u64 {
        match &self.content {
            SectionContent::Bytes(bytes) => bytes.len() as u64,
            SectionContent::Part(part) => part.length_bytes,
        }
    }
}

/// Lays the image out; its streams are the kernel and the initramfs.
pub fn layout(uki: &Uki<'_>) -> Result<Layout, UkiError> {
    check_texts(uki)?;
    let kernel = check_kernel(uki)?;
    let sections = sections(uki);
    let mut stub = Stub::parse(uki.stub, uki.arch)?;
    stub.check_room(&sections)?;
    if !kernel.nx_compatible {
        stub.clear_nx_compatible();
    }

    let mut places = Vec::with_capacity(sections.len());
    for section in &sections {
        places.push(stub.add(section)?);
    }
    let size_bytes = stub.file_end();
    let mut metadata = Sparse::new(size_bytes);
    let mut streams = Vec::new();
    metadata.write_at(0, &stub.finish());
    for (section, offset) in sections.iter().zip(places) {
        match &section.content {
            SectionContent::Bytes(bytes) => metadata.write_at(offset, bytes),
            SectionContent::Part(part) => {
                streams.push(Stream { source: part.source.clone(), offset, length_bytes: part.length_bytes })
            }
        }
    }
    Ok(Layout::new(metadata, streams))
}

fn sections<'a>(uki: &'a Uki<'_>) -> Vec<Section<'a>> {
    let bytes = |name, bytes| Section { name, content: SectionContent::Bytes(bytes), is_code: false };
    let part = |name, part, is_code| Section { name, content: SectionContent::Part(part), is_code };
    let mut sections = vec![
        bytes(".osrel", uki.os_release.as_bytes()),
        bytes(".cmdline", uki.cmdline.as_bytes()),
        bytes(".uname", uki.uname.as_bytes()),
    ];
    sections.extend(uki.device_tree.map(|tree| bytes(".dtb", tree)));
    sections.extend(uki.initrd.as_ref().map(|initrd| part(".initrd", initrd, false)));
    sections.push(part(".linux", &uki.kernel.part, true));
    sections
}

fn check_texts(uki: &Uki<'_>) -> Result<(), UkiError> {
    let single_line = |field, text: &str| match text.contains(char::is_control) {
        true => Err(UkiError::ControlCharacter { field }),
        false => Ok(()),
    };
    single_line("the kernel command line", uki.cmdline)?;
    single_line("the kernel release", uki.uname)?;
    if uki.os_release.contains('\0') {
        let field = "the os-release text";
        return Err(UkiError::ControlCharacter { field });
    }
    // Devicetree specification 0.4, section 5.2.
    if uki.device_tree.is_some_and(|tree| !tree.starts_with(&[0xd0, 0x0d, 0xfe, 0xed])) {
        return Err(UkiError::DeviceTree);
    }
    Ok(())
}

fn check_kernel(uki: &Uki<'_>) -> Result<kernel::EfiStub, UkiError> {
    let source_name = uki.kernel.part.source.clone();
    let kernel = match kernel::identify(uki.kernel.head) {
        Ok(kernel) => kernel,
        Err(cause) => return Err(UkiError::Kernel { source_name, cause }),
    };
    if kernel.arch != uki.arch {
        return Err(UkiError::KernelArch { source_name, wanted: uki.arch, actual: kernel.arch });
    }
    kernel.efi_stub.ok_or(UkiError::KernelWithoutEfiStub { source_name })
}
