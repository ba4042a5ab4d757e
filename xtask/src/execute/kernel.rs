//! BuildKernel: make, with progress, and its first real error when it fails. How make is called is `kernel`'s.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use anyhow::{Context as _, Result, bail};

use super::{Cancelled, objects::ObjectCounts, run::Job};
use crate::{
    digest::Digest,
    host::command::{Command, CommandError, Limits},
    kernel::{
        command::{Invocation, KernelBuild},
        image::{self, kernel_image},
        make_output::first_error,
        progress::Progress,
    },
    plan::Source,
    profile::types::Arch,
    report::Unit,
    store::{KeyLock, OutputKind},
};

pub fn build(job: &Job, arch: Arch) -> Result<Vec<(&'static str, OutputKind)>> {
    let folder = build_folder(job)?;
    let dot_config = folder.path().join(image::DOT_CONFIG);
    // Of a local tree that was built before, make compiles what has changed: nobody knows how much that is.
    let is_whole = !dot_config.exists();
    install_config(job.input("config"), &dot_config)?;
    let build = describe(job, arch, folder.path());

    let counts = ObjectCounts::load(&job.context.store.memo_dir());
    let config = job.read("config")?;
    let config_text = String::from_utf8_lossy(&config);
    let mut expected = is_whole.then(|| counts.expect(&job.step.name, &config_text));
    let mut progress = Progress::default();
    let mut on_line = |line: &str| {
        if progress.observe(line).is_some() {
            let done = u64::from(progress.objects);
            let total = expected.as_mut().map(|expected| expected.beside(done));
            job.progress.update(done, total, Unit::Objects);
        }
    };
    make(job, &build.build()?, &job.context.cancelled, Some(&mut on_line))?;
    if is_whole {
        counts.remember(&job.step.name, &config_text, u64::from(progress.objects));
    }
    if progress.warnings > 0 {
        job.progress.note(&format!("{} warnings, see the log", progress.warnings));
    }

    let outputs = [
        (kernel_image(arch).path, "kernel"),
        (image::VMLINUX, "vmlinux"),
        ("System.map", "System.map"),
        (image::RELEASE, "release"),
    ];
    for (from, to) in outputs {
        let from = folder.path().join(from);
        fs::copy(&from, job.out(to)).with_context(|| format!("can't copy {}", from.display()))?;
    }
    let after = fs::read(&dot_config).with_context(|| format!("can't read {}", dot_config.display()))?;
    if after != config {
        bail!("make changed the configuration while it built; the kernel is not the one that was asked for");
    }
    Ok(outputs.map(|(_, output)| (output, OutputKind::File)).to_vec())
}

/// Where a kernel is configured or built.
pub enum BuildFolder {
    /// Goes away with the step.
    Scratch(PathBuf),
    /// Of a local tree: stays, so that the next build is incremental.
    Persistent { path: PathBuf, _lock: KeyLock },
}

impl BuildFolder {
    pub fn path(&self) -> &Path {
        match self {
            BuildFolder::Scratch(path) | BuildFolder::Persistent { path, .. } => path,
        }
    }
}

pub fn build_folder(job: &Job) -> Result<BuildFolder> {
    let folder = match &job.step.inputs["source"] {
        Source::Local(tree) => {
            // One folder a step and tree: another profile's objects have other options.
            let name = Digest::of_json(&(&job.step.name, tree));
            let path = job.context.store.tree_dir(&name.short());
            let lock = job.context.store.lock(&name, || job.progress.waiting(&name.to_string()))?;
            BuildFolder::Persistent { path, _lock: lock }
        }
        _ => BuildFolder::Scratch(job.work.scratch().join("build")),
    };
    let path = folder.path();
    fs::create_dir_all(path).with_context(|| format!("can't make {}", path.display()))?;
    Ok(folder)
}

/// Leaves a configuration that is there already alone, time stamp and all: make goes by time stamps.
fn install_config(from: &Path, to: &Path) -> Result<()> {
    let wanted = fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
    if fs::read(to).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    fs::write(to, wanted).with_context(|| format!("can't write {}", to.display()))
}

/// By the names that make sees.
pub fn describe(job: &Job, arch: Arch, build: &Path) -> KernelBuild {
    KernelBuild {
        arch,
        host: job.toolbox.host().arch,
        source: job.toolbox.seen(job.input("source")),
        build: job.toolbox.seen(build),
        search_path: job.toolbox.path_variable().to_string_lossy().into_owned(),
        jobs: job.context.jobs as u32,
    }
}

/// Runs make until it ends or `stop` is set; its failure is told by the first real error in the log.
pub fn make(
    job: &Job,
    invocation: &Invocation,
    stop: &AtomicBool,
    on_line: Option<&mut dyn FnMut(&str)>,
) -> Result<()> {
    let command = Command::new(job.toolbox.find(invocation.program)?)
        .args(&invocation.arguments)
        .envs(invocation.environment.iter().map(|(name, value)| (*name, value)));
    let log = job.work.log();
    let limits = Limits { timeout: None, cancel: Some(stop) };
    let result = job.toolbox.enter(command).run(&log, limits, on_line);
    match result {
        Ok(()) => Ok(()),
        Err(CommandError::Cancelled { .. }) => Err(Cancelled.into()),
        Err(CommandError::Failed { .. }) => {
            let text = fs::read(&log).with_context(|| format!("can't read {}", log.display()))?;
            match first_error(&String::from_utf8_lossy(&text)) {
                Some(error) => bail!("make failed, first with\n{error}"),
                None => result.map_err(Into::into),
            }
        }
        Err(error) => Err(error.into()),
    }
}
