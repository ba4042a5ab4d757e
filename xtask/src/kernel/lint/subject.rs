//! What is judged: a configuration, as far as it is known, and the command line of the kernel that it makes.

use std::fmt;

use crate::{
    kernel::{Composed, DotConfig, Value},
    profile::{Arch, Vtl},
};

/// A kernel, as far as it is known.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    pub arch: Arch,
    pub vtl: Vtl,
    pub linux: Option<Series>,
    pub symbols: Symbols<'a>,
    pub command_line: CommandLine,
}

/// Where the values of symbols come from.
#[derive(Clone, Copy, Debug)]
pub enum Symbols<'a> {
    Unknown,
    /// What fragments ask for: what they don't mention, Kconfig will decide.
    Requested(&'a Composed),
    Final(&'a DotConfig),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    Value(&'a Value),
    /// As good as n, or as an empty string.
    Absent,
    Unknown,
}

impl<'a> Symbols<'a> {
    pub fn get(&self, symbol: &str) -> Known<'a> {
        match self {
            Symbols::Unknown => Known::Unknown,
            Symbols::Requested(composed) => match composed.get(symbol) {
                Some(request) => Known::Value(&request.value),
                None => Known::Unknown,
            },
            Symbols::Final(config) => config.get(symbol).map_or(Known::Absent, Known::Value),
        }
    }
}

/// Options of a kernel's command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    pub options: Vec<String>,
    /// Whether there can be no others.
    pub complete: bool,
}

impl CommandLine {
    /// All of it. What stands behind `--` is for process 1, not for the kernel.
    pub fn whole(text: &str) -> CommandLine {
        CommandLine { options: options(text), complete: true }
    }

    /// What a kernel with this configuration gets, if the loader gives it `given`, or something unknown.
    ///
    /// x86 puts CMDLINE in front of the loader's options, or takes it alone with CMDLINE_OVERRIDE; arm64 takes it
    /// where the loader gives none, or alone with CMDLINE_FORCE (arch/*/Kconfig).
    pub fn of(config: &DotConfig, arch: Arch, given: Option<&str>) -> CommandLine {
        let is_on = |symbol: &str| config.get(symbol) == Some(&Value::Yes);
        let built_in = match config.get("CONFIG_CMDLINE") {
            Some(Value::String(text)) => text.as_str(),
            _ => "",
        };
        let alone = match arch {
            Arch::X86_64 => "CONFIG_CMDLINE_OVERRIDE",
            Arch::Aarch64 => "CONFIG_CMDLINE_FORCE",
        };
        match (arch, given) {
            _ if is_on(alone) => CommandLine::whole(built_in),
            (_, None) => CommandLine { options: options(built_in), complete: false },
            (Arch::X86_64, Some(given)) => CommandLine::whole(&format!("{built_in} {given}")),
            (Arch::Aarch64, Some(given)) if given.trim().is_empty() => CommandLine::whole(built_in),
            (Arch::Aarch64, Some(given)) => CommandLine::whole(given),
        }
    }

    /// Number and text of the first option that a rule means: all of it, or its name up to the =.
    pub fn find(&self, wanted: &str) -> Option<(usize, &str)> {
        let is_meant = |option: &str| match wanted.ends_with('=') {
            true => option.starts_with(wanted),
            false => option == wanted,
        };
        let mut options = self.options.iter().map(String::as_str).enumerate();
        options.find(|(_, option)| is_meant(option))
    }
}

fn options(text: &str) -> Vec<String> {
    text.split_whitespace().take_while(|option| *option != "--").map(str::to_owned).collect()
}

/// Major and minor number of a version of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series(pub u32, pub u32);

impl Series {
    /// The first two numbers of `6.12`, `6.12.117` or `7.4.0-rc1`.
    pub fn parse(version: &str) -> Option<Series> {
        let mut numbers = version.split(['.', '-', '+']).map(|number| number.parse().ok());
        Some(Series(numbers.next()??, numbers.next()??))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}
