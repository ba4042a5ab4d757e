//! The file systems user space expects. One that is there already is fine, one the kernel lacks is a message.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// A file system to mount: type, target and options.
struct Wanted {
    kind: &'static str,
    target: &'static str,
    flags: MsFlags,
    options: &'static str,
}

const NOTHING_SPECIAL: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);
const DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);
const FILES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

/// In this order: /dev/pts lies on /dev.
const WANTED: [Wanted; 6] = [
    Wanted { kind: "devtmpfs", target: "/dev", flags: DEVICES, options: "mode=0755" },
    Wanted { kind: "proc", target: "/proc", flags: NOTHING_SPECIAL, options: "" },
    Wanted { kind: "sysfs", target: "/sys", flags: NOTHING_SPECIAL, options: "" },
    Wanted { kind: "devpts", target: "/dev/pts", flags: DEVICES, options: "mode=0620,ptmxmode=0666" },
    Wanted { kind: "tmpfs", target: "/run", flags: FILES, options: "mode=0755" },
    Wanted { kind: "tmpfs", target: "/tmp", flags: FILES, options: "mode=1777" },
];

/// Mounts what is not there yet and returns a message for each file system that can't be had.
pub fn mount_all() -> Vec<String> {
    WANTED.iter().filter_map(|wanted| mount_one(wanted).err()).collect()
}

fn mount_one(wanted: &Wanted) -> Result<(), String> {
    let target = Path::new(wanted.target);
    let failed = |error: &dyn std::fmt::Display| format!("{}: no {}: {error}", wanted.target, wanted.kind);
    fs::create_dir_all(target).map_err(|error| failed(&error))?;
    if is_mount_point(target) {
        return Ok(());
    }
    let options = Some(wanted.options).filter(|options| !options.is_empty());
    match mount(Some(wanted.kind), target, Some(wanted.kind), wanted.flags, options) {
        // EBUSY: the kernel mounted it here itself (CONFIG_DEVTMPFS_MOUNT).
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(Errno::ENODEV) => Err(failed(&"not in this kernel")),
        Err(error) => Err(failed(&error.desc())),
    }
}

/// A directory on another device than its parent. A bind mount of the same file system isn't seen, and none is expected.
fn is_mount_point(target: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    target.parent().is_some_and(|parent| device(target) != device(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points() {
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(Path::new("/proc/self")));
        assert!(!is_mount_point(Path::new("/")));
    }
}
