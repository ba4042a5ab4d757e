//! Whether kernel and payload have enough memory, told before anything boots.
//!
//! The reckoning is of the moment when the kernel unpacks the initramfs, its greatest need before the payload runs:
//! then the packed and the unpacked form are both there.

use std::fmt;
use std::ops::Range;

use super::{Layout, PAGE_BYTES, Role};

const MIB: u64 = 1 << 20;

/// Of each page the kernel keeps a `struct page` of 64 bytes.
const PAGES_PER_DESCRIPTOR_PAGE: u64 = PAGE_BYTES / 64;

/// What is only known by looking into the parts.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The kernel with all its data, from its image's header.
    pub kernel: u64,
    pub initramfs_unpacked: u64,
    /// The window of its compression, and what goes with it.
    pub unpacking: u64,
    /// What is kept free for the kernel's own work and the payload's.
    pub reserve: u64,
}

/// Who takes how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// What takes it, and bytes.
    pub uses: Vec<(&'static str, u64)>,
    /// All that there is.
    pub memory_bytes: u64,
    /// The smallest memory that would do, whole MiB.
    pub smallest_bytes: u64,
}

impl Fit {
    pub fn new(layout: &Layout, sizes: &Sizes) -> Fit {
        let of = |wanted: &[Role]| -> u64 {
            let regions = layout.regions.iter().filter(|region| wanted.contains(&region.role));
            regions.map(|region| region.length_bytes.next_multiple_of(PAGE_BYTES)).sum()
        };
        let packed = of(&[Role::Initramfs]);
        let host: u64 = layout.parameters.iter().map(|area| area.size_bytes).sum();
        let tables = of(&[
            Role::DeviceTree,
            Role::CommandLine,
            Role::Shim,
            Role::ShimPlan,
            Role::BootParams,
            Role::PageTables,
            Role::SegmentTable,
            Role::ConfidentialBlob,
            Role::Secrets,
            Role::Cpuid,
        ]);
        let memory_bytes: u64 = layout.required.iter().map(length).sum();
        let fixed = [
            ("kernel, as it runs", sizes.kernel),
            ("initramfs, packed", packed),
            ("initramfs, unpacked", sizes.initramfs_unpacked),
            ("unpacking it", sizes.unpacking),
            ("tables and what the host fills in", tables + host),
            ("reserve", sizes.reserve),
        ];
        let sum: u64 = fixed.iter().map(|(_, bytes)| bytes).sum();
        let smallest_bytes =
            (sum * PAGES_PER_DESCRIPTOR_PAGE / (PAGES_PER_DESCRIPTOR_PAGE - 1)).next_multiple_of(MIB);
        let mut uses = fixed.to_vec();
        uses.push(("the kernel's account of each page", memory_bytes / PAGES_PER_DESCRIPTOR_PAGE));
        Fit { uses, memory_bytes, smallest_bytes }
    }

    pub fn needed_bytes(&self) -> u64 {
        self.uses.iter().map(|(_, bytes)| bytes).sum()
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
        for (what, bytes) in &self.uses {
            line(what, *bytes)?;
        }
        line("together", self.needed_bytes())?;
        line("memory that there is", self.memory_bytes)?;
        line("smallest that would do", self.smallest_bytes)
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
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
