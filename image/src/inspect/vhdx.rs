//! VHDX files of others, read. Differencing ones are only described.
//!
//! Source: Microsoft, [MS-VHDX], sections in brackets below.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;

use serde::Serialize;
use uuid::Uuid;

use super::finding::{COPY_AGAIN, Finding, Paged, read};
use super::mapped::{Map, Mapped, Place};
use crate::fields::Fields as _;
use crate::source::Source;
use crate::vhdx::{
    BAT_REGION, FILE_PARAMETERS, HEADER_BYTES, HEADERS_AT, LOGICAL_SECTOR_SIZE, MAX_SIZE_BYTES,
    METADATA_REGION, METADATA_TABLE_BYTES, PHYSICAL_SECTOR_SIZE, REGION_TABLE_BYTES, REGION_TABLES_AT,
    VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE, checksum, chunk_ratio,
};

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vhdx {
    pub creator: String,
    /// Of the two headers.
    pub headers: Vec<Header>,
    /// Nothing is to be replayed.
    pub log_is_empty: bool,
    pub regions: Vec<Region>,
    pub disk_bytes: u64,
    pub disk_id: Uuid,
    pub block_bytes: u32,
    pub logical_sector_bytes: u32,
    pub physical_sector_bytes: u32,
    pub has_parent: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Header {
    pub offset: u64,
    pub is_valid: bool,
    pub is_current: bool,
    pub sequence: u64,
    pub file_write_id: Uuid,
    pub data_write_id: Uuid,
    pub log_id: Uuid,
    pub log_offset: u64,
    pub log_bytes: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Region {
    pub name: String,
    pub offset: u64,
    pub length_bytes: u32,
    pub is_required: bool,
}

const PLACE: &str = "VHDX";

pub(super) fn open<'a>(
    file: &'a mut dyn Source,
    findings: &mut Vec<Finding>,
) -> Result<(Vhdx, Option<Box<dyn Source + 'a>>), Finding> {
    let creator = creator(&read(file, PLACE, 0, 520)?);
    let headers = headers(file, findings)?;
    let current = headers.iter().find(|header| header.is_current);
    let log_is_empty = current.is_some_and(|header| header.log_id.is_nil());
    if !log_is_empty {
        let problem = "its log is not empty: what it says of the disk may be old";
        findings.push(Finding::new(
            "VHDX log",
            problem,
            "attach it once with Hyper-V, or `qemu-img check -r all` it",
        ));
    }
    let regions = regions(file, findings)?;
    let region = |id: Uuid, name: &str| {
        let found = regions.iter().find(|(known, _)| *known == id).map(|(_, region)| region.clone());
        found.ok_or_else(|| Finding::new("VHDX region table", format!("it names no {name}"), COPY_AGAIN))
    };
    let items = metadata(file, &region(METADATA_REGION, "metadata")?)?;
    let vhdx = describe(creator, headers, log_is_empty, &regions, &items)?;
    if vhdx.has_parent {
        let problem = "it has only what differs from another disk";
        findings.push(Finding::new(PLACE, problem, "merge it with its parent first"));
        return Ok((vhdx, None));
    }
    let disk = disk(file, &vhdx, &region(BAT_REGION, "block allocation table")?)?;
    Ok((vhdx, Some(Box::new(disk))))
}

/// 2.2.1.
fn creator(identifier: &[u8]) -> String {
    let units = (8..520).step_by(2).map(|at| identifier.le16(at)).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// 2.2.2.
fn headers(file: &mut dyn Source, findings: &mut Vec<Finding>) -> Result<Vec<Header>, Finding> {
    let mut headers = Vec::new();
    for offset in HEADERS_AT {
        let bytes = read(file, "VHDX header", offset, HEADER_BYTES)?;
        headers.push(Header {
            offset,
            is_valid: &bytes[..4] == b"head" && is_sealed(&bytes) && bytes.le16(66) == 1,
            is_current: false,
            sequence: bytes.le64(8),
            file_write_id: bytes.guid(16),
            data_write_id: bytes.guid(32),
            log_id: bytes.guid(48),
            log_offset: bytes.le64(72),
            log_bytes: bytes.le32(68),
        });
    }
    for header in headers.iter().filter(|header| !header.is_valid) {
        let place = format!("VHDX header at {}", header.offset);
        let hint = "the other one counts; a writer that was interrupted leaves it so";
        findings.push(Finding::new(place, "its signature, version or checksum is wrong", hint));
    }
    match headers.iter_mut().filter(|header| header.is_valid).max_by_key(|header| header.sequence) {
        Some(header) => header.is_current = true,
        None => return Err(Finding::new("VHDX headers", "neither of the two is valid", COPY_AGAIN)),
    }
    Ok(headers)
}

fn is_sealed(structure: &[u8]) -> bool {
    let mut copy = structure.to_vec();
    copy[4..8].fill(0);
    checksum(&copy) == structure.le32(4)
}

/// 2.2.3: the first table that is valid.
fn regions(file: &mut dyn Source, findings: &mut Vec<Finding>) -> Result<Vec<(Uuid, Region)>, Finding> {
    const MAX_ENTRIES: u32 = 2047;
    let mut table = None;
    for offset in REGION_TABLES_AT {
        let bytes = read(file, "VHDX region table", offset, REGION_TABLE_BYTES)?;
        if &bytes[..4] == b"regi" && is_sealed(&bytes) && bytes.le32(8) <= MAX_ENTRIES {
            table.get_or_insert(bytes);
        } else {
            let place = format!("VHDX region table at {offset}");
            findings.push(Finding::new(
                place,
                "its signature or checksum is wrong",
                "there are two; one is enough to read the file",
            ));
        }
    }
    let Some(table) = table else {
        return Err(Finding::new("VHDX region tables", "neither of the two is valid", COPY_AGAIN));
    };
    let region = |index: u32| {
        let at = 16 + index as usize * 32;
        let id = table.guid(at);
        let name = match id {
            BAT_REGION => "block allocation table".to_owned(),
            METADATA_REGION => "metadata".to_owned(),
            other => other.to_string(),
        };
        let is_required = table.le32(at + 28) & 1 != 0;
        (id, Region { name, offset: table.le64(at + 16), length_bytes: table.le32(at + 24), is_required })
    };
    Ok((0..table.le32(8)).map(region).collect())
}

/// 2.6: the small items that every file has, by id.
fn metadata(file: &mut dyn Source, region: &Region) -> Result<BTreeMap<Uuid, Vec<u8>>, Finding> {
    const MAX_ENTRIES: u16 = 2047;
    const MAX_ITEM_BYTES: u32 = 16;
    let place = "VHDX metadata";
    let table = read(file, place, region.offset, METADATA_TABLE_BYTES)?;
    let count = table.le16(10);
    if &table[..8] != b"metadata" || count > MAX_ENTRIES {
        return Err(Finding::new(place, "its table is none", COPY_AGAIN));
    }
    let mut items = BTreeMap::new();
    for index in 0..usize::from(count) {
        let at = 32 + index * 32;
        let (offset, length) = (table.le32(at + 16), table.le32(at + 20));
        if length <= MAX_ITEM_BYTES {
            let start = region.offset.saturating_add(offset.into());
            items.insert(table.guid(at), read(file, place, start, length as usize)?);
        }
    }
    Ok(items)
}

fn describe(
    creator: String,
    headers: Vec<Header>,
    log_is_empty: bool,
    regions: &[(Uuid, Region)],
    items: &BTreeMap<Uuid, Vec<u8>>,
) -> Result<Vhdx, Finding> {
    let item = |id: Uuid, name: &str, length: usize| {
        let found = items.get(&id).filter(|item| item.len() == length);
        found.ok_or_else(|| Finding::new("VHDX metadata", format!("it has no {name}"), COPY_AGAIN))
    };
    let parameters = item(FILE_PARAMETERS, "file parameters", 8)?;
    let vhdx = Vhdx {
        creator,
        headers,
        log_is_empty,
        regions: regions.iter().map(|(_, region)| region.clone()).collect(),
        disk_bytes: item(VIRTUAL_DISK_SIZE, "disk size", 8)?.le64(0),
        disk_id: item(VIRTUAL_DISK_ID, "disk id", 16)?.guid(0),
        block_bytes: parameters.le32(0),
        logical_sector_bytes: item(LOGICAL_SECTOR_SIZE, "logical sector size", 4)?.le32(0),
        physical_sector_bytes: item(PHYSICAL_SECTOR_SIZE, "physical sector size", 4)?.le32(0),
        has_parent: parameters.le32(4) & 2 != 0,
    };
    let broken = |problem: String| Err(Finding::new("VHDX metadata", problem, COPY_AGAIN));
    if !vhdx.block_bytes.is_power_of_two() || !(1 << 20..=256 << 20).contains(&vhdx.block_bytes) {
        return broken(format!(
            "its blocks of {} bytes are no power of two of 1 to 256 MiB",
            vhdx.block_bytes
        ));
    }
    if ![512, 4096].contains(&vhdx.logical_sector_bytes) {
        return broken(format!("its sectors have {} bytes, not 512 or 4096", vhdx.logical_sector_bytes));
    }
    if vhdx.disk_bytes > MAX_SIZE_BYTES {
        return broken(format!("its disk of {} bytes is larger than 64 TiB", vhdx.disk_bytes));
    }
    Ok(vhdx)
}

fn disk<'a>(file: &'a mut dyn Source, vhdx: &Vhdx, table: &Region) -> Result<Mapped<'a, Blocks>, Finding> {
    let block_bytes = u64::from(vhdx.block_bytes);
    let chunk_ratio = chunk_ratio(block_bytes, vhdx.logical_sector_bytes.into());
    let blocks = vhdx.disk_bytes.div_ceil(block_bytes);
    let needed = (blocks + blocks.saturating_sub(1) / chunk_ratio) * 8;
    let end = table.offset.checked_add(table.length_bytes.into());
    if needed > table.length_bytes.into() || end.is_none_or(|end| end > file.size_bytes()) {
        let problem = format!(
            "{} bytes at {} are too few for {blocks} blocks, or not within the file",
            table.length_bytes, table.offset
        );
        return Err(Finding::new("VHDX block allocation table", problem, COPY_AGAIN));
    }
    let map = Blocks { chunk_ratio, table: Paged::new(table.offset, table.length_bytes.into()) };
    Ok(Mapped { file, size_bytes: vhdx.disk_bytes, block_bytes, map })
}

struct Blocks {
    chunk_ratio: u64,
    table: Paged,
}

impl Map for Blocks {
    type Packed = Infallible;

    /// 2.5.1: the state in the low bits, the place in MiB from bit 20 on.
    fn place(&mut self, file: &mut dyn Source, block: u64) -> io::Result<Place<Infallible>> {
        const FULLY_PRESENT: u64 = 6;
        let entry = u64::from_le_bytes(self.table.array(file, (block + block / self.chunk_ratio) * 8)?);
        Ok(if entry & 7 == FULLY_PRESENT { Place::At(entry >> 20 << 20) } else { Place::Zero })
    }

    fn unpack(&mut self, _: &mut dyn Source, _: u64, packed: Infallible) -> io::Result<&[u8]> {
        match packed {}
    }
}
