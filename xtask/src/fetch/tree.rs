//! The tree that an archive is unpacked into: judges every entry before it is made. Symbolic links are
//! made last, so that nothing is ever written through one.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, futimens, utimensat};
use tar::EntryType;

use super::{
    archive::{ArchiveError, Options, Unpacked},
    chain,
};

/// The tree being unpacked. Paths are relative to its root, made of normal components alone.
pub struct Tree<'a> {
    name: &'a str,
    root: &'a Path,
    options: &'a Options,
    /// Absolute targets of symbolic links count from the root, as after a chroot.
    rerooted: bool,
    top: Option<OsString>,
    directories: HashSet<PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
    entries: u64,
    done: Unpacked,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    pub fn create(
        name: &'a str,
        root: &'a Path,
        options: &'a Options,
        rerooted: bool,
    ) -> Result<Self, ArchiveError> {
        let tree = Tree {
            name,
            root,
            options,
            rerooted,
            top: None,
            directories: HashSet::from([PathBuf::new()]),
            links: BTreeMap::new(),
            entries: 0,
            done: Unpacked::default(),
            buffer: vec![0; 128 << 10],
        };
        let prepare = || {
            fs::create_dir_all(root)?;
            match fs::read_dir(root)?.next() {
                Some(_) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
                None => fs::set_permissions(root, fs::Permissions::from_mode(0o755)),
            }
        };
        prepare().map_err(|source| tree.write_error(root, source))?;
        Ok(tree)
    }

    /// Entries seen so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    pub fn add<R: Read>(&mut self, entry: &mut tar::Entry<R>) -> Result<(), ArchiveError> {
        let (name, kind) = (self.name, entry.header().entry_type());
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let broken =
            |error: io::Error| ArchiveError::Broken { archive: name.to_owned(), reason: chain(&error) };
        let shown = entry.path().map_err(broken)?.into_owned();
        let refused =
            |reason: String| ArchiveError::Refused { archive: name.to_owned(), entry: shown.clone(), reason };
        let target = entry.link_name().map_err(broken)?.map(|target| target.into_owned());
        self.entries += 1;
        if self.entries > self.options.limits.entries {
            return Err(refused(format!("is one more than the limit of {}", self.options.limits.entries)));
        }
        let Some(path) = self.strip(plain(&shown).map_err(&refused)?).map_err(&refused)? else {
            return Ok(());
        };
        match kind {
            EntryType::Directory => self.directory(&path),
            EntryType::Regular | EntryType::Continuous => {
                let executable = entry.header().mode().map_err(broken)? & 0o100 != 0;
                self.file(&path, executable, entry, &refused)
            }
            EntryType::Symlink => {
                let target = self.link_target(&path, &target.unwrap_or_default()).map_err(&refused)?;
                self.symlink(path, target, &refused)
            }
            EntryType::Link => {
                let target = plain(&target.unwrap_or_default()).and_then(|target| self.strip(target));
                self.hard_link(&path, target.map_err(&refused)?.unwrap_or_default(), &refused)
            }
            other => Err(refused(format!("is a {}, which no source tree needs", kind_name(other)))),
        }
    }

    /// The path without the top folder; `None` for the top folder or the root itself.
    fn strip(&mut self, path: PathBuf) -> Result<Option<PathBuf>, String> {
        if !self.options.strip_top {
            return Ok(Some(self.merged(path)).filter(|path| *path != Path::new("")));
        }
        let mut components = path.components();
        let Some(Component::Normal(top)) = components.next() else { return Ok(None) };
        let expected = self.top.get_or_insert_with(|| top.to_owned());
        if expected != top {
            return Err(format!("is not below the top folder {expected:?} like those before it"));
        }
        Ok(Some(components.as_path().to_owned()).filter(|path| *path != Path::new("")))
    }

    fn merged(&self, path: PathBuf) -> PathBuf {
        let is_moved =
            |top: &OsStr| ["bin", "lib", "lib32", "lib64", "libx32", "sbin"].iter().any(|name| top == *name);
        match path.components().next() {
            Some(Component::Normal(top)) if self.options.merge_usr && is_moved(top) => {
                Path::new("usr").join(path)
            }
            _ => path,
        }
    }

    /// Makes the directory and those above it.
    fn directory(&mut self, path: &Path) -> Result<(), ArchiveError> {
        if self.directories.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        let full = self.root.join(path);
        fs::create_dir(&full)
            .and_then(|()| fs::set_permissions(&full, fs::Permissions::from_mode(0o755)))
            .map_err(|source| self.write_error(path, source))?;
        self.directories.insert(path.to_owned());
        self.done.directories += 1;
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        path: &Path,
        executable: bool,
        entry: &mut tar::Entry<R>,
        refused: &dyn Fn(String) -> ArchiveError,
    ) -> Result<(), ArchiveError> {
        self.parent(path)?;
        let size = entry.size();
        self.done.bytes = self.done.bytes.saturating_add(size);
        if self.done.bytes > self.options.limits.bytes {
            return Err(refused(format!(
                "exceeds the limit of {} bytes unpacked",
                self.options.limits.bytes
            )));
        }
        let mode = if executable { 0o755 } else { 0o644 };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(self.root.join(path))
            .map_err(|source| self.write_error(path, source))?;
        let mut left = size;
        while left > 0 {
            let count = entry.read(&mut self.buffer).map_err(|error| self.broken(chain(&error)))?;
            if count == 0 {
                return Err(self.broken(format!("it is truncated within {}", path.display())));
            }
            file.write_all(&self.buffer[..count]).map_err(|source| self.write_error(path, source))?;
            left = left.saturating_sub(count as u64);
        }
        self.settle(&file, mode).map_err(|source| self.write_error(path, source))?;
        self.done.files += 1;
        Ok(())
    }

    /// Mode whatever the umask, and time.
    fn settle(&self, file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(futimens(file, &self.times())?)
    }

    /// Where a link may point: below the root, judged by the names alone. `..` is allowed only in front,
    /// where every step is a real directory; behind a name it could step out of what another link points to.
    fn link_target(&self, path: &Path, target: &Path) -> Result<PathBuf, String> {
        let depth = path.components().count() - 1;
        let escapes = || Err(format!("is a symbolic link to {target:?}, outside the archive"));
        let (mut up, mut named, mut checked) = (0, false, PathBuf::new());
        for component in target.components() {
            match component {
                Component::RootDir if self.rerooted => {
                    up = depth;
                    checked.extend(std::iter::repeat_n("..", depth));
                }
                Component::ParentDir if named => return escapes(),
                Component::ParentDir => {
                    up += 1;
                    checked.push("..");
                }
                Component::Normal(name) => {
                    named = true;
                    checked.push(name);
                }
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return escapes(),
            }
        }
        match up > depth {
            true => escapes(),
            false if checked == Path::new("") => Ok(PathBuf::from(".")),
            false => Ok(checked),
        }
    }

    fn symlink(
        &mut self,
        path: PathBuf,
        target: PathBuf,
        refused: &dyn Fn(String) -> ArchiveError,
    ) -> Result<(), ArchiveError> {
        self.parent(&path)?;
        match self.links.insert(path, target) {
            None => Ok(()),
            Some(_) => Err(refused("is there twice".to_owned())),
        }
    }

    fn hard_link(
        &mut self,
        path: &Path,
        target: PathBuf,
        refused: &dyn Fn(String) -> ArchiveError,
    ) -> Result<(), ArchiveError> {
        let full = self.root.join(&target);
        match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_file() => {}
            _ => return Err(refused(format!("is a hard link to {target:?}, which is no file before it"))),
        }
        self.parent(path)?;
        fs::hard_link(full, self.root.join(path)).map_err(|source| self.write_error(path, source))?;
        self.done.files += 1;
        Ok(())
    }

    fn parent(&mut self, path: &Path) -> Result<(), ArchiveError> {
        path.parent().map_or(Ok(()), |parent| self.directory(parent))
    }

    /// Makes the links, then sets the times of the directories, which making entries has changed.
    pub fn finish(mut self) -> Result<Unpacked, ArchiveError> {
        for (path, target) in std::mem::take(&mut self.links) {
            let full = self.root.join(&path);
            symlink(target, &full)
                .and_then(|()| Ok(utimensat(CWD, &full, &self.times(), AtFlags::SYMLINK_NOFOLLOW)?))
                .map_err(|source| self.write_error(&path, source))?;
            self.done.links += 1;
        }
        for path in &self.directories {
            utimensat(CWD, self.root.join(path), &self.times(), AtFlags::empty())
                .map_err(|error| self.write_error(path, error.into()))?;
        }
        Ok(self.done)
    }

    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.options.mtime as i64, tv_nsec: 0 };
        Timestamps { last_access: time, last_modification: time }
    }

    fn broken(&self, reason: String) -> ArchiveError {
        ArchiveError::Broken { archive: self.name.to_owned(), reason }
    }

    fn write_error(&self, path: &Path, source: io::Error) -> ArchiveError {
        let (archive, path) = (self.name.to_owned(), path.to_owned());
        match source.kind() {
            io::ErrorKind::AlreadyExists => {
                let reason = "is there twice, or both a folder and something else".to_owned();
                ArchiveError::Refused { archive, entry: path, reason }
            }
            _ => ArchiveError::Write { archive, path, source },
        }
    }
}

/// The path as normal components alone, or why it has none.
fn plain(path: &Path) -> Result<PathBuf, String> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if name != OsStr::new("") => plain.push(name),
            Component::CurDir | Component::Normal(_) => {}
            _ => return Err(format!("leads outside the archive ({path:?})")),
        }
    }
    Ok(plain)
}

fn kind_name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Char => "character device",
        EntryType::Block => "block device",
        EntryType::Fifo => "named pipe",
        EntryType::GNUSparse => "sparse file",
        _ => "file of unknown type",
    }
}
