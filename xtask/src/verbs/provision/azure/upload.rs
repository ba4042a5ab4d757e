//! `provision azure upload`: the file is checked here, and sent by a program of its own.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use image::vhd::{self, FOOTER_BYTES};
use release::upload::{Event, Left, Request, SecretFile, Uploaded, Verify};

use super::{check, uploader};
use crate::{
    manifest,
    report::{self, Reporter, StepProgress, Unit, bytes, failure},
    signals,
    verbs::{Access, Selection, Session, SessionOptions},
};

#[derive(Args, Debug)]
pub struct Upload {
    /// Name of a file in profiles/, for VTL0, which is built if need be; or a path to a fixed VHD
    #[arg(value_name = "PROFILE|FILE")]
    pub what: String,
    /// Where to: https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME.vhd [default: the URL in --sas-file]
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// A file with a shared access signature, alone or as a URL [default: $AZURE_STORAGE_SAS_TOKEN]
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub sas_file: Option<PathBuf>,
    /// A file with the account's key [default: $AZURE_STORAGE_CONNECTION_STRING, $AZURE_STORAGE_KEY]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Overwrite a blob that is something else
    #[arg(long)]
    pub replace: bool,
    /// What is read back of the data that was sent
    #[arg(long, value_enum, default_value_t = How::Sample)]
    pub verify: How,
    /// Requests at a time, of 4 MiB each
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// How long a request that fails is tried again
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub patience: u64,
    /// Events as JSON lines on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub options: SessionOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// Everything is read back: what is stored is the file, whatever the service says
    Full,
    /// The first and the last data, and a part of every sixteenth range: shows what is wrong with all of it, or much
    Sample,
    /// Nothing: the service alone has compared the digest of each range that it got, and says which ranges it has
    Ranges,
}

pub fn run(arguments: &Upload) -> Result<ExitCode> {
    let reporter = Arc::new(Reporter::new(arguments.json));
    let result = upload(arguments, &reporter);
    if let Err(error) = &result {
        reporter.event(&report::Event::Failed { error: &failure(error) });
    }
    result
}

fn upload(arguments: &Upload, reporter: &Arc<Reporter>) -> Result<ExitCode> {
    if arguments.to.as_ref().is_some_and(|to| to.contains('?') || to.contains('@')) {
        // Not shown: that is the point.
        bail!(
            "an address on the command line has no secret in it: others see it in the list of processes\n  \
             hint: put the token into AZURE_STORAGE_SAS_TOKEN, or the whole URL into a file for --sas-file"
        );
    }
    let cancelled = Arc::new(AtomicBool::new(false));
    let file = match is_path(&arguments.what) {
        true => {
            signals::cancel_on_interrupt(&cancelled)?;
            PathBuf::from(&arguments.what)
        }
        false => built(arguments, &cancelled, reporter)?,
    };
    check_vhd(&file)?;
    let secret = match (&arguments.sas_file, &arguments.key_file) {
        (Some(path), _) => SecretFile::Sas(path.clone()),
        (None, Some(path)) => SecretFile::Key(path.clone()),
        (None, None) => SecretFile::Environment,
    };
    let request = Request {
        file,
        address: arguments.to.clone(),
        secret,
        parallel: arguments.parallel.into(),
        replace: arguments.replace,
        verify: match arguments.verify {
            How::Full => Verify::Full,
            How::Sample => Verify::Sample,
            How::Ranges => Verify::Ranges,
        },
        patience_seconds: arguments.patience,
        bare: None,
    };
    let step = format!("upload {}", arguments.what);
    let progress = reporter.step_started(&step, "", &[]);
    let last = uploader::run(&request, &cancelled, &mut |event| show(event, &progress));
    tell(last, progress, reporter)
}

fn is_path(what: &str) -> bool {
    what.contains('/') || Path::new(what).extension().is_some()
}

/// The disk of a profile, from the store.
fn built(arguments: &Upload, cancelled: &Arc<AtomicBool>, reporter: &Arc<Reporter>) -> Result<PathBuf> {
    let selection = Selection { profiles: vec![arguments.what.clone()], all: false };
    let mut session = Session::open(&selection, &arguments.options, Access::Build, reporter.clone())?;
    check(&session.profiles[0].spec)?;
    session.context.cancelled = cancelled.clone();
    signals::cancel_on_interrupt(cancelled)?;
    let outcomes = session.build(|_, _| Ok(()))?;
    let profile = &session.profiles[0];
    let (plan, outcomes) = session.part(profile, &outcomes);
    let outputs = manifest::outputs(&plan, &outcomes, &profile.spec.name);
    let disk = outputs.into_iter().find(|(entry, ..)| entry.name == "disk.vhd");
    let (_, outcome, output) = disk.context("the profile has no disk.vhd")?;
    session.context.output(outcomes.step(&plan, outcome), outcome, output)
}

/// What Azure would refuse is refused before anything is sent.
fn check_vhd(path: &Path) -> Result<()> {
    let read = || {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, file_bytes.saturating_sub(FOOTER_BYTES as u64))?;
        Ok::<_, std::io::Error>((footer, file_bytes))
    };
    let (footer, file_bytes) = read().with_context(|| format!("can't read {}", path.display()))?;
    vhd::read(&footer, file_bytes).with_context(|| {
        format!(
            "Azure doesn't take {}\n  hint: disk.vhd of a VTL0 profile is what it takes; `cargo xtask image convert FILE \
             disk.vhd` makes that of another disk, and `image inspect` goes through all of Azure's rules",
            path.display()
        )
    })?;
    Ok(())
}

fn show(event: &Event, progress: &StepProgress) {
    match event {
        Event::Note { text } => progress.note(text),
        Event::Progress { done_bytes, total_bytes } => {
            progress.update(*done_bytes, Some(*total_bytes), Unit::Bytes);
        }
        Event::Finished(_) | Event::Failed { .. } | Event::Stopped { .. } => {}
    }
}

fn tell(last: Result<Event>, progress: StepProgress, reporter: &Reporter) -> Result<ExitCode> {
    let (why, left) = match last {
        Ok(Event::Finished(uploaded)) => {
            progress.finished("");
            done(&uploaded, reporter);
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Event::Failed { why, left }) => (why, left),
        Ok(Event::Stopped { left }) => ("the upload was stopped".to_owned(), left),
        Ok(Event::Note { .. } | Event::Progress { .. }) => unreachable!("none of them is the last"),
        Err(error) => (failure(&error), None),
    };
    let why = why.replace("\nhint: ", "\n  hint: ") + &left.as_ref().map(rest).unwrap_or_default();
    progress.failed(&why, None);
    bail!(why)
}

fn done(uploaded: &Uploaded, reporter: &Reporter) {
    reporter.event(&report::Event::UploadFinished(uploaded));
    if reporter.is_json() {
        return;
    }
    reporter.note(&format!(
        "  data {} of {}: {} sent, {} found there; {} read back, the service's digests compared for {}",
        bytes(uploaded.data_bytes),
        bytes(uploaded.file_bytes),
        bytes(uploaded.sent_bytes),
        bytes(uploaded.found_bytes),
        bytes(uploaded.read_back_bytes),
        bytes(uploaded.confirmed_bytes),
    ));
    // Read back in full: at least what was sent.
    if uploaded.confirmed_bytes < uploaded.sent_bytes && uploaded.read_back_bytes < uploaded.sent_bytes {
        reporter.note("  the service doesn't say what it has got, as an emulator may; --verify full reads everything back");
    }
    reporter.print(&uploaded.blob);
}

/// What an upload that ends early leaves, and what to do about it.
fn rest(left: &Left) -> String {
    format!(
        "\n  left: {} is incomplete, and marked so: {} of {} are there\n  hint: the same command goes on from there; \
         `az storage blob delete --blob-url {}` removes it",
        left.blob,
        bytes(left.there_bytes),
        bytes(left.data_bytes),
        left.blob
    )
}
