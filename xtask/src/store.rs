//! The store: finished steps by key, immutable, shared by every build of this user.
//!
//! ```text
//! STORE/v1/steps/KEY/outcome.json    what the step made, by digest
//!                    out/NAME        the outputs themselves: files and trees
//!                    log             what the step's programs said
//!          locks/KEY                 held while somebody builds KEY
//!          work/ID/                  a running step's own folder, removed with it
//!          partial/                  downloads to be resumed
//!          failed/ID.log             what the programs of a step that failed last said
//!          trees/NAME/               persistent build folders of local, non-hermetic sources
//!          memo/                     digests of files by their stat, identities of tools
//! ```
//!
//! A step is written in a work folder and renamed to its key in one system call, so that a key is either
//! absent or whole, whatever happens to the process or the machine.

mod entry;
mod lock;
mod memo;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use entry::{Output, OutputKind, StepRecord};
pub use lock::KeyLock;
pub use memo::FileMemo;

use crate::digest::Digest;

/// Version of the layout above; another layout lives beside it under another number.
const LAYOUT: &str = "v1";

pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `root`, which need not exist as long as it is only looked at.
    ///
    /// Symbolic links are followed here, once: cargo and compilers follow them, and would name places that
    /// nobody told them to leave out of what they make.
    pub fn at(root: &Path) -> Store {
        let real = root.ancestors().find_map(|place| {
            let rest = root.strip_prefix(place).ok()?;
            Some(fs::canonicalize(place).ok()?.join(rest))
        });
        Store { root: real.unwrap_or_else(|| root.to_path_buf()).join(LAYOUT) }
    }

    /// Fails if something other than a folder stands where the store should be. Makes nothing.
    pub fn check(&self) -> Result<()> {
        let mut places = self.root.ancestors();
        match places.find_map(|place| Some((place, fs::metadata(place).ok()?))) {
            Some((place, metadata)) if !metadata.is_dir() => anyhow::bail!(
                "the store can't be here: {} is no folder\n  hint: choose another place with --store DIR",
                place.display()
            ),
            _ => Ok(()),
        }
    }

    /// Makes the folders that are missing.
    pub fn create(&self) -> Result<()> {
        for folder in ["steps", "locks", "work", "partial", "trees", "memo"] {
            let path = self.root.join(folder);
            fs::create_dir_all(&path).with_context(|| {
                format!("can't make {}\n  hint: choose another place with --store DIR", path.display())
            })?;
        }
        Ok(())
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn memo_dir(&self) -> PathBuf {
        self.root.join("memo")
    }

    pub fn partial_dir(&self) -> PathBuf {
        self.root.join("partial")
    }

    /// The persistent folder of a local source, by a name derived from what is built there.
    pub fn tree_dir(&self, name: &str) -> PathBuf {
        self.root.join("trees").join(name)
    }

    pub fn step_dir(&self, key: &Digest) -> PathBuf {
        self.root.join("steps").join(key.to_string())
    }

    pub fn output_path(&self, key: &Digest, output: &str) -> PathBuf {
        self.step_dir(key).join("out").join(output)
    }

    pub fn log_path(&self, key: &Digest) -> PathBuf {
        self.step_dir(key).join("log")
    }

    /// What `key` made, if it is in the store.
    ///
    /// An entry whose record can't be read counts as absent; whoever makes it anew moves it out of the way.
    pub fn get(&self, key: &Digest) -> Result<Option<StepRecord>> {
        let path = self.step_dir(key).join("outcome.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("can't read {}", path.display())),
        };
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Checks `output` of `key` against its recorded digest; `Ok(false)` means that it is damaged.
    pub fn is_intact(&self, key: &Digest, output: &Output, memo: &FileMemo) -> Result<bool> {
        let path = self.output_path(key, &output.name);
        match output.kind {
            OutputKind::File => match memo.digest(&path) {
                Ok((digest, size_bytes)) => Ok(digest == output.sha256 && size_bytes == output.size_bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
            },
            OutputKind::Tree => match memo.tree_digest(&path) {
                Ok((digest, size_bytes)) => Ok(digest == output.sha256 && size_bytes == output.size_bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
            },
        }
    }

    /// Removes an entry: first out of sight in one rename, then for good.
    pub fn discard(&self, key: &Digest) -> Result<()> {
        let work = self.work_dir("discard")?;
        let from = self.step_dir(key);
        match fs::rename(&from, work.path().join("entry")) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("can't remove {}", from.display())),
        }
    }

    /// Renames a finished work folder (holding `out/` and `log`) to `key`, after everything in it is on the disk.
    pub fn commit(&self, key: &Digest, work: WorkDir, record: &StepRecord) -> Result<()> {
        let outcome = work.path().join("outcome.json");
        let text = serde_json::to_string_pretty(record)?;
        fs::write(&outcome, text).with_context(|| format!("can't write {}", outcome.display()))?;
        entry::sync(work.path(), record)?;
        let to = self.step_dir(key);
        if to.exists() {
            // Not a whole entry, or it would have been used.
            self.discard(key)?;
        }
        match fs::rename(work.entry_path(), &to) {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("can't rename the finished step to {}", to.display()))
            }
        }
    }

    /// Takes the lock of `key`; `waiting` is called once if somebody else holds it.
    pub fn lock(&self, key: &Digest, waiting: impl FnOnce()) -> Result<KeyLock> {
        KeyLock::take(&self.root.join("locks").join(key.to_string()), waiting)
    }

    /// A fresh folder of this process for one step, removed when dropped, and by the next build if we are killed.
    pub fn work_dir(&self, name: &str) -> Result<WorkDir> {
        WorkDir::new(&self.root.join("work"), name)
    }

    /// Removes the work folders of builds that no longer live.
    pub fn sweep(&self) -> Result<()> {
        lock::sweep(&self.root.join("work"))
    }
}

/// A step's own folder while it runs: `entry/` becomes the store's entry, the rest is scratch.
pub struct WorkDir {
    root: PathBuf,
    _lock: KeyLock,
}

impl WorkDir {
    fn new(parent: &Path, name: &str) -> Result<WorkDir> {
        let (root, lock) = lock::fresh_dir(parent, name)?;
        for folder in ["entry/out", "scratch"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
        }
        Ok(WorkDir { root, _lock: lock })
    }

    /// The future entry.
    pub fn path(&self) -> PathBuf {
        self.entry_path()
    }

    fn entry_path(&self) -> PathBuf {
        self.root.join("entry")
    }

    /// Where outputs are written.
    pub fn out(&self) -> PathBuf {
        self.root.join("entry/out")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("entry/log")
    }

    /// Thrown away when the step ends.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // What can't be removed now is swept by the next build.
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[cfg(test)]
mod tests;
