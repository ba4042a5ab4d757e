//! Tests of fetching, without any network but the loopback.

mod archives;
mod downloads;
mod git;
mod patching;
mod places;
mod renewal;
mod server;

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    time::Duration,
};

use super::{Control, download::Policy};

static NEVER: AtomicBool = AtomicBool::new(false);

const QUIET: Control = Control { cancel: &NEVER, progress: &|_, _| {} };

/// Tries again at once, and waits as long as a busy machine may take.
fn impatient() -> Policy {
    Policy {
        attempts: 3,
        first_pause: Duration::from_millis(5),
        connect_timeout: Duration::from_secs(60),
        stall_timeout: Duration::from_secs(60),
        redirects: 3,
        use_proxy: false,
    }
}

/// Bytes that do not repeat soon.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    super::hex(&Sha256::digest(bytes))
}

/// Runs a program that the tests compare with, or prepare their data with.
fn tool(package: &str, program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "author"), ("GIT_AUTHOR_EMAIL", "author@example.org")])
        .envs([("GIT_COMMITTER_NAME", "author"), ("GIT_COMMITTER_EMAIL", "author@example.org")])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}); install the package {package}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
