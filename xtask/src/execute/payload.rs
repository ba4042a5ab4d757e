//! BuildPayload, BuildMonitor, BuildShim and BuildLoader: a program for the guest, static, from the crates its
//! lock file names.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Cancelled, crates,
    run::{Job, folder_files},
};
use crate::{
    digest::Digest,
    host::{
        command::{Command, CommandError, Limits},
        cross_prefix,
        identity::Subject,
        toolbox::Toolbox,
    },
    plan::{RustFrom, Source},
    profile::types::Arch,
    store::OutputKind,
};

pub fn build(
    job: &Job,
    arch: Arch,
    package: &str,
    binary: &str,
    features: &[String],
    rust: &RustFrom,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let flags = &["-Ctarget-feature=+crt-static"];
    compile(job, &Program { arch, package, binary, features, flags, environment: &[] }, rust)
}

/// The monitor: no C library, no system below it, and so where its linker script puts it.
pub fn build_monitor(job: &Job, arch: Arch, rust: &RustFrom) -> Result<Vec<(&'static str, OutputKind)>> {
    let (package, binary) = ("monitor", "monitor");
    compile(job, &Program { arch, package, binary, features: &[], flags: BARE, environment: &[] }, rust)
}

/// The boot shim: as the monitor, at the address that the file gives it.
pub fn build_shim(
    job: &Job,
    arch: Arch,
    base: u64,
    rust: &RustFrom,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let (package, binary) = ("boot-shim", "boot-shim");
    let environment = &[("SHIM_BASE", format!("{base:#x}"))];
    let mut outputs =
        compile(job, &Program { arch, package, binary, features: &[], flags: BARE, environment }, rust)?;
    let objcopy = objcopy(job, arch)?;
    run(job, &job.toolbox.enter(objcopy.args(["--output-target=binary", "program", "shim"])))?;
    outputs.push(("shim", OutputKind::File));
    Ok(outputs)
}

/// No system below, and so where the linker script puts it.
const BARE: &[&str] = &["-Crelocation-model=static"];

/// What UEFI starts: position-independent, and wrapped the way UEFI has programs.
pub fn build_loader(job: &Job, arch: Arch, rust: &RustFrom) -> Result<Vec<(&'static str, OutputKind)>> {
    let (features, flags) = (["efi".to_string()], &["-Crelocation-model=pic"]);
    let program =
        Program { arch, package: "monitor", binary: "loader", features: &features, flags, environment: &[] };
    let mut outputs = compile(job, &program, rust)?;
    let wrapped = image::efi::wrap(arch.into(), &super::run::read(&job.out("program"))?)
        .context("can't make an EFI application of the loader")?;
    job.write("loader.efi", &wrapped)?;
    outputs.push(("loader.efi", OutputKind::File));
    Ok(outputs)
}

/// A program of a crate, and how it is compiled beside what holds for all.
struct Program<'a> {
    arch: Arch,
    package: &'a str,
    binary: &'a str,
    features: &'a [String],
    flags: &'a [&'a str],
    /// For its build script.
    environment: &'a [(&'a str, String)],
}

fn compile(job: &Job, program: &Program, rust: &RustFrom) -> Result<Vec<(&'static str, OutputKind)>> {
    let &Program { arch, package, binary, flags, environment, .. } = program;
    let place = Place::of(job)?;
    let (RustFrom::Toolchain { target } | RustFrom::Debian { target } | RustFrom::Builder { target }) = rust;
    let mut command = cargo_inside(job)?
        .args(["build", "--quiet", "--release", "--locked", "--package", package, "--bin", binary])
        .args(["--target", target, "--manifest-path"])
        .arg(job.toolbox.seen(&place.krate.join("Cargo.toml")))
        .arg("--target-dir")
        .arg(job.toolbox.seen(&place.target_dir))
        .arg(format!("--jobs={}", job.context.jobs));
    command = place.settings(job, command, program, target, rust)?;
    command = command.env("CARGO_ENCODED_RUSTFLAGS", rustflags(job, &place, flags, rust)?);
    for (name, value) in environment {
        command = command.env(name, value);
    }
    run(job, &job.toolbox.enter(command))?;
    crates::write(job, &job.toolbox.enter(place.metadata(job, program, target, rust)?), package)?;

    let program = place.target_dir.join(target).join("release").join(binary);
    split_debug_info(job, arch, &program)?;
    let outputs = ["program", "program.debug", crates::OUTPUT];
    Ok(outputs.map(|output| (output, OutputKind::File)).to_vec())
}

/// Where a crate is built.
struct Place {
    krate: PathBuf,
    target_dir: PathBuf,
    /// A cargo home of the step's own, which knows the vendored crates alone; a local crate uses its owner's.
    cargo_home: Option<PathBuf>,
}

impl Place {
    fn of(job: &Job) -> Result<Place> {
        if let Source::Local(path) = &job.step.inputs["crate"] {
            let name = Digest::of_json(&(&job.step.name, path)).short();
            let target_dir = job.context.store.tree_dir(&name);
            return Ok(Place { krate: job.input("crate").to_path_buf(), target_dir, cargo_home: None });
        }
        let cargo_home = job.work.scratch().join("cargo");
        fs::create_dir_all(&cargo_home).with_context(|| format!("can't make {}", cargo_home.display()))?;
        // A crate without dependencies has nothing vendored.
        if let Some(vendor) = job.inputs.get("vendor") {
            let config = format!(
                "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = {:?}\n",
                job.toolbox.seen(vendor)
            );
            let path = cargo_home.join("config.toml");
            fs::write(&path, config).with_context(|| format!("can't write {}", path.display()))?;
        }
        let target_dir = job.work.scratch().join("target");
        Ok(Place { krate: copy_crate(job)?, target_dir, cargo_home: Some(cargo_home) })
    }

    /// What every cargo that looks at the program is given.
    fn settings(
        &self,
        job: &Job,
        command: Command,
        program: &Program,
        target: &str,
        rust: &RustFrom,
    ) -> Result<Command> {
        let mut command = command;
        if !program.features.is_empty() {
            command = command.arg("--features").arg(program.features.join(","));
        }
        if let Some(cargo_home) = &self.cargo_home {
            let cargo_home = job.toolbox.seen(cargo_home);
            command = command.env("CARGO_HOME", cargo_home).env("CARGO_NET_OFFLINE", "true");
        }
        toolchain(job, command, program.arch, target, rust)
    }

    /// The command that tells from which crates the program is built.
    fn metadata(&self, job: &Job, program: &Program, target: &str, rust: &RustFrom) -> Result<Command> {
        let command = cargo_inside(job)?
            .args([
                "metadata",
                "--format-version=1",
                "--locked",
                "--filter-platform",
                target,
                "--manifest-path",
            ])
            .arg(job.toolbox.seen(&self.krate.join("Cargo.toml")));
        self.settings(job, command, program, target, rust)
    }
}

/// A copy of the crate in the step's own folder: neither the checkout nor the store is written to.
pub fn copy_crate(job: &Job) -> Result<PathBuf> {
    let (from, to) = (job.input("crate"), job.work.scratch().join("crate"));
    for file in folder_files(from)? {
        let target = to.join(file.strip_prefix(from).unwrap_or(&file));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
        }
        fs::copy(&file, &target).with_context(|| format!("can't copy {}", file.display()))?;
    }
    Ok(to)
}

/// Of this machine, with its user's settings and the network.
pub fn cargo(job: &Job) -> Result<Command> {
    let toolchain = job.context.tools.toolchain()?;
    let host = job.context.tools.host();
    let command = host.rust_command(&toolchain.cargo).envs(host.network());
    // Cargo reads .cargo/config.toml upwards from where it is started: from `/`, nobody's.
    Ok(command.env("RUSTC", &toolchain.rustc).env("CARGO_TERM_COLOR", "never").directory("/"))
}

/// That which builds what goes into images.
fn cargo_inside(job: &Job) -> Result<Command> {
    let toolbox = &job.toolbox;
    match toolbox {
        Toolbox::Host(_) => cargo(job),
        Toolbox::Root(_) => {
            let command = toolbox.command(toolbox.find("cargo")?).env("RUSTC", toolbox.find("rustc")?);
            Ok(command.env("CARGO_TERM_COLOR", "never"))
        }
    }
}

/// Compiler and linker.
fn toolchain(job: &Job, command: Command, arch: Arch, target: &str, rust: &RustFrom) -> Result<Command> {
    let host = job.toolbox.host();
    let mut command = command;
    let linker = format!("{}gcc", cross_prefix(host.arch, arch));
    let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    // rustup's targets with musl or without a system bring what they link with.
    let is_self_contained = target.ends_with("-musl") || target.ends_with("-none");
    let needs_linker = !is_self_contained && host.arch != arch;
    if needs_linker {
        command = command.env(variable, job.toolbox.find(&linker)?);
    } else if target.ends_with("-musl") {
        // rustup's musl targets bring their own C library; the linker of the toolchain is enough.
        command = command.env(variable, "rust-lld");
    }
    if let RustFrom::Debian { .. } = rust {
        let root = job.input("rust");
        command = command.env("RUSTC", rustc_wrapper(job, root)?);
    }
    Ok(command)
}

/// Debian's rustc, run from where it was unpacked: its libraries are found through a variable that the
/// linker which it starts must not see.
fn rustc_wrapper(job: &Job, root: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = job.work.scratch().join("rustc");
    let libraries: Vec<OsString> = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .iter()
        .map(|triple| root.join("usr/lib").join(triple).into())
        .collect();
    let libraries = std::env::join_paths(libraries).context("the store's path has a colon in it")?;
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n",
        quote(&libraries.to_string_lossy()),
        quote(&root.join("usr/bin/rustc").to_string_lossy())
    );
    fs::write(&path, script).with_context(|| format!("can't write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// `flags`, and no path of this machine: each place has a name that is the same everywhere.
fn rustflags(job: &Job, place: &Place, flags: &[&str], rust: &RustFrom) -> Result<OsString> {
    let mut flags: Vec<OsString> = flags.iter().map(OsString::from).collect();
    let mut remap = |from: &Path, to: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(job.toolbox.seen(from));
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    };
    // The last match counts, so the general ones come first.
    if let Toolbox::Host(_) = job.toolbox {
        super::leak::homes().iter().for_each(|home| remap(home, "/home"));
    }
    remap(job.work.scratch().as_path(), "/build");
    remap(&place.target_dir, "/target");
    remap(&place.krate, "/crate");
    if let Some(vendor) = job.inputs.get("vendor") {
        remap(vendor, "/vendor");
    }
    match rust {
        RustFrom::Debian { .. } => remap(job.input("rust"), "/rust"),
        RustFrom::Builder { .. } => {}
        RustFrom::Toolchain { target } => {
            // With the component rust-src the compiler names the library's sources where they are, without it
            // by the commit that they come from: the latter is the same everywhere.
            let version = job.context.tools.identity(&Subject::Rust { target: target.clone() })?.version;
            let commit = version.split("commit-hash: ").nth(1).and_then(|rest| rest.split(';').next());
            let sources = job.context.tools.toolchain()?.sysroot.join("lib/rustlib/src/rust");
            remap(&sources, &format!("/rustc/{}", commit.unwrap_or("unknown").trim()));
        }
    }
    let mut joined = OsString::new();
    for (number, flag) in flags.iter().enumerate() {
        if number > 0 {
            // CARGO_ENCODED_RUSTFLAGS separates by 0x1f, so that flags may hold spaces.
            joined.push("\u{1f}");
        }
        joined.push(flag);
    }
    Ok(joined)
}

/// The program for the image without debug information, and that information beside it, linked to it by the build id.
fn split_debug_info(job: &Job, arch: Arch, program: &Path) -> Result<()> {
    let objcopy = objcopy(job, arch)?;
    let program = job.toolbox.seen(program);
    let keep = objcopy.clone().arg("--only-keep-debug").arg(&program).arg("program.debug");
    run(job, &job.toolbox.enter(keep))?;
    let strip = objcopy.args(["--strip-all", "--add-gnu-debuglink=program.debug"]);
    run(job, &job.toolbox.enter(strip.arg(&program).arg("program")))?;
    if !job.out("program").exists() {
        bail!("objcopy made no program");
    }
    Ok(())
}

/// The architecture's own, in the folder of outputs.
fn objcopy(job: &Job, arch: Arch) -> Result<Command> {
    let toolbox = &job.toolbox;
    let objcopy = toolbox.find(&format!("{}objcopy", cross_prefix(toolbox.host().arch, arch)))?;
    Ok(toolbox.command(objcopy).directory(toolbox.seen(&job.work.out())))
}

pub fn run(job: &Job, command: &Command) -> Result<()> {
    let limits = Limits { timeout: None, cancel: Some(&job.context.cancelled) };
    match command.run(&job.work.log(), limits, None) {
        Err(CommandError::Cancelled { .. }) => Err(Cancelled.into()),
        result => result.map_err(Into::into),
    }
}
