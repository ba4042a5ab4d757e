//! Brings in everything that comes from outside the project: pinned downloads, unpacked archives, Git
//! revisions, patches, and the renewal of the pins themselves. What is to be fetched is decided by the
//! caller; where it is kept, and under which key, is the store's concern.

pub mod archive;
mod child;
mod deb;
mod decompress;
pub mod download;
pub mod git_source;
pub mod location;
pub mod locations;
pub mod patches;
pub mod pins;
mod pipe;
#[cfg(test)]
mod tests;
mod transfer;
mod tree;

use std::sync::atomic::{AtomicBool, Ordering};

pub use location::Location;

/// How a long piece of work talks with its caller: it reports progress and stops when told to.
pub struct Control<'a> {
    /// Set by the caller (a signal handler, a failed sibling) to make the work stop soon.
    pub cancel: &'a AtomicBool,
    /// Called with (done, total) in the unit of the work; `total` is absent where nobody knows it.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
}

impl Control<'_> {
    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// An error and all its causes on one line, as `a: b: c`, without saying the same thing twice.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
