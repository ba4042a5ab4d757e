//! `cargo xtask pins`: looks after profiles/pins.yaml.

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::{
    fetch::{
        Control, Location,
        download::{Downloader, Policy},
        locations::Sources,
        pins::{Trust, Updater},
    },
    profile::Project,
    signals,
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
}

const FILE: &str = "profiles/pins.yaml";

pub fn run(verb: &Pins) -> Result<ExitCode> {
    let Pins::Update { names, check, mirrors } = verb;
    let project = Project::find()?;
    let path = project.root.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
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
    let update = updater.update(FILE, &text, names)?;
    update.notes.iter().for_each(|note| eprintln!("note: {note}"));
    print!("{}", update.diff);
    if update.renewed.is_empty() {
        eprintln!("every pin is the newest of its suite");
        return Ok(ExitCode::SUCCESS);
    }
    if *check {
        eprintln!("{} of {} pins are old", update.renewed.len(), update.renewed.len() + update.current.len());
        return Ok(ExitCode::FAILURE);
    }
    replace(&path, &update.text)?;
    for renewed in &update.renewed {
        eprintln!("{}: {} → {}", renewed.name, renewed.old_version, renewed.new_version);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes beside the file and renames, so that an interruption leaves the old one.
fn replace(path: &std::path::Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let folder = path.parent().context("a file lies in a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder).context("can't write beside the pins")?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
    file.persist(path).with_context(|| format!("can't write {}", path.display()))?;
    Ok(())
}
