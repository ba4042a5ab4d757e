//! The files that profiles are read from, as the rest of `profile` sees them. Nothing here is written.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::Context as _;

/// A tree of files. Paths are relative to the project, with `/`; absolute ones are what they are.
pub trait Files {
    /// The content of a file; None if there is no such file.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Names of what is in a folder, sorted; nothing if there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Whether there is a file of this path.
    fn is_file(&self, path: &str) -> bool;
}

/// The project's folder: the one with profiles/, configs/ and recipes/.
#[derive(Clone, Debug)]
pub struct Project {
    pub root: PathBuf,
}

impl Project {
    /// The project that the current folder is in.
    pub fn find() -> anyhow::Result<Project> {
        let here = std::env::current_dir().context("there is no current folder")?;
        let root = here.ancestors().find(|folder| folder.join("profiles/pins.yaml").is_file());
        match root {
            Some(root) => Ok(Project { root: root.to_path_buf() }),
            None => anyhow::bail!(
                "{} is in no vtlforge project: no folder above has profiles/pins.yaml",
                here.display()
            ),
        }
    }
}

impl Files for Project {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        found(fs::read(self.root.join(path)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let Some(entries) = found(fs::read_dir(self.root.join(folder)))? else { return Ok(Vec::new()) };
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn is_file(&self, path: &str) -> bool {
        self.root.join(path).is_file()
    }
}

fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Files in memory: path to content.
impl Files for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.get(path).cloned())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let below = format!("{folder}/");
        let inside = self.keys().filter_map(|path| path.strip_prefix(&below));
        let mut names: Vec<_> = inside.filter_map(|path| path.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn is_file(&self, path: &str) -> bool {
        self.contains_key(path)
    }
}
