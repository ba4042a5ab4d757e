//! What reading Kconfig files asks of the world: files, variables, and the answers of shell commands. Everything
//! goes through these traits; nothing else in this crate reaches outside.

use std::collections::BTreeMap;

/// Where the Kconfig files are.
pub trait Sources {
    /// The content of the file that `source` names, relative to the root of the tree (`$srctree`) unless absolute.
    /// `None` if it can't be read.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
}

/// What Kconfig files ask of the machine.
pub trait Probes {
    /// Value of an environment variable, as make exports it to conf.
    fn variable(&self, name: &str) -> Option<String>;

    /// Standard output of `sh -c COMMAND`, whatever its exit status, as it is.
    fn shell(&mut self, command: &str) -> Vec<u8>;
}

/// In memory: paths and contents.
impl Sources for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.get(path).map(|text| text.clone().into_bytes())
    }
}

/// No variables, and commands that print nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Probes for Silent {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn shell(&mut self, _: &str) -> Vec<u8> {
        Vec::new()
    }
}

/// Answers of shell commands, asked of `inner` once each.
///
/// Whoever keeps [`answers`](Recorder::answers) has to keep them by what they depend on: the tools, the environment
/// and the source tree.
///
/// ```
/// use kconfig::{Probes, Recorder, Silent};
///
/// let mut probes = Recorder::new(Silent);
/// probes.shell("gcc --version");
/// let kept = probes.into_answers();
///
/// let mut again = Recorder::with_answers(Silent, kept);
/// again.shell("gcc --version");
/// assert_eq!(again.asked(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Recorder<P> {
    inner: P,
    answers: BTreeMap<String, Vec<u8>>,
    asked: usize,
}

impl<P: Probes> Recorder<P> {
    pub fn new(inner: P) -> Recorder<P> {
        Recorder::with_answers(inner, BTreeMap::new())
    }

    pub fn with_answers(inner: P, answers: BTreeMap<String, Vec<u8>>) -> Recorder<P> {
        Recorder { inner, answers, asked: 0 }
    }

    /// Who is asked what has no answer yet.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    pub fn inner_mut(&mut self) -> &mut P {
        &mut self.inner
    }

    /// How many commands had no answer yet.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Command and answer.
    pub fn answers(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.answers
    }

    pub fn into_answers(self) -> BTreeMap<String, Vec<u8>> {
        self.answers
    }
}

impl<P: Probes> Probes for Recorder<P> {
    fn variable(&self, name: &str) -> Option<String> {
        self.inner.variable(name)
    }

    fn shell(&mut self, command: &str) -> Vec<u8> {
        if let Some(answer) = self.answers.get(command) {
            return answer.clone();
        }
        self.asked += 1;
        let answer = self.inner.shell(command);
        self.answers.insert(command.to_string(), answer.clone());
        answer
    }
}
