//! The language has changed over time; each kernel tree is read as its own conf reads it.

use crate::host::Probes;

/// Which rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edition {
    /// Before Linux 7.0: a choice may write its prompt as `bool "…"`, a file may be sourced twice, and an empty help
    /// text or a `menuconfig` without a prompt is only warned of. Read is also what came later.
    Before7,
    /// As of Linux 7.3.
    #[default]
    Linux7,
}

impl Edition {
    /// That of the kernel whose version make exports (`KERNELVERSION`), the newest if there is none.
    pub fn of(probes: &dyn Probes) -> Edition {
        let version = probes.variable("KERNELVERSION");
        let major = version.as_deref().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        match major {
            Some(major) if major < 7 => Edition::Before7,
            _ => Edition::Linux7,
        }
    }
}
