//! Writing a qcow2 file.
//!
//! In it come the header, the L1 table, the data in the order of the disk, the L2 tables, the reference counts. The
//! header is written last: a file that broke off is none.

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};

use super::{
    BYTES_A_TABLE, CLUSTER_BITS, CLUSTER_BYTES, ENTRIES_A_CLUSTER, MAX_SIZE_BYTES, Qcow2Error, SECTOR_BYTES,
    refcounts::{Placed, Refcounts},
};
use crate::source::{CopyError, Output, Source, WINDOW_BYTES, each_window, is_empty};

/// Windows that are compressed together, so that whoever does it can share the work out.
const BATCH_BYTES: u64 = 4 * WINDOW_BYTES;

const L1_AT: u64 = CLUSTER_BYTES;

const HEADER_BYTES: u32 = 112;

/// Bit 63 of entries in both tables: the cluster has one use and may be written in place.
const COPIED: u64 = 1 << 63;
/// Bit 62 of an entry in an L2 table: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Where the count of sectors begins in the entry of a compressed cluster (Compressed Clusters Descriptor).
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);

/// What makes Zstandard frames of clusters.
pub trait Compress {
    /// One frame a cluster, in their order; None for a cluster that becomes no smaller.
    fn compress(&mut self, clusters: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>>;
}

/// A file decided but for where in it the clusters will lie that hold something.
#[derive(Clone, Debug)]
pub struct Qcow2Layout {
    /// A multiple of 512.
    disk_bytes: u64,
    l1_entries: u64,
}

impl Qcow2Layout {
    /// A disk that doesn't end with a sector gets zeros up to there.
    pub fn new(disk_bytes: u64) -> Result<Self, Qcow2Error> {
        if disk_bytes > MAX_SIZE_BYTES {
            return Err(Qcow2Error::TooLarge { disk_bytes });
        }
        let disk_bytes = disk_bytes.next_multiple_of(SECTOR_BYTES);
        Ok(Qcow2Layout { disk_bytes, l1_entries: disk_bytes.div_ceil(BYTES_A_TABLE) })
    }

    /// Writes the file in one pass over `source`, and then its tables and header; returns its length in bytes. `out` is
    /// empty. Zeros are not written, so that they are holes where the file system has such.
    pub fn write(
        &self,
        source: &mut impl Source,
        compress: Option<&mut dyn Compress>,
        out: &mut (impl Write + Seek),
    ) -> Result<u64, Qcow2Error> {
        let is_compressed = compress.is_some();
        let mut data = Data {
            out: Output::new(out),
            end: L1_AT + self.l1_bytes(),
            refcounts: Refcounts::new(),
            tables: BTreeMap::new(),
        };
        data.refcounts.used(0, data.end);
        match compress {
            None => each_window(source, WINDOW_BYTES, |offset, window| data.plain(offset, window))?,
            Some(compress) => {
                each_window(source, BATCH_BYTES, |offset, window| data.compressed(offset, window, compress))?;
            }
        }
        let (mut out, l1, refcounts) = data.tables(self.l1_entries)?;
        let Placed { bytes, table_at, table_clusters, file_bytes } = refcounts.place();
        out.put(file_bytes - bytes.len() as u64, &bytes)?;
        out.put_used(L1_AT, &l1)?;
        out.put(0, &self.header(table_at, table_clusters, is_compressed))?;
        out.flush()?;
        Ok(file_bytes)
    }

    fn l1_bytes(&self) -> u64 {
        (self.l1_entries * 8).next_multiple_of(CLUSTER_BYTES)
    }

    /// Section "Header". Zero is said nowhere: no backing file, encryption, snapshots or extensions.
    fn header(&self, refcount_table_at: u64, refcount_table_clusters: u32, is_compressed: bool) -> Vec<u8> {
        /// Incompatible features: the compression type is not the one that version 2 had.
        const COMPRESSION_TYPE: u64 = 1 << 3;
        const ZSTD: u8 = 1;
        const REFCOUNT_ORDER: u32 = 4;
        let mut header = vec![0; HEADER_BYTES as usize + 8];
        let mut put =
            |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, b"QFI\xfb");
        put(4, &3u32.to_be_bytes());
        put(20, &CLUSTER_BITS.to_be_bytes());
        put(24, &self.disk_bytes.to_be_bytes());
        put(36, &(self.l1_entries as u32).to_be_bytes());
        put(40, &L1_AT.to_be_bytes());
        put(48, &refcount_table_at.to_be_bytes());
        put(56, &refcount_table_clusters.to_be_bytes());
        put(96, &REFCOUNT_ORDER.to_be_bytes());
        put(100, &HEADER_BYTES.to_be_bytes());
        if is_compressed {
            put(72, &COMPRESSION_TYPE.to_be_bytes());
            put(104, &[ZSTD]);
        }
        header
    }
}

/// The data while it is written, and what becomes known of it.
struct Data<'a, W> {
    out: Output<'a, W>,
    /// End of what is in the file.
    end: u64,
    refcounts: Refcounts,
    /// L2 tables that have an entry, by their number.
    tables: BTreeMap<u64, Vec<u64>>,
}

impl<'a, W: Write + Seek> Data<'a, W> {
    fn plain(&mut self, offset: u64, window: &[u8]) -> Result<(), CopyError> {
        for (number, cluster) in (offset / CLUSTER_BYTES..).zip(window.chunks(CLUSTER_BYTES as usize)) {
            if !is_empty(cluster) {
                self.cluster(number, cluster)?;
            }
        }
        Ok(())
    }

    fn compressed(
        &mut self,
        offset: u64,
        window: &[u8],
        compress: &mut dyn Compress,
    ) -> Result<(), CopyError> {
        let clusters = (offset / CLUSTER_BYTES..).zip(window.chunks(CLUSTER_BYTES as usize));
        let (numbers, clusters): (Vec<u64>, Vec<&[u8]>) =
            clusters.filter(|(_, cluster)| !is_empty(cluster)).unzip();
        let frames = compress.compress(&clusters).map_err(|cause| CopyError::Compress { offset, cause })?;
        assert_eq!(frames.len(), clusters.len(), "a frame a cluster");
        for ((number, cluster), frame) in numbers.into_iter().zip(clusters).zip(frames) {
            match frame {
                Some(frame) if frame.len() < cluster.len() => self.frame(number, &frame)?,
                _ => self.cluster(number, cluster)?,
            }
        }
        Ok(())
    }

    /// A cluster as it is, at the next place for one.
    fn cluster(&mut self, number: u64, cluster: &[u8]) -> Result<(), CopyError> {
        let place = self.end.next_multiple_of(CLUSTER_BYTES);
        self.out.put_used(place, cluster)?;
        self.end = place + CLUSTER_BYTES;
        self.refcounts.used(place, CLUSTER_BYTES);
        self.enter(number, place | COPIED);
        Ok(())
    }

    /// A compressed cluster, right behind what is there: it may begin at any byte.
    fn frame(&mut self, number: u64, frame: &[u8]) -> Result<(), CopyError> {
        let (place, length) = (self.end, frame.len() as u64);
        self.out.put(place, frame)?;
        self.end += length;
        self.refcounts.used(place, length);
        // Whole sectors behind the one in which it begins.
        let more_sectors = (self.end - 1) / SECTOR_BYTES - place / SECTOR_BYTES;
        self.enter(number, COMPRESSED | more_sectors << SECTORS_SHIFT | place);
        Ok(())
    }

    fn enter(&mut self, number: u64, entry: u64) {
        let empty = || vec![0; ENTRIES_A_CLUSTER as usize];
        let table = self.tables.entry(number / ENTRIES_A_CLUSTER).or_insert_with(empty);
        table[(number % ENTRIES_A_CLUSTER) as usize] = entry;
    }

    /// Writes the L2 tables; returns the L1 table, and the reference counts of all that is in the file.
    fn tables(mut self, l1_entries: u64) -> Result<(Output<'a, W>, Vec<u8>, Refcounts), CopyError> {
        let mut l1 = vec![0; l1_entries as usize * 8];
        let mut place = self.end.next_multiple_of(CLUSTER_BYTES);
        for (number, table) in &self.tables {
            let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            self.out.put_used(place, &bytes)?;
            self.refcounts.used(place, CLUSTER_BYTES);
            let entry = *number as usize * 8;
            l1[entry..entry + 8].copy_from_slice(&(place | COPIED).to_be_bytes());
            place += CLUSTER_BYTES;
        }
        Ok((self.out, l1, self.refcounts))
    }
}
