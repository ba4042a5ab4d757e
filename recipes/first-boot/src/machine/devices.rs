//! Block devices: which volume each holds, and files read from one.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use crate::{
    sources::LONGEST_TEXT_BYTES,
    volume::{self, Volume},
};

/// Every block device that could be read, by name, with the volume on it.
pub fn volumes() -> Vec<(PathBuf, Volume)> {
    let paths = names().into_iter().map(|name| Path::new("/dev").join(name));
    paths.filter_map(|path| Some((path.clone(), volume::recognise(&head(&path)?)?))).collect()
}

/// Optical drives: where Azure puts its disc.
pub fn optical() -> Vec<PathBuf> {
    let names = names().into_iter().filter(|name| name.starts_with("sr"));
    names.map(|name| Path::new("/dev").join(name)).collect()
}

/// Names of all block devices and partitions with something in them, in order.
fn names() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| {
            let size = fs::read_to_string(entry.path().join("size")).unwrap_or_default();
            size.trim() != "0"
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The first bytes, as many as there are.
fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(volume::HEAD_BYTES);
    let file = File::open(path).ok()?;
    // An error behind the first part leaves that part.
    let _ = file.take(volume::HEAD_BYTES as u64).read_to_end(&mut head);
    (!head.is_empty()).then_some(head)
}

/// A device mounted where nothing of it can be run; unmounted at the end.
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Read-only, with the first of `file_systems` that fits.
    pub fn new(device: &Path, file_systems: &[&str]) -> Result<Self, String> {
        let at = PathBuf::from("/run/first-boot-seed");
        fs::create_dir_all(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let mut problem = String::new();
        for file_system in file_systems {
            match mount(Some(device), &at, Some(*file_system), flags, None::<&str>) {
                Ok(()) => return Ok(Self { at }),
                Err(errno) => problem = format!("{}: can't be mounted: {}", device.display(), errno.desc()),
            }
        }
        Err(problem)
    }

    /// The text of a file in the volume's root; None where there is none. Links are not followed.
    pub fn read(&self, name: &str) -> Result<Option<String>, String> {
        read_text(&self.at.join(name)).map_err(|problem| format!("{name}: {problem}"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

fn read_text(path: &Path) -> Result<Option<String>, String> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_TEXT_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST_TEXT_BYTES {
        return Err(format!("is longer than {LONGEST_TEXT_BYTES} bytes"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| "is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_a_hostile_volume() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("good"), "text").unwrap();
        assert_eq!(read_text(&path("good")), Ok(Some("text".to_owned())));
        assert_eq!(read_text(&path("none")), Ok(None));
        std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
        assert!(read_text(&path("link")).is_err());
        fs::create_dir(path("folder")).unwrap();
        assert_eq!(read_text(&path("folder")), Err("is no file".to_owned()));
        fs::write(path("bytes"), [0xff]).unwrap();
        assert_eq!(read_text(&path("bytes")), Err("is not UTF-8 text".to_owned()));
        fs::write(path("exact"), vec![b'x'; LONGEST_TEXT_BYTES as usize]).unwrap();
        assert!(read_text(&path("exact")).is_ok());
        fs::write(path("long"), vec![b'x'; LONGEST_TEXT_BYTES as usize + 1]).unwrap();
        assert!(read_text(&path("long")).unwrap_err().contains("longer"));
    }
}
