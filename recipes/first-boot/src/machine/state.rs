//! What outlives a restart: the server's key, and for which instance it was made. It lies on a volume of its own, ext4
//! with the label `first-boot`, where the machine has one. The root is memory, so without one nothing outlives anything.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};

use super::devices;
use crate::volume::FileSystem;

const FOLDER: &str = "/var/lib/first-boot";
const LABEL: &str = "first-boot";
const INSTANCE: &str = "instance-id";
const HOST_KEY: &str = "host-key-ed25519";
/// Dropbear puts it beside the key.
const PUBLIC_KEY: &str = "host-key-ed25519.pub";

pub struct State {
    folder: PathBuf,
    /// Where the volume is; None: everything here is in memory.
    pub device: Option<PathBuf>,
}

impl State {
    /// Mounts the volume if there is one and it isn't mounted yet.
    pub fn open() -> Result<Self, String> {
        let folder = PathBuf::from(FOLDER);
        let failed = |problem: &str| format!("{FOLDER}: {problem}");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| failed(&error.to_string()))?;
        let is_ours =
            |volume: &crate::volume::Volume| volume.file_system == FileSystem::Ext4 && volume.label == LABEL;
        let found = devices::volumes().into_iter().find(|(_, volume)| is_ours(volume)).map(|(path, _)| path);
        if let Some(device) = found.as_deref().filter(|device| !is_mounted(device)) {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some(device), &folder, Some(FileSystem::Ext4.name()), flags, None::<&str>)
                .map_err(|errno| failed(&format!("{}: {}", device.display(), errno.desc())))?;
        }
        Ok(Self { folder, device: found })
    }

    /// Where the server's key lies, or has to be put.
    pub fn host_key(&self) -> PathBuf {
        self.folder.join(HOST_KEY)
    }

    /// Makes it that instance's state: what belongs to another one (the disk was cloned) goes.
    pub fn belong_to(&self, instance: Option<&str>) -> Result<(), String> {
        let path = self.folder.join(INSTANCE);
        let instance = instance.unwrap_or_default();
        if fs::read_to_string(&path).is_ok_and(|known| known == instance) {
            return Ok(());
        }
        self.clear()?;
        fs::write(&path, instance).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Removes all of it, and says what there was.
    pub fn clear(&self) -> Result<Vec<&'static str>, String> {
        let mut removed = Vec::new();
        for name in [INSTANCE, HOST_KEY, PUBLIC_KEY] {
            match fs::remove_file(self.folder.join(name)) {
                Ok(()) => removed.push(name),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{FOLDER}/{name}: {error}")),
            }
        }
        Ok(removed)
    }
}

fn is_mounted(device: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').take(2).eq([&*device.to_string_lossy(), FOLDER]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_instance_gets_nothing_of_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = State { folder: folder.path().to_path_buf(), device: None };
        let key = state.host_key();
        state.belong_to(Some("one")).unwrap();
        fs::write(&key, "key").unwrap();
        state.belong_to(Some("one")).unwrap();
        assert!(key.exists());
        state.belong_to(Some("two")).unwrap();
        assert!(!key.exists());
        fs::write(&key, "key").unwrap();
        assert_eq!(state.clear(), Ok(vec![INSTANCE, HOST_KEY]));
        assert_eq!(state.clear(), Ok(vec![]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
