//! Programs that UEFI starts: their sections, and the texts that a unified kernel image carries.
//!
//! Source: Microsoft, "PE Format"; UAPI Group, "Unified Kernel Image (UKI)".

use object::LittleEndian as LE;
use object::pe::{ImageDosHeader, ImageNtHeaders64};
use object::read::pe::{ImageNtHeaders as _, ImageOptionalHeader as _};
use serde::Serialize;

use super::finding::{COPY_AGAIN, Finding, read};
use crate::source::Source;

/// Headers lie within this; firmware and linkers make them 4 KiB at most.
const HEAD_BYTES: u64 = 64 * 1024;
const MAX_TEXT_BYTES: u32 = 64 * 1024;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Program {
    pub path: String,
    pub machine: String,
    pub is_efi_application: bool,
    pub is_signed: bool,
    pub sections: Vec<Section>,
    /// It has a kernel in it.
    pub is_unified_kernel_image: bool,
    pub command_line: Option<String>,
    pub os_release: Option<String>,
    pub kernel_release: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Section {
    pub name: String,
    pub address: u32,
    /// In memory.
    pub size_bytes: u32,
    pub offset: u32,
    pub file_bytes: u32,
}

/// What a PE file is, or why it can't be one.
pub fn program(file: &mut dyn Source, path: &str) -> Result<Program, Finding> {
    let head_bytes = file.size_bytes().min(HEAD_BYTES) as usize;
    let head = read(file, path, 0, head_bytes)?;
    let broken = |problem: String| Finding::new(path, problem, COPY_AGAIN);
    let mut program =
        headers(&head, path).map_err(|cause| broken(format!("its PE headers can't be read: {cause}")))?;
    for section in &program.sections {
        let end = u64::from(section.offset) + u64::from(section.file_bytes);
        if end > file.size_bytes() {
            let problem =
                format!("section {} ends at byte {end}, and the file at {}", section.name, file.size_bytes());
            return Err(broken(problem));
        }
    }
    let mut text = |name: &str| -> Result<Option<String>, Finding> {
        let Some(section) = program.sections.iter().find(|section| section.name == name) else {
            return Ok(None);
        };
        let length = section.size_bytes.min(section.file_bytes).min(MAX_TEXT_BYTES) as usize;
        let bytes = read(file, path, section.offset.into(), length)?;
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()))
    };
    let texts = (text(".cmdline")?, text(".osrel")?, text(".uname")?);
    (program.command_line, program.os_release, program.kernel_release) = texts;
    Ok(program)
}

fn headers(head: &[u8], path: &str) -> object::Result<Program> {
    let mut offset = ImageDosHeader::parse(head)?.nt_headers_offset().into();
    let (headers, directories) = ImageNtHeaders64::parse(head, &mut offset)?;
    let table = headers.sections(head, offset)?;
    let name = |raw: &[u8; 8]| {
        let end = raw.iter().position(|byte| *byte == 0).unwrap_or(8);
        String::from_utf8_lossy(&raw[..end]).replace(char::is_control, "\u{fffd}")
    };
    let sections: Vec<_> = table
        .iter()
        .map(|section| Section {
            name: name(&section.name),
            address: section.virtual_address.get(LE),
            size_bytes: section.virtual_size.get(LE),
            offset: section.pointer_to_raw_data.get(LE),
            file_bytes: section.size_of_raw_data.get(LE),
        })
        .collect();
    let certificate = directories.get(object::pe::IMAGE_DIRECTORY_ENTRY_SECURITY);
    Ok(Program {
        path: path.to_owned(),
        machine: match headers.file_header().machine.get(LE) {
            object::pe::IMAGE_FILE_MACHINE_AMD64 => "x86_64".to_owned(),
            object::pe::IMAGE_FILE_MACHINE_ARM64 => "aarch64".to_owned(),
            other => format!("{other:#06x}"),
        },
        is_efi_application: headers.optional_header().subsystem()
            == object::pe::IMAGE_SUBSYSTEM_EFI_APPLICATION,
        is_signed: certificate.is_some_and(|directory| directory.size.get(LE) != 0),
        is_unified_kernel_image: sections.iter().any(|section| section.name == ".linux"),
        sections,
        command_line: None,
        os_release: None,
        kernel_release: None,
    })
}
