//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it fails fastest.
//! The tests themselves are ordinary cargo tests; what takes long in them lives in the store.

use std::{
    io::{self, Read, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use xshell::{Cmd, Shell, cmd};

use super::{Selection, SessionOptions, purposes, session};
use crate::{
    profile::Project,
    report::{Reporter, failure, seconds},
};

#[derive(Args, Debug)]
pub struct Test {
    /// Install what building and testing need before starting (Debian, Ubuntu)
    #[arg(long)]
    pub install_deps: bool,
    /// Run all of what otherwise runs as a seeded sample
    #[arg(long)]
    pub exhaustive: bool,
    /// Only checks that need no kernel: seconds instead of minutes
    #[arg(long, conflicts_with = "exhaustive")]
    pub fast: bool,
    /// Only tests whose name contains this
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
}

/// Crates with workspaces of their own.
const GUEST_CRATES: [&str; 4] = [
    "recipes/first-boot/Cargo.toml",
    "recipes/vtl2-init/Cargo.toml",
    "recipes/paravisor/Cargo.toml",
    "bare/Cargo.toml",
];

pub fn run(arguments: &Test) -> Result<()> {
    let project = Project::find()?;
    let everything = Selection { profiles: Vec::new(), all: true };
    let store = session::store_dir(&SessionOptions::default())?;
    purposes::ensure(&everything, true, arguments.install_deps, false, store, &Reporter::new(false))?;
    let shell = Shell::new()?;
    shell.change_dir(&project.root);
    let started = Instant::now();
    let mut failed = Vec::new();
    for (name, phase) in phases(arguments) {
        eprintln!("== {name}");
        let before = Instant::now();
        match phase(&shell, &project.root, arguments) {
            Ok(()) => eprintln!("== {name}: ok, {}", seconds(before.elapsed())),
            Err(error) => {
                let why = failure(&error);
                eprintln!("== {name}: FAILED, {}: {why}", seconds(before.elapsed()));
                failed.push(format!("\n  {name}: {why}"));
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed after {}{}", seconds(started.elapsed()), failed.concat());
    }
    eprintln!("everything passed in {}", seconds(started.elapsed()));
    Ok(())
}

type Phase = fn(&Shell, &Path, &Test) -> Result<()>;

fn phases(arguments: &Test) -> Vec<(&'static str, Phase)> {
    let mut phases: Vec<(&'static str, Phase)> = Vec::new();
    if arguments.filter.is_none() {
        phases.extend([("format", format as Phase), ("lints", lints)]);
    }
    if !arguments.fast {
        phases.push(("images", images));
    }
    phases.extend([("tests", tests as Phase), ("guest tests", guest_tests)]);
    phases
}

fn format(shell: &Shell, _: &Path, _: &Test) -> Result<()> {
    cmd!(shell, "cargo fmt --all --check").quiet().run()?;
    for manifest in GUEST_CRATES {
        cmd!(shell, "cargo fmt --all --manifest-path {manifest} --check").quiet().run()?;
    }
    Ok(())
}

fn lints(shell: &Shell, _: &Path, _: &Test) -> Result<()> {
    cmd!(shell, "cargo clippy --quiet --locked --workspace --all-targets -- -D warnings").quiet().run()?;
    for manifest in GUEST_CRATES {
        cmd!(shell, "cargo clippy --quiet --locked --workspace --manifest-path {manifest} --all-targets -- -D warnings")
            .quiet()
            .run()?;
    }
    Ok(())
}

/// Builds every profile where it can be seen, so that the tests find their images in the store.
fn images(shell: &Shell, _: &Path, _: &Test) -> Result<()> {
    let xtask = std::env::current_exe().context("can't find this program")?;
    cmd!(shell, "{xtask} build-image --all").quiet().run()?;
    Ok(())
}

fn tests(shell: &Shell, _: &Path, arguments: &Test) -> Result<()> {
    let filter = arguments.filter.iter();
    let mut test = cmd!(shell, "cargo test --quiet --locked --no-fail-fast --workspace");
    if arguments.fast {
        // The libraries and the command line's own modules; of the tests in tests/ those that only read sources.
        test = test.args(["--lib", "--bins", "--test", "dependencies", "--test", "purity"]);
    }
    if arguments.exhaustive {
        test = test.env("VTLFORGE_EXHAUSTIVE", "1");
    }
    run_tests(test.arg("--").args(filter))
}

fn guest_tests(shell: &Shell, _: &Path, arguments: &Test) -> Result<()> {
    for manifest in GUEST_CRATES {
        let filter = arguments.filter.iter();
        run_tests(cmd!(
            shell,
            "cargo test --quiet --locked --workspace --manifest-path {manifest} -- {filter...}"
        ))?;
    }
    Ok(())
}

/// Runs cargo's tests, shows what they say as they say it, and names those that failed: minutes of output may follow them.
fn run_tests(command: Cmd) -> Result<()> {
    let command = command.quiet();
    let shown = command.to_string();
    let mut cargo = Command::from(command).stdout(Stdio::piped()).spawn().context("can't start cargo")?;
    let said =
        cargo.stdout.take().map_or_else(|| Ok(Vec::new()), pass_on).context("can't read what tests say")?;
    let status = cargo.wait().context("can't wait for cargo")?;
    if status.success() {
        return Ok(());
    }
    match failed(&String::from_utf8_lossy(&said)) {
        names if names.is_empty() => bail!("`{shown}`: {status}"),
        names => bail!("{}; `cargo xtask test NAME` runs one alone", names.join(", ")),
    }
}

/// All that `from` gives, written to standard output at once.
fn pass_on(mut from: impl Read) -> io::Result<Vec<u8>> {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(said),
            count => {
                io::stdout().write_all(&buffer[..count])?;
                io::stdout().flush()?;
                said.extend_from_slice(&buffer[..count]);
            }
        }
    }
}

/// The tests that libtest lists under the last `failures:` of each program.
fn failed(said: &str) -> Vec<&str> {
    let (mut names, mut listed) = (Vec::new(), Vec::new());
    for line in said.lines() {
        match line {
            "failures:" => listed.clear(),
            _ if line.starts_with("test result: FAILED") => names.append(&mut listed),
            _ => listed.extend(line.strip_prefix("    ").filter(|name| !name.starts_with(' '))),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::failed;

    #[test]
    fn failed_tests_are_named() {
        let said = "\nrunning 3 tests\n.. 2/3\nkernels::judge --- FAILED\n\nfailures:\n\n---- kernels::judge stdout ----\n    at: x\n\n\n\
                    failures:\n    kernels::judge\n    other\n\ntest result: FAILED. 2 passed; 2 failed\n\nrunning 1 test\n.\n\
                    test result: ok. 1 passed\n\nfailures:\n    third\n\ntest result: FAILED. 0 passed; 1 failed\n";
        assert_eq!(failed(said), ["kernels::judge", "other", "third"]);
        assert!(failed("error: could not compile `xtask`\n    note\n").is_empty());
    }
}
