//! Whether kernel and payload have enough memory, told before anything boots.
//!
//! The reckoning is of the moment when the kernel unpacks the initramfs, its greatest need before the payload runs:
//! then the packed and the unpacked form are both there.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Layout, PAGE_BYTES, Role};

const MIB: u64 = 1 << 20;

/// Of each page the kernel keeps a `struct page` of 64 bytes.
const PAGES_PER_DESCRIPTOR_PAGE: u64 = PAGE_BYTES / 64;

/// What the kernel takes for itself until the payload runs: processors' own data, page tables, drivers. Seen on both
/// architectures, where with it the reckoning meets the smallest memory that boots (tests/igvm/memory.rs).
const KERNEL_WORK: u64 = 6 * MIB;

/// What is only known by looking into the parts.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The kernel with all its data, from its image's header.
    pub kernel: u64,
    pub initramfs_unpacked: u64,
    /// The window of its compression, and what goes with it.
    pub unpacking: u64,
    /// What is kept free for the payload once it runs.
    pub reserve: u64,
}

/// Who takes how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fit {
    pub uses: Vec<Use>,
    /// All that there is.
    pub memory_bytes: u64,
    /// With less the payload is not reached; whole MiB.
    pub boots_bytes: u64,
    /// The smallest memory that would do, the reserve included; whole MiB.
    pub smallest_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Use {
    pub what: String,
    pub bytes: u64,
}

impl Fit {
    pub fn new(layout: &Layout, sizes: &Sizes) -> Fit {
        let packed = of_role(layout, |role| role == Role::Initramfs);
        let host: u64 = layout.parameters.iter().map(|area| area.size_bytes).sum();
        let tables =
            of_role(layout, |role| !matches!(role, Role::Kernel | Role::Initramfs | Role::ResetVector));
        let memory_bytes: u64 = layout.required.iter().map(|range| range.end - range.start).sum();
        let to_boot = [
            ("kernel, as it runs", sizes.kernel),
            ("the kernel's own work", KERNEL_WORK),
            ("initramfs, packed", packed),
            ("initramfs, unpacked", sizes.initramfs_unpacked),
            ("unpacking it", sizes.unpacking),
            ("tables and what the host fills in", tables + host),
        ];
        let boots: u64 = to_boot.iter().map(|(_, bytes)| bytes).sum();
        let others =
            [("reserve", sizes.reserve), ("account of each page", memory_bytes / PAGES_PER_DESCRIPTOR_PAGE)];
        let uses = to_boot.into_iter().chain(others);
        Fit {
            uses: uses.map(|(what, bytes)| Use { what: what.to_owned(), bytes }).collect(),
            memory_bytes,
            boots_bytes: with_descriptors(boots),
            smallest_bytes: with_descriptors(boots + sizes.reserve),
        }
    }

    pub fn needed_bytes(&self) -> u64 {
        self.uses.iter().map(|own| own.bytes).sum()
    }

    pub fn fits(&self) -> bool {
        self.needed_bytes() <= self.memory_bytes
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, bytes: u64| {
            // Tenths, upwards, so that nothing that takes room is told as nothing.
            let tenths = (bytes * 10).div_ceil(MIB);
            writeln!(f, "  {what:<34} {:>6}.{} MiB", tenths / 10, tenths % 10)
        };
        for own in &self.uses {
            line(&own.what, own.bytes)?;
        }
        line("together", self.needed_bytes())?;
        line("memory that there is", self.memory_bytes)?;
        line("smallest that boots", self.boots_bytes)?;
        line("smallest that would do", self.smallest_bytes)
    }
}

/// Memory of which so much is left when each of its pages has its descriptor.
fn with_descriptors(bytes: u64) -> u64 {
    (bytes * PAGES_PER_DESCRIPTOR_PAGE).div_ceil(PAGES_PER_DESCRIPTOR_PAGE - 1).next_multiple_of(MIB)
}

/// Bytes of pages.
fn of_role(layout: &Layout, is_wanted: impl Fn(Role) -> bool) -> u64 {
    let regions = layout.regions.iter().filter(|region| is_wanted(region.role));
    regions.map(|region| region.length_bytes.next_multiple_of(PAGE_BYTES)).sum()
}

/// Bytes that the kernel's zstd needs to unpack what begins with `head`: the window of the frame, and its tables.
/// None where it is no zstd frame. (RFC 8878, section 3.1.1.1)
pub fn zstd_workspace(head: &[u8]) -> Option<u64> {
    const TABLES: u64 = 192 * 1024;
    let (magic, rest) = head.split_at_checked(4)?;
    if magic != [0x28, 0xb5, 0x2f, 0xfd] {
        return None;
    }
    let descriptor = *rest.first()?;
    if descriptor & 0x20 != 0 {
        // One segment: the window is as large as the contents, and those go to their place directly.
        return Some(TABLES);
    }
    let window = u64::from(*rest.get(1)?);
    let base = 1_u64 << (10 + (window >> 3));
    Some(base + base / 8 * (window & 7) + TABLES)
}
