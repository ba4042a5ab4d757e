//! The Kconfig files of a kernel tree, read on this machine as make has the kernel's own conf read them, by the
//! engine of the crate `kconfig`: with it a configuration is known without building or running conf.
//!
//! Files come from the tree; commands in them (does the compiler know this option?) are run with the environment
//! that make would give conf. Their answers are remembered, since a tree asks for more than a hundred.

mod answers;
mod machine;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use kconfig::{Fill, Graph, Probes as _, Recorder, Rejected, Request, Solution, parse};

use super::{
    command::{BadPath, KernelBuild},
    environment,
};
use crate::{
    digest::Digest,
    host::{
        command::{CommandError, Limits},
        toolbox::Toolbox,
    },
};
use answers::Answers;
use machine::{Failure, Machine, Tree};

/// What is read, and where answers of commands are kept.
pub struct Setting<'a> {
    /// How make is called. Commands run in its build directory, which has to be there.
    pub build: &'a KernelBuild,
    /// The source tree, by the name that this process has for it.
    pub source: &'a Path,
    /// Whose programs the commands run.
    pub toolbox: &'a Toolbox<'a>,
    /// Digest of the source tree's content; `None` for a tree that may change at any time.
    pub tree: Option<Digest>,
    /// What the programs are that the commands run.
    pub tools: BTreeMap<String, Option<Digest>>,
    /// Folder of remembered answers.
    pub memory: PathBuf,
    pub ask: Ask,
    pub cancel: Option<&'a AtomicBool>,
}

/// Whether commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Those whose answer isn't remembered.
    Missing,
    /// All of them, as if nothing was remembered.
    Everything,
    /// None: without remembered answers for these very files there is no engine.
    Nothing,
}

/// The Kconfig files of one tree for one architecture, with what this machine's tools say.
pub struct Engine {
    graph: Graph,
    /// How many commands were run.
    asked: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Path(#[from] BadPath),
    /// A command that a Kconfig file names could not be run at all.
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(
        "this tool can't read the kernel's Kconfig files:\n{0}\n  hint: `cargo xtask config check --with-conf` has the kernel's own conf decide"
    )]
    Rejected(#[from] Rejected),
    /// The root whose programs are to be asked can't be entered.
    #[error(transparent)]
    Toolbox(anyhow::Error),
    /// An answer is missing, or was given for other files, and commands may not be run.
    #[error("the tools have not been asked yet what this kernel's Kconfig files want to know of them")]
    NotRemembered,
}

impl Engine {
    pub fn read(setting: &Setting) -> Result<Engine, EngineError> {
        let source = &setting.build.source;
        let tree = Tree::new(setting.source, source);
        let makefile = tree.makefile();
        let of_tree = environment::of_tree(source, &makefile)?;
        let mut answers = Answers::load(setting, &of_tree);
        if setting.ask == Ask::Nothing && answers.files().is_none() {
            return Err(EngineError::NotRemembered);
        }
        let known = match setting.ask {
            Ask::Everything => BTreeMap::new(),
            Ask::Missing | Ask::Nothing => answers.all(),
        };
        let limits = Limits { timeout: None, cancel: setting.cancel };
        let may_run = setting.ask != Ask::Nothing;
        let machine = Machine::new(setting, of_tree, limits, may_run);
        let mut probes = Recorder::with_answers(machine, known);
        for variable in environment::ASKED {
            let command = environment::question(variable, probes.inner().variables());
            let output = probes.shell(&command);
            probes.inner_mut().set(variable, environment::answer(&output));
        }
        let parsed = parse("Kconfig", &tree, &mut probes);
        match probes.inner_mut().take_failure() {
            Some(Failure::Command(error)) => return Err(error.into()),
            Some(Failure::MayNotRun) => return Err(EngineError::NotRemembered),
            None => {}
        }
        let (files, asked) = (tree.digest(), probes.asked());
        if setting.ask == Ask::Nothing && answers.files() != Some(files) {
            return Err(EngineError::NotRemembered);
        }
        answers.save(files, probes.into_answers());
        let (graph, _) = parsed?;
        Ok(Engine { graph, asked })
    }

    /// What the files say.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How many commands were run to read the files; none if all answers were remembered.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Everything off but what `all_config` asks for: `make allnoconfig` with KCONFIG_ALLCONFIG.
    pub fn solve(&self, all_config: &str) -> Solution<'_> {
        let mut request = Request::new(&self.graph);
        // conf warns of symbols that are set twice or to no value of theirs; what becomes of them is judged after.
        request.read("requests.config", all_config.as_bytes());
        request.fill(Fill::No);
        request.solve()
    }
}
