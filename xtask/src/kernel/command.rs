//! The command lines of make that configure and build a kernel, as values: nothing is started here, and
//! nothing is taken from the surroundings. The settings make the build reproducible
//! (Documentation/kbuild/reproducible-builds.rst) and independent of what else the host has installed.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::image;
use crate::{host::cross_prefix, profile::Arch};

/// What a kernel build depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelBuild {
    /// The kernel's architecture.
    pub arch: Arch,
    /// The architecture of the machine that builds.
    pub host: Arch,
    /// Absolute path of the source tree, which stays untouched.
    pub source: PathBuf,
    /// Absolute path of the build directory.
    pub build: PathBuf,
    /// Value of PATH for make and everything it starts.
    pub search_path: String,
    /// Jobs at a time.
    pub jobs: u32,
}

/// A command with its whole environment: to be run with a cleared one, from any directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    pub program: &'static str,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadPath {
    #[error(
        "the {role} {path:?} contains {character:?}, which make and the shell cannot handle in a path\n  hint: choose another --store"
    )]
    Character { role: &'static str, path: PathBuf, character: char },
    #[error("the {role} {path:?} is not UTF-8\n  hint: choose another --store")]
    NotUtf8 { role: &'static str, path: PathBuf },
    #[error("the {role} {path:?} is not absolute")]
    Relative { role: &'static str, path: PathBuf },
}

impl KernelBuild {
    /// Makes .config in the build directory: everything off but what `allconfig`, the absolute path of the
    /// composed fragments, asks for.
    pub fn configure(&self, allconfig: &Path) -> Result<Invocation, BadPath> {
        let allconfig = plain("file of requests", allconfig)?;
        self.make([format!("KCONFIG_ALLCONFIG={allconfig}"), "allnoconfig".into()])
    }

    /// Gives every symbol that the .config in the build directory doesn't mention its default.
    pub fn complete(&self) -> Result<Invocation, BadPath> {
        self.make(["olddefconfig".into()])
    }

    /// Builds the kernel image and vmlinux with the .config that is there.
    pub fn build(&self) -> Result<Invocation, BadPath> {
        let image = image::kernel_image(self.arch);
        self.make([format!("-j{}", self.jobs), image.target.into(), image::VMLINUX.into()])
    }

    /// Variables are the same for both commands: otherwise the build would configure again.
    fn make<const N: usize>(&self, own: [String; N]) -> Result<Invocation, BadPath> {
        let source = plain("source directory", &self.source)?;
        let build = plain("build directory", &self.build)?;
        let maps = prefix_maps(source, build);
        let mut arguments = vec!["-C".into(), source.into(), format!("O={build}")];
        arguments.extend(self.settings().map(|(name, value)| format!("{name}={value}")));
        arguments.extend(IDENTITY.map(|(name, value)| format!("{name}={value}")));
        arguments.extend([format!("KCFLAGS={maps}"), format!("KAFLAGS={maps}")]);
        arguments.extend(own);
        Ok(Invocation { program: "make", arguments, environment: self.environment() })
    }

    /// What make is told of the kernel and of the tools, whatever its target.
    pub fn settings(&self) -> [(&'static str, &'static str); 5] {
        [
            ("ARCH", kernel_arch(self.arch)),
            ("CROSS_COMPILE", cross_prefix(self.host, self.arch)),
            // No suffix of the release from the state of a git checkout.
            ("LOCALVERSION", ""),
            // .config records the versions of these two if they are found, and the image embeds .config.
            ("RUSTC", "false"),
            ("PAHOLE", "false"),
        ]
    }

    /// The whole environment of make.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PATH", self.search_path.clone()),
            ("LC_ALL", "C".into()),
            ("TZ", "UTC".into()),
            ("SOURCE_DATE_EPOCH", "0".into()),
        ]
    }
}

/// What the banner of /proc/version would otherwise take from the clock and the machine.
const IDENTITY: [(&str, &str); 4] = [
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
    ("KBUILD_BUILD_USER", "vtlforge"),
    ("KBUILD_BUILD_HOST", "vtlforge"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// The kernel's name of an architecture (`ARCH=`).
pub const fn kernel_arch(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "arm64",
    }
}

/// The directory under arch/ (`SRCARCH`).
pub const fn source_arch(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86",
        Arch::Aarch64 => "arm64",
    }
}

/// Compiler and assembler name files relative to the source or build directory. Without the trailing slash
/// the build directory itself is recorded, as the directory of compilation.
fn prefix_maps(source: &str, build: &str) -> String {
    format!("-fdebug-prefix-map={build}=. -ffile-prefix-map={source}/= -ffile-prefix-map={build}/=")
}

/// `path` as text, if make and the shells that it starts take it without quoting.
pub(super) fn plain<'a>(role: &'static str, path: &'a Path) -> Result<&'a str, BadPath> {
    let text = path.to_str().ok_or_else(|| BadPath::NotUtf8 { role, path: path.into() })?;
    if !path.is_absolute() {
        return Err(BadPath::Relative { role, path: path.into() });
    }
    let special =
        |c: &char| c.is_whitespace() || c.is_control() || ":#$%=`\"'\\;&|<>()*?[]{}!~,".contains(*c);
    match text.chars().find(special) {
        Some(character) => Err(BadPath::Character { role, path: path.into(), character }),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests;
