//! What exactly a tool is: the part of a build step's key that changes when the tool does.
//!
//! | tool | what is digested beside its version line |
//! |---|---|
//! | a program (make, flex, ld …) | the file its name leads to, symbolic links resolved |
//! | a compiler driver | itself, and cc1, collect2, as and ld as *it* finds them |
//! | a static C library | libc.a, libgcc.a and the start files that end up in the payload |
//! | Rust | rustc, librustc_driver and libLLVM, and every library of the target |
//!
//! Paths are looked up each time, digests come from the memo. No path enters an [`Identity`], so machines with
//! the same tools in other folders share keys. Shared libraries of C tools are left to their version line.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::command::{CommandError, Limits};
use super::memo::{Memo, Watch};
use super::rust_target::{Toolchain, ToolchainError, toolchain};
use super::{Arch, Host, cross_prefix};
use crate::digest::Digest;

/// What is to be identified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A program that is a world of its own. Its version line is the first it prints for `--version`.
    Program(String),
    /// A gcc, by its name on the path.
    Compiler(String),
    /// What this gcc links statically into every program.
    StaticLibrary {
        compiler: String,
    },
    /// The compiler of the project's toolchain with the standard library for one target.
    Rust {
        target: String,
    },
    Cargo,
}

impl Subject {
    /// The program by whose name it is found.
    pub fn program(&self) -> &str {
        match self {
            Subject::Program(name) | Subject::Compiler(name) => name,
            Subject::StaticLibrary { compiler } => compiler,
            Subject::Rust { .. } => "rustc",
            Subject::Cargo => "cargo",
        }
    }

    /// What a plan and a manifest call it.
    pub fn name(&self) -> String {
        match self {
            Subject::Program(name) | Subject::Compiler(name) => name.clone(),
            Subject::StaticLibrary { compiler } => format!("{compiler} static libraries"),
            Subject::Rust { target } => format!("rustc for {target}"),
            Subject::Cargo => "cargo".to_owned(),
        }
    }
}

/// Enters keys and manifests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Identity {
    pub name: String,
    pub version: String,
    pub sha256: String,
}

/// A tool with the place to run it from. The place enters no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub path: PathBuf,
    pub identity: Identity,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{name} is not on PATH\nhint: `cargo xtask doctor` says which package has it")]
    Missing { name: String },
    #[error("{compiler} does not find its {part}\nhint: `cargo xtask doctor` says which package has it")]
    Part { compiler: String, part: String },
    #[error("reading {}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
}

/// All that shapes a kernel for `target`, HOSTCC included.
pub fn kernel_subjects(host: Arch, target: Arch) -> Vec<Subject> {
    let mut names = vec!["gcc".to_owned()];
    names.push(format!("{}gcc", cross_prefix(host, target)));
    names.dedup();
    let mut subjects: Vec<Subject> = names.into_iter().map(Subject::Compiler).collect();
    subjects.extend(["make", "flex", "bison", "bc", "gzip"].map(|name| Subject::Program(name.to_owned())));
    subjects.push(Subject::Program(format!("{}objcopy", cross_prefix(host, target))));
    subjects
}

/// All that the commands in a kernel's Kconfig files ask about, as far as it is one tool each.
pub fn kconfig_subjects(host: Arch, target: Arch) -> Vec<Subject> {
    let prefix = cross_prefix(host, target);
    let programs = ["ar", "ld", "nm", "objcopy"].map(|name| Subject::Program(format!("{prefix}{name}")));
    [Subject::Compiler(format!("{prefix}gcc"))].into_iter().chain(programs).collect()
}

/// All that shapes a Rust payload of `arch`, built for a Rust target triple by the user's toolchain. Without a
/// target, the compiler comes from pinned packages, whose digests stand for it, and is not among the subjects.
pub fn payload_subjects(host: Arch, arch: Arch, target: Option<&str>) -> Vec<Subject> {
    let compiler = format!("{}gcc", cross_prefix(host, arch));
    let mut subjects = vec![Subject::Cargo, Subject::Compiler(compiler.clone())];
    subjects.extend(target.map(|target| Subject::Rust { target: target.to_owned() }));
    // The musl targets bring their own C library with them.
    if !target.is_some_and(|target| target.ends_with("-musl")) {
        subjects.push(Subject::StaticLibrary { compiler });
    }
    subjects
}

/// Identifies one tool. Runs no process while the memo's answer holds.
pub fn identify(host: &Host, memo: &mut Memo, subject: &Subject) -> Result<Resolved, IdentityError> {
    match subject {
        Subject::Program(name) => identify_program(host, memo, name),
        Subject::Compiler(name) => identify_compiler(host, memo, name),
        Subject::StaticLibrary { compiler } => identify_static_library(host, memo, compiler),
        Subject::Rust { target } => {
            let toolchain = toolchain(host, memo)?;
            identify_rust(host, memo, &toolchain, target)
        }
        Subject::Cargo => {
            let cargo = toolchain(host, memo)?.cargo;
            let version = |_: &mut Watch| host.rust_command(&cargo).arg("--version").read(Limits::default());
            remembered(memo, "cargo", "cargo", &cargo, std::slice::from_ref(&cargo), version)
        }
    }
}

/// Identifies all of them, or tells everything that is missing at once.
pub fn identify_all(
    host: &Host,
    memo: &mut Memo,
    subjects: &[Subject],
) -> Result<Vec<Resolved>, Vec<IdentityError>> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for subject in subjects {
        match identify(host, memo, subject) {
            Ok(resolved) => found.push(resolved),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

fn identify_program(host: &Host, memo: &mut Memo, name: &str) -> Result<Resolved, IdentityError> {
    let path = find(host, name)?;
    let file = resolve(&path)?;
    remembered(memo, name, name, &path, &[file], |_| version_line(host, &path))
}

fn identify_compiler(host: &Host, memo: &mut Memo, name: &str) -> Result<Resolved, IdentityError> {
    const PARTS: [&str; 4] = ["cc1", "collect2", "as", "ld"];
    let path = find(host, name)?;
    let file = resolve(&path)?;
    // Part of the key: gcc looks for as and ld on the path when it has none of its own.
    let key =
        format!("compiler {} {} {}", path.display(), file.display(), host.path_variable().to_string_lossy());
    let parts = memo.get(&key, |watch| {
        watch.on(&file);
        let mut parts = vec![file.clone()];
        for part in PARTS {
            let printed =
                host.command(&path).arg(format!("-print-prog-name={part}")).read(Limits::default())?;
            let found = on_path(host, watch, &printed);
            let missing = || IdentityError::Part { compiler: name.to_owned(), part: part.to_owned() };
            parts.push(resolve(&found.ok_or_else(missing)?)?);
        }
        Ok::<String, IdentityError>(join(&parts))
    })?;
    remembered(memo, name, name, &path, &split(&parts), |_| version_line(host, &path))
}

fn identify_static_library(host: &Host, memo: &mut Memo, compiler: &str) -> Result<Resolved, IdentityError> {
    const PARTS: [&str; 8] =
        ["libc.a", "libgcc.a", "libgcc_eh.a", "crt1.o", "crti.o", "crtn.o", "crtbeginT.o", "crtend.o"];
    let path = find(host, compiler)?;
    let file = resolve(&path)?;
    let key = format!("library {} {}", path.display(), file.display());
    let parts = memo.get(&key, |watch| {
        watch.on(&file);
        let mut parts = Vec::new();
        for part in PARTS {
            let printed =
                host.command(&path).arg(format!("-print-file-name={part}")).read(Limits::default())?;
            // gcc answers with the bare name when there is no such file.
            let missing = || IdentityError::Part { compiler: compiler.to_owned(), part: part.to_owned() };
            let found =
                Path::new(&printed).is_absolute().then(|| PathBuf::from(&printed)).ok_or_else(missing)?;
            parts.push(resolve(&found)?);
        }
        Ok::<String, IdentityError>(join(&parts))
    })?;
    let name = format!("{compiler} static libraries");
    remembered(memo, &name, &name, &path, &split(&parts), |_| version_line(host, &path))
}

fn identify_rust(
    host: &Host,
    memo: &mut Memo,
    toolchain: &Toolchain,
    target: &str,
) -> Result<Resolved, IdentityError> {
    let rustc = &toolchain.rustc;
    let mut files = vec![resolve(rustc)?];
    // Debian and Fedora keep the compiler's libraries in folders of their own.
    for folder in ["lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"] {
        files.extend(files_in(&toolchain.sysroot.join(folder), |name| {
            name.starts_with("librustc_driver-") || name.starts_with("libLLVM")
        }));
    }
    let libraries = toolchain.sysroot.join("lib/rustlib").join(target).join("lib");
    let of_target = files_in(&libraries, |name| name.ends_with(".rlib"));
    if of_target.is_empty() {
        return Err(IdentityError::Part {
            compiler: "rustc".to_owned(),
            part: format!("standard library for {target}"),
        });
    }
    files.extend(of_target);
    files.extend(files_in(&libraries.join("self-contained"), |_| true));
    let version = |_: &mut Watch| -> Result<String, CommandError> {
        let text = host.rust_command(rustc).arg("-vV").read(Limits::default())?;
        Ok(text.lines().filter(|line| !line.starts_with("binary:")).collect::<Vec<_>>().join("; "))
    };
    remembered(memo, &format!("rust {target}"), &format!("rustc for {target}"), rustc, &files, version)
}

/// One memo entry for the whole tool: valid while every one of its files is.
fn remembered<E>(
    memo: &mut Memo,
    key: &str,
    name: &str,
    path: &Path,
    files: &[PathBuf],
    version: impl FnOnce(&mut Watch) -> Result<String, E>,
) -> Result<Resolved, IdentityError>
where
    IdentityError: From<E>,
{
    let key = format!("identity {key} {}", join(files));
    let value = memo.get(&key, |watch| {
        let mut digests = String::new();
        for file in files {
            watch.on(file);
            let (digest, _) =
                Digest::of_file(file).map_err(|source| IdentityError::Read { path: file.clone(), source })?;
            digests += &digest.to_string();
        }
        let version = version(watch)?;
        Ok::<String, IdentityError>(format!("{} {version}", Digest::of(digests.as_bytes())))
    })?;
    let (sha256, version) = value.split_once(' ').unwrap_or((&value, ""));
    let identity = Identity { name: name.to_owned(), version: version.to_owned(), sha256: sha256.to_owned() };
    Ok(Resolved { path: path.to_owned(), identity })
}

fn version_line(host: &Host, path: &Path) -> Result<String, IdentityError> {
    let text = host.command(path).arg("--version").read(Limits::default())?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn find(host: &Host, name: &str) -> Result<PathBuf, IdentityError> {
    host.find(name).ok_or_else(|| IdentityError::Missing { name: name.to_owned() })
}

/// Where gcc would find it: an absolute path is gcc's own, a bare name is taken from the path. Folders that
/// come first and don't have it are watched, so that a new program there is noticed.
fn on_path(host: &Host, watch: &mut Watch, printed: &str) -> Option<PathBuf> {
    if Path::new(printed).is_absolute() {
        return Some(PathBuf::from(printed));
    }
    let found = host.find(printed)?;
    host.path
        .iter()
        .map(|folder| folder.join(printed))
        .take_while(|path| *path != found)
        .for_each(|path| watch.on(&path));
    Some(found)
}

fn resolve(path: &Path) -> Result<PathBuf, IdentityError> {
    path.canonicalize().map_err(|source| IdentityError::Read { path: path.to_owned(), source })
}

/// Sorted by name.
fn files_in(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn join(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>().join(":")
}

fn split(files: &str) -> Vec<PathBuf> {
    files.split(':').map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests;
