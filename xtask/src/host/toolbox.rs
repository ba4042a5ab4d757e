//! The programs that a step runs, and what they see of the machine: those of this machine, which see all of it, or those of
//! a root of their own, which see that root, what the step reads, and the folders that it writes to. The root is entered by
//! bubblewrap, in namespaces that need no privilege: no network, no other processes, one name and one user everywhere.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Host,
    command::{Command, CommandError, Limits},
};

/// Enters roots.
const BUBBLEWRAP: &str = "bwrap";

/// Who and where programs in a root believe to be.
const HOST_NAME: &str = "vtlforge";
const USER: &str = "1000";

/// Folders of a root that packages bring, and links to them from before they were below usr.
const FOLDERS: [&str; 2] = ["usr", "etc"];
pub const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Where a step finds in a root what it reads, by role; where it works; and where it puts what it makes.
pub const INPUTS: &str = "/input";
pub const SCRATCH: &str = "/build";
pub const OUTPUTS: &str = "/out";

/// Where programs of a root are.
const SEARCH_PATH: &str = "/usr/bin";

#[derive(Clone, Debug)]
pub enum Toolbox<'a> {
    Host(&'a Host),
    Root(Root<'a>),
}

#[derive(Clone, Debug)]
pub struct Root<'a> {
    host: &'a Host,
    /// Program that enters it.
    bubblewrap: PathBuf,
    tree: PathBuf,
    places: Vec<Place>,
}

/// A folder or file that programs of a root see.
#[derive(Clone, Debug)]
pub struct Place {
    pub outside: PathBuf,
    pub inside: PathBuf,
    pub access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

impl<'a> Toolbox<'a> {
    /// The programs of the root that is unpacked at `tree`.
    pub fn root(host: &'a Host, tree: &Path, places: Vec<Place>) -> Result<Toolbox<'a>> {
        Ok(Toolbox::Root(Root { host, bubblewrap: bubblewrap(host)?, tree: tree.to_path_buf(), places }))
    }

    pub fn host(&self) -> &'a Host {
        match self {
            Toolbox::Host(host) | Toolbox::Root(Root { host, .. }) => host,
        }
    }

    /// The path by which a program is started.
    pub fn find(&self, program: &str) -> Result<PathBuf> {
        match self {
            Toolbox::Host(host) => host.find(program).with_context(|| {
                format!("{program} is not installed\n  hint: `cargo xtask doctor` lists what is missing")
            }),
            Toolbox::Root(root) => {
                let path = Path::new(SEARCH_PATH).join(program);
                // Links in a root are relative, so they lead to the same file from here.
                if super::is_executable(&root.tree.join(path.strip_prefix("/").unwrap_or(&path))) {
                    return Ok(path);
                }
                bail!(
                    "the builder's root has no {program}\n  hint: add the package that has it to profiles/builder.yaml, \
                     then run `cargo xtask pins lock`"
                )
            }
        }
    }

    /// The value of PATH for programs that run others.
    pub fn path_variable(&self) -> OsString {
        match self {
            Toolbox::Host(host) => host.path_variable(),
            Toolbox::Root(_) => SEARCH_PATH.into(),
        }
    }

    /// A command with the environment every tool gets. It is still to be entered.
    pub fn command(&self, program: impl Into<PathBuf>) -> Command {
        Command::new(program).env("PATH", self.path_variable()).env("LC_ALL", "C").env("TZ", "UTC")
    }

    /// What programs call a path of this machine.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let Toolbox::Root(root) = self else { return path.to_path_buf() };
        let of = |place: &&Place| path.starts_with(&place.outside);
        match root.places.iter().filter(of).max_by_key(|place| place.outside.components().count()) {
            Some(Place { outside, inside, .. }) => match path.strip_prefix(outside) {
                Ok(rest) if rest != Path::new("") => inside.join(rest),
                _ => inside.clone(),
            },
            // Not there for them: whoever opens it is told so.
            None => path.to_path_buf(),
        }
    }

    /// The command as this machine runs it. Paths in it are those that programs see.
    pub fn enter(&self, command: Command) -> Command {
        match self {
            Toolbox::Host(_) => command,
            Toolbox::Root(root) => command.within(&root.bubblewrap, |directory| root.arguments(directory)),
        }
    }
}

impl Root<'_> {
    /// What bubblewrap is told before the program (bwrap(1)).
    fn arguments(&self, directory: &Path) -> Vec<OsString> {
        let mut arguments = namespaces();
        let mut tell =
            |words: &[&Path]| arguments.extend(words.iter().map(|word| word.as_os_str().to_owned()));
        for folder in FOLDERS {
            tell(&[Path::new("--ro-bind"), &self.tree.join(folder), &Path::new("/").join(folder)]);
        }
        for name in MERGED {
            tell(&[Path::new("--symlink"), &Path::new("usr").join(name), &Path::new("/").join(name)]);
        }
        tell(&["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"].map(Path::new));
        for Place { outside, inside, access } in &self.places {
            let option = if *access == Access::Write { "--bind" } else { "--ro-bind" };
            tell(&[Path::new(option), outside, inside]);
        }
        tell(&["--remount-ro", "/", "--chdir"].map(Path::new));
        tell(&[directory, Path::new("--")]);
        arguments
    }
}

/// Every namespace there is, and the same user and host name everywhere.
fn namespaces() -> Vec<OsString> {
    [
        ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"].as_slice(),
        &["--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL"],
        &["--hostname", HOST_NAME, "--uid", USER, "--gid", USER],
    ]
    .concat()
    .into_iter()
    .map(OsString::from)
    .collect()
}

fn bubblewrap(host: &Host) -> Result<PathBuf> {
    host.find(BUBBLEWRAP).with_context(|| {
        format!(
            "{BUBBLEWRAP} is not installed, which enters the root that hermetic builds run in\n  hint: `cargo xtask doctor` says which \
             package has it; `--install-deps` installs it on Debian and Ubuntu"
        )
    })
}

/// Whether this machine lets roots be entered, found out by entering one.
pub fn check_entering(host: &Host) -> Result<()> {
    let bubblewrap = bubblewrap(host)?;
    let program = host.find("true").context("this machine has no `true`")?;
    let rest = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--"];
    let command = host.command(&bubblewrap).args(namespaces()).args(rest).arg(program);
    match command.read(Limits::default()) {
        Ok(_) => Ok(()),
        Err(CommandError::Failed { tail, status, .. }) => {
            let said = if tail.is_empty() { status.to_string() } else { tail.join("\n  | ") };
            bail!(
                "this machine doesn't let hermetic builds into their root:\n  | {said}\n  hint: they need user namespaces: `sysctl \
                 kernel.unprivileged_userns_clone=1`, on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; containers and \
                 chroots often forbid them. Or build with the tools of this machine: without --hermetic, and for `release` with --host-tools"
            )
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
