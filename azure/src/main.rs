//! Disks as page blobs of Azure Blob Storage: reads a request on standard input, answers with events on standard output (see
//! `release::upload`). Knows nothing of profiles, and of disks only where they have data.
//!
//! Keys and tokens come from the environment or from a file, and stay here: not in events, not in errors, and no core file
//! is written that could have them in it.

mod address;
mod back;
mod bare;
mod blob;
mod claim;
mod ranges;
mod refusal;
mod request;
mod secret;
mod source;
mod upload;

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use release::upload::{Event, Request};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use upload::Surroundings;

fn main() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Only fails if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;

    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        asked.store(true, Ordering::Relaxed);
    });
    let around = Surroundings {
        variables: &|name| std::env::var(name).ok().filter(|value| !value.is_empty()),
        stop: &stop,
        // Nobody who listens any more has to be told.
        say: &|event| drop(say(&event)),
    };
    let last = match request.bare {
        Some(what) => bare::run(&request, what, &around),
        None => upload::run(&request, &around),
    };
    say(&last)
}

fn say(event: &Event) -> io::Result<()> {
    let line = serde_json::to_string(event)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
