//! Memory as a platform sees it after loading, as a flat file.

use std::ops::Range;

use anyhow::{Result, bail, ensure};
use igvm_defs::PAGE_SIZE_4K;

use crate::{foreign::Foreign, map, pages::pages};

/// Nobody needs more of it in one file.
const MOST_BYTES: u64 = 1 << 30;

/// Which part of the memory.
pub enum Part {
    /// What the build's map calls so.
    Role(String),
    Range(Range<u64>),
}

/// The part's bytes: pages that the file doesn't have, or that the host fills in, are zeros.
pub fn extract(
    read: &Foreign,
    origins: Option<&map::Origins>,
    platform: Option<&str>,
    part: &Part,
) -> Result<Vec<u8>> {
    let names = map::platforms(read);
    let chosen = match platform {
        Some(platform) => names.iter().find(|(_, name)| name == platform),
        None => names.first(),
    };
    let Some((mask, name)) = chosen else {
        let known: Vec<_> = names.iter().map(|(_, name)| name.as_str()).collect();
        bail!("the file has no platform {}; it has {}", platform.unwrap_or_default(), known.join(", "));
    };
    let range = match part {
        Part::Range(range) => range.clone(),
        Part::Role(role) => {
            let origins = origins.ok_or_else(|| {
                anyhow::anyhow!("no map of its origins lies beside the file; name a range of addresses")
            })?;
            let named = origins.of_role(role, name);
            named.ok_or_else(|| anyhow::anyhow!("the file has nothing of the role {role}"))?
        }
    };
    ensure!(range.start < range.end, "the range ends before it begins");
    let bytes = range.end - range.start;
    ensure!(bytes <= MOST_BYTES, "the range has {bytes} bytes; at most {MOST_BYTES} are extracted");
    let mut memory = vec![0; bytes as usize];
    for ((gpa, own), page) in &pages(&read.file) {
        if own & mask == 0 || gpa + PAGE_SIZE_4K <= range.start || *gpa >= range.end {
            continue;
        }
        for (address, byte) in (*gpa..).zip(page.data) {
            if range.contains(&address) {
                memory[(address - range.start) as usize] = *byte;
            }
        }
    }
    Ok(memory)
}
