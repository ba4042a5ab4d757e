//! FAT file systems of others, read: 12, 16 and 32 bits, long names.
//!
//! Source: Microsoft, "FAT File System Specification" 1.03 (in brackets below). The crate fatfs, which writes ours, is not
//! used here: numbers of clusters that no file system has make it panic.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use serde::Serialize;

use super::finding::{Finding, read, read_within};
use super::mapped::Part;
use crate::fields::Fields as _;
use crate::source::Source;

const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 16;
/// A directory has at most 65536 entries of 32 bytes.
const MAX_DIRECTORY_BYTES: u64 = 2 << 20;
/// All directories of a volume together.
const MAX_DIRECTORIES_BYTES: u64 = 64 << 20;
/// Runs of clusters of one file, and clusters; a program of an image has one run, and a few thousand clusters.
const MAX_RUNS: usize = 1 << 16;
const MAX_CLUSTERS: u64 = 1 << 20;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Volume {
    /// 12, 16 or 32.
    pub fat_bits: u8,
    pub label: String,
    pub id: u32,
    pub cluster_bytes: u32,
    pub size_bytes: u64,
    pub files: Vec<File>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct File {
    pub path: String,
    pub size_bytes: u32,
    #[serde(skip)]
    first_cluster: u32,
}

/// Where everything lies; all numbers have been checked against the size of the device.
struct Geometry {
    fat_bits: u8,
    cluster_bytes: u64,
    fat_at: u64,
    root_at: Range<u64>,
    /// First cluster of the root, of FAT32.
    root_cluster: u32,
    data_at: u64,
    /// Behind the last cluster's number.
    end_cluster: u32,
}

/// None if it is no FAT file system.
pub fn volume(device: &mut dyn Source, place: &str, findings: &mut Vec<Finding>) -> Option<Volume> {
    if device.size_bytes() < 512 {
        return None;
    }
    let boot = match read(device, place, 0, 512) {
        Ok(boot) => boot,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    if boot[510..] != [0x55, 0xaa] || !matches!(boot[0], 0xeb | 0xe9) {
        return None;
    }
    let geometry = match geometry(&boot, device.size_bytes()) {
        Ok(geometry) => geometry?,
        Err(problem) => {
            findings.push(Finding::new(place, problem, "make the file system anew; fsck.fat -n says more"));
            return None;
        }
    };
    let extended = if geometry.fat_bits == 32 { 64 } else { 36 };
    let size_bytes = u64::from(total_sectors(&boot)) * u64::from(boot.le16(11));
    let mut volume = Volume {
        fat_bits: geometry.fat_bits,
        label: String::from_utf8_lossy(&boot[extended + 7..extended + 18]).trim_end().to_owned(),
        id: boot.le32(extended + 3),
        cluster_bytes: geometry.cluster_bytes as u32,
        size_bytes,
        files: Vec::new(),
    };
    let mut walk = Walk {
        device,
        geometry: &geometry,
        place,
        findings,
        seen: BTreeSet::new(),
        left: MAX_DIRECTORIES_BYTES,
    };
    walk.directory(geometry.root_cluster, "", 0, &mut volume.files);
    Some(volume)
}

/// The content of a file.
pub fn content<'a>(device: &'a mut dyn Source, file: &File) -> Result<Content<'a>, Finding> {
    let broken = |problem: String| Finding::new(&file.path, problem, "fsck.fat -n says more");
    let boot = read(device, &file.path, 0, 512)?;
    let geometry = geometry(&boot, device.size_bytes()).ok().flatten();
    let geometry = geometry.ok_or_else(|| broken("its file system is gone".to_owned()))?;
    let clusters = u64::from(file.size_bytes).div_ceil(geometry.cluster_bytes);
    let runs = runs(device, &geometry, file.first_cluster, clusters).map_err(&broken)?;
    if runs.iter().map(|run| run.end - run.start).sum::<u64>() < u64::from(file.size_bytes) {
        return Err(broken("its chain of clusters is shorter than the file".to_owned()));
    }
    Ok(Content { device, runs, size_bytes: file.size_bytes.into() })
}

fn total_sectors(boot: &[u8]) -> u32 {
    match boot.le16(19) {
        0 => boot.le32(32),
        sectors => sectors.into(),
    }
}

/// [3.1 to 3.5]. None if the sector is no boot sector of FAT, a text if it is one that can't be right.
fn geometry(boot: &[u8], device_bytes: u64) -> Result<Option<Geometry>, String> {
    let (sector, cluster) = (u64::from(boot.le16(11)), u64::from(boot[13]));
    if !sector.is_power_of_two() || !(512..=4096).contains(&sector) || !cluster.is_power_of_two() {
        return Ok(None);
    }
    let (reserved, fats) = (u64::from(boot.le16(14)), u64::from(boot[16]));
    if reserved == 0 || !(1..=2).contains(&fats) {
        return Ok(None);
    }
    let fat_sectors = match boot.le16(22) {
        0 => u64::from(boot.le32(36)),
        sectors => sectors.into(),
    };
    let root_sectors = (u64::from(boot.le16(17)) * 32).div_ceil(sector);
    let data_sector = reserved + fats * fat_sectors + root_sectors;
    let total = u64::from(total_sectors(boot));
    if total * sector > device_bytes {
        return Err(format!("its file system has {} bytes, and its place {device_bytes}", total * sector));
    }
    if fat_sectors == 0 || data_sector >= total {
        return Err(format!("its tables of {data_sector} sectors leave none of {total} for files"));
    }
    let clusters = (total - data_sector) / cluster;
    // The count alone decides the type [3.5].
    let fat_bits = match clusters {
        0..4085 => 12,
        4085..65525 => 16,
        _ => 32,
    };
    if clusters >= 0x0fff_fff5 || (clusters + 2) * u64::from(fat_bits) > fat_sectors * sector * 8 {
        return Err(format!("its table of {fat_sectors} sectors is too short for {clusters} clusters"));
    }
    let root_start = (reserved + fats * fat_sectors) * sector;
    Ok(Some(Geometry {
        fat_bits,
        cluster_bytes: cluster * sector,
        fat_at: reserved * sector,
        root_at: root_start..root_start + root_sectors * sector,
        root_cluster: if fat_bits == 32 { boot.le32(44) } else { 0 },
        data_at: data_sector * sector,
        end_cluster: clusters as u32 + 2,
    }))
}

/// The cluster that follows in the chain; None at its end.
fn next_cluster(device: &mut dyn Source, geometry: &Geometry, cluster: u32) -> Result<Option<u32>, String> {
    let bits = u64::from(geometry.fat_bits);
    let mut bytes = [0; 4];
    let length = if geometry.fat_bits == 32 { 4 } else { 2 };
    let at = geometry.fat_at + u64::from(cluster) * bits / 8;
    read_within(device, at, &mut bytes[..length]).map_err(|cause| cause.to_string())?;
    let value = u32::from_le_bytes(bytes);
    let (next, end) = match geometry.fat_bits {
        12 if cluster % 2 == 1 => (value >> 4, 0xff8),
        12 => (value & 0xfff, 0xff8),
        16 => (value, 0xfff8),
        _ => (value & 0x0fff_ffff, 0x0fff_fff8),
    };
    Ok(if next >= end { None } else { Some(next) })
}

/// Where the first clusters of a chain lie, neighbours together.
fn runs(
    device: &mut dyn Source,
    geometry: &Geometry,
    first: u32,
    clusters: u64,
) -> Result<Vec<Range<u64>>, String> {
    if clusters > MAX_CLUSTERS {
        return Err(format!("it has {clusters} clusters, more than are followed here"));
    }
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut next = (clusters > 0).then_some(first);
    for _ in 0..clusters {
        let Some(cluster) = next else { break };
        if !(2..geometry.end_cluster).contains(&cluster) {
            return Err(format!("its chain names cluster {cluster}, which isn't there"));
        }
        let start = geometry.data_at + u64::from(cluster - 2) * geometry.cluster_bytes;
        let count = runs.len();
        match runs.last_mut() {
            Some(run) if run.end == start => run.end += geometry.cluster_bytes,
            _ if count == MAX_RUNS => return Err("it lies in too many pieces".to_owned()),
            _ => runs.push(start..start + geometry.cluster_bytes),
        }
        next = next_cluster(device, geometry, cluster)?;
    }
    Ok(runs)
}

struct Walk<'a> {
    device: &'a mut dyn Source,
    geometry: &'a Geometry,
    place: &'a str,
    findings: &'a mut Vec<Finding>,
    /// First clusters of directories: one that comes twice is a loop.
    seen: BTreeSet<u32>,
    /// Bytes of directories that may still be read.
    left: u64,
}

impl Walk<'_> {
    fn directory(&mut self, cluster: u32, path: &str, depth: usize, files: &mut Vec<File>) {
        if let Err(problem) = self.walk(cluster, path, depth, files) {
            let place = format!("{}:{}", self.place, if path.is_empty() { "/" } else { path });
            self.findings.push(Finding::new(place, problem, "fsck.fat -n says more"));
        }
    }

    fn walk(&mut self, cluster: u32, path: &str, depth: usize, files: &mut Vec<File>) -> Result<(), String> {
        if depth > MAX_DEPTH || !self.seen.insert(cluster) {
            return Err("its folders lie within each other without end".to_owned());
        }
        let runs = match (cluster, path.is_empty()) {
            (0, true) => vec![self.geometry.root_at.clone()],
            _ => {
                let clusters = MAX_DIRECTORY_BYTES / self.geometry.cluster_bytes;
                runs(self.device, self.geometry, cluster, clusters)?
            }
        };
        let entries = entries(self.device, &runs)?;
        self.left = self.left.saturating_sub(entries.len() as u64);
        if self.left == 0 {
            return Err("its folders are longer than are read here".to_owned());
        }
        for (name, entry) in names(&entries) {
            if files.len() == MAX_FILES {
                return Err("it has more files than are listed here".to_owned());
            }
            let mask = if self.geometry.fat_bits == 32 { u32::MAX } else { 0xffff };
            let first_cluster = (u32::from(entry.le16(20)) << 16 | u32::from(entry.le16(26))) & mask;
            let path = format!("{path}/{name}");
            if entry[11] & DIRECTORY != 0 {
                self.directory(first_cluster, &path, depth + 1, files);
            } else {
                files.push(File { path, size_bytes: entry.le32(28), first_cluster });
            }
        }
        Ok(())
    }
}

fn entries(device: &mut dyn Source, runs: &[Range<u64>]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for run in runs {
        let start = bytes.len();
        let length = (run.end - run.start).min(MAX_DIRECTORY_BYTES - start as u64);
        bytes.resize(start + length as usize, 0);
        read_within(device, run.start, &mut bytes[start..]).map_err(|cause| cause.to_string())?;
    }
    Ok(bytes)
}

const DIRECTORY: u8 = 0x10;
const VOLUME_LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;

/// The entries of a directory that are files or folders, with their long names where they have such [6, 7].
fn names(entries: &[u8]) -> Vec<(String, &[u8])> {
    let mut names = Vec::new();
    let mut long: Vec<u16> = Vec::new();
    for entry in entries.chunks_exact(32) {
        match (entry[0], entry[11]) {
            (0, _) => break,
            (0xe5, _) => long.clear(),
            (number, LONG_NAME) => {
                // The last piece comes first, with a mark.
                if number & 0x40 != 0 {
                    long.clear();
                }
                let units = [1..11, 14..26, 28..32].into_iter().flat_map(|range| range.step_by(2));
                let piece: Vec<u16> = units.map(|at| entry.le16(at)).collect();
                long.splice(0..0, piece);
                long.truncate(260);
            }
            (_, attributes) if attributes & VOLUME_LABEL != 0 => long.clear(),
            (b'.', _) => long.clear(),
            _ => {
                let end = long.iter().position(|unit| *unit == 0).unwrap_or(long.len());
                let name = match end {
                    0 => short_name(entry),
                    _ => String::from_utf16_lossy(&long[..end]),
                };
                names.push((printable(&name), entry));
                long.clear();
            }
        }
    }
    names
}

/// Eight characters and three; bits of byte 12 say that they are lower case.
fn short_name(entry: &[u8]) -> String {
    let part = |range: Range<usize>, lower: u8| {
        let text = String::from_utf8_lossy(&entry[range]).trim_end().to_owned();
        if entry[12] & lower != 0 { text.to_lowercase() } else { text }
    };
    let (stem, suffix) = (part(0..8, 0x08), part(8..11, 0x10));
    if suffix.is_empty() { stem } else { format!("{stem}.{suffix}") }
}

/// Without what would move a terminal's cursor or look like another folder.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || c == '/' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A file as a disk of its own.
pub struct Content<'a> {
    device: &'a mut dyn Source,
    runs: Vec<Range<u64>>,
    size_bytes: u64,
}

impl Source for Content<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok((from < self.size_bytes).then_some(from..self.size_bytes))
    }

    fn read_at(&mut self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        for run in &self.runs {
            let length = run.end - run.start;
            if offset >= length {
                offset -= length;
                continue;
            }
            let now = (length - offset).min(buffer.len() as u64) as usize;
            let (part, rest) = buffer.split_at_mut(now);
            read_within(self.device, run.start + offset, part)?;
            (buffer, offset) = (rest, 0);
            if buffer.is_empty() {
                return Ok(());
            }
        }
        if buffer.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// A partition of a disk as a device of its own.
pub fn device(disk: &mut dyn Source, start: u64, size_bytes: u64) -> Part<'_> {
    let size_bytes = size_bytes.min(disk.size_bytes().saturating_sub(start));
    Part { file: disk, start, size_bytes }
}
