//! `cargo xtask`: the command line of vtlforge and every effect it has. See docs/ARCHITECTURE.md.
//!
//! A library only because of how cargo works: a library compiles beside the code of those it builds on, while a program
//! waits for them to be finished.

mod boot;
mod bundle;
mod disks;
mod execute;
mod export;
mod fetch;
mod host;
mod kernel;
mod manifest;
mod member;
mod plan;
mod profile;
mod provision;
mod remote;
mod report;
mod reproduce;
mod signals;
mod store;
mod table;
mod verbs;

use std::process::ExitCode;

use ::release::digest;
use clap::{Parser, Subcommand};

/// Builds reproducible bootable images for Hyper-V's Virtual Trust Levels.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Build the images of profiles: kernel, payload, disk
    BuildImage(verbs::build_image::BuildImage),
    /// Show what a build would do, and why what is not in the store isn't
    Plan(verbs::plan::PlanVerb),
    /// Boot a profile under QEMU, at a trust level or without one, and judge what came of it
    Boot(verbs::boot::Boot),
    /// Build a profile again from nothing, perturbed, and say where and why bytes differ
    Verify(verbs::verify::Verify),
    /// Say where a value comes from, who asks for a kernel symbol, what a step is made from
    Explain(verbs::explain::Explain),
    /// Check, print or compare kernel configurations without building
    #[command(subcommand)]
    Config(verbs::config::Config),
    /// Show, check or compare device trees without building
    #[command(subcommand)]
    Fdt(verbs::fdt::Fdt),
    /// Show, map, compare and take apart IGVM files, whoever made them
    Igvm(verbs::igvm::Igvm),
    /// Show and judge images of disks, whoever made them; turn one format into another
    #[command(subcommand)]
    Image(verbs::image::Image),
    /// Say what the platforms of an IGVM file measure of it, and which pages changed that
    Measure(verbs::igvm::Measure),
    /// List what this machine lacks, and the command that mends it
    Doctor(verbs::doctor::Doctor),
    /// Make signed bundles for others, with bills of materials; check such bundles
    Release(verbs::release::ReleaseVerb),
    /// From a profile to a machine that runs it
    #[command(subcommand)]
    Provision(verbs::provision::Provision),
    /// Look after profiles/pins.yaml and the lock of the builder's root
    #[command(subcommand)]
    Pins(verbs::pins::Pins),
    /// Write the JSON schemas that editors use, made from the profile's types
    Schema(verbs::schema::Schema),
    /// Run the whole test suite
    Test(verbs::test::Test),
    /// Compare with what one would use instead
    Bench(verbs::bench::Bench),
}

/// The program.
pub fn main() -> ExitCode {
    signals::end_with_the_reader();
    match run(CommandLine::parse().verb) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {}", report::failure(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::BuildImage(arguments) => verbs::build_image::run(&arguments)?,
        Verb::Plan(arguments) => verbs::plan::run(&arguments)?,
        Verb::Boot(arguments) => return verbs::boot::run(&arguments),
        Verb::Verify(arguments) => return verbs::verify::run(&arguments),
        Verb::Explain(arguments) => verbs::explain::run(&arguments)?,
        Verb::Config(arguments) => return verbs::config::run(&arguments),
        Verb::Fdt(arguments) => return verbs::fdt::run(&arguments),
        Verb::Image(arguments) => return verbs::image::run(&arguments),
        Verb::Igvm(arguments) => return verbs::igvm::run(&arguments),
        Verb::Measure(arguments) => return verbs::igvm::measure(&arguments),
        Verb::Doctor(arguments) => return verbs::doctor::run(&arguments),
        Verb::Release(arguments) => return verbs::release::run(&arguments),
        Verb::Provision(arguments) => return verbs::provision::run(&arguments),
        Verb::Pins(arguments) => return verbs::pins::run(&arguments),
        Verb::Schema(arguments) => verbs::schema::run(&arguments)?,
        Verb::Test(arguments) => verbs::test::run(&arguments)?,
        Verb::Bench(arguments) => verbs::bench::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
