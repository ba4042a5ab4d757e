//! `cargo xtask bench`: this tool beside what one would use instead, in one run on one machine. Only the ratios
//! mean something elsewhere; nothing here passes or fails.

mod boot;
mod cold;
mod compile;
mod convert;
mod fdt;
mod igvm;
mod images;
mod kconfig;
mod noop;
mod pack;
mod release;
mod upload;
mod verify;
mod vtl0;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Session, SessionOptions};
use crate::{execute::Forecast, plan::Action};

#[derive(Args, Debug)]
pub struct Bench {
    /// Which comparisons [default: noop and pack, which take seconds]
    #[arg(value_enum)]
    pub which: Vec<Which>,
    /// As JSON on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub options: SessionOptions,
    /// Pack one disk from FILE in FOLDER and report the peak memory: one run of the comparison `pack`
    #[arg(long, hide = true, num_args = 2, value_names = ["FILE", "FOLDER"])]
    pub pack_once: Vec<PathBuf>,
    /// Solve one configuration and report time and peak memory: one run of the comparison `kconfig`
    #[arg(long, hide = true)]
    pub kconfig_once: bool,
    /// Make one large device tree and report time and peak memory: one run of the comparison `fdt`
    #[arg(long, hide = true)]
    pub fdt_once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// A build in which nothing changed
    Noop,
    /// A 256 MiB disk with a 20 MB file, beside genimage
    Pack,
    /// A sparse raw disk of 4 GiB turned into VHDX and qcow2, beside qemu-img convert
    Convert,
    /// A device tree of 2048 CPUs, beside dtc
    Fdt,
    /// The check of a release of 300 MB, beside sha256sum
    Release,
    /// An IGVM file of 40 MB packed and measured, beside SHA-384 of the same bytes
    Igvm,
    /// A sparse disk uploaded to Azurite, beside its data alone and all of it (1 minute, and 2 GB of room)
    Upload,
    /// A kernel configuration solved, beside make and conf (30 seconds)
    Kconfig,
    /// Kernels on the monitor, beside the same without one (1 minute)
    Boot,
    /// A guest at VTL0 below VTL2: its way up and down, its kernel beside the same in plain QEMU (1 minute)
    Vtl0,
    /// Compiling this tool from nothing, and after a change (2 minutes)
    Compile,
    /// The kernel step and a whole cold build, beside plain make (10 minutes)
    Kernel,
    /// Verifying a profile from nothing, beside its cold build (twice as long as that)
    Verify,
}

/// One line of the table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    pub what: String,
    pub ours_seconds: f64,
    /// What it is compared with, and how long that took.
    pub other: Option<(String, f64)>,
    /// ours / other.
    pub ratio: Option<f64>,
    pub note: String,
}

impl Row {
    pub fn new(what: &str, ours: Duration, other: Option<(&str, Duration)>, note: impl Into<String>) -> Row {
        Row {
            what: what.to_string(),
            ours_seconds: ours.as_secs_f64(),
            other: other.map(|(name, took)| (name.to_string(), took.as_secs_f64())),
            ratio: other.map(|(_, took)| ours.as_secs_f64() / took.as_secs_f64()),
            note: note.into(),
        }
    }
}

pub fn run(arguments: &Bench) -> Result<()> {
    if let [file, folder] = &arguments.pack_once[..] {
        return pack::once(file, folder);
    }
    if arguments.kconfig_once {
        return kconfig::once(&arguments.options);
    }
    if arguments.fdt_once {
        return fdt::once();
    }
    let which = match arguments.which.is_empty() {
        true => vec![Which::Noop, Which::Pack],
        false => arguments.which.clone(),
    };
    let mut rows = Vec::new();
    for which in which {
        rows.extend(match which {
            Which::Noop => noop::run(&arguments.options)?,
            Which::Pack => pack::run()?,
            Which::Convert => convert::run()?,
            Which::Fdt => fdt::run()?,
            Which::Release => release::run()?,
            Which::Igvm => igvm::run(&arguments.options)?,
            Which::Upload => upload::run()?,
            Which::Kconfig => kconfig::run(&arguments.options)?,
            Which::Boot => boot::run(&arguments.options)?,
            Which::Vtl0 => vtl0::run(&arguments.options)?,
            Which::Compile => compile::run()?,
            Which::Kernel => images::run(&arguments.options)?,
            Which::Verify => verify::run(&arguments.options)?,
        });
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for row in &rows {
        let other =
            row.other.as_ref().map(|(name, took)| format!("{name} {}", show(*took))).unwrap_or_default();
        let ratio = row.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
        println!("{:<44} {:>10}  {other:<28} {ratio:>7}  {}", row.what, show(row.ours_seconds), row.note);
    }
    Ok(())
}

fn show(seconds: f64) -> String {
    match seconds {
        s if s < 0.000_1 => format!("{:.1} us", s * 1_000_000.0),
        s if s < 1.0 => format!("{:.1} ms", s * 1000.0),
        s => format!("{s:.2} s"),
    }
}

/// The shortest and the middle one of `count` runs.
pub fn repeat(count: usize, mut work: impl FnMut() -> Result<()>) -> Result<(Duration, Duration)> {
    let mut times = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok((times[0], times[count / 2]))
}

/// An output of the first step of a kind that a build of the profile has left in the store.
fn stored(
    session: &Session,
    forecasts: &[Forecast],
    profile: &str,
    wanted: impl Fn(&Action) -> bool,
    output: &str,
) -> Result<PathBuf> {
    let steps = session.plan.steps.iter().zip(forecasts);
    let key = steps.filter(|(step, _)| wanted(&step.action)).find_map(|(_, forecast)| match forecast {
        Forecast::Reuse { key, .. } => Some(*key),
        _ => None,
    });
    let key = key.with_context(|| format!("build it first: cargo xtask build-image {profile}"))?;
    Ok(session.context.store.output_path(&key, output))
}

/// The most memory that this process has had resident, in words.
fn peak_memory() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
    Ok(format!("peak memory {}", peak.trim()))
}
