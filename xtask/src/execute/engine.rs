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
        toolbox::{self, Access, Place, Toolbox},
    },
    kernel::{
        command::KernelBuild,
        engine::{Ask, Engine, EngineError, Setting},
    },
    plan::{Action, BUILDER, Plan, Source, Step},
    profile::types::Arch,
    store::{Output, StepRecord},
};

/// The source tree of a kernel, where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTree {
    pub path: PathBuf,
    /// What the store has it as; `None` for a local tree.
    pub stored: Option<Stored>,
    /// The root whose programs its files ask; `None` for those of this machine.
    pub builder: Option<(PathBuf, Stored)>,
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
        if !plan.has_builder() {
            context.tools.require(archs.flat_map(|arch| kconfig_subjects(host, arch)))?;
        }
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
    let stored = |maker: usize, output: &str| -> Result<Option<(PathBuf, Stored)>> {
        let Some((key, record)) = made_by(maker) else { return Ok(None) };
        let name = plan.steps[maker].name.clone();
        let recorded = record.output(output).with_context(|| format!("step {name} made no {output}"))?;
        let path = context.store.output_path(&key, output);
        Ok(Some((path, Stored { step: name, key, output: recorded.clone() })))
    };
    let builder = match step.inputs.get(BUILDER) {
        Some(Source::Output { step, output }) => match stored(*step, output)? {
            None => return Ok(None),
            there => there,
        },
        _ => None,
    };
    Ok(match &step.inputs["source"] {
        Source::Output { step, output } => {
            let there = stored(*step, output)?;
            there.map(|(path, stored)| KernelTree { path, stored: Some(stored), builder })
        }
        Source::File(path) | Source::Folder(path) | Source::Local(path) => {
            Some(KernelTree { path: context.root.join(path), stored: None, builder })
        }
    })
}

/// Reads the Kconfig files of a tree. The tree is checked first, unless it is known what they are.
pub fn engine(context: &Context, tree: &KernelTree, arch: Arch) -> Result<Engine> {
    if let Some(engine) = remembered_engine(context, tree, arch)? {
        return Ok(engine);
    }
    let builder = tree.builder.as_ref().map(|(_, stored)| stored);
    for Stored { step, key, output } in tree.stored.iter().chain(builder) {
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
    let toolbox = toolbox(context, tree, folder).map_err(EngineError::Toolbox)?;
    let build = KernelBuild {
        arch,
        host: toolbox.host().arch,
        source: toolbox.seen(&tree.path),
        build: toolbox.seen(folder),
        search_path: toolbox.path_variable().to_string_lossy().into_owned(),
        jobs: 1,
    };
    let setting = Setting {
        build: &build,
        source: &tree.path,
        toolbox: &toolbox,
        tree: tree.stored.as_ref().map(|stored| stored.output.sha256),
        tools: identities(context, tree, arch),
        memory: context.store.memo_dir().join("kconfig"),
        ask,
        cancel: Some(&context.cancelled),
    };
    Engine::read(&setting)
}

/// Whose programs the commands run, and what those see.
fn toolbox<'a>(context: &'a Context, tree: &KernelTree, folder: &Path) -> Result<Toolbox<'a>> {
    let host = context.tools.host();
    let Some((root, _)) = &tree.builder else { return Ok(Toolbox::Host(host)) };
    let inside = Path::new(toolbox::INPUTS).join("source");
    let source = Place { outside: tree.path.clone(), inside, access: Access::Read };
    let build =
        Place { outside: folder.to_path_buf(), inside: toolbox::SCRATCH.into(), access: Access::Write };
    Toolbox::root(host, root, vec![source, build])
}

/// What the tools are that the commands ask about. One that is missing has no identity: that is an answer, too.
fn identities(context: &Context, tree: &KernelTree, arch: Arch) -> BTreeMap<String, Option<Digest>> {
    if let Some((_, Stored { output, .. })) = &tree.builder {
        return [(BUILDER.to_owned(), Some(output.sha256))].into();
    }
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
