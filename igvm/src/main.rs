//! The program that `cargo xtask` starts for everything about IGVM files.

use std::{
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;
use vtlforge_igvm::{
    boot,
    diff::{self, Side},
    extract::{self, Part},
    foreign::Foreign,
    map::{self, Origins},
    measure::{Measured, Measurement},
    pack, show,
};

/// Show, map, compare and take apart IGVM files, whoever made them
#[derive(Parser, Debug)]
#[command(name = "cargo xtask igvm", bin_name = "cargo xtask igvm")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// What the file says: platforms, policies, memory, registers, how many pages of what kind
    Show(One),
    /// Every range of pages: how it is imported, what it is for, which artifact it is from
    Map(One),
    /// In what two files differ; exit status 1 if they do
    Diff {
        old: PathBuf,
        new: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Memory as a platform sees it after loading, as a flat file
    Extract(Extract),
    /// The digest that each platform reports; with another file, which pages changed it
    Measure {
        file: PathBuf,
        /// Another file, and exit status 1 if a digest is another
        #[arg(long, value_name = "FILE")]
        compare: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Sign the launch digest of SEV-SNP into a file; a program of its own, `sign --help` lists its options
    Sign,
    /// Writes and measures a file by the build's request
    #[command(hide = true)]
    Pack { request: PathBuf },
    /// Loads a file into a machine's memory by the boot's request
    #[command(hide = true)]
    Load { request: PathBuf },
}

#[derive(Args, Debug)]
struct One {
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
struct Output {
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

#[derive(Args, Debug)]
struct Extract {
    file: PathBuf,
    /// What the build's map calls so: kernel, initramfs, device-tree …
    #[arg(long, required_unless_present = "range")]
    role: Option<String>,
    /// Addresses, 0x100000..0x200000
    #[arg(long, value_parser = range, conflicts_with = "role")]
    range: Option<Range<u64>>,
    /// Whose memory [default: the file's first platform]
    #[arg(long)]
    platform: Option<String>,
    /// The file to be written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Show(One { file, output }) => {
            let summary = show::show(&Foreign::open(&file)?);
            print(output.format, &summary, || summary.text())?;
        }
        Verb::Map(One { file, output }) => {
            let (read, origins) = with_origins(&file)?;
            let entries = map::map(&read, origins.as_ref());
            print(output.format, &entries, || map::table(&entries))?;
        }
        Verb::Diff { old, new, output } => {
            let differences = differences(&old, &new)?;
            let lines = || differences.iter().map(|difference| format!("{difference}\n")).collect();
            print(output.format, &differences, lines)?;
            return Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        Verb::Extract(arguments) => take(&arguments)?,
        Verb::Measure { file, compare: None, output } => {
            let measurements = measurements(&file)?;
            print(output.format, &measurements, || measurements.iter().map(line).collect())?;
        }
        Verb::Measure { file, compare: Some(other), output } => return compare(&file, &other, output.format),
        Verb::Sign => anyhow::bail!("signing is a program of its own: `cargo xtask igvm sign`"),
        Verb::Pack { request } => pack::pack(&request)?,
        Verb::Load { request } => boot::boot(&request)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print<T: Serialize>(format: Format, value: &T, text: impl FnOnce() -> String) -> Result<()> {
    let text = match format {
        Format::Human => text(),
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
    };
    // Whoever reads may have seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn with_origins(path: &Path) -> Result<(Foreign, Option<Origins>)> {
    let read = Foreign::open(path)?;
    let origins = Origins::beside(path, read.size_bytes)?;
    Ok((read, origins))
}

fn differences(old: &Path, new: &Path) -> Result<Vec<diff::Difference>> {
    let (old, new) = (with_origins(old)?, with_origins(new)?);
    Ok(diff::diff(
        &Side { read: &old.0, origins: old.1.as_ref() },
        &Side { read: &new.0, origins: new.1.as_ref() },
    ))
}

fn measurements(path: &Path) -> Result<Vec<Measurement>> {
    let read = Foreign::open(path)?;
    Ok(Measured::new(&read.file).with_context(|| path.display().to_string())?.measurements())
}

fn line(measurement: &Measurement) -> String {
    let Measurement { platform, name, algorithm, digest, .. } = measurement;
    format!("{platform:<14} {name:<16} {algorithm} {digest}\n")
}

/// Digests side by side; below those that differ, what made them.
fn compare(old: &Path, new: &Path, format: Format) -> Result<ExitCode> {
    let (before, after) = (measurements(old)?, measurements(new)?);
    let all = differences(old, new)?;
    let mut entries = Vec::new();
    let mut text = String::new();
    let of = |list: &[Measurement], platform: &str| {
        list.iter().find(|own| own.platform == platform).map(|own| own.digest.clone())
    };
    let mut platforms: Vec<_> = before.iter().chain(&after).map(|own| own.platform.clone()).collect();
    platforms.sort();
    platforms.dedup();
    for platform in platforms {
        let (old, new) = (of(&before, &platform), of(&after, &platform));
        let is_equal = old == new;
        let why = all.iter().filter(|own| !is_equal && own.platform.as_deref() == Some(&platform));
        let why: Vec<&String> = why.map(|own| &own.what).collect();
        let shown = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".to_string());
        text += &match is_equal {
            true => format!("{platform}: equal, {}\n", shown(&new)),
            false => format!("{platform}: {} → {}\n", shown(&old), shown(&new)),
        };
        why.iter().for_each(|what| text += &format!("  {what}\n"));
        entries
            .push(json!({ "platform": platform, "equal": is_equal, "old": old, "new": new, "because": why }));
    }
    let is_equal = entries.iter().all(|entry| entry["equal"] == true);
    print(format, &entries, || text)?;
    Ok(if is_equal { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn take(arguments: &Extract) -> Result<()> {
    let (read, origins) = with_origins(&arguments.file)?;
    let part = match (&arguments.role, &arguments.range) {
        (Some(role), _) => Part::Role(role.clone()),
        (None, Some(range)) => Part::Range(range.clone()),
        (None, None) => unreachable!("one of them is required"),
    };
    let bytes = extract::extract(&read, origins.as_ref(), arguments.platform.as_deref(), &part)?;
    let out = &arguments.out;
    std::fs::write(out, bytes).with_context(|| format!("can't write {}", out.display()))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let address = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let (start, end) = text.split_once("..").ok_or("write it as 0x100000..0x200000")?;
    match (address(start), address(end)) {
        (Some(start), Some(end)) if start < end => Ok(start..end),
        _ => Err("write it as two addresses, the lower first: 0x100000..0x200000".to_string()),
    }
}
