//! The version of a release, as the project's repository tells it.

use anyhow::{Context as _, Result, bail};
use release::bundle::Source;

use crate::host::{
    Host,
    command::{Command, Limits},
};

/// Tags that name versions: `v1.2`, `v1.2.3-rc.1`.
const TAGS: &str = "v[0-9]*";
/// Digits of a commit id in a version: as many wherever it is made.
const ABBREVIATION: &str = "--abbrev=12";

/// # Errors
/// There is no repository, no commit in it, or no git.
pub fn source(host: &Host) -> Result<Source> {
    let Some(git) = host.find("git") else {
        bail!(
            "git is not installed, and a release takes its version from the repository\n  hint: `cargo xtask doctor` says which package has it"
        );
    };
    let git = || host.command(&git).directory(&host.project);
    let read = |command: Command| command.read(Limits::default());
    let revision = read(git().args(["rev-parse", "HEAD"])).with_context(|| {
        format!(
            "{} is in no git repository with a commit, and a release takes its version from there",
            host.project.display()
        )
    })?;
    let changes = read(git().args(["status", "--porcelain"]))?;
    let date = read(git().args([
        "show",
        "--no-patch",
        "--format=%cd",
        "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
        "HEAD",
    ]))?;
    let described =
        git().args(["describe", "--tags", "--match", TAGS, ABBREVIATION]).output(Limits::default())?;
    let version = match described.status.success() {
        true => described.stdout.trim().trim_start_matches('v').to_owned(),
        // No version yet: that of the tool, and the commit.
        false => format!("{}-g{}", env!("CARGO_PKG_VERSION"), &revision[..revision.len().min(12)]),
    };
    let modified = !changes.is_empty();
    let version = if modified { format!("{version}-modified") } else { version };
    Ok(Source { version, revision, date, modified })
}
