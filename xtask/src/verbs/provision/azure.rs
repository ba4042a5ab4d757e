//! `provision azure`: a disk in a storage account, and an image of it.

mod image;
mod upload;
pub mod uploader;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Subcommand;

use crate::profile::{Spec, Vtl};

#[derive(Subcommand, Debug)]
pub enum Azure {
    /// Put a disk into a storage account as a page blob: only what is not zeros, in parallel, and compared
    Upload(upload::Upload),
    /// Write a template and a script that make an image of the uploaded disk, and machines of that
    Image(image::Image),
}

pub fn run(azure: &Azure) -> Result<ExitCode> {
    match azure {
        Azure::Upload(arguments) => upload::run(arguments),
        Azure::Image(arguments) => image::run(arguments),
    }
}

/// Only a VTL0 disk is something to start there.
fn check(spec: &Spec) -> Result<()> {
    ensure!(
        spec.vtl == Vtl::Vtl0,
        "{} is for VTL2, and Azure starts its own VTL2 below a tenant's disk and takes none from a tenant\n  \
         hint: name a profile for VTL0; VTL2 of your own runs on your own Hyper-V (provision hyperv)",
        spec.name
    );
    Ok(())
}
