//! `cargo xtask pins`: looks after profiles/pins.yaml, and after the lock of the builder's root.

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use similar::TextDiff;

use crate::{
    fetch::{
        Control, Location,
        download::{Downloader, Policy},
        locations::Sources,
        pins::{Locked, Trust, Updater, Wanted},
    },
    profile::{self, Name, Project, types::DebPin},
    report, signals,
};

#[derive(Subcommand, Debug)]
pub enum Pins {
    /// Pin the newest version of each package in its suite, and show what changes
    Update {
        /// Entries of profiles/pins.yaml [default: all]
        #[arg(value_name = "PIN")]
        names: Vec<String>,
        /// Change nothing; exit with 1 if something is newer
        #[arg(long)]
        check: bool,
        /// Base address or folder of a package mirror, tried before the machine's own; may be repeated
        #[arg(long = "mirror", value_name = "URL")]
        mirrors: Vec<String>,
    },
    /// Lock what profiles/builder.yaml asks for to the newest packages of its suites, and show what changes
    Lock {
        /// Change nothing; exit with 1 if the lock would be another one
        #[arg(long)]
        check: bool,
        /// Base address or folder of a package mirror, tried before the machine's own; may be repeated
        #[arg(long = "mirror", value_name = "URL")]
        mirrors: Vec<String>,
    },
}

const FILE: &str = "profiles/pins.yaml";
const LOCK: &str = "profiles/builder.lock.yaml";

pub fn run(verb: &Pins) -> Result<ExitCode> {
    let project = Project::find()?;
    let (Pins::Update { mirrors, .. } | Pins::Lock { mirrors, .. }) = verb;
    let cancelled = Arc::new(AtomicBool::new(false));
    signals::cancel_on_interrupt(&cancelled)?;
    let mirrors = mirrors.iter().map(|mirror| Location::parse(mirror)).collect::<Result<_, _>>()?;
    let updater = Updater {
        sources: &Sources::new(mirrors, false),
        downloader: &Downloader::new(Policy::default()),
        control: &Control { cancel: &cancelled, progress: &|_, _| {} },
        trust: Trust::of_machine(),
        now: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
    };
    match verb {
        Pins::Update { names, check, .. } => update(&project, &updater, names, *check),
        Pins::Lock { check, .. } => lock(&project, &updater, *check),
    }
}

fn update(project: &Project, updater: &Updater, names: &[String], check: bool) -> Result<ExitCode> {
    let path = project.root.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let update = updater.update(FILE, &text, names)?;
    update.notes.iter().for_each(|note| eprintln!("note: {note}"));
    print!("{}", update.diff);
    if update.renewed.is_empty() {
        eprintln!("every pin is the newest of its suite");
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        eprintln!("{} of {} pins are old", update.renewed.len(), update.renewed.len() + update.current.len());
        return Ok(ExitCode::FAILURE);
    }
    replace(&path, &update.text)?;
    for renewed in &update.renewed {
        eprintln!("{}: {} → {}", renewed.name, renewed.old_version, renewed.new_version);
    }
    Ok(ExitCode::SUCCESS)
}

fn lock(project: &Project, updater: &Updater, check: bool) -> Result<ExitCode> {
    let file = profile::builder_file(project)?;
    let suites: Vec<&str> = file.suites.iter().map(Name::as_str).collect();
    let packages: Vec<&str> = file.packages.keys().map(Name::as_str).collect();
    let alone: Vec<(&str, &str)> =
        file.alone.iter().map(|(name, alone)| (name.as_str(), alone.architecture.name())).collect();
    let architecture = file.architecture.name();
    let wanted = Wanted { suites: &suites, architecture, packages: &packages, alone: &alone };
    let lock = updater.lock(&wanted)?;
    lock.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let path = project.root.join(LOCK);
    let before = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("can't read {}", path.display()))?,
    };
    let known = profile::locked(project);
    let now = text(&wanted, &lock.packages, &known);
    print!("{}", TextDiff::from_lines(&before, &now).unified_diff().context_radius(0).header(LOCK, LOCK));
    let (count, bytes) = (lock.packages.len(), lock.packages.iter().map(|package| package.size).sum());
    if before == now {
        eprintln!("the lock is what the suites have: {count} packages, {}", report::bytes(bytes));
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        eprintln!("the lock is old");
        return Ok(ExitCode::FAILURE);
    }
    replace(&path, &now)?;
    eprintln!("locked: {count} packages, {}", report::bytes(bytes));
    Ok(ExitCode::SUCCESS)
}

/// The lock, a line for each package. What hasn't changed keeps its snapshot, so that the difference shows what has.
fn text(wanted: &Wanted, packages: &[Locked], known: &[DebPin]) -> String {
    let Wanted { suites, architecture, packages: names, alone } = wanted;
    let alone: Vec<&str> = alone.iter().map(|(name, _)| *name).collect();
    let mut text = format!(
        "# yaml-language-server: $schema=schema/builder.lock.schema.json\n\
         # Made from builder.yaml by `cargo xtask pins lock`; not to be written by hand.\n\
         suites: [{}]\narchitecture: {architecture}\npackages: [{}]\nalone: [{}]\nlocked:\n",
        suites.join(", "),
        names.join(", "),
        alone.join(", ")
    );
    for Locked { package, version, architecture, suite, pool, size, sha256, snapshot } in packages {
        let known = known.iter().find(|pin| pin.sha256.as_str() == sha256 && pin.pool.as_str() == pool);
        let snapshot = known.map_or(snapshot.as_str(), |pin| pin.snapshot.as_str());
        text += &format!(
            "  - {{package: {package}, version: \"{version}\", architecture: {architecture}, suite: {suite}, size: {size}, \
             sha256: \"{sha256}\", snapshot: {snapshot}, pool: {pool}}}\n"
        );
    }
    text
}

/// Writes beside the file and renames, so that an interruption leaves the old one.
fn replace(path: &std::path::Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let folder = path.parent().context("a file lies in a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder).context("can't write beside the pins")?;
    file.write_all(text.as_bytes())?;
    let usual = || std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let permissions = std::fs::metadata(path).map_or_else(|_| usual(), |there| there.permissions());
    file.as_file().set_permissions(permissions)?;
    file.persist(path).with_context(|| format!("can't write {}", path.display()))?;
    Ok(())
}
