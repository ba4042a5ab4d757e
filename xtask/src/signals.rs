//! Ctrl-C and SIGTERM: the first asks a running build to stop and clean up, the second ends it at once.

use std::sync::{Arc, atomic::AtomicBool};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Exit status of a process that SIGINT ended, as shells count it.
const INTERRUPTED: i32 = 130;

pub fn cancel_on_interrupt(cancelled: &Arc<AtomicBool>) -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order, so that only the second signal finds the flag set.
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, cancelled.clone())
            .and_then(|_| signal_hook::flag::register(signal, cancelled.clone()))
            .context("can't listen for Ctrl-C")?;
    }
    Ok(())
}
