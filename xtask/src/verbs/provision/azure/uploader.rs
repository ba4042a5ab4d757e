//! The program that talks to Azure Blob Storage, `vtlforge-azure`: started with one request, read until its last event.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{ChildStdin, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, sleep},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use release::upload::{Event, Request};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::member;

const PROGRAM: &str = "vtlforge-azure";
/// How often it is looked whether somebody wants to stop.
const SLICE: Duration = Duration::from_millis(50);

/// Runs it to its end, which is the event that is returned. It inherits the environment, which is where it finds keys and
/// tokens; so this process leaves no core file either.
pub fn run(request: &Request, cancelled: &AtomicBool, on_event: &mut dyn FnMut(&Event)) -> Result<Event> {
    let program = member::program(PROGRAM, "talks to Azure Blob Storage")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("can't forbid core files")?;
    let mut command = Command::new(&program);
    // Ctrl-C is for this process, which tells it by closing its standard input.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut process = command.spawn().with_context(|| format!("can't run {}", program.display()))?;
    let gone = || format!("{PROGRAM} has ended without a word");
    let mut requests = process.stdin.take().with_context(gone)?;
    let answers = BufReader::new(process.stdout.take().with_context(gone)?);
    requests.write_all((serde_json::to_string(request)? + "\n").as_bytes()).with_context(gone)?;

    let is_over = AtomicBool::new(false);
    let last = thread::scope(|scope| {
        scope.spawn(|| hold(requests, [cancelled, &is_over]));
        let mut last = None;
        let read = answers.lines().try_for_each(|line| {
            let line = line.with_context(gone)?;
            let event = serde_json::from_str(&line).with_context(|| format!("{PROGRAM} says {line:?}"))?;
            on_event(&event);
            last = Some(event);
            Ok::<(), anyhow::Error>(())
        });
        is_over.store(true, Ordering::Relaxed);
        read.map(|()| last)
    })?;
    process.wait().with_context(gone)?;
    match last {
        Some(event @ (Event::Finished(_) | Event::Failed { .. } | Event::Stopped { .. })) => Ok(event),
        _ => bail!(gone()),
    }
}

/// Keeps the program's standard input open until one of these is set.
fn hold(input: ChildStdin, until: [&AtomicBool; 2]) {
    while !until.iter().any(|flag| flag.load(Ordering::Relaxed)) {
        sleep(SLICE);
    }
    drop(input);
}
