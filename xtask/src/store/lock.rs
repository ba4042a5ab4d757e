//! Locks between processes: a key is built by one at a time, and a work folder belongs to somebody alive.
//!
//! The kernel drops an flock(2) with its process, however that ends, so nothing has to be cleaned up by hand.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Held until dropped.
pub struct KeyLock {
    _file: File,
}

impl KeyLock {
    /// Takes the lock, waiting for whoever holds it; `waiting` is called once before the wait.
    pub fn take(path: &Path, waiting: impl FnOnce()) -> Result<KeyLock> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().with_context(|| format!("can't lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("can't lock {}", path.display()));
            }
        }
        Ok(KeyLock { _file: file })
    }

    /// Takes the lock if it is free.
    pub fn try_take(path: &Path) -> Result<Option<KeyLock>> {
        let file = open(path)?;
        match file.try_lock() {
            // A sweeper may have removed the file in between: a lock on it would keep nobody out.
            Ok(()) => Ok(is_at(&file, path).then_some(KeyLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("can't lock {}", path.display()))
            }
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let place = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|m| (m.dev(), m.ino()));
    let locked = place(file.metadata());
    locked.is_some() && locked == place(fs::metadata(path))
}

fn open(path: &Path) -> Result<File> {
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    opened.with_context(|| format!("can't open the lock {}", path.display()))
}

/// Makes `parent/NAME-PID-N` and holds its lock file `parent/NAME-PID-N.lock`.
pub fn fresh_dir(parent: &Path, name: &str) -> Result<(PathBuf, KeyLock)> {
    for attempt in 0.. {
        let path = parent.join(format!("{name}-{}-{attempt}", std::process::id()));
        // The lock first: a folder without a held lock is anybody's to sweep.
        let Some(lock) = KeyLock::try_take(&path.with_extension("lock"))? else { continue };
        match fs::create_dir(&path) {
            Ok(()) => return Ok((path, lock)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error).with_context(|| format!("can't make {}", path.display())),
        }
    }
    unreachable!("attempts are not bounded")
}

/// Removes the work folders whose lock nobody holds. One that can't be removed (another user's, say) stops
/// nobody from building; it is tried again the next time.
pub fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).with_context(|| format!("can't list {}", parent.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(Some(_lock)) = KeyLock::try_take(&path) else { continue };
        let removed = fs::remove_dir_all(path.with_extension(""));
        if removed.is_ok() || removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            // Another sweeper may have been here first.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}
