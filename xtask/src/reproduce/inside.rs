//! The process in which the second build runs: it changes what only a process can change of itself (namespaces, host
//! name, owner, clock, umask), then becomes the build. What this machine refuses is written down and left as it is.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change},
    process::{getegid, geteuid, umask},
    thread::UnshareFlags,
};
use serde::{Deserialize, Serialize};

use super::{Aspect, LeftOut, Perturbation};

/// What the process is told, in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inside {
    pub perturbation: Perturbation,
    /// The folder with project, store and home, as it is called outside.
    pub folder: PathBuf,
    /// The library that shows programs another time and another order of folders.
    pub elsewhere: Option<PathBuf>,
    /// Where to write what this machine refused, as a list of [`LeftOut`].
    pub report: PathBuf,
    /// Program and arguments; `{folder}` in them stands for the link to the folder inside.
    pub command: Vec<String>,
    /// Variables that say where tools are; everything else comes from the perturbation.
    pub environment: BTreeMap<String, String>,
}

/// Never comes back if all goes well.
pub fn become_the_build(file: &Path) -> Result<()> {
    let text = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    let inside: Inside =
        serde_json::from_slice(&text).with_context(|| format!("{} is unusable", file.display()))?;
    let Perturbation { umask: mask, user, time_zone, locale, environment, .. } = &inside.perturbation;
    let mut refused = Vec::new();
    let folder = link(&namespaces(&inside, &mut refused), &inside.perturbation.link)?;
    let report = serde_json::to_string(&refused)?;
    fs::write(&inside.report, report).with_context(|| format!("can't write {}", inside.report.display()))?;
    let name = folder.to_str().context("the folder's name is not UTF-8")?;
    let arguments: Vec<String> =
        inside.command.iter().map(|argument| argument.replace("{folder}", name)).collect();
    umask(rustix::fs::Mode::from_raw_mode(*mask));
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]).env_clear().envs(environment).envs(&inside.environment);
    command.env("HOME", folder.join("home")).env("TMPDIR", folder.join("tmp"));
    command.env("USER", user).env("LOGNAME", user).env("TZ", time_zone);
    let project = folder.join("project");
    // As a shell that came by the link would say it.
    command.env("LANG", locale).env("LC_ALL", locale).env("PWD", &project).current_dir(&project);
    Err(command.exec()).with_context(|| format!("can't start {}", arguments[0]))
}

/// Enters namespaces and changes what they allow. Returns the name of the folder from now on.
fn namespaces(inside: &Inside, refused: &mut Vec<LeftOut>) -> PathBuf {
    let Inside { perturbation, folder, .. } = inside;
    let mut refuse = |aspects: &[Aspect], why: String| {
        let known: Vec<Aspect> = perturbation.left_out.iter().map(|left_out| left_out.aspect).collect();
        let new = aspects.iter().filter(|aspect| !known.contains(aspect));
        refused.extend(new.map(|aspect| LeftOut { aspect: *aspect, why: why.clone() }));
    };
    if let Err(error) = enter(perturbation) {
        let why = format!("this machine allows no namespaces: {error:#}");
        refuse(&[Aspect::Owner, Aspect::HostName, Aspect::Clock, Aspect::DirectoryOrder], why);
        return folder.clone();
    }
    if let Err(error) = rustix::system::sethostname(perturbation.host_name.as_bytes()) {
        refuse(&[Aspect::HostName], error.to_string());
    }
    if let Some(library) = &inside.elsewhere
        && let Err(error) = preload(library, folder)
    {
        refuse(&[Aspect::Clock, Aspect::DirectoryOrder], format!("{error:#}"));
    }
    // The folder still has another name than the user's store and project, if not the wanted one.
    rename(folder, &perturbation.folder).unwrap_or_else(|_| folder.clone())
}

/// A user namespace with another owner, and namespaces of mounts and of the host's name that it rules.
fn enter(perturbation: &Perturbation) -> Result<()> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWUTS;
    // SAFETY: this process has one thread, and shares no file descriptors or memory that another one relies on.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    // Without this, groups can't be mapped by an ordinary user (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {uid} 1", perturbation.uid))?;
    fs::write("/proc/self/gid_map", format!("{} {gid} 1", perturbation.gid))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

/// Every program that is started from now on gets this library: the loader takes its name from a file of
/// /etc, since tools get an environment that has nothing in it.
fn preload(library: &Path, folder: &Path) -> Result<()> {
    const PRELOAD: &str = "ld.so.preload";
    let before = fs::read_to_string(Path::new("/etc").join(PRELOAD)).unwrap_or_default();
    // /etc as it was, under another name, with links to everything that is not replaced.
    let etc = folder.join("etc");
    fs::create_dir_all(&etc)?;
    mount_bind_recursive("/etc", &etc).context("can't mount /etc elsewhere")?;
    let names: Vec<OsString> = fs::read_dir(&etc)?.flatten().map(|entry| entry.file_name()).collect();
    mount("tmpfs", "/etc", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")
        .context("can't mount over /etc")?;
    for name in names.iter().filter(|name| *name != PRELOAD) {
        std::os::unix::fs::symlink(etc.join(name), Path::new("/etc").join(name))?;
    }
    fs::write(Path::new("/etc").join(PRELOAD), format!("{before}{}\n", library.display()))?;
    Ok(())
}

/// A link of the last name in `wanted`, beside the folder: whatever the build is told of lies behind a symbolic link.
fn link(folder: &Path, wanted: &Path) -> Result<PathBuf> {
    let link = folder.with_file_name(wanted.file_name().context("the link has no name")?);
    std::os::unix::fs::symlink(folder, &link).with_context(|| format!("can't make {}", link.display()))?;
    Ok(link)
}

/// Makes `folder` appear as `name`, below a file system in memory that hides nothing which a build reads.
fn rename(folder: &Path, name: &Path) -> Result<PathBuf> {
    let ground =
        ["/media", "/mnt", "/srv"].iter().find(|place| Path::new(place).is_dir()).context("no free place")?;
    mount("tmpfs", *ground, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")?;
    let new = Path::new(ground).join(name.strip_prefix("/").unwrap_or(name));
    fs::create_dir_all(&new)?;
    mount_bind_recursive(folder, &new)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_lies_beside_the_folder_and_leads_to_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("folder");
        fs::create_dir_all(folder.join("home")).unwrap();
        let link = link(&folder, Path::new("/wanted/name")).unwrap();
        assert_eq!(link, place.path().join("name"));
        assert_eq!(link.join("home").canonicalize().unwrap(), folder.canonicalize().unwrap().join("home"));
    }
}
