//! Compiling this tool: what everybody who clones the project waits for first.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::{Row, repeat};
use crate::profile::Project;

pub fn run() -> Result<Vec<Row>> {
    let project = Project::find()?;
    let target = tempfile::tempdir()?;
    let main = project.root.join("xtask/src/lib.rs");
    let build = || -> Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--locked", "--package", "xtask", "--target-dir"]).arg(target.path());
        let status = cargo.current_dir(&project.root).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "cargo build failed");
        Ok(())
    };
    let (cold, _) = repeat(1, build)?;
    let (incremental, _) = repeat(3, || {
        std::fs::File::options().append(true).open(&main)?.set_modified(std::time::SystemTime::now())?;
        build()
    })?;
    Ok(vec![
        Row::new("compile xtask from cold, crates downloaded", cold, None, ""),
        Row::new("compile xtask after a change", incremental, None, ""),
    ])
}
