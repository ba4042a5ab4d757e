//! qcow2 files of others, read: versions 2 and 3, compressed or not. Those with backing files, encryption, external
//! data or extended entries are only described.
//!
//! Source: QEMU, docs/interop/qcow2.txt.

use std::io;

use serde::Serialize;

use super::finding::{COPY_AGAIN, Finding, Paged, read, read_within};
use super::mapped::{Map, Mapped, Place};
use crate::fields::Fields as _;
use crate::source::Source;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Qcow2 {
    pub version: u32,
    pub disk_bytes: u64,
    pub cluster_bytes: u64,
    pub compression: Compression,
    pub refcount_bits: u32,
    pub snapshots: u32,
    pub has_backing_file: bool,
    pub is_encrypted: bool,
    pub is_dirty: bool,
    pub is_marked_corrupt: bool,
    pub has_external_data: bool,
    pub has_extended_entries: bool,
}

/// Of clusters that are compressed, if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// RFC 1951, without a header.
    Deflate,
    /// RFC 8878.
    Zstd,
}

/// What unpacks a cluster.
pub trait Decompress {
    /// Fills `cluster` from the beginning of `packed`, behind which other bytes may follow.
    fn decompress(&self, compression: Compression, packed: &[u8], cluster: &mut [u8]) -> io::Result<()>;
}

const PLACE: &str = "qcow2 header";

pub(super) fn open<'a>(
    file: &'a mut dyn Source,
    decompress: &'a dyn Decompress,
    findings: &mut Vec<Finding>,
) -> Result<(Qcow2, Option<Box<dyn Source + 'a>>), Finding> {
    let header = header(file)?;
    let qcow2 = describe(&header)?;
    let mut tell = |is: bool, problem: &str, hint: &str| {
        if is {
            findings.push(Finding::new(PLACE, problem, hint));
        }
        is
    };
    tell(
        qcow2.is_dirty,
        "it was not closed: its reference counts may be wrong",
        "qemu-img check -r all FILE",
    );
    tell(qcow2.is_marked_corrupt, "QEMU has marked it corrupt", "qemu-img check -r all FILE");
    let convert = "qemu-img convert -O qcow2 FILE NEW, which takes in what is elsewhere";
    let unread = [
        tell(qcow2.has_backing_file, "it has only what differs from another file", convert),
        tell(qcow2.is_encrypted, "it is encrypted", convert),
        tell(qcow2.has_external_data, "its data is in another file", convert),
        tell(qcow2.has_extended_entries, "its clusters have parts (extended L2 entries)", convert),
    ];
    if unread.contains(&true) {
        return Ok((qcow2, None));
    }
    let disk = disk(file, decompress, &header, &qcow2)?;
    Ok((qcow2, Some(Box::new(disk))))
}

/// The header of version 3; what version 2 has not is zero.
fn header(file: &mut dyn Source) -> Result<Vec<u8>, Finding> {
    const LENGTH: usize = 112;
    let mut header = read(file, PLACE, 0, 72)?;
    let (version, mut length) = (header.be32(4), 72);
    if version == 3 {
        length = read(file, PLACE, 0, 104)?.be32(100).clamp(104, LENGTH as u32) as usize;
        header = read(file, PLACE, 0, length)?;
    } else if version != 2 {
        return Err(Finding::new(PLACE, format!("its version {version} is neither 2 nor 3"), COPY_AGAIN));
    }
    header.truncate(length);
    header.resize(LENGTH, 0);
    Ok(header)
}

fn describe(header: &[u8]) -> Result<Qcow2, Finding> {
    let broken = |problem: String| Err(Finding::new(PLACE, problem, COPY_AGAIN));
    let (version, cluster_bits, incompatible) = (header.be32(4), header.be32(20), header.be64(72));
    if !(9..=21).contains(&cluster_bits) {
        return broken(format!("its clusters of 2^{cluster_bits} bytes are none of 512 bytes to 2 MiB"));
    }
    let has = |bit: u32| incompatible >> bit & 1 != 0;
    if incompatible >> 5 != 0 {
        return broken(format!("it needs features that are not known here ({incompatible:#x})"));
    }
    let compression = match header[104] {
        0 => Compression::Deflate,
        1 => Compression::Zstd,
        other => return broken(format!("its compression type {other} is neither 0 (deflate) nor 1 (zstd)")),
    };
    let refcount_order = if version == 2 { 4 } else { header.be32(96) };
    if refcount_order > 6 {
        return broken(format!("its reference counts of 2^{refcount_order} bits are more than 64"));
    }
    Ok(Qcow2 {
        version,
        disk_bytes: header.be64(24),
        cluster_bytes: 1 << cluster_bits,
        compression,
        refcount_bits: 1 << refcount_order,
        snapshots: header.be32(60),
        has_backing_file: header.be64(8) != 0,
        is_encrypted: header.be32(32) != 0,
        is_dirty: has(0),
        is_marked_corrupt: has(1),
        has_external_data: has(2),
        has_extended_entries: has(4),
    })
}

fn disk<'a>(
    file: &'a mut dyn Source,
    decompress: &'a dyn Decompress,
    header: &[u8],
    qcow2: &Qcow2,
) -> Result<Mapped<'a, Clusters<'a>>, Finding> {
    let (l1_entries, l1_at) = (u64::from(header.be32(36)), header.be64(40));
    let table_bytes = qcow2.cluster_bytes / 8 * qcow2.cluster_bytes;
    let needed = qcow2.disk_bytes.div_ceil(table_bytes);
    let end = l1_at.checked_add(l1_entries * 8);
    if needed > l1_entries || end.is_none_or(|end| end > file.size_bytes()) {
        let problem = format!(
            "its L1 table of {l1_entries} entries at {l1_at} is too short for {} bytes, or not within the file",
            qcow2.disk_bytes
        );
        return Err(Finding::new(PLACE, problem, COPY_AGAIN));
    }
    let map = Clusters {
        decompress,
        cluster_bytes: qcow2.cluster_bytes,
        compression: qcow2.compression,
        l1: Paged::new(l1_at, l1_entries * 8),
        l2: Paged::new(0, 0),
        unpacked: None,
        cluster: Vec::new(),
    };
    Ok(Mapped { file, size_bytes: qcow2.disk_bytes, block_bytes: qcow2.cluster_bytes, map })
}

struct Clusters<'a> {
    decompress: &'a dyn Decompress,
    cluster_bytes: u64,
    compression: Compression,
    l1: Paged,
    l2: Paged,
    /// Number of the compressed cluster that `cluster` holds.
    unpacked: Option<u64>,
    cluster: Vec<u8>,
}

/// A compressed cluster: where it begins, and how much of the file it may take.
struct Packed {
    at: u64,
    length_bytes: u64,
}

/// Bits 9 to 55 of entries.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

impl Clusters<'_> {
    /// What an entry of an L2 table says.
    fn entry(&self, entry: u64) -> Place<Packed> {
        const COMPRESSED: u64 = 1 << 62;
        const ZERO: u64 = 1;
        if entry & COMPRESSED != 0 {
            let shift = 62 - (self.cluster_bytes.trailing_zeros() - 8);
            let at = entry & ((1 << shift) - 1);
            let sectors = ((entry & (COMPRESSED - 1)) >> shift) + 1;
            return Place::Packed(Packed { at, length_bytes: sectors * 512 - at % 512 });
        }
        match entry & OFFSET {
            0 => Place::Zero,
            _ if entry & ZERO != 0 => Place::Zero,
            at => Place::At(at),
        }
    }
}

impl Map for Clusters<'_> {
    type Packed = Packed;

    fn place(&mut self, file: &mut dyn Source, number: u64) -> io::Result<Place<Packed>> {
        let entries = self.cluster_bytes / 8;
        let table = u64::from_be_bytes(self.l1.array(file, number / entries * 8)?) & OFFSET;
        if table == 0 {
            return Ok(Place::Zero);
        }
        if table != self.l2.start || self.l2.length_bytes == 0 {
            if table.checked_add(self.cluster_bytes).is_none_or(|end| end > file.size_bytes()) {
                let problem = format!("its L2 table at {table} lies behind the end of the file");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
            }
            self.l2 = Paged::new(table, self.cluster_bytes);
        }
        let entry = u64::from_be_bytes(self.l2.array(file, number % entries * 8)?);
        Ok(self.entry(entry))
    }

    /// At most twice a cluster is read: the count of sectors has so many bits.
    fn unpack(&mut self, file: &mut dyn Source, number: u64, packed: Packed) -> io::Result<&[u8]> {
        if self.unpacked != Some(number) {
            self.unpacked = None;
            let length = packed.length_bytes.min(file.size_bytes().saturating_sub(packed.at));
            let mut bytes = vec![0; length as usize];
            read_within(file, packed.at, &mut bytes)?;
            self.cluster.resize(self.cluster_bytes as usize, 0);
            self.decompress.decompress(self.compression, &bytes, &mut self.cluster)?;
            self.unpacked = Some(number);
        }
        Ok(&self.cluster)
    }
}
