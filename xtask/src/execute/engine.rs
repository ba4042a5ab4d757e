//! The Kconfig engine for the kernel trees of a plan.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Error, Result};

use super::{Again, Cancelled, Context, LastBuild, Outcomes, execute, recover, tries};
use crate::{
    digest::Digest,
    host::{
        cross_prefix,
        identity::{Subject, kconfig_subjects},
    },
    kernel::{
        command::KernelBuild,
        engine::{Ask, Engine, EngineError, Setting},
    },
    plan::{Action, Plan, Source, Step},
    profile::types::Arch,
    store::{Output, StepRecord},
};

/// The source tree of a kernel, where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTree {
    pub path: PathBuf,
    /// What the store has it as; `None` for a local tree.
    pub stored: Option<Stored>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Name of the step that made it.
    pub step: String,
    pub key: Digest,
    pub output: Output,
}

/// Engines for all configurations of a plan.
pub struct Engines {
    engines: Vec<(Engine, KernelTree)>,
    /// By number of the step that resolves the configuration.
    of_step: BTreeMap<usize, usize>,
}

impl Engines {
    /// Brings the source trees that the configurations need, and reads each once an architecture. Builds nothing.
    pub fn open(context: &Context, plan: &Plan, last: &mut LastBuild) -> Result<Engines> {
        for _ in 0..tries(plan) {
            match Engines::attempt(context, plan, last) {
                Err(error) if error.is::<Again>() => recover(context, error)?,
                other => {
                    context.memo.save();
                    context.tools.save();
                    return other;
                }
            }
        }
        Engines::attempt(context, plan, last)
    }

    fn attempt(context: &Context, plan: &Plan, last: &mut LastBuild) -> Result<Engines> {
        let (sources, numbers) = plan.before(Action::is_resolve_kconfig);
        let Outcomes(outcomes) = execute(context, &sources, last)?;
        let made_by = |number: usize| {
            let outcome = &outcomes[numbers[&number]];
            Some((outcome.key, &outcome.record))
        };
        let host = context.tools.host().arch;
        let archs = plan.steps.iter().filter_map(|step| step.action.config_arch());
        context.tools.require(archs.flat_map(|arch| kconfig_subjects(host, arch)))?;
        let mut wanted: Vec<(KernelTree, Arch)> = Vec::new();
        let mut of_step = BTreeMap::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let Some(arch) = step.action.config_arch() else { continue };
            let tree = kernel_tree(context, plan, step, made_by)?.context("the source has been made")?;
            let known = wanted.iter().position(|known| *known == (tree.clone(), arch));
            let place = known.unwrap_or_else(|| {
                wanted.push((tree, arch));
                wanted.len() - 1
            });
            of_step.insert(number, place);
        }
        let engines: Vec<Engine> = thread::scope(|scope| {
            let threads: Vec<_> =
                wanted.iter().map(|(tree, arch)| scope.spawn(|| engine(context, tree, *arch))).collect();
            let join =
                |thread: thread::ScopedJoinHandle<_>| thread.join().unwrap_or_else(|e| resume_unwind(e));
            threads.into_iter().map(join).collect::<Result<_>>()
        })?;
        let engines = engines.into_iter().zip(wanted.into_iter().map(|(tree, _)| tree)).collect();
        Ok(Engines { engines, of_step })
    }

    /// The engine for a step that resolves a configuration, and the tree that it reads.
    pub fn of(&self, step: usize) -> (&Engine, &KernelTree) {
        let (engine, tree) = &self.engines[self.of_step[&step]];
        (engine, tree)
    }
}

/// The source tree that `step` reads; `None` if it isn't there yet.
/// `made_by`: key and record of a step that is done.
pub fn kernel_tree<'a>(
    context: &Context,
    plan: &Plan,
    step: &Step,
    made_by: impl Fn(usize) -> Option<(Digest, &'a StepRecord)>,
) -> Result<Option<KernelTree>> {
    let (maker, output) = match &step.inputs["source"] {
        Source::Output { step, output } => (*step, output),
        Source::File(path) | Source::Folder(path) | Source::Local(path) => {
            return Ok(Some(KernelTree { path: context.root.join(path), stored: None }));
        }
    };
    let Some((key, record)) = made_by(maker) else { return Ok(None) };
    let name = plan.steps[maker].name.clone();
    let recorded = record.output(output).with_context(|| format!("step {name} made no {output}"))?;
    let path = context.store.output_path(&key, output);
    Ok(Some(KernelTree { path, stored: Some(Stored { step: name, key, output: recorded.clone() }) }))
}

/// Reads the Kconfig files of a tree. The tree is checked first, unless it is known what they are.
pub fn engine(context: &Context, tree: &KernelTree, arch: Arch) -> Result<Engine> {
    if let Some(engine) = remembered_engine(context, tree, arch)? {
        return Ok(engine);
    }
    if let Some(Stored { step, key, output }) = &tree.stored {
        context.bring(step, key, output)?;
    }
    let folder = tempfile::tempdir().context("can't make a temporary folder")?;
    engine_of_checked(context, tree, arch, folder.path(), Ask::Missing)
}

/// The same if no command has to be run for it.
pub fn remembered_engine(context: &Context, tree: &KernelTree, arch: Arch) -> Result<Option<Engine>> {
    match read(context, tree, arch, Path::new("/"), Ask::Nothing) {
        Err(EngineError::NotRemembered) => Ok(None),
        other => other.map(Some).map_err(told),
    }
}

/// The same for a tree that is known to be what it should be. Commands run in `folder`.
pub fn engine_of_checked(
    context: &Context,
    tree: &KernelTree,
    arch: Arch,
    folder: &Path,
    ask: Ask,
) -> Result<Engine> {
    read(context, tree, arch, folder, ask).map_err(told)
}

fn read(
    context: &Context,
    tree: &KernelTree,
    arch: Arch,
    folder: &Path,
    ask: Ask,
) -> Result<Engine, EngineError> {
    let host = context.tools.host();
    let build = KernelBuild {
        arch,
        host: host.arch,
        source: tree.path.clone(),
        build: folder.to_path_buf(),
        search_path: host.path_variable().to_string_lossy().into_owned(),
        jobs: 1,
    };
    let setting = Setting {
        build: &build,
        tree: tree.stored.as_ref().map(|stored| stored.output.sha256),
        tools: identities(context, arch),
        memory: context.store.memo_dir().join("kconfig"),
        ask,
        cancel: Some(&context.cancelled),
    };
    Engine::read(&setting)
}

/// What the tools are that the commands ask about. One that is missing has no identity: that is an answer, too.
fn identities(context: &Context, arch: Arch) -> BTreeMap<String, Option<Digest>> {
    let host = context.tools.host().arch;
    let mut subjects = kconfig_subjects(host, arch);
    // Whether programs can be linked at all is asked as well.
    subjects.push(Subject::StaticLibrary { compiler: format!("{}gcc", cross_prefix(host, arch)) });
    subjects.iter().map(|subject| (subject.name(), context.tools.digest(subject).ok())).collect()
}

fn told(error: EngineError) -> Error {
    match error {
        EngineError::Command(error) if error.is_cancelled() => Cancelled.into(),
        error => error.into(),
    }
}
