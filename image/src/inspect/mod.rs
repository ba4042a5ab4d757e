//! What is in an image, whoever made it, and what is wrong with it: containers, partition tables, FAT file systems,
//! programs of UEFI. Nothing is written, and nothing is believed: sizes are checked before they are used, memory and time
//! stay small whatever a file says.

pub mod azure;
pub mod disk;
mod drawing;
mod fat;
mod finding;
mod mapped;
mod partitions;
mod program;
mod qcow2;
mod svg;
mod vhd;
mod vhdx;

use std::ops::Range;

use serde::Serialize;

pub use disk::{Container, open};
pub use drawing::{drawing, size};
pub use fat::{File, Volume};
pub use finding::Finding;
pub use partitions::{GptHeader, Partition, Table, TableKind};
pub use program::{Program, Section};
pub use qcow2::{Compression, Decompress};
pub use svg::svg;

use crate::source::Source;
pub use crate::vhd::VhdKind;

/// Everything found out about a file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    pub file_bytes: u64,
    pub container: Container,
    /// None where the file holds no disk that can be read.
    pub disk_bytes: Option<u64>,
    pub table: Option<Table>,
    pub volumes: Vec<VolumeAt>,
    pub programs: Vec<Program>,
    /// Where the disk has data, as far as its file tells; neighbours together, and no more than are worth a drawing.
    #[serde(skip)]
    pub data: Vec<Range<u64>>,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VolumeAt {
    /// Number of the partition; None if the file system fills the disk.
    pub partition: Option<u32>,
    #[serde(flatten)]
    pub volume: Volume,
}

/// Looks at all of it.
pub fn inspect(file: &mut dyn Source, decompress: &dyn Decompress) -> Report {
    let mut report = Report {
        file_bytes: file.size_bytes(),
        container: Container::Raw,
        disk_bytes: None,
        table: None,
        volumes: Vec::new(),
        programs: Vec::new(),
        data: Vec::new(),
        findings: Vec::new(),
    };
    if is_program(file) {
        match program::program(file, "the file") {
            Ok(program) => report.programs.push(program),
            Err(finding) => report.findings.push(finding),
        }
        return report;
    }
    match open(file, decompress, &mut report.findings) {
        Ok((container, disk)) => {
            report.container = container;
            if let Some(mut disk) = disk {
                report.disk_bytes = Some(disk.size_bytes());
                look_at_disk(&mut *disk, &mut report);
            }
        }
        Err(finding) => report.findings.push(finding),
    }
    report
}

fn is_program(file: &mut dyn Source) -> bool {
    let mut magic = [0; 2];
    file.size_bytes() >= 64 && file.read_at(0, &mut magic).is_ok() && &magic == b"MZ"
}

fn look_at_disk(disk: &mut dyn Source, report: &mut Report) {
    let head_bytes = disk.size_bytes().min(512) as usize;
    if let Err(finding) = finding::read(disk, "the disk", 0, head_bytes) {
        return report.findings.push(finding);
    }
    report.table = partitions::table(disk, &mut report.findings);
    match report.table.clone() {
        Some(table) => {
            for partition in &table.partitions {
                look_at_partition(disk, partition, report);
            }
        }
        None => {
            let size_bytes = disk.size_bytes();
            let mut device = fat::device(disk, 0, size_bytes);
            look_at_device(&mut device, None, "the file system", report);
        }
    }
    if report.table.is_none() && report.volumes.is_empty() && report.findings.is_empty() {
        let hint = "is it an image? `file FILE` may know more";
        let problem = "it has no partition table and no FAT file system that is known here";
        report.findings.push(Finding::new("the disk", problem, hint));
    }
    report.data = data(disk);
}

fn look_at_partition(disk: &mut dyn Source, partition: &Partition, report: &mut Report) {
    if partition.end_bytes() > disk.size_bytes() {
        // That has been told.
        return;
    }
    let place = format!("partition {}", partition.number);
    let before = (report.findings.len(), report.volumes.len());
    let mut device = fat::device(disk, partition.start_bytes, partition.size_bytes);
    look_at_device(&mut device, Some(partition.number), &place, report);
    if partition.is_esp() && before == (report.findings.len(), report.volumes.len()) {
        let problem = "it is an EFI system partition without a FAT file system";
        report.findings.push(Finding::new(place, problem, "make one: mkfs.fat -F 32"));
    }
}

fn look_at_device(device: &mut dyn Source, partition: Option<u32>, place: &str, report: &mut Report) {
    if let Some(volume) = fat::volume(device, place, &mut report.findings) {
        programs(device, &volume, report);
        report.volumes.push(VolumeAt { partition, volume });
    }
}

/// The programs in a volume that firmware could start.
fn programs(device: &mut dyn Source, volume: &Volume, report: &mut Report) {
    const MAX_PROGRAMS: usize = 64;
    let is_efi = |file: &&File| file.path.to_ascii_lowercase().ends_with(".efi");
    for file in volume.files.iter().filter(is_efi).take(MAX_PROGRAMS) {
        let program = fat::content(device, file)
            .and_then(|mut file_content| program::program(&mut file_content, &file.path));
        match program {
            Ok(program) => report.programs.push(program),
            Err(finding) => report.findings.push(finding),
        }
    }
}

fn data(disk: &mut dyn Source) -> Vec<Range<u64>> {
    const MAX_RANGES: usize = 10_000;
    let mut data: Vec<Range<u64>> = Vec::new();
    let mut from = 0;
    for _ in 0..MAX_RANGES {
        let Ok(Some(range)) = disk.next_data(from) else { break };
        from = range.end;
        match data.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => data.push(range),
        }
    }
    data
}
