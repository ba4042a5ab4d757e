//! Where each page of a file comes from: its ranges, and with the map that a build writes beside it their origins.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use igvm_defs::PAGE_SIZE_4K;
use image::igvm::{Content, Layout, Role, fit::Fit};
use serde::{Deserialize, Serialize};

use crate::{
    foreign::Foreign,
    name,
    pages::{self, Kind},
};

/// A range of pages that have one origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// First address, `0x…`.
    pub start: String,
    /// Address behind the last page.
    pub end: String,
    pub pages: u64,
    pub import: Kind,
    pub platforms: Vec<String>,
    /// What the pages are for; known of files that were built here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The artifact that they are a part of, and the first byte there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_offset: Option<u64>,
}

/// The map that a build keeps beside its file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Origins {
    /// Size of the file that it is the map of.
    pub file_bytes: u64,
    /// What takes how much of the machine's memory once it boots.
    pub memory: Fit,
    pub ranges: Vec<Origin>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Origin {
    pub gpa: u64,
    pub length_bytes: u64,
    pub role: Role,
    pub platforms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_offset: Option<u64>,
}

impl Origins {
    pub fn new(layout: &Layout, memory: Fit, file_bytes: u64) -> Origins {
        let origin = |region: &image::igvm::Region| {
            let (source, source_offset) = match &region.content {
                Content::Source { name, offset } => (Some(name.clone()), Some(*offset)),
                Content::Bytes(_) | Content::Host => (None, None),
            };
            Origin {
                gpa: region.gpa,
                length_bytes: region.length_bytes,
                role: region.role,
                platforms: region.platforms.iter().map(|kind| kind.name().to_string()).collect(),
                source,
                source_offset,
            }
        };
        Origins { file_bytes, memory, ranges: layout.regions.iter().map(origin).collect() }
    }

    /// The map beside a file, if there is one.
    pub fn beside(path: &Path, size_bytes: u64) -> Result<Option<Origins>> {
        let path = path.with_extension("map.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        let origins: Origins =
            serde_json::from_slice(&text).with_context(|| format!("{} is no map", path.display()))?;
        let is_its = origins.file_bytes == size_bytes;
        ensure!(
            is_its,
            "{} is the map of another file, of {} bytes; build again, or move it away",
            path.display(),
            origins.file_bytes
        );
        Ok(Some(origins))
    }

    /// The role of what is at `gpa` on a platform.
    pub fn role_at(&self, gpa: u64, platform: &str) -> Option<Role> {
        self.at(gpa, platform).map(|origin| origin.role)
    }

    /// Addresses of what has a role on a platform.
    pub fn of_role(&self, role: &str, platform: &str) -> Option<std::ops::Range<u64>> {
        let has = |origin: &&Origin| {
            role_name(origin.role) == role && origin.platforms.iter().any(|own| own == platform)
        };
        let origin = self.ranges.iter().find(has)?;
        Some(origin.gpa..origin.gpa + origin.length_bytes)
    }

    /// What is at `gpa` on a platform.
    fn at(&self, gpa: u64, platform: &str) -> Option<&Origin> {
        self.ranges.iter().find(|origin| {
            let end = origin.gpa + origin.length_bytes.next_multiple_of(PAGE_SIZE_4K);
            (origin.gpa..end).contains(&gpa) && origin.platforms.iter().any(|own| own == platform)
        })
    }
}

/// All ranges of a file in order of address.
pub fn map(read: &Foreign, origins: Option<&Origins>) -> Vec<Entry> {
    let names: Vec<(u32, String)> = platforms(read);
    let mut entries = Vec::new();
    for run in pages::runs(&pages::pages(&read.file)) {
        let own = names.iter().filter(|(bit, _)| bit & run.mask != 0).map(|(_, name)| name.clone());
        let platforms: Vec<String> = own.collect();
        let mut start = run.start;
        while start < run.end {
            let origin = origins.zip(platforms.first()).and_then(|(origins, name)| origins.at(start, name));
            let end = origin.map_or(run.end, |origin| {
                run.end.min(origin.gpa + origin.length_bytes.next_multiple_of(PAGE_SIZE_4K))
            });
            let entry = Entry {
                start: format!("{start:#x}"),
                end: format!("{end:#x}"),
                pages: (end - start) / PAGE_SIZE_4K,
                import: run.kind.clone(),
                platforms: platforms.clone(),
                role: origin.map(|origin| origin.role),
                source: origin.and_then(|origin| origin.source.clone()),
                source_offset: origin.and_then(|origin| Some(origin.source_offset? + start - origin.gpa)),
            };
            entries.push((start, run.mask, entry));
            start = end;
        }
    }
    entries.sort_by_key(|(start, mask, _)| (*start, *mask));
    entries.into_iter().map(|(_, _, entry)| entry).collect()
}

/// Bit and name of each platform.
pub fn platforms(read: &Foreign) -> Vec<(u32, String)> {
    read.platforms()
        .map(|platform| (platform.compatibility_mask, name::platform(platform.platform_type)))
        .collect()
}

/// The map as a table.
pub fn table(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let role = entry.role.map(role_name).unwrap_or_default();
        let source = match (&entry.source, entry.source_offset) {
            (Some(source), Some(0)) => source.clone(),
            (Some(source), Some(offset)) => format!("{source} from byte {offset}"),
            _ => String::new(),
        };
        let line = format!(
            "{:>14} {:>14} {:>7}  {:<20} {:<18} {:<18} {source}",
            entry.start,
            entry.end,
            entry.pages,
            entry.import.name(),
            role,
            entry.platforms.join(",")
        );
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// As in JSON.
pub fn role_name(role: Role) -> String {
    let value = serde_json::to_value(role).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
