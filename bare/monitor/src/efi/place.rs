//! Where things go in the machine's memory. Pure.

use crate::guest::Region;

pub const PAGE: u64 = 4096;
/// Kernels of 64-bit Arm, and blocks of translation, begin at multiples of this.
pub const BLOCK: u64 = 2 << 20;

/// Joins ranges that touch, in order of address. The first `count` are used; returns how many are left.
pub fn merge(regions: &mut [Region], count: usize) -> usize {
    let count = count.min(regions.len());
    regions[..count].sort_unstable_by_key(|region| region.start);
    let mut kept = 0;
    for number in 0..count {
        let region = regions[number];
        if kept > 0 && region.start <= regions[kept - 1].end {
            regions[kept - 1].end = regions[kept - 1].end.max(region.end);
        } else {
            regions[kept] = region;
            kept += 1;
        }
    }
    kept
}

pub fn contains(regions: &[Region], start: u64, end: u64) -> bool {
    start <= end && regions.iter().any(|region| region.start <= start && end <= region.end)
}

/// The lowest address from `from` on, a multiple of [`BLOCK`], with `bytes` of memory behind it.
pub fn find(regions: &[Region], from: u64, bytes: u64) -> Option<u64> {
    regions.iter().find_map(|region| {
        let start = region.start.max(from).checked_next_multiple_of(BLOCK)?;
        (start.checked_add(bytes)? <= region.end).then_some(start)
    })
}

/// Parts of a guest on 64-bit Arm, behind each other: addresses of kernel, initramfs and device tree, and the end.
/// `kernel_bytes` is what the kernel takes of memory, its image and more.
pub fn arm_parts(start: u64, kernel_bytes: u64, initramfs_bytes: u64, tree_bytes: u64) -> Option<[u64; 4]> {
    let kernel = start.checked_next_multiple_of(BLOCK)?;
    let initramfs = kernel.checked_add(kernel_bytes)?.checked_next_multiple_of(BLOCK)?;
    let tree = initramfs.checked_add(initramfs_bytes)?.checked_next_multiple_of(BLOCK)?;
    Some([kernel, initramfs, tree, tree.checked_add(tree_bytes)?.checked_next_multiple_of(PAGE)?])
}
