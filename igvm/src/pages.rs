//! A file's pages in order of address, and ranges of those that have one origin.

use std::collections::BTreeMap;

use igvm::{IgvmDirectiveHeader, IgvmFile};
use igvm_defs::{IgvmPageDataType, PAGE_SIZE_4K};
use serde::{Deserialize, Serialize};

use crate::name;

/// How a page comes into the guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Measured,
    Unmeasured,
    Shared,
    Secrets,
    Cpuid,
    /// Filled in by the host with this.
    Parameter(String),
    /// Registers of a processor.
    Context,
}

impl Kind {
    pub fn name(&self) -> String {
        match self {
            Kind::Measured => "measured".to_string(),
            Kind::Unmeasured => "unmeasured".to_string(),
            Kind::Shared => "shared".to_string(),
            Kind::Secrets => "secrets".to_string(),
            Kind::Cpuid => "cpuid".to_string(),
            Kind::Parameter(what) => format!("host: {what}"),
            Kind::Context => "registers".to_string(),
        }
    }
}

/// One page of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    pub kind: Kind,
    /// Without the zeros at its end that the file leaves out.
    pub data: &'a [u8],
}

/// Address and platform mask → page. What differs by platform lies under several masks.
pub type Pages<'a> = BTreeMap<(u64, u32), Page<'a>>;

pub fn pages(file: &IgvmFile) -> Pages<'_> {
    let mut pages = Pages::new();
    let mut areas: BTreeMap<u32, (u64, Vec<&'static str>)> = BTreeMap::new();
    for directive in file.directives() {
        match directive {
            IgvmDirectiveHeader::PageData { gpa, compatibility_mask, flags, data_type, data } => {
                let kind = match *data_type {
                    _ if flags.shared() => Kind::Shared,
                    IgvmPageDataType::SECRETS => Kind::Secrets,
                    IgvmPageDataType::CPUID_DATA | IgvmPageDataType::CPUID_XF => Kind::Cpuid,
                    _ if flags.unmeasured() => Kind::Unmeasured,
                    _ => Kind::Measured,
                };
                let used = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                pages.insert((*gpa, *compatibility_mask), Page { kind, data: &data[..used] });
            }
            IgvmDirectiveHeader::ParameterArea { number_of_bytes, parameter_area_index, .. } => {
                areas.insert(*parameter_area_index, (*number_of_bytes, Vec::new()));
            }
            IgvmDirectiveHeader::ParameterInsert(insert) => {
                let (bytes, what) = areas.remove(&insert.parameter_area_index).unwrap_or_default();
                let kind = Kind::Parameter(what.join(", "));
                for gpa in (insert.gpa..insert.gpa + bytes).step_by(PAGE_SIZE_4K as usize) {
                    pages.insert((gpa, insert.compatibility_mask), Page { kind: kind.clone(), data: &[] });
                }
            }
            IgvmDirectiveHeader::SnpVpContext { gpa, compatibility_mask, .. } => {
                pages.insert((*gpa, *compatibility_mask), Page { kind: Kind::Context, data: &[] });
            }
            other => {
                if let Some((what, place)) = name::parameter(other)
                    && let Some((_, known)) = areas.get_mut(&place.parameter_area_index)
                {
                    known.push(what);
                }
            }
        }
    }
    pages
}

/// Neighbouring pages of one kind for the same platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub start: u64,
    /// Address behind the last page.
    pub end: u64,
    pub mask: u32,
    pub kind: Kind,
}

pub fn runs(pages: &Pages) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    // The last run of each mask: pages of two platforms may alternate.
    let mut last: BTreeMap<u32, usize> = BTreeMap::new();
    for ((gpa, mask), page) in pages {
        let number = last.get(mask).copied();
        match number.map(|number| &mut runs[number]) {
            Some(run) if run.end == *gpa && run.kind == page.kind => run.end += PAGE_SIZE_4K,
            _ => {
                last.insert(*mask, runs.len());
                let (start, end) = (*gpa, gpa + PAGE_SIZE_4K);
                runs.push(Run { start, end, mask: *mask, kind: page.kind.clone() });
            }
        }
    }
    runs.sort_by_key(|run| (run.start, run.mask));
    runs
}
