//! What a file says, in short.

use std::{collections::BTreeMap, fmt::Write as _};

use igvm::{IgvmDirectiveHeader, IgvmInitializationHeader};
use image::igvm::policy::allows_debug;
use serde::Serialize;

use crate::{foreign::Foreign, map::platforms, name, pages};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    pub format_version: u32,
    pub arch: String,
    pub size_bytes: u64,
    pub platforms: Vec<Platform>,
    pub required_memory: Vec<Memory>,
    pub parameters: Vec<Parameter>,
    /// How pages are imported → how many.
    pub pages: BTreeMap<String, u64>,
    pub contexts: Vec<Context>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Platform {
    pub name: String,
    pub compatibility_mask: u32,
    pub highest_vtl: u8,
    pub shared_gpa_boundary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Whether the host may look into the guest.
    pub debug: bool,
    /// Whether the launch digest is signed in the file.
    pub id_block: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Memory {
    pub start: String,
    pub bytes: u64,
    pub vtl2_protectable: bool,
    pub platforms: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parameter {
    pub start: String,
    pub end: String,
    pub what: String,
    pub platforms: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Context {
    pub platforms: String,
    /// Registers by name, as they are set.
    pub registers: Vec<String>,
}

pub fn show(read: &Foreign) -> Summary {
    let names = platforms(read);
    let pages = pages::pages(&read.file);
    let mut counts = BTreeMap::new();
    for page in pages.values() {
        *counts.entry(page.kind.name()).or_default() += 1;
    }
    let parameters = pages::runs(&pages).into_iter().filter_map(|run| match run.kind {
        pages::Kind::Parameter(what) => Some(Parameter {
            start: format!("{:#x}", run.start),
            end: format!("{:#x}", run.end),
            what,
            platforms: name::mask(&names, run.mask),
        }),
        _ => None,
    });
    Summary {
        format_version: read.version,
        arch: read.arch.to_string(),
        size_bytes: read.size_bytes,
        platforms: read.platforms().map(|own| platform(read, own)).collect(),
        required_memory: memory(read, &names),
        parameters: parameters.collect(),
        pages: counts,
        contexts: read.file.directives().iter().filter_map(|directive| context(directive, &names)).collect(),
    }
}

fn platform(read: &Foreign, own: &igvm_defs::IGVM_VHS_SUPPORTED_PLATFORM) -> Platform {
    let mask = own.compatibility_mask;
    let policy = read.file.initializations().iter().find_map(|header| match header {
        IgvmInitializationHeader::GuestPolicy { policy, compatibility_mask }
            if compatibility_mask & mask != 0 =>
        {
            Some(*policy)
        }
        _ => None,
    });
    let kind = name::platform_kind(own.platform_type);
    let is_id_block = |directive: &IgvmDirectiveHeader| matches!(directive, IgvmDirectiveHeader::SnpIdBlock { compatibility_mask, .. } if compatibility_mask & mask != 0);
    Platform {
        name: name::platform(own.platform_type),
        compatibility_mask: mask,
        highest_vtl: own.highest_vtl,
        shared_gpa_boundary: format!("{:#x}", own.shared_gpa_boundary),
        policy: policy.map(|policy| format!("{policy:#x}")),
        debug: kind.zip(policy).is_some_and(|(kind, policy)| allows_debug(kind, policy)),
        id_block: read.file.directives().iter().any(is_id_block),
    }
}

fn memory(read: &Foreign, names: &[(u32, String)]) -> Vec<Memory> {
    let memory = |directive: &IgvmDirectiveHeader| match directive {
        IgvmDirectiveHeader::RequiredMemory {
            gpa,
            compatibility_mask,
            number_of_bytes,
            vtl2_protectable,
        } => Some(Memory {
            start: format!("{gpa:#x}"),
            bytes: (*number_of_bytes).into(),
            vtl2_protectable: *vtl2_protectable,
            platforms: name::mask(names, *compatibility_mask),
        }),
        _ => None,
    };
    read.file.directives().iter().filter_map(memory).collect()
}

fn context(directive: &IgvmDirectiveHeader, names: &[(u32, String)]) -> Option<Context> {
    let registers = match directive {
        IgvmDirectiveHeader::X64VbsVpContext { registers, .. } => {
            registers.iter().map(|register| format!("{register:x?}")).collect()
        }
        IgvmDirectiveHeader::AArch64VbsVpContext { registers, .. } => {
            registers.iter().map(|register| format!("{register:x?}")).collect()
        }
        IgvmDirectiveHeader::SnpVpContext { vmsa, gpa, .. } => vec![
            format!("Vmsa({gpa:#x})"),
            format!("Rip({:x})", vmsa.rip),
            format!("Rsi({:x})", vmsa.rsi),
            format!("Cr3({:x})", vmsa.cr3),
            format!("SevFeatures({:x})", u64::from(vmsa.sev_features)),
            format!("VirtualTom({:x})", vmsa.virtual_tom),
        ],
        IgvmDirectiveHeader::X64NativeVpContext { context, .. } => vec![
            format!("Rip({:x})", context.rip),
            format!("Rsi({:x})", context.rsi),
            format!("Cr3({:x})", context.cr3),
        ],
        _ => return None,
    };
    Some(Context { platforms: name::mask(names, directive.compatibility_mask().unwrap_or(0)), registers })
}

impl Summary {
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ =
            writeln!(text, "IGVM version {}, {}, {} bytes", self.format_version, self.arch, self.size_bytes);
        for platform in &self.platforms {
            let _ = write!(text, "platform   {}, highest VTL {}", platform.name, platform.highest_vtl);
            if platform.shared_gpa_boundary != "0x0" {
                let _ = write!(text, ", shared from {}", platform.shared_gpa_boundary);
            }
            if let Some(policy) = &platform.policy {
                let _ = write!(text, ", policy {policy}{}", if platform.debug { " (debug)" } else { "" });
            }
            let _ = writeln!(text, "{}", if platform.id_block { ", ID block" } else { "" });
        }
        for memory in &self.required_memory {
            let protectable = if memory.vtl2_protectable { ", protectable by VTL2" } else { "" };
            let _ = writeln!(
                text,
                "memory     {} + {} MiB{protectable} ({})",
                memory.start,
                memory.bytes >> 20,
                memory.platforms
            );
        }
        for parameter in &self.parameters {
            let Parameter { start, end, what, platforms } = parameter;
            let _ = writeln!(text, "host gives {start}..{end} {what} ({platforms})");
        }
        for (kind, count) in &self.pages {
            let _ = writeln!(text, "pages      {count} {kind}");
        }
        for context in &self.contexts {
            let _ = writeln!(text, "begins     ({}) {}", context.platforms, context.registers.join(" "));
        }
        text
    }
}
