//! `provision hyperv`: a folder for a Windows machine, with the artifacts, a script and a page about it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use super::{copy, folder, write};
use crate::{
    execute::Outcomes,
    manifest,
    plan::ProfileInput,
    profile::{
        Project, Vtl,
        types::{Firmware, IgvmPlatform},
    },
    provision::hyperv::{Artifact, Given, README, SCRIPT, readme, script},
    report::Reporter,
    verbs::{
        Access, Selection, Session, SessionOptions,
        boot::memory,
        session::{DEFAULT_PROFILE, load, pair},
    },
};

#[derive(Args, Debug)]
pub struct Hyperv {
    /// Name of a file in profiles/, for VTL2; or of a pair
    #[arg(value_name = "PROFILE", default_value = DEFAULT_PROFILE)]
    pub profile: String,
    /// The profile whose disk is below it, for VTL0
    #[arg(long, value_name = "PROFILE")]
    pub vtl0: Option<String>,
    /// Where everything goes [default: out/hyperv/PROFILE]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// The machine's name; the script can change it [default: the profile's]
    #[arg(long, value_name = "NAME", value_parser = machine_name)]
    pub name: Option<String>,
    /// Processors; the script can change it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub smp: u32,
    /// Memory of all levels, in whole MiB; the script can change it
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = memory)]
    pub memory: u64,
    #[command(flatten)]
    pub options: SessionOptions,
}

/// What Hyper-V takes, and what fits on a line.
fn machine_name(name: &str) -> Result<String, String> {
    match name.encode_utf16().count() {
        0 => Err("a machine has a name".to_string()),
        1..=100 if !name.contains(char::is_control) => Ok(name.to_string()),
        1..=100 => Err("it has control characters".to_string()),
        _ => Err("it is longer than 100 characters".to_string()),
    }
}

pub fn run(arguments: &Hyperv) -> Result<ExitCode> {
    let reporter = Arc::new(Reporter::new(false));
    ensure!(arguments.vtl0.as_ref() != Some(&arguments.profile), "one profile is for one level");
    let project = Project::find()?;
    if let (Some(pair), Some(_)) = (pair(&project, &arguments.profile)?, &arguments.vtl0) {
        bail!("{} is a pair, so --vtl0 has been said already: {}", pair.name, pair.parts.vtl0);
    }
    let names = [Some(arguments.profile.clone()), arguments.vtl0.clone()];
    let selection = Selection { profiles: names.into_iter().flatten().collect(), all: false };
    let profiles = load(&project, &selection)?;
    check(&profiles)?;
    let mut session = Session::with(project, profiles, &arguments.options, Access::Build, reporter.clone())?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    let to = match &arguments.to {
        Some(to) => folder(to)?,
        None => folder(&session.context.root.join("out/hyperv").join(&arguments.profile))?,
    };
    let outcomes = session.build(|session, outcomes| {
        artifacts(session, outcomes)?
            .into_iter()
            .try_for_each(|(artifact, path)| copy(&path, &to.join(artifact.file)))
    })?;
    let mut artifacts = artifacts(&session, &outcomes)?.into_iter().map(|(artifact, _)| artifact);
    let spec = &session.profiles[0].spec;
    let given = Given {
        name: arguments.name.clone().unwrap_or_else(|| arguments.profile.clone()),
        arch: spec.arch,
        console: spec.console,
        processors: arguments.smp,
        memory_bytes: arguments.memory,
        igvm: artifacts.next().expect("a VTL2 profile has one"),
        disk: artifacts.next(),
    };
    write(&to.join(README), readme(&given).as_bytes(), 0o644)?;
    write(&to.join(SCRIPT), &script(&given), 0o644)?;
    reporter.print(&to.join(SCRIPT).display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// The first is for VTL2, as Hyper-V loads it; the second, where there is one, for VTL0 of the same machine.
fn check(profiles: &[ProfileInput]) -> Result<()> {
    let upper = &profiles[0].spec;
    ensure!(
        upper.firmware == Firmware::Igvm,
        "{} is for VTL{}, and Hyper-V's firmware file is VTL2's\n  hint: name the profile for VTL2, and this one with --vtl0",
        upper.name,
        upper.vtl.number()
    );
    let is_loaded =
        upper.igvm.as_ref().is_some_and(|igvm| igvm.platforms.contains(&IgvmPlatform::VsmIsolation));
    ensure!(
        is_loaded,
        "the IGVM file of {} has no platform that a machine with isolation type OpenHCL takes\n  \
         hint: add vsm-isolation to its `igvm.platforms`",
        upper.name
    );
    if let Some(ProfileInput { spec: lower, .. }) = profiles.get(1) {
        ensure!(
            lower.vtl == Vtl::Vtl0,
            "{} is for VTL{}, and the disk below is VTL0's",
            lower.name,
            lower.vtl.number()
        );
        ensure!(
            lower.arch == upper.arch,
            "{} is for {}, and {} for {}: one machine has one architecture",
            upper.name,
            upper.arch.name(),
            lower.name,
            lower.arch.name()
        );
    }
    Ok(())
}

/// The disk in the form that machines of generation 2 take.
const DISK: &str = "disk.vhdx";

/// What goes along, with where it is now: VTL2's file, then VTL0's disk.
fn artifacts(session: &Session, outcomes: &Outcomes) -> Result<Vec<(Artifact, PathBuf)>> {
    let is_wanted: [fn(&str) -> bool; 2] = [|name| is_igvm(name), |name| name == DISK];
    let find = |(profile, is_wanted): (&ProfileInput, fn(&str) -> bool)| {
        let (plan, outcomes) = session.part(profile, outcomes);
        let mut outputs = manifest::outputs(&plan, &outcomes, &profile.spec.name).into_iter();
        let (entry, outcome, output) = outputs
            .find(|(entry, ..)| is_wanted(&entry.name))
            .with_context(|| format!("{} has no such artifact", profile.spec.name))?;
        let path = session.context.output(outcomes.step(&plan, outcome), outcome, output)?;
        let profile = profile.spec.name.clone();
        Ok((Artifact { profile, file: entry.name, sha256: entry.sha256 }, path))
    };
    session.profiles.iter().zip(is_wanted).map(find).collect()
}

fn is_igvm(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "igvm")
}
