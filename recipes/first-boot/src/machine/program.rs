//! Running other programs of the payload.

use std::process::{Command, Stdio};

pub const BUSYBOX: &str = "/bin/busybox";

/// Runs a program to its end. An error has what it said.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{program} {}: {}: {said}", arguments.join(" "), output.status))
}
