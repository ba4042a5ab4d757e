//! Disks with a GUID partition table (UEFI 2.10, chapter 5).

use std::ops::Range;

use gpt::{GptConfig, GptDisk, disk::LogicalBlockSize, partition::Partition};

use super::readable::ReadOnly;
use crate::walk::{Aspect, Part, Walk};

const SECTOR_BYTES: u64 = 512;

pub fn gpt(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (Some(a), Some(b)) = (open(ours), open(theirs)) else { return };
    walk.field("size", Aspect::Bytes, ours.len(), theirs.len());
    walk.field("disk GUID", Aspect::Identifier, a.guid(), b.guid());
    let numbers = |disk: &GptDisk<ReadOnly<'_>>| -> Vec<String> {
        disk.partitions().keys().map(ToString::to_string).collect()
    };
    walk.presence(&numbers(&a), &numbers(&b), |number| {
        Part::GptPartition(number.parse().unwrap_or_default())
    });
    let mut covered = Vec::new();
    for (number, one) in a.partitions() {
        let Some(other) = b.partitions().get(number) else { continue };
        walk.within(Part::GptPartition(*number), |walk| partition(walk, (one, ours), (other, theirs)));
        covered.push(bytes_of(one));
    }
    outside(walk, &covered, ours, theirs);
}

fn open(bytes: &[u8]) -> Option<GptDisk<ReadOnly<'_>>> {
    let config = GptConfig::new().writable(false).logical_block_size(LogicalBlockSize::Lb512);
    config.only_valid_headers(false).open_from_device(ReadOnly::new(bytes)).ok()
}

fn partition(walk: &mut Walk<'_>, (one, ours): (&Partition, &[u8]), (other, theirs): (&Partition, &[u8])) {
    walk.field("GUID", Aspect::Identifier, one.part_guid, other.part_guid);
    walk.field("type GUID", Aspect::Bytes, one.part_type_guid.guid, other.part_type_guid.guid);
    walk.field("name", Aspect::Text, one.name.clone(), other.name.clone());
    walk.field("flags", Aspect::Bytes, one.flags, other.flags);
    walk.field("first LBA", Aspect::Bytes, one.first_lba, other.first_lba);
    walk.field("last LBA", Aspect::Bytes, one.last_lba, other.last_lba);
    let content = |bytes: &[u8], range: Range<usize>| bytes.get(range).map(<[u8]>::to_vec);
    if let (Some(a), Some(b)) = (content(ours, bytes_of(one)), content(theirs, bytes_of(other))) {
        walk.content(&a, &b);
    }
}

fn bytes_of(partition: &Partition) -> Range<usize> {
    (partition.first_lba * SECTOR_BYTES) as usize..((partition.last_lba + 1) * SECTOR_BYTES) as usize
}

/// Master boot record, tables and gaps. Checksums there follow from what has been told, so they are only looked at
/// when nothing has.
fn outside(walk: &mut Walk<'_>, covered: &[Range<usize>], ours: &[u8], theirs: &[u8]) {
    if let (Some(a), Some(b)) = (ours.get(..512), theirs.get(..512))
        && a != b
    {
        walk.within(Part::Field("protective MBR"), |walk| walk.first_bytes(a, b));
    }
    let mut gaps = Vec::new();
    // Behind the primary header and its entries.
    let mut start = 34 * SECTOR_BYTES as usize;
    let mut covered = covered.to_vec();
    covered.sort_by_key(|range| range.start);
    for range in covered {
        gaps.push(start..range.start);
        start = range.end;
    }
    gaps.push(start..ours.len().saturating_sub(33 * SECTOR_BYTES as usize));
    for gap in gaps.into_iter().filter(|gap| gap.start < gap.end) {
        if let (Some(a), Some(b)) = (ours.get(gap.clone()), theirs.get(gap.clone()))
            && a != b
        {
            walk.within(Part::Field("between partitions"), |walk| {
                walk.within(Part::Offset(gap.start), |walk| walk.first_bytes(a, b));
            });
        }
    }
}
