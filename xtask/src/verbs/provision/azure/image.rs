//! `provision azure image`: a folder of texts. Nothing is built, and nobody asked.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use super::check;
use crate::{
    profile::{Arch, Project},
    provision::azure::{
        Given, OsState, PARAMETERS, README, SCRIPT, Security, TEMPLATE, parameters, readme, script, template,
    },
    report::Reporter,
    verbs::{
        Selection,
        provision::{folder, write},
        session::specs,
    },
};

/// The recipe that takes a machine's name, user and key when it first starts.
const AGENT: &str = "first-boot";

#[derive(Args, Debug)]
pub struct Image {
    /// Name of a file in profiles/, for VTL0
    #[arg(value_name = "PROFILE")]
    pub profile: String,
    /// Where the files go [default: out/azure/PROFILE]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Which machines may be made of it [default: confidential on x86_64, trusted-launch on aarch64]
    #[arg(long, value_enum)]
    pub security: Option<SecurityOption>,
    /// Whether machines get name and user when they first start [default: generalized if the payload has first-boot]
    #[arg(long, value_enum)]
    pub os_state: Option<OsStateOption>,
    /// Version of the image, MAJOR.MINOR.PATCH; the script can change it
    #[arg(long, value_name = "VERSION", default_value = "1.0.0", value_parser = version)]
    pub image_version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecurityOption {
    /// Confidential machines
    Confidential,
    /// Machines of generation 2, with Trusted Launch or without
    TrustedLaunch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OsStateOption {
    Generalized,
    Specialized,
}

/// Three numbers of 32 bits ("Store and share images in an Azure Compute Gallery").
fn version(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('.').collect();
    let is_number = |part: &&str| part.parse::<u32>().is_ok_and(|number| number.to_string() == **part);
    match parts.len() == 3 && parts.iter().all(is_number) {
        true => Ok(text.to_string()),
        false => Err("a version of an image is three numbers, as 1.0.0".to_string()),
    }
}

pub fn run(arguments: &Image) -> Result<ExitCode> {
    let project = Project::find()?;
    let selection = Selection { profiles: vec![arguments.profile.clone()], all: false };
    let spec = specs(&project, &selection)?.remove(0);
    check(&spec)?;
    ensure!(
        spec.name.len() <= 76,
        "{} is too long a name for an image of Azure, which has 80 characters with the disk's ending",
        spec.name
    );
    let security = match (arguments.security, spec.arch) {
        (Some(SecurityOption::Confidential), Arch::Aarch64) => anyhow::bail!(
            "Azure's confidential machines are x86_64, and {} is for aarch64\n  hint: --security trusted-launch",
            spec.name
        ),
        (Some(SecurityOption::Confidential), _) | (None, Arch::X86_64) => Security::Confidential,
        (Some(SecurityOption::TrustedLaunch), _) | (None, Arch::Aarch64) => Security::TrustedLaunch,
    };
    let has_agent = spec.payload.recipes.iter().any(|(name, _)| name == AGENT);
    let os_state = match (arguments.os_state, has_agent) {
        (Some(OsStateOption::Generalized), _) | (None, true) => OsState::Generalized,
        (Some(OsStateOption::Specialized), _) | (None, false) => OsState::Specialized,
    };
    let to = match &arguments.to {
        Some(to) => folder(to)?,
        None => folder(&project.root.join("out/azure").join(&spec.name))?,
    };
    let version = arguments.image_version.clone();
    let given = Given { profile: spec.name.clone(), arch: spec.arch, security, os_state, version };
    for (name, text, mode) in [
        (TEMPLATE, template(&given), 0o644),
        (PARAMETERS, parameters(&given), 0o644),
        (README, readme(&given), 0o644),
        (SCRIPT, script(&given), 0o755),
    ] {
        write(&to.join(name), text.as_bytes(), mode)?;
    }
    Reporter::new(false).print(&to.join(SCRIPT).display().to_string());
    Ok(ExitCode::SUCCESS)
}
