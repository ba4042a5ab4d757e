//! `cargo xtask fdt`: device trees of profiles and of strangers, without building anything.

mod input;
mod json;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use fdt::{differences, map::MemoryMap, vtl};

use crate::profile::Project;
use input::Input;

#[derive(Subcommand, Debug)]
pub enum Fdt {
    /// Print a profile's device tree as source, or what is where in its address space
    Show(Show),
    /// Hold a device tree against the specification and what a trust level's kernel needs
    Check(Check),
    /// Print what two device trees say differently, whatever their order
    Diff(Diff),
}

#[derive(Args, Debug)]
pub struct Show {
    /// A profile, or a file whose name ends in .dtb or .dts
    pub tree: String,
    /// Draw RAM, devices, reserved ranges and the holes between instead
    #[arg(long)]
    pub map: bool,
    /// The profile's machine in another dialect than its own
    #[arg(long, value_enum)]
    pub dialect: Option<Dialect>,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct Check {
    /// A file whose name ends in .dtb or .dts, or a profile
    pub tree: String,
    /// Trust level of the kernel that it is for: 0 or 2 [default: the profile's; 2 for a file]
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub vtl: Option<u8>,
    /// Who reads it [default: the profile's; mainline for a file]
    #[arg(long, value_enum)]
    pub dialect: Option<Dialect>,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct Diff {
    /// A profile, or a file whose name ends in .dtb or .dts
    pub one: String,
    /// Another
    pub other: String,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Human,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// Linux as released
    Mainline,
    /// OpenHCL's kernel and user space
    Openhcl,
    /// OpenHCL's boot shim: what the host gives it
    OpenhclHost,
}

impl Dialect {
    fn data(self) -> &'static fdt::machine::Dialect {
        match self {
            Dialect::Mainline => &fdt::machine::MAINLINE,
            Dialect::Openhcl => &fdt::machine::OPENHCL,
            Dialect::OpenhclHost => &fdt::machine::OPENHCL_HOST,
        }
    }
}

pub fn run(verb: &Fdt) -> Result<ExitCode> {
    match verb {
        Fdt::Show(arguments) => show(arguments),
        Fdt::Check(arguments) => check(arguments),
        Fdt::Diff(arguments) => diff(arguments),
    }
}

fn show(arguments: &Show) -> Result<ExitCode> {
    let project = Project::find()?;
    let Input { tree, .. } = input::read(&project, &arguments.tree, arguments.dialect.map(Dialect::data))?;
    match (arguments.map, arguments.format) {
        (false, Format::Human) => print!("{}", fdt::to_dts(&tree)),
        (false, Format::Json) => json::print(&json::tree(&tree))?,
        (true, Format::Human) => print!("{}", MemoryMap::of(&tree)),
        (true, Format::Json) => json::print(&json::map(&MemoryMap::of(&tree)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Exit status 1 when something is wrong.
fn check(arguments: &Check) -> Result<ExitCode> {
    let project = Project::find()?;
    let mut input = input::read(&project, &arguments.tree, arguments.dialect.map(Dialect::data))?;
    let arch = input.arch.unwrap_or_else(|| vtl::Arch::of(&input.tree));
    input.tree.size_max_bytes = arch.size_max_bytes();
    let vtl = arguments.vtl.or(input.vtl).unwrap_or(2);
    anyhow::ensure!(vtl != 1, "no kernel is built for VTL1: say 0 or 2");
    let problems = fdt::check(&input.tree);
    let violations = vtl::check(&input.tree, &vtl::Target { arch, vtl, dialect: input.dialect });
    match arguments.format {
        Format::Json => json::print(&json::findings(&problems, &violations))?,
        Format::Human => {
            for problem in &problems {
                println!("{problem}");
            }
            for violation in &violations {
                println!("{}: {}\n  {}", violation.path, violation.message, violation.why);
            }
            let count = problems.len() + violations.len();
            let arch = match arch {
                vtl::Arch::X86_64 => "x86_64",
                vtl::Arch::Aarch64 => "aarch64",
            };
            let target = format!("VTL{vtl} of {arch}, {}", input.dialect.name);
            match count {
                0 => eprintln!("{}: nothing wrong, for {target}", arguments.tree),
                1 => eprintln!("{}: 1 problem, for {target}", arguments.tree),
                count => eprintln!("{}: {count} problems, for {target}", arguments.tree),
            }
        }
    }
    let sound = problems.is_empty() && violations.is_empty();
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Exit status 1 when they differ, as diff has it.
fn diff(arguments: &Diff) -> Result<ExitCode> {
    let project = Project::find()?;
    let one = input::read(&project, &arguments.one, None)?;
    let other = input::read(&project, &arguments.other, None)?;
    let found = differences(&one.tree, &other.tree);
    match arguments.format {
        Format::Json => json::print(&json::differences(&found))?,
        Format::Human => {
            for difference in &found {
                println!("{difference}");
            }
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
