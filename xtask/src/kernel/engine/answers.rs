//! Answers of the commands in Kconfig files, remembered by all that they depend on.
//!
//! Most commands ask the compiler alone; their answers hold for every tree as long as tools and environment are the
//! same. Those that name the source tree (`$(srctree)/scripts/cc-version.sh`) hold for that tree's content.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Setting;
use crate::{
    digest::Digest,
    kernel::environment::{self, Variables},
};

/// Raised when the meaning of what is kept changes.
const FORMAT: u32 = 1;

/// One file of the memory.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Page {
    /// Of the Kconfig files that the answers led to, and the top Makefile.
    files: Option<Digest>,
    answers: BTreeMap<String, String>,
}

/// What is remembered for one tree, architecture and set of tools.
pub struct Answers {
    /// What a command mentions whose answer depends on the tree.
    marks: Vec<String>,
    general: (PathBuf, Page),
    /// Without a path if nothing of the tree can be remembered.
    of_tree: (Option<PathBuf>, Page),
}

impl Answers {
    /// A page that is missing or damaged is an empty one.
    pub fn load(setting: &Setting, of_tree: &Variables) -> Answers {
        let machine = environment::of_machine(setting.build);
        let key = Digest::of_json(&(FORMAT, machine, &setting.tools));
        let path = |key: Digest| setting.memory.join(format!("{key}.json"));
        let general = path(key);
        let tree = setting.tree.map(|tree| path(Digest::of_json(&(key, tree, of_tree))));
        let mut marks: Vec<String> = of_tree.keys().map(ToString::to_string).collect();
        marks.extend(of_tree.get("srctree").cloned());
        let page = load(&general);
        let tree_page = tree.as_deref().map(load).unwrap_or_default();
        Answers { marks, general: (general, page), of_tree: (tree, tree_page) }
    }

    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let both = self.general.1.answers.iter().chain(&self.of_tree.1.answers);
        both.map(|(command, answer)| (command.clone(), answer.clone().into_bytes())).collect()
    }

    /// What the files were when the answers were given.
    pub fn files(&self) -> Option<Digest> {
        self.of_tree.1.files
    }

    /// Keeps what is new. It only saves time: failing to write it fails nothing.
    pub fn save(&mut self, files: Digest, answers: BTreeMap<String, Vec<u8>>) {
        let (mut general, mut of_tree) = (self.general.1.clone(), self.of_tree.1.clone());
        of_tree.files = Some(files);
        for (command, answer) in answers {
            let Ok(answer) = String::from_utf8(answer) else { continue };
            let is_of_tree = self.marks.iter().any(|mark| command.contains(mark));
            let page = if is_of_tree { &mut of_tree } else { &mut general };
            page.answers.insert(command, answer);
        }
        if general != self.general.1 {
            let _ = save(&self.general.0, &general);
        }
        if let Some(path) = self.of_tree.0.as_ref().filter(|_| of_tree != self.of_tree.1) {
            let _ = save(path, &of_tree);
        }
    }
}

fn load(path: &Path) -> Page {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn save(path: &Path, page: &Page) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Not the folders above: a store that isn't there stays so.
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(page)?)?;
    file.persist(path)?;
    Ok(())
}
