//! The QEMU that boots images of an architecture: whether it is there, and new enough.

use std::path::PathBuf;

use thiserror::Error;

use super::{
    Arch, Host,
    identity::{IdentityError, Subject, identify},
    memo::Memo,
    tools::{Tool, facts},
    version::Version,
};

#[derive(Debug, Error)]
pub enum QemuError {
    #[error(
        "{name} is not installed, and it is what {why}\n  hint: `cargo xtask doctor` has the command that installs it"
    )]
    Missing { name: &'static str, why: &'static str },
    #[error("{name} is {found}, and {minimum} or newer is needed\n  hint: a newer one, first on PATH")]
    TooOld { name: &'static str, found: Version, minimum: Version },
    #[error(transparent)]
    Unidentified(#[from] IdentityError),
}

/// Its version is asked for once and remembered.
pub fn find(host: &Host, memo: &mut Memo, arch: Arch) -> Result<PathBuf, QemuError> {
    let facts = facts(host.arch, Tool::QemuSystem(arch));
    let (name, why) = (facts.name, facts.why);
    let path = host.find(name).ok_or(QemuError::Missing { name, why })?;
    let printed = identify(host, memo, &Subject::Program(name.to_string()))?.identity.version;
    match (Version::find(&printed), facts.minimum) {
        (Some(found), Some(minimum)) if found < minimum => Err(QemuError::TooOld { name, found, minimum }),
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{memo::Trust, testing::FakeHost};

    #[test]
    fn missing_old_and_good() {
        let fake = FakeHost::new(Arch::X86_64);
        let find = |arch| {
            let mut memo = Memo::load(&fake.folder.path().join("memo"), Trust::TimeStamps);
            find(&fake.host, &mut memo, arch).map_err(|error| error.to_string())
        };
        fake.tool("qemu-system-x86_64", "QEMU emulator version 8.2.0 (Debian 1:8.2.0)");
        assert_eq!(
            find(Arch::Aarch64).unwrap_err(),
            "qemu-system-aarch64 is not installed, and it is what boots aarch64 images\n  hint: `cargo xtask \
             doctor` has the command that installs it"
        );
        fake.tool("qemu-system-aarch64", "QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11)");
        assert_eq!(
            find(Arch::Aarch64).unwrap_err(),
            "qemu-system-aarch64 is 5.2.0, and 7.2 or newer is needed\n  hint: a newer one, first on PATH"
        );
        assert_eq!(find(Arch::X86_64), Ok(fake.folder.path().join("bin/qemu-system-x86_64")));
    }
}
