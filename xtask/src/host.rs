//! The machine that builds: which tools it has, what exactly they are, how they are run and installed.
//!
//! Everything here takes a [`Host`] (where to look) as its first parameter and nothing from the ambient
//! environment, so a test hands in a folder with fake tools. What a profile *means* is not known here:
//! callers say which [`tools::Purpose`]s they have.

pub mod command;
pub mod distribution;
pub mod firmware;
pub mod identity;
pub mod install;
pub mod memo;
pub mod probe;
pub mod qemu;
pub mod rust_target;
pub mod toolbox;
pub mod tools;
pub mod version;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use crate::profile::types::Arch;

/// Where the build looks for tools and files: a snapshot of the environment, taken once at the start.
#[derive(Clone, Debug)]
pub struct Host {
    pub arch: Arch,
    /// `/`, except in tests; absolute paths of packages (firmware, /etc/os-release) are looked up below it.
    pub root: PathBuf,
    /// Folders of programs, in order of preference.
    pub path: Vec<PathBuf>,
    /// Those of [`TOOLCHAIN_VARIABLES`] and [`NETWORK_VARIABLES`] that are set.
    pub variables: BTreeMap<String, OsString>,
    /// Packages can be installed without sudo.
    pub is_root: bool,
    /// The project's root: rustup reads rust-toolchain.toml from there.
    pub project: PathBuf,
}

/// What decides which Rust toolchain runs. With [`NETWORK_VARIABLES`], the only part of the caller's environment that
/// reaches a tool, and only where a function says so.
pub const TOOLCHAIN_VARIABLES: [&str; 5] =
    ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "RUSTUP_AUTO_INSTALL"];

/// How to get out of a company's network, and which mirror of Rust's to take.
pub const NETWORK_VARIABLES: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "RUSTUP_DIST_SERVER",
];

/// Administration programs (sgdisk, fsck.fat) live here; Debian leaves these folders out of a user's PATH.
const SYSTEM_FOLDERS: [&str; 6] =
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];

impl Host {
    /// The machine this process runs on.
    ///
    /// # Errors
    /// An architecture that nothing here was written for.
    pub fn current(project: &Path) -> Result<Host, UnsupportedHost> {
        let arch = match std::env::consts::ARCH {
            "x86_64" => Arch::X86_64,
            "aarch64" => Arch::Aarch64,
            other => return Err(UnsupportedHost(other.to_owned())),
        };
        // A relative folder in PATH would make the tool depend on the current directory.
        let from_variable = std::env::var_os("PATH").unwrap_or_default();
        let mut path: Vec<PathBuf> =
            std::env::split_paths(&from_variable).filter(|p| p.is_absolute()).collect();
        path.extend(SYSTEM_FOLDERS.map(PathBuf::from));
        let mut seen = std::collections::BTreeSet::new();
        path.retain(|folder| seen.insert(folder.clone()));
        let kept = TOOLCHAIN_VARIABLES.iter().chain(&NETWORK_VARIABLES);
        let variables = kept.filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?))).collect();
        let is_root = rustix::process::geteuid().is_root();
        Ok(Host { arch, root: PathBuf::from("/"), path, variables, is_root, project: project.to_owned() })
    }

    /// First executable file of that name on the path, not yet resolved; a name with a slash stands for itself.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            return Some(PathBuf::from(program)).filter(|path| is_executable(path));
        }
        self.path.iter().map(|folder| folder.join(program)).find(|path| is_executable(path))
    }

    /// An absolute path of the system, below `root`.
    pub fn system(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// The value of PATH for programs that run others.
    pub fn path_variable(&self) -> OsString {
        // Folders with a colon in their name cannot be in PATH at all; they came from splitting it.
        std::env::join_paths(&self.path).unwrap_or_default()
    }

    /// A command with the environment every tool gets: PATH, and a locale and time zone that are the same everywhere.
    pub fn command(&self, program: impl Into<PathBuf>) -> command::Command {
        command::Command::new(program).env("PATH", self.path_variable()).env("LC_ALL", "C").env("TZ", "UTC")
    }

    /// The same for cargo, rustc and rustup, which also need to know whose toolchains to use.
    pub fn rust_command(&self, program: impl Into<PathBuf>) -> command::Command {
        self.command(program).envs(self.variables_of(&TOOLCHAIN_VARIABLES)).directory(&self.project)
    }

    /// For a command that goes to the network: `.envs(host.network())`.
    pub fn network(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.variables_of(&NETWORK_VARIABLES)
    }

    fn variables_of(&self, names: &'static [&'static str]) -> impl Iterator<Item = (&'static str, &OsStr)> {
        names.iter().filter_map(|name| Some((*name, self.variables.get(*name)?.as_os_str())))
    }
}

/// An architecture that can't build yet.
#[derive(Debug, thiserror::Error)]
#[error("building on {0} is not supported; use an x86_64 or an aarch64 machine")]
pub struct UnsupportedHost(String);

/// Prefix of the cross tools that make code for `target` on `host`; empty when they are one.
pub fn cross_prefix(host: Arch, target: Arch) -> &'static str {
    match (host, target) {
        (Arch::X86_64, Arch::X86_64) | (Arch::Aarch64, Arch::Aarch64) => "",
        (Arch::X86_64, Arch::Aarch64) => "aarch64-linux-gnu-",
        (Arch::Aarch64, Arch::X86_64) => "x86_64-linux-gnu-",
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
pub mod testing;
