//! What a person may write in configs/rules.yaml: sparse, no defaults. The JSON schema that editors use, and the
//! checker of the document, are made from these types; what the values mean together is decided in `rules`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::{Arch, Condition, KernelOption, LinuxSeries, Setting, Symbol, Vtl};

/// What kernel configurations and command lines must have, and why.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RulesFile {
    /// What a kernel needs to work at its trust level.
    pub trust_level: Vec<WrittenRule>,
    /// What makes equal inputs give equal bytes.
    pub determinism: Vec<WrittenRule>,
}

/// For which kernels (without any of the first keys, for all), what they must have, and why.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WrittenRule {
    /// For kernels of this architecture.
    pub arch: Option<Arch>,
    /// For kernels of this trust level.
    pub vtl: Option<Vtl>,
    /// For this version of Linux and later ones.
    pub since: Option<LinuxSeries>,
    /// For versions of Linux before this one.
    pub before: Option<LinuxSeries>,
    /// For configurations in which all of this holds.
    pub when: Option<Vec<Condition>>,
    /// For configurations that others build: this tool's own builds see to it themselves.
    pub only_foreign: Option<bool>,

    /// Symbols that must be y or m.
    pub on: Option<Vec<Symbol>>,
    /// Symbols that must be n or absent.
    pub off: Option<Vec<Symbol>>,
    /// Symbols that must have this value.
    pub exactly: Option<Vec<Setting>>,
    /// Symbols that name files or folders, which must not be those of the build machine.
    pub relative_path: Option<Vec<Symbol>>,
    /// Options that must be on the kernel's command line; one that ends in = with any value.
    pub command_line: Option<Vec<KernelOption>>,
    /// Options that must not be on the kernel's command line; one that ends in = with any value.
    pub not_on_command_line: Option<Vec<KernelOption>>,
    /// The version of Linux that it takes.
    pub needs_linux: Option<LinuxSeries>,

    /// Without it, `error`.
    pub severity: Option<Severity>,
    /// Why, one sentence without a full stop.
    pub reason: String,
    /// What to do, where it isn't to set the symbol in a fragment.
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can't work: the build stops.
    Error,
    /// It works less well than it could: the build goes on.
    Warning,
}

impl Severity {
    /// As one writes it in the file.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}
