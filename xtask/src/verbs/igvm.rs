//! `cargo xtask igvm` and `measure`: handed on to the program that knows the format.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use clap::Args;

use super::operand::refuse_profile;
use crate::member;

#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Igvm {
    /// show, map, diff, extract, sign; `--help` lists their options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Measure {
    /// FILE, then `--compare FILE2`, `--format json`; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

pub fn run(arguments: &Igvm) -> Result<ExitCode> {
    match arguments.arguments.split_first() {
        Some((first, rest)) if first == "sign" => start("vtlforge-igvm-sign", &[], rest),
        _ => start("vtlforge-igvm", &[], &arguments.arguments),
    }
}

pub fn measure(arguments: &Measure) -> Result<ExitCode> {
    start("vtlforge-igvm", &["measure"], &arguments.arguments)
}

/// Becomes the program, so that its output, exit status and end by a signal are this one's.
fn start(package: &str, first: &[&str], rest: &[OsString]) -> Result<ExitCode> {
    let mut is_value = false;
    for argument in rest {
        // What follows an option may be a folder to be made.
        if !is_value {
            refuse_profile(Path::new(argument), "vtl2.igvm")?;
        }
        is_value = argument.as_encoded_bytes().starts_with(b"-");
    }
    let program = program(package)?;
    let error = Command::new(&program).args(first).args(rest).exec();
    Err(error).with_context(|| format!("can't run {}", program.display()))
}

/// The program of a package.
pub fn program(package: &str) -> Result<PathBuf> {
    member::program(package, "reads IGVM files")
}
