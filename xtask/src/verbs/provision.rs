//! `cargo xtask provision`: from a profile to a machine that runs it.

pub mod azure;
mod hyperv;
mod qemu;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::export;

#[derive(Subcommand, Debug)]
pub enum Provision {
    /// Write a script that runs a profile's disk under QEMU, and run it
    Qemu(qemu::Qemu),
    /// Write a script for PowerShell that makes a Hyper-V machine with a VTL2 profile, and a VTL0 profile's disk below it
    Hyperv(hyperv::Hyperv),
    /// Bring a VTL0 disk to Azure, and make an image of it
    #[command(subcommand)]
    Azure(azure::Azure),
}

pub fn run(provision: &Provision) -> Result<ExitCode> {
    match provision {
        Provision::Qemu(arguments) => qemu::run(arguments),
        Provision::Hyperv(arguments) => hyperv::run(arguments),
        Provision::Azure(azure) => azure::run(azure),
    }
}

/// A file of ours in a folder of somebody's, whole or not at all.
fn write(path: &Path, text: &[u8], mode: u32) -> Result<()> {
    put(path, |new| {
        fs::write(new, text)?;
        Ok(fs::set_permissions(new, fs::Permissions::from_mode(mode))?)
    })
}

/// A copy of an artifact, which keeps its holes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    put(to, |new| export::copy(from, new))
}

fn put(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    let _ = fs::remove_file(&new);
    let made = make(&new).and_then(|()| Ok(fs::rename(&new, path)?));
    if made.is_err() {
        let _ = fs::remove_file(&new);
    }
    made.with_context(|| format!("can't write {}", path.display()))
}

/// The folder that was asked for, there and absolute.
fn folder(to: &Path) -> Result<PathBuf> {
    fs::create_dir_all(to).with_context(|| {
        format!("can't make {}\n  hint: choose another place with --to DIR", to.display())
    })?;
    fs::canonicalize(to).with_context(|| format!("can't find {}", to.display()))
}
