//! The world that Kconfig files ask: a source tree, and a shell with make's environment.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use kconfig::{Probes, Sources};
use sha2::{Digest as _, Sha256};

use super::Setting;
use crate::{
    digest::Digest,
    host::{
        command::{Command, CommandError, Limits},
        toolbox::Toolbox,
    },
    kernel::environment::{self, Variables},
};

/// The shell that conf's popen(3) runs.
const SHELL: &str = "/bin/sh";

/// A source tree. It remembers the digest of all that was read of it.
pub struct Tree<'a> {
    root: &'a Path,
    /// What commands call it.
    called: &'a Path,
    read: RefCell<Sha256>,
}

impl<'a> Tree<'a> {
    pub fn new(root: &'a Path, called: &'a Path) -> Tree<'a> {
        Tree { root, called, read: RefCell::default() }
    }

    /// The top Makefile; empty if there is none.
    pub fn makefile(&self) -> String {
        self.read("Makefile").map_or_else(String::new, |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Of the paths and contents of everything that was read, in order.
    pub fn digest(&self) -> Digest {
        Digest(self.read.borrow().clone().finalize().into())
    }
}

impl Sources for Tree<'_> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        // Another absolute path stays what it is, as for conf.
        let below = Path::new(path).strip_prefix(self.called).unwrap_or(Path::new(path));
        let content = fs::read(self.root.join(below)).ok()?;
        let mut read = self.read.borrow_mut();
        for part in [path.as_bytes(), &content] {
            read.update((part.len() as u64).to_le_bytes());
            read.update(part);
        }
        Some(content)
    }
}

/// Why a command has no answer.
pub enum Failure {
    Command(CommandError),
    MayNotRun,
}

/// Variables, and commands that run.
pub struct Machine<'a> {
    variables: Variables,
    toolbox: &'a Toolbox<'a>,
    folder: PathBuf,
    limits: Limits<'a>,
    may_run: bool,
    /// The first failure; commands after it are not run.
    failure: Option<Failure>,
}

impl<'a> Machine<'a> {
    pub fn new(setting: &Setting<'a>, of_tree: Variables, limits: Limits<'a>, may_run: bool) -> Machine<'a> {
        let Setting { build, toolbox, .. } = setting;
        let mut variables = environment::of_machine(build);
        variables.extend(of_tree);
        Machine { variables, toolbox, folder: build.build.clone(), limits, may_run, failure: None }
    }

    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    pub fn set(&mut self, variable: &'static str, value: String) {
        self.variables.insert(variable, value);
    }

    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn run(&self, command: &str) -> Result<Vec<u8>, Failure> {
        if !self.may_run {
            return Err(Failure::MayNotRun);
        }
        let shell = Command::new(SHELL).arg("-c").arg(command).directory(&self.folder).envs(&self.variables);
        match self.toolbox.enter(shell).output(self.limits) {
            Ok(output) => Ok(output.stdout.into_bytes()),
            Err(error) => Err(Failure::Command(error)),
        }
    }
}

impl Probes for Machine<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn shell(&mut self, command: &str) -> Vec<u8> {
        if self.failure.is_some() {
            return Vec::new();
        }
        self.run(command).unwrap_or_else(|failure| {
            self.failure = Some(failure);
            Vec::new()
        })
    }
}
