//! Ctrl-C and SIGTERM: the first asks a running build to stop and clean up, the second ends it at once. A reader of
//! our output that has enough ends us too.

use std::sync::{Arc, atomic::AtomicBool};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Exit status of a process that SIGINT ended, as shells count it.
const INTERRUPTED: i32 = 130;
/// Exit status of a process that SIGPIPE ended.
const NOT_READ: i32 = 141;

/// With `| head` behind us, printing fails sooner or later: that is the reader's wish, not a mistake to panic about.
pub fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout")) {
            std::process::exit(NOT_READ);
        }
        usual(panic);
    }));
}

pub fn cancel_on_interrupt(cancelled: &Arc<AtomicBool>) -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order, so that only the second signal finds the flag set.
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, cancelled.clone())
            .and_then(|_| signal_hook::flag::register(signal, cancelled.clone()))
            .context("can't listen for Ctrl-C")?;
    }
    Ok(())
}
