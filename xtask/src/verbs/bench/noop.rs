//! A build in which nothing changed.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Row, repeat};
use crate::verbs::{SessionOptions, session};

const RUNS: usize = 20;

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let xtask = std::env::current_exe().context("can't find this program")?;
    let build = |extra: &[&str]| -> Result<()> {
        let mut command = Command::new(&xtask);
        command.arg("build-image").args(extra).arg("--store").arg(session::store_dir(options)?);
        let output = command.stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    build(&[])?;
    let (best, middle) = repeat(RUNS, || build(&[]))?;
    let (_, paranoid) = repeat(3, || build(&["--paranoid"]))?;
    let nothing = || -> Result<()> {
        ensure!(Command::new(&xtask).arg("--version").stdout(Stdio::null()).status()?.success());
        Ok(())
    };
    let (_, start) = repeat(RUNS, nothing)?;
    Ok(vec![
        Row::new(
            "no-op build-image, one profile",
            middle,
            Some(("--paranoid", paranoid)),
            format!("best {best:.1?}"),
        ),
        Row::new("  of that, starting the process", start, None, ""),
    ])
}
