//! `cargo xtask image`: what is in images, whoever made them, and one format turned into another.

mod show;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use image::inspect::{azure, inspect, svg};
use serde_json::json;

use super::operand::refuse_profile;
use crate::disks::{Raw, Target, Unpacker, convert};

#[derive(Subcommand, Debug)]
pub enum Image {
    /// Show container, partitions, files, programs; what is wrong; whether Azure would take it
    Inspect(Inspect),
    /// Write the disk in an image in another format: the same bytes for the same disk
    Convert(Convert),
}

#[derive(Args, Debug)]
pub struct Inspect {
    /// A disk (raw, VHD, VHDX, qcow2), a FAT file system, or a program for UEFI
    pub file: PathBuf,
    /// As JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// As a drawing to scale (SVG) on standard output
    #[arg(long, conflicts_with = "json")]
    pub svg: bool,
    /// The kernel's configuration, to look for drivers [default: kernel.config beside the file]
    #[arg(long, value_name = "FILE")]
    pub kernel_config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Convert {
    /// A disk: raw, VHD, VHDX or qcow2
    pub from: PathBuf,
    /// The file to be made
    pub to: PathBuf,
    /// Format of the new file [default: what its name ends with]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Compress the clusters of a qcow2 file with Zstandard (QEMU 5.1 and newer)
    #[arg(long)]
    pub compress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Raw,
    /// Fixed, as Azure takes it
    Vhd,
    /// Dynamic, as Hyper-V takes it
    Vhdx,
    Qcow2,
}

/// The artifact of a profile that is looked at first.
const DISK: &str = "disk.raw";

pub fn run(verb: &Image) -> Result<ExitCode> {
    match verb {
        Image::Inspect(arguments) => show_image(arguments),
        Image::Convert(arguments) => convert_image(arguments),
    }
}

/// Fails if something is wrong with the image.
fn show_image(arguments: &Inspect) -> Result<ExitCode> {
    refuse_profile(&arguments.file, DISK)?;
    let config = match &arguments.kernel_config {
        Some(path) => Some(read_config(path)?),
        None => {
            let beside = arguments.file.with_file_name("kernel.config");
            if beside.is_file() { Some(read_config(&beside)?) } else { None }
        }
    };
    let report = inspect(&mut Raw::open(&arguments.file)?, &Unpacker);
    let is_image = report.table.is_some() || !report.volumes.is_empty() || !report.programs.is_empty();
    let azure = if is_image { azure::verdicts(&report, config.as_deref()) } else { Vec::new() };
    if arguments.svg {
        let name = arguments.file.file_name().unwrap_or(arguments.file.as_os_str());
        print!("{}", svg(&report, &name.to_string_lossy()));
    } else if arguments.json {
        let mut value = serde_json::to_value(&report)?;
        value["azure"] = json!(azure);
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        print!("{}", show::text(&report, &azure));
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_config(path: &Path) -> Result<String> {
    use anyhow::Context as _;
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

fn convert_image(arguments: &Convert) -> Result<ExitCode> {
    refuse_profile(&arguments.from, DISK)?;
    let to = &arguments.to;
    let format = match arguments.format {
        Some(format) => format,
        None => match to.extension().and_then(|extension| extension.to_str()) {
            Some("raw" | "img") => Format::Raw,
            Some("vhd") => Format::Vhd,
            Some("vhdx") => Format::Vhdx,
            Some("qcow2") => Format::Qcow2,
            _ => bail!(
                "the name {} doesn't say which format it shall have\n  hint: let it end with .raw, .vhd, .vhdx or \
                 .qcow2, or add `--format`",
                to.display()
            ),
        },
    };
    let target = match format {
        Format::Qcow2 => Target::Qcow2 { is_compressed: arguments.compress },
        _ if arguments.compress => {
            bail!("only qcow2 files have compressed clusters\n  hint: leave `--compress` out")
        }
        Format::Raw => Target::Raw,
        Format::Vhd => Target::FixedVhd,
        Format::Vhdx => Target::Vhdx,
    };
    for finding in convert(&arguments.from, to, target)? {
        eprintln!("warning: {}: {finding}\n  hint: {}", arguments.from.display(), finding.hint);
    }
    Ok(ExitCode::SUCCESS)
}
