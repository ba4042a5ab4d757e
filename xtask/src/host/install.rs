//! Installing packages through apt, on Debian and what derives from it.
//!
//! Only with `--install-deps` or `doctor --install`, only named packages with what they depend on, and never at the price
//! of removing one. Elsewhere the command is printed for a person to run.

mod apt;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::Host;
use super::command::{Command, CommandError, Limits};
use super::distribution::{Family, install_line};
use apt::{Policy, Trouble};

/// Package lists older than this may name versions that mirrors have dropped.
const LISTS_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Others use apt too.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// What an installation needs to be told.
pub struct Installer<'a> {
    pub host: &'a Host,
    /// Everything apt prints goes here.
    pub log: PathBuf,
    pub cancel: &'a AtomicBool,
    /// Gets one line for each thing about to be done.
    pub say: &'a mut dyn FnMut(&str),
}

#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("packages can only be installed through apt, on Debian or Ubuntu{}", hint(.0))]
    NotDebian(Option<String>),
    #[error(
        "installing packages needs root; sudo is not there, or asks for a password that nobody is there to type\nhint: run {0}"
    )]
    NoPrivilege(String),
    #[error(
        "apt does not know {packages}: {message}\nhint: is `main` (on Ubuntu, `universe`) among the package sources?"
    )]
    Unknown { packages: String, message: String },
    #[error("apt cannot install {packages}:\n{message}")]
    Unsatisfied { packages: String, message: String },
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// How commands get root's rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privilege {
    Root,
    Sudo,
}

impl<'a> Installer<'a> {
    /// Installs these packages. Returns when apt is content; whether the tools now work is for the caller to look at.
    pub fn install(&mut self, family: Option<Family>, packages: &[&str]) -> Result<(), InstallError> {
        match family {
            Some(Family::Debian) => self.install_with_apt(packages),
            other => Err(InstallError::NotDebian(
                other.map(|family| install_line(family, packages, self.host.is_root)),
            )),
        }
    }

    fn install_with_apt(&mut self, packages: &[&str]) -> Result<(), InstallError> {
        let privilege = self.privilege(packages)?;
        let mut updated = false;
        if !lists_are_fresh(&self.host.system("/var/lib/apt/lists"), SystemTime::now()) {
            self.update(privilege)?;
            updated = true;
        }
        let arguments = loop {
            match self.settle(packages) {
                Err(InstallError::Unknown { .. }) if !updated => {
                    self.update(privilege)?;
                    updated = true;
                }
                settled => break settled?,
            }
        };
        self.announce(privilege, &arguments);
        let download = with_option(&arguments, "--download-only");
        let (output, downloaded) = self.apt_get(privilege, &download, self.limits())?;
        match downloaded {
            // The lists were fresh enough by date, and the mirror has moved on all the same.
            Err(_) if Trouble::of(&output) == Trouble::NotFetched && !updated => {
                self.update(privilege)?;
                self.apt_get(privilege, &download, self.limits())?.1?;
            }
            downloaded => downloaded?,
        }
        // A dpkg that is stopped half-way leaves the system for a person to repair, so this part can't be cancelled.
        Ok(self.apt_get(privilege, &arguments, Limits::default())?.1?)
    }

    /// Arguments with which a simulated installation succeeds.
    fn settle(&mut self, packages: &[&str]) -> Result<Vec<String>, InstallError> {
        let arguments = apt::install_arguments(packages, None);
        let (output, failed) = match self.simulate(&arguments)? {
            (_, Ok(())) => return Ok(arguments),
            (output, Err(failed)) => (output, failed),
        };
        let packages_line = packages.join(" ");
        match Trouble::of(&output) {
            Trouble::UnknownPackage(message) => {
                Err(InstallError::Unknown { packages: packages_line, message })
            }
            Trouble::Unsatisfied(message) => {
                if let Some(arguments) = self.settle_qemu(packages)? {
                    return Ok(arguments);
                }
                Err(InstallError::Unsatisfied { packages: packages_line, message })
            }
            Trouble::Locked | Trouble::NotFetched | Trouble::Other => Err(failed.into()),
        }
    }

    /// A qemu-utils from a newer suite (backports) breaks the emulators of this one. If its own suite's version
    /// lets everything in, that one package goes back.
    fn settle_qemu(&mut self, packages: &[&str]) -> Result<Option<Vec<String>>, InstallError> {
        let Some(emulator) = packages.iter().find(|name| name.starts_with("qemu-system-")) else {
            return Ok(None);
        };
        let (Some(wanted), Some(utils)) = (self.policy(emulator)?, self.policy("qemu-utils")?) else {
            return Ok(None);
        };
        let (Some(version), Some(installed)) = (wanted.candidate, utils.installed) else { return Ok(None) };
        if version == installed {
            return Ok(None);
        }
        let arguments = apt::install_arguments(packages, Some(("qemu-utils", &version)));
        if self.simulate(&arguments)?.1.is_err() {
            return Ok(None);
        }
        (self.say)(&format!(
            "qemu-utils {installed} does not go together with {emulator} {version}: it is taken back to {version}"
        ));
        Ok(Some(arguments))
    }

    fn policy(&mut self, package: &str) -> Result<Option<Policy>, InstallError> {
        let command = self.host.command("/usr/bin/apt-cache").args(["policy", package]);
        let text = command.read(self.limits())?;
        Ok(Policy::parse(&text))
    }

    fn update(&mut self, privilege: Privilege) -> Result<(), InstallError> {
        let arguments = apt::update_arguments();
        self.announce(privilege, &arguments);
        Ok(self.apt_get(privilege, &arguments, self.limits())?.1?)
    }

    fn simulate(&mut self, arguments: &[String]) -> Result<(String, Result<(), CommandError>), CommandError> {
        // Looking needs no rights.
        self.apt_get(Privilege::Root, &with_option(arguments, "--simulate"), self.limits())
    }

    /// Runs apt-get; waits for as long as another apt holds the locks that apt itself does not wait for.
    fn apt_get(
        &mut self,
        privilege: Privilege,
        arguments: &[String],
        limits: Limits,
    ) -> Result<(String, Result<(), CommandError>), CommandError> {
        let command = self.with(privilege, arguments);
        let start = std::time::Instant::now();
        let mut told = false;
        loop {
            let mut output = String::new();
            let mut keep = |line: &str| {
                output.push_str(line);
                output.push('\n');
            };
            match command.run(&self.log, limits, Some(&mut keep)) {
                Err(error) if error.is_cancelled() => return Err(error),
                Err(_) if Trouble::of(&output) == Trouble::Locked && start.elapsed() < LOCK_PATIENCE => {
                    if !told {
                        (self.say)("waiting for another apt to finish");
                        told = true;
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
                done => return Ok((output, done)),
            }
        }
    }

    fn with(&self, privilege: Privilege, arguments: &[String]) -> Command {
        const APT_GET: &str = "/usr/bin/apt-get";
        let manners = [("LC_ALL", OsStr::new("C")), ("DEBIAN_FRONTEND", OsStr::new("noninteractive"))];
        let variables = manners.into_iter().chain(self.host.network());
        let command = match privilege {
            Privilege::Root => self.host.command(APT_GET).envs(variables),
            Privilege::Sudo => {
                // sudo empties the environment, so env sets it again behind it.
                let sudo = self.host.find("sudo").unwrap_or_else(|| PathBuf::from("/usr/bin/sudo"));
                let settings = variables.map(|(name, value)| {
                    let mut setting = OsString::from(format!("{name}="));
                    setting.push(value);
                    setting
                });
                self.host.command(sudo).args(["-n", "/usr/bin/env"]).args(settings).arg(APT_GET)
            }
        };
        command.args(arguments)
    }

    fn announce(&mut self, privilege: Privilege, arguments: &[String]) {
        let sudo = if privilege == Privilege::Sudo { "sudo " } else { "" };
        (self.say)(&format!("running {sudo}apt-get {}", arguments.join(" ")));
    }

    fn limits(&self) -> Limits<'a> {
        Limits { timeout: None, cancel: Some(self.cancel) }
    }

    fn privilege(&mut self, packages: &[&str]) -> Result<Privilege, InstallError> {
        if self.host.is_root {
            return Ok(Privilege::Root);
        }
        let refused = || InstallError::NoPrivilege(install_line(Family::Debian, packages, false));
        let sudo = self.host.find("sudo").ok_or_else(refused)?;
        if self.host.command(&sudo).args(["-n", "true"]).output(self.limits())?.status.success() {
            return Ok(Privilege::Sudo);
        }
        if !io::stdin().is_terminal() {
            return Err(refused());
        }
        // The one program that talks to the person at the terminal: it must stay in the foreground's process group.
        let asked = std::process::Command::new(sudo).arg("--validate").status();
        if asked.is_ok_and(|status| status.success()) { Ok(Privilege::Sudo) } else { Err(refused()) }
    }
}

fn with_option(arguments: &[String], option: &str) -> Vec<String> {
    std::iter::once(option.to_owned()).chain(arguments.iter().cloned()).collect()
}

fn hint(line: &Option<String>) -> String {
    line.as_ref().map(|line| format!("\nhint: run {line}")).unwrap_or_default()
}

/// There are package lists, and apt has touched its folder lately. (The lists' own times are the mirror's.)
fn lists_are_fresh(folder: &Path, now: SystemTime) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let has_lists = entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
    let touched = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let latest = [touched(folder), touched(&folder.join("partial"))].into_iter().flatten().max();
    has_lists && latest.is_some_and(|at| now.duration_since(at).unwrap_or_default() < LISTS_AGE)
}

#[cfg(test)]
mod tests;
