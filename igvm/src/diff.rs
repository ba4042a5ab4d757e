//! In what two files differ: platforms, memory, what the host fills in, registers, and ranges of pages.

use std::collections::BTreeSet;

use igvm::IgvmDirectiveHeader;
use igvm_defs::PAGE_SIZE_4K;
use serde::Serialize;

use crate::{
    foreign::Foreign,
    map::{Origins, role_name},
    name,
    pages::{Pages, pages},
};

/// A difference, for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// None where it is about the file.
    pub platform: Option<String>,
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.platform.as_deref().unwrap_or("file"), self.what)
    }
}

/// A file with what is known of it.
pub struct Side<'a> {
    pub read: &'a Foreign,
    pub origins: Option<&'a Origins>,
}

/// All differences; none if a host would do the same with both.
pub fn diff(old: &Side, new: &Side) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut file = |what: String| differences.push(Difference { platform: None, what });
    if old.read.arch != new.read.arch {
        file(format!("architecture {} → {}", old.read.arch, new.read.arch));
    }
    if old.read.version != new.read.version {
        file(format!("format version {} → {}", old.read.version, new.read.version));
    }
    let kinds: BTreeSet<u8> =
        [old, new].iter().flat_map(|side| side.read.platforms().map(|own| own.platform_type.0)).collect();
    let (old_pages, new_pages) = (pages(&old.read.file), pages(&new.read.file));
    for kind in kinds {
        let of = |side: &Side| side.read.platforms().find(|own| own.platform_type.0 == kind).copied();
        let platform = name::platform(igvm_defs::IgvmPlatformType(kind));
        let mut add = |what| differences.push(Difference { platform: Some(platform.clone()), what });
        let (Some(before), Some(after)) = (of(old), of(new)) else {
            add(if of(old).is_some() { "platform is gone" } else { "platform is new" }.to_string());
            continue;
        };
        if before.highest_vtl != after.highest_vtl {
            add(format!("highest VTL {} → {}", before.highest_vtl, after.highest_vtl));
        }
        if before.shared_gpa_boundary != after.shared_gpa_boundary {
            let (before, after) = (before.shared_gpa_boundary, after.shared_gpa_boundary);
            add(format!("shared memory from {before:#x} → {after:#x}"));
        }
        let (old_mask, new_mask) = (before.compatibility_mask, after.compatibility_mask);
        let (gone, come) = (others(old.read, old_mask), others(new.read, new_mask));
        gone.difference(&come).for_each(|line| add(format!("- {line}")));
        come.difference(&gone).for_each(|line| add(format!("+ {line}")));
        let origin = |gpa: u64| {
            let at = |side: &Side| side.origins.and_then(|origins| origins.role_at(gpa, &platform));
            at(new).or_else(|| at(old)).map(role_name)
        };
        for range in ranges(&of_mask(&old_pages, old_mask), &of_mask(&new_pages, new_mask)) {
            add(range.text(origin(range.start)));
        }
    }
    differences
}

/// Headers that are no pages, as lines without the platform's bit, which may be another in the other file.
fn others(read: &Foreign, mask: u32) -> BTreeSet<String> {
    let policies = read.file.initializations().iter().filter_map(|header| match header {
        igvm::IgvmInitializationHeader::GuestPolicy { policy, compatibility_mask }
            if compatibility_mask & mask != 0 =>
        {
            Some(format!("policy {policy:#x}"))
        }
        _ => None,
    });
    let own =
        |directive: &&IgvmDirectiveHeader| directive.compatibility_mask().is_none_or(|own| own & mask != 0);
    let lines = read.file.directives().iter().filter(own).filter_map(|directive| {
        if matches!(directive, IgvmDirectiveHeader::PageData { .. }) {
            return None;
        }
        let mut directive = directive.clone();
        if let Some(own) = directive.compatibility_mask_mut() {
            *own = 0;
        }
        Some(format!("{directive:x?}"))
    });
    policies.chain(lines).collect()
}

type OfPlatform<'a> = std::collections::BTreeMap<u64, &'a crate::pages::Page<'a>>;

fn of_mask<'a>(pages: &'a Pages<'a>, mask: u32) -> OfPlatform<'a> {
    pages.iter().filter(|((_, own), _)| own & mask != 0).map(|((gpa, _), page)| (*gpa, page)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Gone,
    New,
    Contents,
    Import,
}

struct Changed {
    start: u64,
    end: u64,
    change: Change,
}

impl Changed {
    fn text(&self, role: Option<String>) -> String {
        let what = match self.change {
            Change::Gone => "gone",
            Change::New => "new",
            Change::Contents => "other contents",
            Change::Import => "imported otherwise",
        };
        let count = (self.end - self.start) / PAGE_SIZE_4K;
        let pages = if count == 1 { "page" } else { "pages" };
        let role = role.map(|role| format!(" ({role})")).unwrap_or_default();
        format!("{:#x}..{:#x}{role}: {count} {pages}, {what}", self.start, self.end)
    }
}

/// Ranges of pages that differ in one way.
fn ranges(old: &OfPlatform, new: &OfPlatform) -> Vec<Changed> {
    let mut ranges: Vec<Changed> = Vec::new();
    let addresses: BTreeSet<u64> = old.keys().chain(new.keys()).copied().collect();
    for gpa in addresses {
        let change = match (old.get(&gpa), new.get(&gpa)) {
            (Some(_), None) => Change::Gone,
            (None, _) => Change::New,
            (Some(old), Some(new)) if old.kind != new.kind => Change::Import,
            (Some(old), Some(new)) if old.data != new.data => Change::Contents,
            _ => continue,
        };
        match ranges.last_mut() {
            Some(last) if last.end == gpa && last.change == change => last.end += PAGE_SIZE_4K,
            _ => ranges.push(Changed { start: gpa, end: gpa + PAGE_SIZE_4K, change }),
        }
    }
    ranges
}
