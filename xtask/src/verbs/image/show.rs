//! What was found in an image, for people.

use std::fmt::{self, Write as _};

use image::inspect::{
    Compression, Container, GptHeader, Program, Report, Table, TableKind, VolumeAt,
    azure::{Outcome, Verdict},
    drawing, size,
};

pub fn text(report: &Report, azure: &[Verdict]) -> String {
    let mut text = String::new();
    write(&mut text, report, azure).expect("a text takes everything");
    text
}

fn write(to: &mut String, report: &Report, azure: &[Verdict]) -> fmt::Result {
    container(to, report)?;
    let drawing = drawing(report);
    if !drawing.is_empty() {
        writeln!(to, "\n{}", drawing.trim_end())?;
    }
    if let Some(table) = &report.table {
        self::table(to, table)?;
    }
    for volume in &report.volumes {
        self::volume(to, volume)?;
    }
    for program in &report.programs {
        self::program(to, program)?;
    }
    writeln!(to, "\nfindings")?;
    for finding in &report.findings {
        writeln!(to, "  {finding}\n    hint: {}", finding.hint)?;
    }
    if report.findings.is_empty() {
        writeln!(to, "  none")?;
    }
    if !azure.is_empty() {
        writeln!(to, "\nazure (as the disk of a machine of generation 2)")?;
    }
    for verdict in azure {
        self::verdict(to, verdict)?;
    }
    Ok(())
}

fn container(to: &mut String, report: &Report) -> fmt::Result {
    let is_program = report.disk_bytes.is_none() && !report.programs.is_empty();
    let name = if is_program { "program for UEFI" } else { report.container.name() };
    writeln!(to, "format      {name}, file of {} ({} bytes)", size(report.file_bytes), report.file_bytes)?;
    if let Some(bytes) = report.disk_bytes {
        writeln!(to, "disk        {} ({bytes} bytes)", size(bytes))?;
    }
    match &report.container {
        Container::Raw => Ok(()),
        Container::Vhd(vhd) => {
            let footer = &vhd.footer;
            let (cylinders, heads, sectors) = footer.geometry;
            writeln!(
                to,
                "footer      size {} bytes (original {}), {cylinders}/{heads}/{sectors}",
                footer.current_bytes, footer.original_bytes
            )?;
            writeln!(
                to,
                "            id {}, time stamp {}, by {:?} on {:?}",
                footer.id, footer.time_stamp, footer.creator, footer.creator_host
            )?;
            writeln!(to, "            checksum {}", right(footer.checksum_is_right))?;
            match vhd.block_bytes {
                Some(bytes) => writeln!(to, "blocks      of {}", size(bytes.into())),
                None => Ok(()),
            }
        }
        Container::Vhdx(vhdx) => {
            writeln!(to, "made by     {:?}, disk id {}", vhdx.creator, vhdx.disk_id)?;
            for header in &vhdx.headers {
                let state = match (header.is_valid, header.is_current) {
                    (false, _) => "not valid",
                    (true, true) => "current",
                    (true, false) => "valid",
                };
                writeln!(
                    to,
                    "header      at {}, sequence {}, {state}, written {}",
                    size(header.offset),
                    header.sequence,
                    header.file_write_id
                )?;
            }
            for region in &vhdx.regions {
                writeln!(
                    to,
                    "region      {} at {}, {}",
                    region.name,
                    size(region.offset),
                    size(region.length_bytes.into())
                )?;
            }
            writeln!(to, "log         {}", if vhdx.log_is_empty { "empty" } else { "to be replayed" })?;
            writeln!(
                to,
                "blocks      of {}, sectors of {} bytes ({} physical)",
                size(vhdx.block_bytes.into()),
                vhdx.logical_sector_bytes,
                vhdx.physical_sector_bytes
            )
        }
        Container::Qcow2(qcow2) => {
            let compression = match qcow2.compression {
                Compression::Deflate => "deflate",
                Compression::Zstd => "zstd",
            };
            writeln!(
                to,
                "header      version {}, clusters of {}, {} snapshots",
                qcow2.version,
                size(qcow2.cluster_bytes),
                qcow2.snapshots
            )?;
            writeln!(
                to,
                "            compressed clusters are {}, reference counts of {} bits",
                compression, qcow2.refcount_bits
            )
        }
    }
}

fn right(is_right: bool) -> &'static str {
    if is_right { "right" } else { "WRONG" }
}

fn table(to: &mut String, table: &Table) -> fmt::Result {
    match (table.kind, table.disk_id) {
        (TableKind::Gpt, Some(id)) => {
            writeln!(to, "\nGPT         disk {id}, sectors of {} bytes", table.sector_bytes)?
        }
        _ => writeln!(to, "\nMBR")?,
    }
    let headers = [("primary", &table.primary), ("backup", &table.backup)];
    for (name, header) in headers.into_iter().filter(|_| table.kind == TableKind::Gpt) {
        match header {
            Some(header) => gpt_header(to, name, header)?,
            None => writeln!(to, "  {name:<9} none")?,
        }
    }
    for partition in &table.partitions {
        let last = partition.end_bytes() / table.sector_bytes - 1;
        let first = partition.start_bytes / table.sector_bytes;
        writeln!(
            to,
            "  {:<9} sectors {first} to {last}, aligned to {}",
            partition.number,
            size(partition.alignment_bytes)
        )?;
        writeln!(to, "            type {} ({})", partition.type_id, partition.type_name)?;
        if let Some(id) = partition.id {
            writeln!(to, "            id {id}, name {:?}", partition.name)?;
        }
    }
    Ok(())
}

fn gpt_header(to: &mut String, name: &str, header: &GptHeader) -> fmt::Result {
    writeln!(
        to,
        "  {name:<9} in sector {}, entries from {} on, checksums {} and {}",
        header.lba,
        header.entries_lba,
        right(header.checksum_is_right),
        right(header.entries_checksum_is_right)
    )
}

fn volume(to: &mut String, at: &VolumeAt) -> fmt::Result {
    let volume = &at.volume;
    let place = at.partition.map(|number| format!(" in partition {number}")).unwrap_or_default();
    writeln!(
        to,
        "\nFAT{}{place}, label {:?}, id {:08x}, clusters of {}",
        volume.fat_bits,
        volume.label,
        volume.id,
        size(volume.cluster_bytes.into())
    )?;
    for file in &volume.files {
        writeln!(to, "  {:>11}  {}", file.size_bytes, file.path)?;
    }
    Ok(())
}

fn program(to: &mut String, program: &Program) -> fmt::Result {
    let kind = if program.is_unified_kernel_image { "unified kernel image" } else { "program" };
    let signed = if program.is_signed { "signed" } else { "not signed" };
    writeln!(to, "\n{}: {kind} for {}, {signed}", program.path, program.machine)?;
    for section in &program.sections {
        writeln!(
            to,
            "  {:<9} {:>11} bytes at {:#x} of the file, {:#x} in memory",
            section.name, section.size_bytes, section.offset, section.address
        )?;
    }
    if let Some(line) = &program.command_line {
        writeln!(to, "  command line  {}", line.trim_end().escape_debug())?;
    }
    if let Some(release) = &program.kernel_release {
        writeln!(to, "  kernel        {}", release.trim_end().escape_debug())?;
    }
    for line in program.os_release.iter().flat_map(|text| text.lines()) {
        writeln!(to, "  os-release    {}", line.escape_debug())?;
    }
    Ok(())
}

fn verdict(to: &mut String, verdict: &Verdict) -> fmt::Result {
    let mark = match verdict.outcome {
        Outcome::Passes => "yes",
        Outcome::Fails => "NO",
        Outcome::Unknown => "?",
    };
    writeln!(to, "  {mark:<4} {}: {}", verdict.rule, verdict.reason)?;
    if let Some(hint) = verdict.hint {
        writeln!(to, "         hint: {hint}")?;
    }
    writeln!(to, "         source: {}", verdict.source)
}
