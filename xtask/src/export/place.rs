//! A folder that is replaced as a whole.
//!
//! ```text
//! OUT/NAME          what everybody sees
//!     .NAME.new     the next one while it is filled; the last one from the exchange until it is removed
//!     .NAME.old     the last one, where the file system can't exchange two folders
//!     .NAME.lock    held by whoever writes here
//! ```
//!
//! Where they are kept, files of the user's own in `OUT/NAME` go along to each new one. Whatever happens to the process, they are
//! in one of the folders above, and the next build brings them back: SHA256SUMS, the first file written to a
//! folder, tells what there is ours.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{BUILD_INFO, SUMS};
use crate::store::KeyLock;

/// What becomes of files in the last folder that nobody here wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// They go along: the folder is somebody's place of work.
    Kept,
    /// They go with the last folder: the caller has made sure that there are none.
    Removed,
}

pub struct Place {
    strangers: Strangers,
    out: PathBuf,
    folder: PathBuf,
    new: PathBuf,
    old: PathBuf,
    lock: PathBuf,
}

/// The next folder, empty at first, for whoever holds the lock.
pub struct Fresh<'a> {
    place: &'a Place,
    _lock: KeyLock,
}

impl Place {
    pub fn new(out: &Path, name: &str, strangers: Strangers) -> Place {
        let hidden = |role: &str| out.join(format!(".{name}.{role}"));
        Place {
            strangers,
            out: out.to_path_buf(),
            folder: out.join(name),
            new: hidden("new"),
            old: hidden("old"),
            lock: hidden("lock"),
        }
    }

    /// Whether somebody who wrote here was killed, or is writing right now.
    pub fn has_leftovers(&self) -> bool {
        exists(&self.new) || exists(&self.old)
    }

    /// Takes the lock (`waiting` is called once if somebody else holds it), mends what an interrupted build has
    /// left, and begins the next folder.
    pub fn open(&self, waiting: impl FnOnce()) -> Result<Fresh<'_>> {
        let lock = self.lock(waiting)?;
        self.begin(lock)
    }

    /// The same, or None if the folder is as it should be by then: whoever held the lock may have had the same to do,
    /// and somebody may be reading what came of it.
    pub fn open_unless(
        &self,
        is_current: impl FnOnce() -> bool,
        waiting: impl FnOnce(),
    ) -> Result<Option<Fresh<'_>>> {
        let lock = self.lock(waiting)?;
        if is_current() { Ok(None) } else { self.begin(lock).map(Some) }
    }

    fn lock(&self, waiting: impl FnOnce()) -> Result<KeyLock> {
        fs::create_dir_all(&self.out).with_context(|| {
            format!("can't make {}\n  hint: choose another place with --out DIR", self.out.display())
        })?;
        if exists(&self.folder) && !self.folder.is_dir() {
            bail!(
                "{} is in the way: the artifacts go into a folder of that name\n  \
                 hint: move it away, or choose another place with --out DIR",
                self.folder.display()
            );
        }
        let lock = KeyLock::take(&self.lock, waiting)?;
        self.recover()?;
        Ok(lock)
    }

    fn begin(&self, lock: KeyLock) -> Result<Fresh<'_>> {
        fs::create_dir(&self.new).with_context(|| format!("can't make {}", self.new.display()))?;
        Ok(Fresh { place: self, _lock: lock })
    }

    fn recover(&self) -> Result<()> {
        if exists(&self.old) && !exists(&self.folder) {
            rename(&self.old, &self.folder)?;
        }
        for leftover in [&self.old, &self.new] {
            if exists(leftover) && exists(&self.folder) {
                self.carry_over(leftover)?;
            }
            remove(leftover)?;
        }
        Ok(())
    }

    /// Removes a folder that was one of ours, after what is to be kept has been moved.
    fn carry_over(&self, from: &Path) -> Result<()> {
        match self.strangers {
            Strangers::Kept => carry_over(from, &self.folder),
            Strangers::Removed => remove(from),
        }
    }
}

impl Fresh<'_> {
    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.place.new
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.new.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    }

    /// Puts the new folder in the place of the old one.
    pub fn publish(self) -> Result<()> {
        let Place { folder, new, .. } = self.place;
        if !exists(folder) {
            return rename(new, folder);
        }
        match renameat_with(CWD, new, CWD, folder, RenameFlags::EXCHANGE) {
            Ok(()) => self.place.carry_over(new),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.publish_in_two_steps(),
            Err(error) => {
                Err(io::Error::from(error)).with_context(|| format!("can't replace {}", folder.display()))
            }
        }
    }

    /// Not every file system can exchange: then there is a moment without the folder, but never a mixture.
    fn publish_in_two_steps(&self) -> Result<()> {
        let Place { folder, new, old, .. } = self.place;
        rename(folder, old)?;
        rename(new, folder)?;
        self.place.carry_over(old)
    }
}

/// Moves the user's own files from one folder to the other, then removes the first.
fn carry_over(from: &Path, to: &Path) -> Result<()> {
    let sums = fs::read_to_string(from.join(SUMS)).unwrap_or_default();
    let known: Vec<&str> = sums.lines().filter_map(|line| Some(line.split_once("  ")?.1)).collect();
    for entry in fs::read_dir(from).with_context(|| format!("can't list {}", from.display()))? {
        let name = entry.with_context(|| format!("can't list {}", from.display()))?.file_name();
        if name == SUMS {
            // Goes last: whoever is killed here leaves behind what tells the rest apart.
            continue;
        }
        if name == BUILD_INFO || known.iter().any(|known| name == *known) {
            // What can't be removed singly is told about below.
            let _ = fs::remove_file(from.join(&name));
        } else if !exists(&to.join(&name)) {
            rename(&from.join(&name), &to.join(&name))?;
        }
    }
    remove(from)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("can't move {} to {}", from.display(), to.display()))
}

/// Whether there is anything of that name, a symbolic link to nowhere included.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Path below OUT → content, of everything but the lock.
    fn files(out: &Path) -> BTreeMap<String, String> {
        let entries = walkdir::WalkDir::new(out).into_iter().map(Result::unwrap);
        let files = entries.filter(|entry| !entry.file_type().is_dir() && entry.file_name() != ".demo.lock");
        files
            .map(|entry| {
                let name = entry.path().strip_prefix(out).unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    #[track_caller]
    fn check(out: &Path, wanted: &[(&str, &str)]) {
        let wanted: BTreeMap<_, _> =
            wanted.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        assert_eq!(files(out), wanted);
    }

    fn write(out: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = out.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// Fills the next folder with one artifact.
    fn fill<'a>(place: &'a Place, artifact: &str, text: &str) -> Fresh<'a> {
        let fresh = place.open(|| panic!("nobody else holds the lock")).unwrap();
        fresh.write(SUMS, &format!("00  {artifact}\n")).unwrap();
        fresh.write(artifact, text).unwrap();
        fresh
    }

    #[test]
    fn a_new_set_replaces_the_old_one_and_leaves_the_users_files() {
        let out = tempfile::tempdir().unwrap();
        let place = Place::new(&out.path().join("deep"), "demo", Strangers::Kept);
        fill(&place, "kernel", "1").publish().unwrap();
        check(out.path(), &[("deep/demo/SHA256SUMS", "00  kernel\n"), ("deep/demo/kernel", "1")]);
        write(
            out.path(),
            &[("deep/demo/notes", "mine"), ("deep/demo/own/a", "mine"), ("deep/demo/kernel", "changed")],
        );
        fill(&place, "disk", "2").publish().unwrap();
        let after = [
            ("deep/demo/SHA256SUMS", "00  disk\n"),
            ("deep/demo/disk", "2"),
            ("deep/demo/notes", "mine"),
            ("deep/demo/own/a", "mine"),
        ];
        check(out.path(), &after);
        assert!(!place.has_leftovers());
    }

    #[test]
    fn without_exchange_it_is_the_same() {
        let out = tempfile::tempdir().unwrap();
        let place = Place::new(out.path(), "demo", Strangers::Kept);
        write(
            out.path(),
            &[("demo/SHA256SUMS", "00  kernel\n"), ("demo/kernel", "1"), ("demo/notes", "mine")],
        );
        fill(&place, "kernel", "2").publish_in_two_steps().unwrap();
        check(
            out.path(),
            &[("demo/SHA256SUMS", "00  kernel\n"), ("demo/kernel", "2"), ("demo/notes", "mine")],
        );
        assert!(!place.has_leftovers());
    }

    /// Killed at any moment: nothing half-made is ever seen, nothing of the user's is lost.
    #[test]
    fn leftovers_are_mended() {
        const SEEN: [(&str, &str); 2] = [("demo/SHA256SUMS", "00  kernel\n"), ("demo/kernel", "1")];
        let cases: [(&str, Vec<(&str, &str)>); 4] = [
            (
                "while filling",
                [
                    &SEEN[..],
                    &[
                        ("demo/notes", "mine"),
                        (".demo.new/SHA256SUMS", "00  disk\n"),
                        (".demo.new/disk", "ha"),
                    ],
                ]
                .concat(),
            ),
            (
                "after the exchange",
                [
                    &SEEN[..],
                    &[
                        (".demo.new/SHA256SUMS", "00  disk\n"),
                        (".demo.new/disk", "0"),
                        (".demo.new/notes", "mine"),
                    ],
                ]
                .concat(),
            ),
            (
                "between the two steps",
                vec![
                    (".demo.new/SHA256SUMS", "00  kernel\n"),
                    (".demo.new/kernel", "1"),
                    (".demo.old/SHA256SUMS", "00  disk\n"),
                    (".demo.old/disk", "0"),
                    (".demo.old/notes", "mine"),
                ],
            ),
            (
                "after the two steps",
                [
                    &SEEN[..],
                    &[
                        (".demo.old/SHA256SUMS", "00  disk\n"),
                        (".demo.old/disk", "0"),
                        (".demo.old/notes", "mine"),
                    ],
                ]
                .concat(),
            ),
        ];
        for (name, before) in cases {
            let out = tempfile::tempdir().unwrap();
            write(out.path(), &before);
            let place = Place::new(out.path(), "demo", Strangers::Kept);
            assert!(place.has_leftovers(), "{name}");
            fill(&place, "kernel", "2").publish().unwrap();
            check(
                out.path(),
                &[("demo/SHA256SUMS", "00  kernel\n"), ("demo/kernel", "2"), ("demo/notes", "mine")],
            );
            assert!(!place.has_leftovers(), "{name}");
        }
    }

    /// Leftovers are mended, but what is right already stays where it is, under those who read it.
    #[test]
    fn what_somebody_else_has_brought_meanwhile_stays() {
        use std::os::unix::fs::MetadataExt as _;
        let out = tempfile::tempdir().unwrap();
        let place = Place::new(out.path(), "demo", Strangers::Kept);
        fill(&place, "kernel", "1").publish().unwrap();
        let inode = || fs::metadata(out.path().join("demo")).unwrap().ino();
        let before = inode();
        write(out.path(), &[(".demo.new/SHA256SUMS", "00  kernel\n"), (".demo.new/kernel", "1")]);
        let is_there = || fs::read(out.path().join("demo/kernel")).is_ok_and(|text| text == b"1");
        assert!(place.open_unless(is_there, || {}).unwrap().is_none());
        assert_eq!((inode(), place.has_leftovers()), (before, false));
        assert!(place.open_unless(|| false, || {}).unwrap().is_some());
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let out = tempfile::tempdir().unwrap();
        write(out.path(), &[("demo", "mine")]);
        let place = Place::new(out.path(), "demo", Strangers::Kept);
        let error = place.open(|| {}).err().unwrap().to_string();
        assert!(error.contains("demo is in the way") && error.contains("hint: "), "{error}");
        check(out.path(), &[("demo", "mine")]);
    }
}
