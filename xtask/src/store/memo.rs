//! Digests of files, remembered by the file's stat, so that a build in which nothing changed reads nothing.
//!
//! A remembered digest holds while device, inode, size, modification and change time are as they were; the
//! change time can't be set by a program. A file changed within the clock's last tick before it was read
//! could change again unseen, so those are not remembered (git calls such an entry "racy"). `--paranoid`
//! reads every byte again.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    io::{self, Write as _},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::entry::{Output, OutputKind};
use crate::digest::Digest;

/// A file younger than this when it was read is not remembered: coarser than any file system's clock here.
const RACY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stat(u64, u64, u64, i64, i64, i64, i64);

impl Stat {
    fn of(metadata: &Metadata) -> Stat {
        let m = metadata;
        Stat(m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Table {
    /// By path: stat, digest, size in bytes.
    files: HashMap<PathBuf, (Stat, Digest, u64)>,
    /// By path of a tree: digest of its stats, digest of its content, size in bytes.
    trees: HashMap<PathBuf, (Digest, Digest, u64)>,
}

/// Safe to share between threads; saved when asked.
pub struct FileMemo {
    path: PathBuf,
    paranoid: bool,
    state: Mutex<(Table, bool)>,
}

impl FileMemo {
    /// Reads the memo; one that is missing or damaged is an empty one.
    pub fn load(memo_dir: &Path, paranoid: bool) -> FileMemo {
        let path = memo_dir.join("files.json");
        let table = match paranoid {
            true => Table::default(),
            false => {
                fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
            }
        };
        FileMemo { path, paranoid, state: Mutex::new((table, false)) }
    }

    /// Digest and size in bytes of a file's content.
    pub fn digest(&self, path: &Path) -> io::Result<(Digest, u64)> {
        let stat = Stat::of(&fs::metadata(path)?);
        if let Some((known, digest, size_bytes)) = self.state().0.files.get(path)
            && *known == stat
            && !self.paranoid
        {
            return Ok((*digest, *size_bytes));
        }
        let (digest, size_bytes) = Digest::of_file(path)?;
        let after = fs::metadata(path)?;
        if Stat::of(&after) == stat && is_settled(&after) {
            let mut state = self.state();
            state.0.files.insert(path.to_path_buf(), (stat, digest, size_bytes));
            state.1 = true;
        }
        Ok((digest, size_bytes))
    }

    /// Digest of a folder's listing (kind, permission to execute, path, content or target of each entry, in
    /// order of path) and the sum of its files' sizes in bytes.
    pub fn tree_digest(&self, root: &Path) -> io::Result<(Digest, u64)> {
        let entries = list(root)?;
        let stats = digest_of_stats(root, &entries);
        if let Some((known, digest, size_bytes)) = self.state().0.trees.get(root)
            && *known == stats
            && !self.paranoid
        {
            return Ok((*digest, *size_bytes));
        }
        let (digest, size_bytes) = tree(root, &entries)?;
        let mut state = self.state();
        state.0.trees.insert(root.to_path_buf(), (stats, digest, size_bytes));
        state.1 = true;
        Ok((digest, size_bytes))
    }

    /// Takes over what is known of a work folder's outputs to the place they were renamed to. They are
    /// finished and read-only there, so their time stamps need no settling.
    pub fn adopt(&self, from: &Path, to: &Path, outputs: &[Output]) {
        for output in outputs {
            let path = to.join(&output.name);
            match output.kind {
                OutputKind::Tree => {
                    let mut state = self.state();
                    if let Some(known) = state.0.trees.remove(&from.join(&output.name)) {
                        state.0.trees.insert(path, known);
                        state.1 = true;
                    }
                }
                OutputKind::File => self.adopt_file(&path, output.sha256, output.size_bytes),
            }
        }
    }

    /// Takes the caller's word for a file that it has just finished.
    pub fn adopt_file(&self, path: &Path, digest: Digest, size_bytes: u64) {
        let Ok(metadata) = fs::metadata(path) else { return };
        let mut state = self.state();
        state.0.files.insert(path.to_path_buf(), (Stat::of(&metadata), digest, size_bytes));
        state.1 = true;
    }

    /// Writes the memo if it changed. It only saves time: failing to write it fails nothing.
    pub fn save(&self) {
        let mut state = self.state();
        if !state.1 {
            return;
        }
        state.0.files.retain(|path, _| path.exists());
        state.0.trees.retain(|path, _| path.exists());
        let write = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec(&state.0)?)?;
            file.persist(&self.path)?;
            Ok(())
        };
        if write().is_ok() {
            state.1 = false;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, (Table, bool)> {
        // A thread that panicked can't have left a half-made entry: insertions are single calls.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn is_settled(metadata: &Metadata) -> bool {
    let changed = SystemTime::UNIX_EPOCH
        + Duration::new(metadata.ctime().max(0) as u64, metadata.ctime_nsec().max(0) as u32);
    SystemTime::now().duration_since(changed).is_ok_and(|age| age > RACY)
}

/// Everything below `root`, in order of path, links not followed.
fn list(root: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    fs::metadata(root)?;
    let mut entries = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name().min_depth(1) {
        let entry = entry?;
        let metadata = entry.metadata()?;
        entries.push((entry.into_path(), metadata));
    }
    Ok(entries)
}

fn digest_of_stats(root: &Path, entries: &[(PathBuf, Metadata)]) -> Digest {
    let mut hasher = Sha256::new();
    for (path, m) in entries {
        hasher.update(path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes());
        for number in [m.dev(), m.ino(), m.size(), m.mtime() as u64, m.mtime_nsec() as u64] {
            hasher.update(number.to_le_bytes());
        }
        for number in [m.ctime() as u64, m.ctime_nsec() as u64, m.mode() as u64] {
            hasher.update(number.to_le_bytes());
        }
    }
    Digest(hasher.finalize().into())
}

fn tree(root: &Path, entries: &[(PathBuf, Metadata)]) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut total_bytes = 0;
    for (path, metadata) in entries {
        let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes();
        let kind = metadata.file_type();
        let (tag, content) = if kind.is_symlink() {
            ("link", Digest::of(fs::read_link(path)?.as_os_str().as_encoded_bytes()))
        } else if kind.is_dir() {
            ("folder", Digest::of(b""))
        } else {
            total_bytes += metadata.size();
            let tag = if metadata.mode() & 0o111 != 0 { "program" } else { "file" };
            (tag, Digest::of_file(path)?.0)
        };
        hasher.update(tag);
        hasher.update([0]);
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(content.0);
    }
    Ok((Digest(hasher.finalize().into()), total_bytes))
}
