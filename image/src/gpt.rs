//! GUID partition tables: protective MBR, primary and backup table. It decides nothing: places and GUIDs are given.
//!
//! Source: UEFI specification 2.10, chapter 5. Logical blocks have 512 bytes.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Read, Seek, Write};

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::{GptConfig, partition, partition_types};
use uuid::Uuid;

pub const LBA_BYTES: u64 = 512;

/// Partitions start at multiples of this many blocks (1 MiB).
pub const ALIGNMENT_LBA: u64 = 2048;

/// Entries in the table, the minimum that the specification allows.
pub const MAX_PARTITIONS: usize = 128;

/// Blocks that MBR, header and table take at the start of a disk.
const HEAD_LBA: u64 = 34;

/// Blocks that the backup table and header take at the end.
const TAIL_LBA: u64 = 33;

/// Longest partition name in UTF-16 code units.
const MAX_NAME_UNITS: usize = 36;

/// What a partition is for, as its type GUID says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionKind {
    EfiSystem,
    LinuxFilesystem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub name: String,
    pub kind: PartitionKind,
    pub guid: Uuid,
    /// First block; a multiple of [`ALIGNMENT_LBA`].
    pub first_lba: u64,
    /// Length in blocks.
    pub length_lba: u64,
}

/// A disk's partitions, in the order of their numbers and places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Length of the disk in blocks.
    pub disk_lba: u64,
    pub disk_guid: Uuid,
    pub partitions: Vec<Partition>,
}

/// Why a partition table cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    #[error("a disk of {disk_lba} blocks is too small for a partition table")]
    DiskTooSmall { disk_lba: u64 },
    #[error("{count} partitions are more than a table of {MAX_PARTITIONS} holds")]
    TooManyPartitions { count: usize },
    #[error("partition name {name:?} is empty, has a NUL or is longer than 36 UTF-16 units")]
    Name { name: String },
    #[error("partition {name} is empty")]
    Empty { name: String },
    #[error("partition {name} starts at block {first_lba}, which is no multiple of 2048 (1 MiB)")]
    NotAligned { name: String, first_lba: u64 },
    #[error(
        "partition {name} ({first_lba} + {length_lba} blocks) leaves the usable blocks up to {last_usable}"
    )]
    OutOfRange { name: String, first_lba: u64, length_lba: u64, last_usable: u64 },
    #[error("partition {name} starts before the end of {before}")]
    Overlap { name: String, before: String },
    #[error("GUID {guid} is nil or used twice")]
    Guid { guid: Uuid },
    #[error("the partition table could not be written")]
    Table(#[from] ::gpt::GptError),
    #[error("the protective MBR could not be written")]
    Mbr(#[from] ::gpt::mbr::MBRError),
}

/// Last block that a partition may use on a disk of `disk_lba` blocks.
pub fn last_usable_lba(disk_lba: u64) -> Result<u64, GptError> {
    if disk_lba <= HEAD_LBA + TAIL_LBA {
        return Err(GptError::DiskTooSmall { disk_lba });
    }
    Ok(disk_lba - TAIL_LBA - 1)
}

/// Writes MBR, table and backup to `device`, which must be as long as the table says.
pub fn write<D>(table: &Table, device: D) -> Result<(), GptError>
where
    D: Read + Write + Seek + Debug,
{
    check(table)?;
    let mut device = device;
    let mbr_lba = u32::try_from(table.disk_lba - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(mbr_lba).overwrite_lba0(&mut device)?;

    let mut disk = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(device, Some(table.disk_guid))?;
    let entries: BTreeMap<u32, _> = (1..).zip(table.partitions.iter().map(entry)).collect();
    disk.update_partitions(entries)?;
    disk.write()?;
    Ok(())
}

fn entry(partition: &Partition) -> partition::Partition {
    partition::Partition {
        part_type_guid: match partition.kind {
            PartitionKind::EfiSystem => partition_types::EFI,
            PartitionKind::LinuxFilesystem => partition_types::LINUX_FS,
        },
        part_guid: partition.guid,
        first_lba: partition.first_lba,
        last_lba: partition.first_lba + partition.length_lba - 1,
        flags: 0,
        name: partition.name.clone(),
    }
}

/// Checks what the gpt crate takes on trust.
fn check(table: &Table) -> Result<(), GptError> {
    let last_usable = last_usable_lba(table.disk_lba)?;
    let count = table.partitions.len();
    if count > MAX_PARTITIONS {
        return Err(GptError::TooManyPartitions { count });
    }
    let mut guids = vec![Uuid::nil(), table.disk_guid];
    for partition in &table.partitions {
        check_partition(partition, last_usable)?;
        guids.push(partition.guid);
    }
    guids.sort_unstable();
    if let Some(pair) = guids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(GptError::Guid { guid: pair[0] });
    }
    for pair in table.partitions.windows(2) {
        if pair[1].first_lba < pair[0].first_lba + pair[0].length_lba {
            return Err(GptError::Overlap { name: pair[1].name.clone(), before: pair[0].name.clone() });
        }
    }
    Ok(())
}

fn check_partition(partition: &Partition, last_usable: u64) -> Result<(), GptError> {
    let name = partition.name.clone();
    let Partition { first_lba, length_lba, .. } = *partition;
    if name.is_empty() || name.contains('\0') || name.encode_utf16().count() > MAX_NAME_UNITS {
        return Err(GptError::Name { name });
    }
    if length_lba == 0 {
        return Err(GptError::Empty { name });
    }
    if !first_lba.is_multiple_of(ALIGNMENT_LBA) || first_lba == 0 {
        return Err(GptError::NotAligned { name, first_lba });
    }
    let end = first_lba.checked_add(length_lba);
    if end.is_none_or(|end| end > last_usable + 1) {
        return Err(GptError::OutOfRange { name, first_lba, length_lba, last_usable });
    }
    Ok(())
}
