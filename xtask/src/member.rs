//! Programs of this workspace that are built when they are first needed, because few need them and their dependencies
//! are heavy. They lie beside this program, built by the same cargo in the same way.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// How a member's program is made.
pub struct Member {
    /// Where cargo is to be started.
    pub workspace: PathBuf,
    /// What it is to be told.
    pub arguments: Vec<OsString>,
    /// What it makes.
    pub program: PathBuf,
}

/// The program of `package`, which has its name.
pub fn member(package: &str) -> Result<Member> {
    let own = std::env::current_exe().context("can't find this program")?;
    let mut folder = own.parent().context("this program lies in no folder")?;
    // That of cargo's test programs.
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    let target_dir = folder.parent().context("this program lies in no target folder")?;
    let mut arguments: Vec<OsString> =
        ["build", "--quiet", "--locked", "--package", package, "--bin", package].map(Into::into).into();
    arguments.extend([OsString::from("--target-dir"), target_dir.into()]);
    if folder.ends_with("release") {
        arguments.push("--release".into());
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in no workspace")?;
    Ok(Member { workspace: workspace.to_path_buf(), arguments, program: folder.join(package) })
}

/// The same, built now where it isn't yet, with what the compiler says on standard error. `what` it does is for people.
pub fn program(package: &str, what: &str) -> Result<PathBuf> {
    let member = member(package)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(&member.workspace).args(&member.arguments);
    let status = build.status().context("can't run cargo")?;
    if !status.success() {
        bail!("cargo can't build {package}, which {what}");
    }
    Ok(member.program)
}
