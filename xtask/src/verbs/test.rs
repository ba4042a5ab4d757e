//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it fails fastest.
//! The tests themselves are ordinary cargo tests; what takes long in them lives in the store.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use xshell::{Shell, cmd};

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
                eprintln!("== {name}: FAILED, {}: {}", seconds(before.elapsed()), failure(&error));
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("{} failed after {}", failed.join(", "), seconds(started.elapsed()));
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
        // The libraries and the command line's own modules; what needs images is in the tests of tests/.
        test = test.args(["--lib", "--bins"]);
    }
    if arguments.exhaustive {
        test = test.env("VTLFORGE_EXHAUSTIVE", "1");
    }
    test.arg("--").args(filter).quiet().run()?;
    Ok(())
}

fn guest_tests(shell: &Shell, _: &Path, arguments: &Test) -> Result<()> {
    for manifest in GUEST_CRATES {
        let filter = arguments.filter.iter();
        cmd!(shell, "cargo test --quiet --locked --workspace --manifest-path {manifest} -- {filter...}")
            .quiet()
            .run()?;
    }
    Ok(())
}
