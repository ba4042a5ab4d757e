//! Partition tables of others, read: GPT with its backup, else MBR.
//!
//! Source: UEFI specification 2.10, chapter 5. The crate gpt is not used here: it gives nothing of a table whose checksum is
//! wrong, asserts the size of entries, and makes room for as many as the header says.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::{Uuid, uuid};

use super::finding::{COPY_AGAIN, Finding, read};
use crate::fields::Fields as _;
use crate::source::Source;

pub const ESP: Uuid = uuid!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B");

const MIB: u64 = 1 << 20;
const MAX_ENTRIES: u32 = 1024;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Table {
    pub kind: TableKind,
    pub sector_bytes: u64,
    /// Of a GPT.
    pub disk_id: Option<Uuid>,
    pub primary: Option<GptHeader>,
    pub backup: Option<GptHeader>,
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    Gpt,
    Mbr,
}

/// One of the two headers of a GPT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GptHeader {
    pub lba: u64,
    pub other_lba: u64,
    pub checksum_is_right: bool,
    pub entries_checksum_is_right: bool,
    pub first_usable_lba: u64,
    pub last_usable_lba: u64,
    pub entries_lba: u64,
    pub entry_count: u32,
    pub entry_bytes: u32,
    pub entries_checksum: u32,
    disk_id: Uuid,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Partition {
    /// From 1 on, as Linux counts.
    pub number: u32,
    pub type_id: String,
    pub type_name: &'static str,
    pub id: Option<Uuid>,
    pub name: String,
    pub start_bytes: u64,
    pub size_bytes: u64,
    /// The largest power of two, up to 1 MiB, that its start is a multiple of.
    pub alignment_bytes: u64,
    pub attributes: u64,
}

impl Partition {
    pub fn end_bytes(&self) -> u64 {
        self.start_bytes + self.size_bytes
    }

    pub fn is_esp(&self) -> bool {
        self.type_id == ESP.to_string() || self.type_id == "0xef"
    }
}

/// The partition table, if there is one.
pub fn table(disk: &mut dyn Source, findings: &mut Vec<Finding>) -> Option<Table> {
    let sector = [512, 4096].into_iter().find(|sector| is_gpt(disk, *sector, *sector));
    // A primary table that is gone leaves the backup in the last sector.
    let sector = sector.or_else(|| {
        let last = disk.size_bytes().checked_sub(512)? / 512 * 512;
        is_gpt(disk, last, 512).then_some(512)
    });
    match sector {
        Some(sector) => gpt(disk, sector, findings),
        None => mbr(disk, findings),
    }
}

fn is_gpt(disk: &mut dyn Source, offset: u64, sector: u64) -> bool {
    read(disk, "", offset, sector as usize).is_ok_and(|bytes| bytes.starts_with(b"EFI PART"))
}

fn gpt(disk: &mut dyn Source, sector: u64, findings: &mut Vec<Finding>) -> Option<Table> {
    let last = (disk.size_bytes() / sector).saturating_sub(1);
    let primary = header(disk, sector, 1, "primary GPT", findings);
    let backup_lba =
        primary.as_ref().map(|(header, _)| header.other_lba).filter(|lba| (2..=last).contains(lba));
    let backup_lba = backup_lba.unwrap_or(last);
    let backup = header(disk, sector, backup_lba, "backup GPT", findings);
    protective(disk, findings);
    let is_good =
        |table: &&(GptHeader, Vec<u8>)| table.0.checksum_is_right && table.0.entries_checksum_is_right;
    // Of one that is damaged nothing else is told.
    if primary.iter().chain(&backup).all(|table| is_good(&table)) {
        agree(primary.as_ref(), backup.as_ref(), last, findings);
    }
    let first_good = primary.iter().chain(&backup).find(is_good);
    let (header, entries) = first_good.or(primary.as_ref()).or(backup.as_ref())?;
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(header.entry_bytes as usize)) {
        if entry.guid(0).is_nil() {
            continue;
        }
        match partition(number, entry, sector, header) {
            Ok(partition) => partitions.push(partition),
            Err(finding) => findings.push(finding),
        }
    }
    let disk_id = Some(header.disk_id);
    check(disk.size_bytes(), &partitions, findings);
    let (primary, backup) = (primary.map(|(header, _)| header), backup.map(|(header, _)| header));
    Some(Table { kind: TableKind::Gpt, sector_bytes: sector, disk_id, primary, backup, partitions })
}

/// A header and its entries. None where there is no header, or none that can be followed.
fn header(
    disk: &mut dyn Source,
    sector: u64,
    lba: u64,
    place: &str,
    findings: &mut Vec<Finding>,
) -> Option<(GptHeader, Vec<u8>)> {
    let mend = "sgdisk -e DISK, or gdisk's recovery menu, writes it from the other one";
    let mut tell = |problem: String| findings.push(Finding::new(place, problem, mend));
    let bytes = match read(disk, place, lba.saturating_mul(sector), sector as usize) {
        Ok(bytes) if bytes.starts_with(b"EFI PART") => bytes,
        Ok(_) => {
            tell(format!("there is none in sector {lba}"));
            return None;
        }
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    let length = bytes.le32(12) as usize;
    let mut summed = bytes[..length.clamp(92, sector as usize)].to_vec();
    summed[16..20].fill(0);
    let mut header = GptHeader {
        lba: bytes.le64(24),
        other_lba: bytes.le64(32),
        checksum_is_right: (92..=sector as usize).contains(&length) && checksum(&summed) == bytes.le32(16),
        entries_checksum_is_right: false,
        first_usable_lba: bytes.le64(40),
        last_usable_lba: bytes.le64(48),
        entries_lba: bytes.le64(72),
        entry_count: bytes.le32(80),
        entry_bytes: bytes.le32(84),
        entries_checksum: bytes.le32(88),
        disk_id: bytes.guid(56),
    };
    if !header.checksum_is_right {
        tell("the checksum of its header is wrong".to_owned());
    } else if header.lba != lba {
        tell(format!("it says that it is in sector {}, but is in {lba}", header.lba));
    }
    let (count, size) = (header.entry_count, header.entry_bytes);
    // UEFI 2.10, table 5.5: 128 bytes times a power of two.
    if count > MAX_ENTRIES || !size.is_power_of_two() || !(128..=4096).contains(&size) {
        // Of a header that is damaged nothing else is told.
        if header.checksum_is_right {
            tell(format!("it has {count} entries of {size} bytes, which no tool makes"));
        }
        return None;
    }
    let at = header.entries_lba.saturating_mul(sector);
    match read(disk, place, at, count as usize * size as usize) {
        Ok(entries) => {
            header.entries_checksum_is_right = checksum(&entries) == header.entries_checksum;
            if !header.entries_checksum_is_right {
                tell("the checksum of its entries is wrong".to_owned());
            }
            Some((header, entries))
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

fn agree(
    primary: Option<&(GptHeader, Vec<u8>)>,
    backup: Option<&(GptHeader, Vec<u8>)>,
    last: u64,
    findings: &mut Vec<Finding>,
) {
    let (Some((primary, first)), Some((backup, second))) = (primary, backup) else { return };
    let mend = "sgdisk -e DISK moves and writes the backup anew";
    if primary.disk_id != backup.disk_id || first != second {
        findings.push(Finding::new("backup GPT", "it has other partitions than the primary one", mend));
    }
    if primary.other_lba != last {
        let problem = format!("it is in sector {}, but the disk ends with {last}", primary.other_lba);
        findings.push(Finding::new("backup GPT", problem, mend));
    }
}

/// UEFI 2.10, section 5.2.3: what keeps tools that know no GPT away.
fn protective(disk: &mut dyn Source, findings: &mut Vec<Finding>) {
    let Ok(mbr) = read(disk, "MBR", 0, 512) else { return };
    let has_protection = (0..4).any(|index| mbr[446 + index * 16 + 4] == 0xee);
    if mbr[510..] != [0x55, 0xaa] || !has_protection {
        let hint = "sgdisk DISK writes it when the table is saved";
        findings.push(Finding::new("MBR", "no entry of type 0xee protects the GPT", hint));
    }
}

fn partition(number: u32, entry: &[u8], sector: u64, header: &GptHeader) -> Result<Partition, Finding> {
    let (first, last) = (entry.le64(32), entry.le64(40));
    let place = format!("partition {number}");
    let hint = "make the table anew; sgdisk -v DISK says more";
    let bounds = first.checked_mul(sector).zip(last.checked_add(1).and_then(|end| end.checked_mul(sector)));
    let Some((start, end)) = bounds.filter(|(start, end)| start < end) else {
        return Err(Finding::new(place, format!("it reaches from sector {first} to {last}"), hint));
    };
    if first < header.first_usable_lba || last > header.last_usable_lba {
        let (from, to) = (header.first_usable_lba, header.last_usable_lba);
        let problem = format!("its sectors {first} to {last} leave the usable ones, {from} to {to}");
        return Err(Finding::new(place, problem, hint));
    }
    let units: Vec<u16> =
        (56..128).step_by(2).map(|at| entry.le16(at)).take_while(|unit| *unit != 0).collect();
    let type_id = entry.guid(0);
    Ok(Partition {
        number,
        type_id: type_id.to_string(),
        type_name: type_name(type_id),
        id: Some(entry.guid(16)),
        name: String::from_utf16_lossy(&units),
        start_bytes: start,
        size_bytes: end - start,
        alignment_bytes: alignment(start),
        attributes: entry.le64(48),
    })
}

fn alignment(start: u64) -> u64 {
    (1 << start.trailing_zeros().min(20)).min(MIB)
}

/// The types that images for virtual machines have (UEFI 2.10, table 5.7; Discoverable Partitions Specification).
fn type_name(id: Uuid) -> &'static str {
    const NAMES: [(Uuid, &str); 10] = [
        (ESP, "EFI system partition"),
        (uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), "Linux file system"),
        (uuid!("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"), "Linux root x86-64"),
        (uuid!("B921B045-1DF0-41C3-AF44-4C6F280D3FAE"), "Linux root ARM-64"),
        (uuid!("BC13C2FF-59E6-4262-A352-B275FD6F7172"), "Linux extended boot"),
        (uuid!("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"), "Linux swap"),
        (uuid!("E6D6D379-F507-44C2-A23C-238F2A3DF928"), "Linux LVM"),
        (uuid!("21686148-6449-6E6F-744E-656564454649"), "BIOS boot"),
        (uuid!("E3C9E316-0B5C-4DB8-817D-F92DF00215AE"), "Microsoft reserved"),
        (uuid!("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"), "Microsoft basic data"),
    ];
    NAMES.iter().find(|(known, _)| *known == id).map_or("unknown", |(_, name)| name)
}

fn check(disk_bytes: u64, partitions: &[Partition], findings: &mut Vec<Finding>) {
    let hint = "make the table anew; sgdisk -v DISK says more";
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.start_bytes);
    for pair in sorted.windows(2) {
        if pair[1].start_bytes < pair[0].end_bytes() {
            let place = format!("partition {}", pair[1].number);
            findings.push(Finding::new(place, format!("it overlaps partition {}", pair[0].number), hint));
        }
    }
    let mut ids = BTreeSet::new();
    for partition in partitions {
        let place = || format!("partition {}", partition.number);
        if partition.end_bytes() > disk_bytes {
            let problem = format!("it ends at byte {}, and the disk at {disk_bytes}", partition.end_bytes());
            findings.push(Finding::new(place(), problem, COPY_AGAIN));
        }
        if partition.id.is_some_and(|id| id.is_nil() || !ids.insert(id)) {
            findings.push(Finding::new(place(), "its GUID is nil or that of another", "sgdisk -G DISK"));
        }
        if partition.alignment_bytes < 4096 {
            let problem = format!("it starts at a multiple of {} bytes only", partition.alignment_bytes);
            findings.push(Finding::new(
                place(),
                problem,
                "start it at a multiple of 1 MiB: 4 KiB sectors are slow otherwise",
            ));
        }
    }
}

/// The four entries of a master boot record; not the chain of an extended partition.
fn mbr(disk: &mut dyn Source, findings: &mut Vec<Finding>) -> Option<Table> {
    let mbr = read(disk, "MBR", 0, 512).ok()?;
    if mbr[510..] != [0x55, 0xaa] {
        return None;
    }
    let entry = |index: usize| &mbr[446 + index * 16..462 + index * 16];
    // The boot sector of a file system ends so as well, with code where the entries would be.
    if (0..4).any(|index| entry(index)[0] & 0x7f != 0) {
        return None;
    }
    let used = (0..4).filter(|index| entry(*index)[4] != 0 && entry(*index).le32(12) != 0);
    let partitions: Vec<_> = used.map(|index| mbr_partition(index as u32 + 1, entry(index))).collect();
    if partitions.is_empty() {
        return None;
    }
    check(disk.size_bytes(), &partitions, findings);
    let kind = TableKind::Mbr;
    Some(Table { kind, sector_bytes: 512, disk_id: None, primary: None, backup: None, partitions })
}

fn mbr_partition(number: u32, entry: &[u8]) -> Partition {
    let start_bytes = u64::from(entry.le32(8)) * 512;
    let type_name = match entry[4] {
        0xef => "EFI system partition",
        0x83 => "Linux",
        0x82 => "Linux swap",
        0x0b | 0x0c => "FAT32",
        0x07 => "NTFS or exFAT",
        0x05 | 0x0f => "extended",
        0xee => "protection of a GPT that is not there",
        _ => "unknown",
    };
    Partition {
        number,
        type_id: format!("{:#04x}", entry[4]),
        type_name,
        id: None,
        name: String::new(),
        start_bytes,
        size_bytes: u64::from(entry.le32(12)) * 512,
        alignment_bytes: alignment(start_bytes),
        attributes: (entry[0] >> 7).into(),
    }
}
