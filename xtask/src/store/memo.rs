//! Digests of files, remembered by the file's stat, so that a build in which nothing changed reads nothing.
//!
//! A remembered digest holds while device, inode, size, modification and change time are as they were; the
//! change time can't be set by a program. A file changed within the clock's last tick before it was read
//! could change again unseen, so those are not remembered (git calls such an entry "racy"). `--paranoid`
//! reads every byte again.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};

use super::entry::{Output, OutputKind};
use crate::{digest::Digest, table::Table};

const HEADER: &str = "vtlforge files 1";

/// A file younger than this when it was read is not remembered: coarser than any file system's clock here.
const RACY: Duration = Duration::from_millis(50);

/// Safe to share between threads; saved when asked.
pub struct FileMemo {
    paranoid: bool,
    /// By kind and path: the stamp (a file's stat, or a digest of those in a tree), the digest, the size in bytes.
    table: Mutex<Table>,
}

impl FileMemo {
    /// Reads the memo; one that is missing or damaged is an empty one.
    pub fn load(memo_dir: &Path, paranoid: bool) -> FileMemo {
        let path = memo_dir.join("files");
        let table = if paranoid { Table::empty(&path, HEADER) } else { Table::load(&path, HEADER) };
        FileMemo { paranoid, table: Mutex::new(table) }
    }

    /// Digest and size in bytes of a file's content.
    pub fn digest(&self, path: &Path) -> io::Result<(Digest, u64)> {
        let stamp = stamp(&fs::metadata(path)?);
        if let Some(known) = self.known(OutputKind::File, path, &stamp) {
            return Ok(known);
        }
        let (digest, size_bytes) = Digest::of_file(path)?;
        let after = fs::metadata(path)?;
        if self::stamp(&after) == stamp && is_settled(&after) {
            self.remember(OutputKind::File, path, &stamp, digest, size_bytes);
        }
        Ok((digest, size_bytes))
    }

    /// Digest of a folder's listing (kind, permission to execute, path, content or target of each entry, in
    /// order of path) and the sum of its files' sizes in bytes.
    pub fn tree_digest(&self, root: &Path) -> io::Result<(Digest, u64)> {
        let entries = list(root)?;
        let stamp = digest_of_stats(root, &entries).to_string();
        if let Some(known) = self.known(OutputKind::Tree, root, &stamp) {
            return Ok(known);
        }
        let (digest, size_bytes) = tree(root, &entries)?;
        self.remember(OutputKind::Tree, root, &stamp, digest, size_bytes);
        Ok((digest, size_bytes))
    }

    /// Takes over what is known of a work folder's outputs to the place they were renamed to. They are
    /// finished and read-only there, so their time stamps need no settling.
    pub fn adopt(&self, from: &Path, to: &Path, outputs: &[Output]) {
        for output in outputs {
            let path = to.join(&output.name);
            match output.kind {
                OutputKind::Tree => self.rename(OutputKind::Tree, &from.join(&output.name), &path),
                OutputKind::File => self.adopt_file(&path, output.sha256, output.size_bytes),
            }
        }
    }

    /// Takes the caller's word for a file that it has just finished.
    pub fn adopt_file(&self, path: &Path, digest: Digest, size_bytes: u64) {
        if let Ok(metadata) = fs::metadata(path) {
            self.remember(OutputKind::File, path, &stamp(&metadata), digest, size_bytes);
        }
    }

    /// Writes the memo if it changed. It only saves time: failing to write it fails nothing.
    pub fn save(&self) {
        let is_there = |key: &str| key.split_once(' ').is_some_and(|(_, path)| Path::new(path).exists());
        let _ = self.table().save(is_there);
    }

    fn known(&self, kind: OutputKind, path: &Path, stamp: &str) -> Option<(Digest, u64)> {
        if self.paranoid {
            return None;
        }
        let table = self.table();
        let (digest, size_bytes) =
            table.get(&key(kind, path)?)?.strip_prefix(stamp)?.strip_prefix(' ')?.split_once(' ')?;
        Some((digest.parse().ok()?, size_bytes.parse().ok()?))
    }

    fn remember(&self, kind: OutputKind, path: &Path, stamp: &str, digest: Digest, size_bytes: u64) {
        if let Some(key) = key(kind, path) {
            self.table().set(&key, format!("{stamp} {digest} {size_bytes}"));
        }
    }

    fn rename(&self, kind: OutputKind, from: &Path, to: &Path) {
        let (Some(from), Some(to)) = (key(kind, from), key(kind, to)) else { return };
        let mut table = self.table();
        if let Some(known) = table.get(&from).map(str::to_owned) {
            table.remove(&from);
            table.set(&to, known);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A thread that panicked can't have left a half-made entry: insertions are single calls.
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// None for a path that is no text: nothing is remembered of such.
fn key(kind: OutputKind, path: &Path) -> Option<String> {
    let kind = match kind {
        OutputKind::File => "file",
        OutputKind::Tree => "tree",
    };
    Some(format!("{kind} {}", path.to_str()?))
}

fn stamp(m: &Metadata) -> String {
    let (dev, ino, size) = (m.dev(), m.ino(), m.size());
    format!("{dev} {ino} {size} {} {} {} {}", m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
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
