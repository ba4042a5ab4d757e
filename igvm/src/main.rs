//! The program that `cargo xtask` starts for everything about IGVM files.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// IGVM files, read and compared
#[derive(Parser, Debug)]
#[command(name = "cargo xtask igvm", bin_name = "cargo xtask igvm")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Writes and measures a file by the build's request
    #[command(hide = true)]
    Pack { request: PathBuf },
    /// Loads a file into a machine's memory by the boot's request
    #[command(hide = true)]
    Load { request: PathBuf },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().verb {
        Verb::Pack { request } => vtlforge_igvm::pack::pack(&request),
        Verb::Load { request } => vtlforge_igvm::boot::boot(&request),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
