//! Whole disks: a GPT and what its partitions hold.
//!
//! [`DiskLayout::new`] decides everything, [`DiskLayout::write`] streams it. Partitions follow each other in the order
//! given, each starting and ending at a multiple of 1 MiB.

use std::cell::RefCell;
use std::io::{self, Read, Seek, Write};
use std::ops::Range;

use uuid::Uuid;

use crate::fat::{self, FatError};
use crate::gpt::{self, ALIGNMENT_LBA, GptError, LBA_BYTES, PartitionKind};
use crate::layout::{Layout, Stream, WriteError};
use crate::sparse::{Sparse, Window};

const STEP_BYTES: u64 = ALIGNMENT_LBA * LBA_BYTES;

/// A disk to be laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Size of the disk in bytes, a multiple of 512 (of 1 MiB if it shall become a VHD).
    pub size_bytes: u64,
    pub guid: Uuid,
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub name: String,
    pub kind: PartitionKind,
    pub guid: Uuid,
    pub size: Size,
    pub content: Content,
}

/// How large a partition becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many bytes, rounded up to the next MiB.
    Bytes(u64),
    /// All that is left; for the last partition only.
    Rest,
}

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A FAT32 file system.
    Fat(fat::Volume),
    /// Bytes as they are; `source` is the caller's name for them.
    Raw { source: String, length_bytes: u64 },
}

/// Why a disk cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("a disk's size is a multiple of 512 bytes, but it has {size_bytes}")]
    NotWholeBlocks { size_bytes: u64 },
    #[error("partition {name} takes the rest of the disk, but it is not the last one")]
    RestNotLast { name: String },
    #[error("partition {name} needs {needed} bytes, but the disk has {available} left for it")]
    NoRoom { name: String, needed: u64, available: u64 },
    #[error("partition {name} has {size_bytes} bytes, too few for its content of {length_bytes}")]
    ContentTooLarge { name: String, size_bytes: u64, length_bytes: u64 },
    #[error("partition table")]
    Table(#[from] GptError),
    #[error("file system of partition {name}")]
    Fat {
        name: String,
        #[source]
        cause: FatError,
    },
}

/// A disk whose every byte is decided, but for the contents that come from the caller.
#[derive(Clone, Debug)]
pub struct DiskLayout {
    table: gpt::Table,
    image: Layout,
}

impl DiskLayout {
    pub fn new(disk: &Disk) -> Result<Self, DiskError> {
        let table = partition_table(disk)?;
        let store = RefCell::new(Sparse::new(disk.size_bytes));
        gpt::write(&table, Window::new(&store, 0..disk.size_bytes))?;
        let mut streams = Vec::new();
        for (partition, entry) in disk.partitions.iter().zip(&table.partitions) {
            let start = entry.first_lba * LBA_BYTES;
            let range = start..start + entry.length_lba * LBA_BYTES;
            streams.extend(place(&store, range, partition)?);
        }
        let image = Layout::new(store.into_inner(), streams);
        Ok(DiskLayout { table, image })
    }

    /// Where the partitions lie.
    pub fn table(&self) -> &gpt::Table {
        &self.table
    }

    /// The disk as an image: its size and where each source's bytes go.
    pub fn image(&self) -> &Layout {
        &self.image
    }

    /// Writes the disk: see [`Layout::write`], which this is.
    pub fn write<R, W>(&self, open: impl FnMut(&str) -> io::Result<R>, out: &mut W) -> Result<(), WriteError>
    where
        R: Read,
        W: Write + Seek,
    {
        self.image.write(open, out)
    }
}

/// Gives each partition its place.
fn partition_table(disk: &Disk) -> Result<gpt::Table, DiskError> {
    let size_bytes = disk.size_bytes;
    if !size_bytes.is_multiple_of(LBA_BYTES) {
        return Err(DiskError::NotWholeBlocks { size_bytes });
    }
    let disk_lba = size_bytes / LBA_BYTES;
    let end = (gpt::last_usable_lba(disk_lba)? + 1) * LBA_BYTES / STEP_BYTES * STEP_BYTES;
    let mut start = STEP_BYTES;
    let mut entries = Vec::with_capacity(disk.partitions.len());
    for (index, partition) in disk.partitions.iter().enumerate() {
        let available = end.saturating_sub(start);
        let length = match partition.size {
            Size::Bytes(bytes) => bytes.checked_next_multiple_of(STEP_BYTES).unwrap_or(u64::MAX),
            Size::Rest if index + 1 < disk.partitions.len() => {
                let name = partition.name.clone();
                return Err(DiskError::RestNotLast { name });
            }
            Size::Rest => available.max(STEP_BYTES),
        };
        if length > available {
            return Err(DiskError::NoRoom { name: partition.name.clone(), needed: length, available });
        }
        entries.push(gpt::Partition {
            name: partition.name.clone(),
            kind: partition.kind,
            guid: partition.guid,
            first_lba: start / LBA_BYTES,
            length_lba: length / LBA_BYTES,
        });
        start += length;
    }
    Ok(gpt::Table { disk_lba, disk_guid: disk.guid, partitions: entries })
}

/// Puts a partition's content into its place.
fn place(
    store: &RefCell<Sparse>,
    range: Range<u64>,
    partition: &Partition,
) -> Result<Vec<Stream>, DiskError> {
    match &partition.content {
        Content::Fat(volume) => fat::place(store, range, volume)
            .map_err(|cause| DiskError::Fat { name: partition.name.clone(), cause }),
        Content::Raw { source, length_bytes } => {
            let size_bytes = range.end - range.start;
            if *length_bytes > size_bytes {
                return Err(DiskError::ContentTooLarge {
                    name: partition.name.clone(),
                    size_bytes,
                    length_bytes: *length_bytes,
                });
            }
            Ok(vec![Stream { source: source.clone(), offset: range.start, length_bytes: *length_bytes }])
        }
    }
}
