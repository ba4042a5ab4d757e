//! Writing a dynamic VHDX.

use std::io::{Seek, Write};

use uuid::Uuid;

use super::{
    BAT_REGION, BLOCK_FULLY_PRESENT, BLOCK_ZERO, FILE_PARAMETERS, HEADER_BYTES, HEADERS_AT,
    LOGICAL_SECTOR_BYTES, LOGICAL_SECTOR_SIZE, MAX_SIZE_BYTES, METADATA_REGION, METADATA_TABLE_BYTES, MIB,
    MIN_BLOCK_BYTES, PHYSICAL_SECTOR_BYTES, PHYSICAL_SECTOR_SIZE, REGION_TABLE_BYTES, REGION_TABLES_AT,
    STEP_BYTES, VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE, VhdxError, checksum, chunk_ratio,
};
use crate::source::{HOLE_BYTES, Output, Source, each_window};
use crate::sparse::used_blocks;

/// The log's place (2.3), behind the headers, and the metadata's (2.6) behind that.
const LOG_AT: u64 = MIB;
const LOG_BYTES: u32 = MIB as u32;
const METADATA_AT: u64 = 2 * MIB;
const METADATA_BYTES: u32 = MIB as u32;
const BAT_AT: u64 = 3 * MIB;

/// More entries make the table larger than is worth the finer blocks.
const MAX_BLOCKS: u64 = 1 << 20;

/// What tells one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Changes with every change of the file (2.2.2, FileWriteGuid).
    pub file_write: Uuid,
    /// Changes with every change of the disk (2.2.2, DataWriteGuid).
    pub data_write: Uuid,
    /// Of the disk, as its SCSI page 83 has it (2.6.2.3).
    pub disk: Uuid,
}

/// A file decided but for where in it the blocks will lie that hold something.
#[derive(Clone, Debug)]
pub struct VhdxLayout {
    /// A multiple of the logical sector.
    disk_bytes: u64,
    block_bytes: u64,
    /// Entries of the block allocation table.
    entries: u64,
}

impl VhdxLayout {
    /// A disk that doesn't end with a sector gets zeros up to there.
    pub fn new(disk_bytes: u64) -> Result<Self, VhdxError> {
        if disk_bytes == 0 || disk_bytes > MAX_SIZE_BYTES {
            return Err(VhdxError::OutOfRange { disk_bytes });
        }
        let disk_bytes = disk_bytes.next_multiple_of(LOGICAL_SECTOR_BYTES);
        let block_bytes = disk_bytes.div_ceil(MAX_BLOCKS).next_power_of_two().max(MIN_BLOCK_BYTES);
        let blocks = disk_bytes.div_ceil(block_bytes);
        // 2.5: an entry for sector bitmaps stands between chunks, and none behind the last.
        let entries = blocks + (blocks - 1) / chunk_ratio(block_bytes, LOGICAL_SECTOR_BYTES);
        Ok(VhdxLayout { disk_bytes, block_bytes, entries })
    }

    /// Writes the file in one pass over `source`, and then its tables and headers; returns its length in bytes. `out` is
    /// empty. Zeros are not written, so that they are holes where the file system has such.
    pub fn write(
        &self,
        identity: &Identity,
        source: &mut impl Source,
        out: &mut (impl Write + Seek),
    ) -> Result<u64, VhdxError> {
        let mut out = Output::new(out);
        let chunk_ratio = chunk_ratio(self.block_bytes, LOGICAL_SECTOR_BYTES);
        let mut table = self.empty_table(chunk_ratio);
        let mut end = BAT_AT + self.table_bytes();
        // So that a file with no block at all is as long as its regions.
        out.end(end)?;
        each_window(source, self.block_bytes, |offset, block| {
            let mut place = None;
            for range in used_blocks(block, HOLE_BYTES) {
                let place = *place.get_or_insert_with(|| {
                    let number = offset / self.block_bytes;
                    let entry = (number + number / chunk_ratio) as usize * 8;
                    let place = end;
                    table[entry..entry + 8].copy_from_slice(&(place | BLOCK_FULLY_PRESENT).to_le_bytes());
                    end += self.block_bytes;
                    place
                });
                out.put(place + range.start as u64, &block[range])?;
            }
            match place {
                // The next block may be empty, and the file must not end in the middle of this one.
                Some(place) if block[block.len() - HOLE_BYTES..].iter().all(|byte| *byte == 0) => {
                    out.end(place + self.block_bytes)
                }
                _ => Ok(()),
            }
        })?;
        out.put_used(BAT_AT, &table)?;
        for (offset, bytes) in self.structures(identity) {
            out.put_used(offset, &bytes)?;
        }
        out.flush()?;
        Ok(end)
    }

    fn table_bytes(&self) -> u64 {
        (self.entries * 8).next_multiple_of(STEP_BYTES)
    }

    /// Every block zero; entries of sector bitmaps are zero themselves, which says that there are none.
    fn empty_table(&self, chunk_ratio: u64) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.entries as usize * 8);
        for entry in 0..self.entries {
            let is_bitmap = entry % (chunk_ratio + 1) == chunk_ratio;
            table.extend(if is_bitmap { 0 } else { BLOCK_ZERO }.to_le_bytes());
        }
        table
    }

    /// Everything at a place of its own, in ascending order.
    fn structures(&self, identity: &Identity) -> Vec<(u64, Vec<u8>)> {
        let [first_header, second_header] = HEADERS_AT;
        let [first_table, second_table] = REGION_TABLES_AT;
        vec![
            (0, file_identifier()),
            // The one with the higher number counts; the other is what a writer changes first (2.2.2).
            (first_header, header(identity, 0)),
            (second_header, header(identity, 1)),
            (first_table, self.region_table()),
            (second_table, self.region_table()),
            (METADATA_AT, self.metadata(identity)),
        ]
    }

    /// 2.2.3.
    fn region_table(&self) -> Vec<u8> {
        let mut table = vec![0; REGION_TABLE_BYTES];
        let regions =
            [(BAT_REGION, BAT_AT, self.table_bytes() as u32), (METADATA_REGION, METADATA_AT, METADATA_BYTES)];
        put(&mut table, 0, b"regi");
        put(&mut table, 8, &(regions.len() as u32).to_le_bytes());
        for (index, (id, offset, length)) in regions.into_iter().enumerate() {
            let entry = 16 + index * 32;
            put(&mut table, entry, &id.to_bytes_le());
            put(&mut table, entry + 16, &offset.to_le_bytes());
            put(&mut table, entry + 24, &length.to_le_bytes());
            put(&mut table, entry + 28, &1u32.to_le_bytes()); // required
        }
        seal(table)
    }

    /// The table (2.6.1) and, behind its 64 KiB, the items (2.6.2).
    fn metadata(&self, identity: &Identity) -> Vec<u8> {
        const REQUIRED: u32 = 1 << 2;
        const OF_THE_DISK: u32 = 1 << 1;
        // No block stays allocated against its content, and there is no parent: no flag.
        let parameters = [(self.block_bytes as u32).to_le_bytes(), [0; 4]].concat();
        let items = [
            (FILE_PARAMETERS, REQUIRED, parameters),
            (VIRTUAL_DISK_SIZE, REQUIRED | OF_THE_DISK, self.disk_bytes.to_le_bytes().to_vec()),
            (VIRTUAL_DISK_ID, REQUIRED | OF_THE_DISK, identity.disk.to_bytes_le().to_vec()),
            (
                LOGICAL_SECTOR_SIZE,
                REQUIRED | OF_THE_DISK,
                (LOGICAL_SECTOR_BYTES as u32).to_le_bytes().to_vec(),
            ),
            (PHYSICAL_SECTOR_SIZE, REQUIRED | OF_THE_DISK, PHYSICAL_SECTOR_BYTES.to_le_bytes().to_vec()),
        ];
        let mut metadata = vec![0; METADATA_TABLE_BYTES];
        put(&mut metadata, 0, b"metadata");
        put(&mut metadata, 10, &(items.len() as u16).to_le_bytes());
        for (index, (id, flags, value)) in items.into_iter().enumerate() {
            let entry = 32 + index * 32;
            let offset = metadata.len() as u32;
            put(&mut metadata, entry, &id.to_bytes_le());
            put(&mut metadata, entry + 16, &offset.to_le_bytes());
            put(&mut metadata, entry + 20, &(value.len() as u32).to_le_bytes());
            put(&mut metadata, entry + 24, &flags.to_le_bytes());
            metadata.extend(value);
        }
        metadata
    }
}

/// 2.2.1, with the name of who made it in UTF-16.
fn file_identifier() -> Vec<u8> {
    let mut identifier = b"vhdxfile".to_vec();
    identifier.extend("vtlforge".encode_utf16().flat_map(u16::to_le_bytes));
    identifier
}

/// 2.2.2. The log's GUID is nil: there is nothing to replay.
fn header(identity: &Identity, sequence: u64) -> Vec<u8> {
    let mut header = vec![0; HEADER_BYTES];
    put(&mut header, 0, b"head");
    put(&mut header, 8, &sequence.to_le_bytes());
    put(&mut header, 16, &identity.file_write.to_bytes_le());
    put(&mut header, 32, &identity.data_write.to_bytes_le());
    put(&mut header, 66, &1u16.to_le_bytes()); // version of the format; that of the log is 0
    put(&mut header, 68, &LOG_BYTES.to_le_bytes());
    put(&mut header, 72, &LOG_AT.to_le_bytes());
    seal(header)
}

/// Puts the checksum of the whole, taken with zeros in its place, behind the signature.
fn seal(mut structure: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(&structure);
    put(&mut structure, 4, &checksum.to_le_bytes());
    structure
}

fn put(structure: &mut [u8], offset: usize, bytes: &[u8]) {
    structure[offset..offset + bytes.len()].copy_from_slice(bytes);
}
