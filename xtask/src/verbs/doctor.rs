//! `cargo xtask doctor`: what this machine lacks, and the one command that mends it.

mod report;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::Context;

use crate::host::Host;
use crate::host::distribution::Distribution;
use crate::host::install::Installer;
use crate::host::memo::{Memo, Trust};
use crate::host::probe::{examine, packages};
use crate::host::tools::Purpose;
use crate::profile::Project;

use super::{Selection, SessionOptions, purposes, session};

pub use report::{Glyphs, Report, Resources};

/// What the command line asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Doctor {
    /// Profiles to build; without any, all of them and the test suite.
    #[arg(value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Install what is missing (Debian and Ubuntu).
    #[arg(long)]
    pub install: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(arguments: &Doctor) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let host = Host::current(&project.root)?;
    let all = arguments.profiles.is_empty();
    let selection = Selection { profiles: arguments.profiles.clone(), all };
    let store = session::store_dir(&SessionOptions::default())?;
    let mut memo = Memo::load(&store.join("v1/memo/tools"), Trust::TimeStamps);
    let tools = purposes::Wanted::OfMachine { static_glibc: purposes::static_glibc(&host, &mut memo)? };
    let mut wanted = purposes::of_profiles(&session::specs(&project, &selection)?, &tools);
    if all {
        wanted.extend(purposes::of_tests());
    }
    examine_and_report(arguments, &host, &wanted, &store, &AtomicBool::new(false))
}

/// Examines, installs if asked to, prints the report. Exit status 1 when something is still missing.
fn examine_and_report(
    arguments: &Doctor,
    host: &Host,
    purposes: &[Purpose],
    store: &Path,
    cancel: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    if arguments.install {
        let log = store.join("logs/install.log");
        install_missing(host, purposes, &log, cancel, &mut |line| eprintln!("{line}"))?;
    }
    let report = Report::new(host, purposes, examine(host, purposes), Resources::of(host, store));
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        out.write_all(report.render(if colour { Glyphs::Terminal } else { Glyphs::Plain }).as_bytes())?;
    }
    Ok(if report.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs the packages of every tool that is not good, and looks again. `say` gets a line for each thing done.
///
/// # Errors
/// Not Debian, no rights, apt's own errors; and tools that are still not good afterwards, each with its remedy.
pub fn install_missing(
    host: &Host,
    purposes: &[Purpose],
    log: &Path,
    cancel: &AtomicBool,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let distribution = Distribution::of(host);
    let rows = examine(host, purposes);
    let family = distribution.family.unwrap_or(crate::host::distribution::Family::Debian);
    let (wanted, _) = packages(&rows, family);
    if !wanted.is_empty() {
        let folder = log.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        Installer { host, log: log.to_owned(), cancel, say }.install(distribution.family, &wanted)?;
    }
    let after = if wanted.is_empty() { rows } else { examine(host, purposes) };
    let bad: Vec<String> =
        after.iter().filter(|row| !row.is_good()).map(|row| report::complaint(row, family)).collect();
    anyhow::ensure!(bad.is_empty(), "still not there after installing:\n{}", bad.join("\n"));
    Ok(())
}
