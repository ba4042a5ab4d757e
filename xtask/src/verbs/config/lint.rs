//! `cargo xtask config lint`: a .config that somebody brings, against the rules that profiles keep.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result, bail};
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use document::Origin;
use serde_json::json;

use crate::{
    kernel::{
        DotConfig, Value,
        lint::{CommandLine, Finding, Series, Severity, Subject, Symbols, Verdict, judge},
    },
    profile::{self, Arch, LinuxVersion, Project, Vtl},
    verbs::operand::refuse_profile,
};

#[derive(Args, Debug)]
pub struct Lint {
    /// A final .config of any kernel
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Architecture of the kernel [default: what the file says]
    #[arg(long, value_parser = arch_parser())]
    pub arch: Option<Arch>,
    /// Trust level at which it is to run [default: 2 if the file has HYPERV_VTL_MODE, else 0]
    #[arg(long, value_name = "LEVEL", value_parser = vtl_parser())]
    pub vtl: Option<Vtl>,
    /// Version of Linux [default: what the file says]
    #[arg(long, value_name = "X.Y", value_parser = parse_version)]
    pub kernel_version: Option<Series>,
    /// What the loader puts on the kernel's command line; without it, rules about that are left out
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub command_line: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Every finding with its place, its reason, and what to do
    #[default]
    Human,
    /// One JSON object
    Json,
}

fn arch_parser() -> impl clap::builder::TypedValueParser<Value = Arch> {
    PossibleValuesParser::new([Arch::X86_64, Arch::Aarch64].map(Arch::name))
        .map(|name| if name == Arch::X86_64.name() { Arch::X86_64 } else { Arch::Aarch64 })
}

fn vtl_parser() -> impl clap::builder::TypedValueParser<Value = Vtl> {
    PossibleValuesParser::new(["0", "2"]).map(|level| if level == "0" { Vtl::Vtl0 } else { Vtl::Vtl2 })
}

fn parse_version(text: &str) -> Result<Series, String> {
    let version = LinuxVersion::parse(text).and_then(|version| Series::parse(version.as_str()));
    version.ok_or_else(|| format!("expected {}", LinuxVersion::WANTED))
}

pub fn run(arguments: &Lint) -> Result<ExitCode> {
    let rules = profile::lint_rules(&Project::find()?)?;
    let path = &arguments.file;
    refuse_profile(path, "kernel.config")?;
    let file: Arc<str> = path.to_string_lossy().into();
    let bytes = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let config = DotConfig::read(&file, &bytes)?;
    let (subject, guesses) = subject(arguments, &file, &config)?;
    let verdict = judge(&rules, &subject);
    match arguments.format {
        Format::Human => print!("{}", human(&file, &bytes, &config, &subject, &guesses, &verdict)),
        Format::Json => println!("{:#}", json(&file, &config, &subject, &guesses, &verdict)),
    }
    let is_broken = verdict.of(Severity::Error).next().is_some();
    Ok(if is_broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the kernel is, from the command line or else from the file, with what was taken from there.
fn subject<'a>(
    arguments: &Lint,
    file: &str,
    config: &'a DotConfig,
) -> Result<(Subject<'a>, Vec<&'static str>)> {
    let mut guesses = Vec::new();
    let found = arch_of(config);
    let arch = match (arguments.arch, found) {
        (Some(arch), Some(other)) if arch != other => {
            bail!("{file} is for {}, not for {}\n  hint: leave --arch out", other.name(), arch.name())
        }
        (Some(arch), _) => arch,
        (None, Some(arch)) => {
            guesses.push("architecture");
            arch
        }
        (None, None) => {
            let says =
                config.header().map_or_else(String::new, |head| format!(", and its head says {}", head.arch));
            bail!(
                "{file} is for neither x86_64 nor aarch64: CONFIG_X86_64 and CONFIG_ARM64 are off{says}\n  \
                 hint: if it is a part of a configuration, name the architecture with --arch"
            )
        }
    };
    let vtl = arguments.vtl.unwrap_or_else(|| {
        guesses.push("trust level by HYPERV_VTL_MODE");
        if is_on(config, "CONFIG_HYPERV_VTL_MODE") { Vtl::Vtl2 } else { Vtl::Vtl0 }
    });
    let linux = arguments.kernel_version.or_else(|| {
        let series = config.series()?;
        guesses.push("version");
        Some(series)
    });
    let command_line = CommandLine::of(config, arch, arguments.command_line.as_deref());
    Ok((Subject { arch, vtl, linux, symbols: Symbols::Final(config), command_line }, guesses))
}

fn arch_of(config: &DotConfig) -> Option<Arch> {
    if is_on(config, "CONFIG_X86_64") {
        Some(Arch::X86_64)
    } else if is_on(config, "CONFIG_ARM64") {
        Some(Arch::Aarch64)
    } else {
        None
    }
}

fn is_on(config: &DotConfig, symbol: &str) -> bool {
    config.get(symbol) == Some(&Value::Yes)
}

fn human(
    file: &Arc<str>,
    bytes: &[u8],
    config: &DotConfig,
    subject: &Subject,
    guesses: &[&str],
    verdict: &Verdict,
) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = String::new();
    for severity in [Severity::Error, Severity::Warning] {
        for finding in verdict.of(severity) {
            let line = line_of(config, finding);
            let origin = line.map_or_else(|| Origin::file(file), |line| Origin::new(file, line, 1));
            let mut problem = finding.problem(origin);
            problem.message = format!("{}: {}", severity.name(), problem.message);
            problem.excerpt = line.map(|line| lines[line as usize - 1].to_owned());
            shown += &problem.to_string();
        }
    }
    shown += &format!("judged as a kernel for VTL{} on {}", subject.vtl.number(), subject.arch.name());
    shown += &subject.linux.map_or_else(String::new, |linux| format!(", Linux {linux}"));
    if !guesses.is_empty() {
        shown += &format!(" (as the file says: {})", guesses.join(", "));
    }
    shown.push('\n');
    for note in notes(config, verdict) {
        shown += &format!("note: {note}\n");
    }
    let count = |severity| match verdict.of(severity).count() {
        1 => format!("1 {}", severity.name()),
        number => format!("{number} {}s", severity.name()),
    };
    shown + &format!("{}, {}\n", count(Severity::Error), count(Severity::Warning))
}

fn line_of(config: &DotConfig, finding: &Finding) -> Option<u32> {
    config.line(finding.symbol()?)
}

/// What the verdict doesn't cover.
fn notes(config: &DotConfig, verdict: &Verdict) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if config.header().is_none() {
        notes.push(
            "the file lacks the head of a final .config; a defconfig or a fragment leaves out what follows by itself",
        );
    }
    if verdict.without_version {
        notes.push("rules about the kernel's version were left out; name it with --kernel-version X.Y");
    }
    if verdict.without_command_line {
        notes
            .push("rules about the kernel's command line were left out; give it with --command-line OPTIONS");
    }
    notes
}

fn json(
    file: &str,
    config: &DotConfig,
    subject: &Subject,
    guesses: &[&str],
    verdict: &Verdict,
) -> serde_json::Value {
    let data = |finding: &Finding| {
        let mut data = finding.to_json();
        data["line"] = json!(line_of(config, finding));
        data
    };
    let findings: Vec<_> = verdict.findings.iter().map(data).collect();
    json!({
        "file": file,
        "arch": subject.arch.name(),
        "vtl": subject.vtl.number(),
        "linux": subject.linux.map(|linux| linux.to_string()),
        "from-the-file": guesses,
        "findings": findings,
        "notes": notes(config, verdict),
        "errors": verdict.of(Severity::Error).count(),
        "warnings": verdict.of(Severity::Warning).count(),
    })
}
