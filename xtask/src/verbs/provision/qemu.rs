//! `provision qemu`: a script beside the profile's disk.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use super::{copy, folder, write};
use crate::{
    boot::machine::{DISK, disk::size},
    execute::Outcomes,
    export,
    kernel::{Composed, Value},
    manifest,
    plan::ProfileInput,
    profile::{Project, Vtl},
    provision::qemu::{Given, SCRIPT, script},
    report::Reporter,
    verbs::{
        Access, Selection, Session, SessionOptions,
        boot::memory,
        session::{self, DEFAULT_PROFILE},
    },
};

#[derive(Args, Clone, Debug)]
pub struct Qemu {
    /// Name of a file in profiles/; of a pair, both parts get a script
    #[arg(value_name = "PROFILE", default_value = DEFAULT_PROFILE)]
    pub profile: String,
    /// Where script and disk go [default: out/PROFILE, with all other artifacts]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Processors, where the disk's device tree doesn't say
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub smp: u32,
    /// Memory, in whole MiB; where the disk's device tree has more, that and some beside it
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = memory)]
    pub memory: u64,
    /// Port of this machine that leads to the guest's ssh; the script can change it
    #[arg(long, value_name = "PORT", default_value_t = 2222, value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh_port: u16,
    /// Run the script
    #[arg(long)]
    pub run: bool,
    /// Options of the script, with --run
    #[arg(last = true, value_name = "OPTIONS", requires = "run")]
    pub arguments: Vec<OsString>,
    #[command(flatten)]
    pub options: SessionOptions,
}

pub fn run(arguments: &Qemu) -> Result<ExitCode> {
    let Some(pair) = session::pair(&Project::find()?, &arguments.profile)? else { return one(arguments) };
    ensure!(
        !arguments.run,
        "{} is a pair, and QEMU runs the disk of each by itself\n  hint: --run one of them, {} or {}",
        pair.name,
        pair.parts.vtl2,
        pair.parts.vtl0
    );
    for part in pair.parts() {
        let to = arguments.to.as_ref().map(|to| to.join(part));
        one(&Qemu { profile: part.to_string(), to, ..arguments.clone() })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(arguments: &Qemu) -> Result<ExitCode> {
    let reporter = Arc::new(Reporter::new(false));
    let selection = Selection { profiles: vec![arguments.profile.clone()], all: false };
    let mut session = Session::open(&selection, &arguments.options, Access::Build, reporter.clone())?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    // A folder that can't be made should show before the kernel is built, not after.
    let to = arguments.to.as_deref().map(folder).transpose()?;
    let out = session.context.root.join("out");
    session.build(|session, outcomes| place(session, outcomes, &out, to.as_deref()))?;
    let profile = &session.profiles[0];
    let path = to.unwrap_or_else(|| out.join(&profile.spec.name)).join(SCRIPT);
    write(&path, text(arguments, profile).as_bytes(), 0o755)?;
    if !arguments.run {
        reporter.print(&path.display().to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let error = Command::new(&path).args(&arguments.arguments).exec();
    Err(error).with_context(|| format!("can't run {}", path.display()))
}

/// All artifacts to their usual place, or the disk to a place of its own.
fn place(session: &Session, outcomes: &Outcomes, out: &Path, to: Option<&Path>) -> Result<()> {
    let profile = &session.profiles[0];
    let (plan, outcomes) = session.part(profile, outcomes);
    let Some(to) = to else {
        export::export(&session.context, &plan, &outcomes, &profile.spec, out)?;
        return Ok(());
    };
    let outputs = manifest::outputs(&plan, &outcomes, &profile.spec.name);
    let disk = outputs.into_iter().find(|(entry, ..)| entry.name == DISK);
    let (_, outcome, output) = disk.expect("every profile has a disk");
    copy(&session.context.output(outcomes.step(&plan, outcome), outcome, output)?, &to.join(DISK))
}

fn text(arguments: &Qemu, profile: &ProfileInput) -> String {
    let spec = &profile.spec;
    let (cpus, memory_bytes) = size(spec, arguments.smp, arguments.memory);
    script(&Given {
        profile: &spec.name,
        arch: spec.arch,
        vtl: spec.vtl,
        cpus,
        memory_bytes: memory_bytes.next_multiple_of(1 << 20),
        // Guests of the monitor have no PCI.
        has_network: spec.vtl == Vtl::Vtl0 && has_virtio_net(&profile.composed),
        ssh_port: arguments.ssh_port,
    })
}

fn has_virtio_net(composed: &Composed) -> bool {
    let is_on = |symbol| composed.get(symbol).is_some_and(|request| request.value == Value::Yes);
    is_on("CONFIG_VIRTIO_NET") && is_on("CONFIG_VIRTIO_PCI")
}
