//! Looking for tools: is it there, which version, is that enough.

use std::path::Path;
use std::time::Duration;

use super::command::{CommandError, Limits};
use super::distribution::Family;
use super::tools::{Facts, Probe, Purpose, Source, facts, needed};
use super::version::Version;
use super::{Host, firmware};

/// A tool that has not said its version by then will not.
const PATIENCE: Duration = Duration::from_secs(20);

/// One tool as this machine has it.
#[derive(Clone, Debug)]
pub struct Row {
    pub facts: Facts,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Good. Headers, libraries and firmware have no version.
    Present(Option<Version>),
    TooOld(Version),
    /// It is there and doesn't run; its own first words.
    Broken(String),
    Missing,
}

impl Row {
    pub fn is_good(&self) -> bool {
        matches!(self.state, State::Present(_))
    }
}

/// Asks every tool that the purposes need, all at the same time. Takes as long as the slowest.
pub fn examine(host: &Host, purposes: &[Purpose]) -> Vec<Row> {
    let tools = needed(host.arch, purposes);
    std::thread::scope(|scope| {
        let asked: Vec<_> = tools
            .into_iter()
            .map(|tool| {
                scope.spawn(move || {
                    let facts = facts(host.arch, tool);
                    let state = state(host, &facts);
                    Row { facts, state }
                })
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().expect("looking for a tool does not panic")).collect()
    })
}

/// Packages that bring what is not good, sorted, each once; second, what that family has no package for.
pub fn packages(rows: &[Row], family: Family) -> (Vec<&'static str>, Vec<&Row>) {
    let bad = || rows.iter().filter(|row| !row.is_good());
    let mut found: Vec<&str> = bad().filter_map(|row| row.facts.source.package(family)).collect();
    found.sort_unstable();
    found.dedup();
    (found, bad().filter(|row| row.facts.source.package(family).is_none()).collect())
}

/// What a person can do about a tool that no package brings.
pub fn other_remedy(row: &Row, family: Family) -> String {
    match row.facts.source {
        Source::Component(name) => format!("rustup component add {name}"),
        Source::Rustup if matches!(row.state, State::TooOld(_)) => "rustup update".to_owned(),
        Source::Rustup => "install Rust with rustup, https://rustup.rs".to_owned(),
        Source::Packages { .. } => {
            format!("{} has no package of {}; install it by hand", family, row.facts.name)
        }
    }
}

fn state(host: &Host, facts: &Facts) -> State {
    match facts.probe {
        Probe::Program { name, ask } => program(host, facts, name, ask),
        Probe::Header { compiler, header } => {
            let include = ["-E", "-x", "c", "-include", header, "-"];
            compiles(host, compiler, &include, |status, _| status)
        }
        Probe::Library { compiler, library } => {
            let question = format!("-print-file-name={library}");
            compiles(host, compiler, &[&question], |_, printed| Path::new(printed.trim()).is_absolute())
        }
        Probe::Firmware(arch) => match firmware::find(host, arch) {
            Some(_) => State::Present(None),
            None => State::Missing,
        },
    }
}

fn program(host: &Host, facts: &Facts, name: &str, ask: &[&str]) -> State {
    let Some(path) = host.find(name) else { return State::Missing };
    // rustup's proxies need to know whose toolchains to use; nobody else is given those variables.
    let command = match facts.source {
        Source::Rustup | Source::Component(_) => host.rust_command(path),
        Source::Packages { .. } => host.command(path),
    };
    let output = match command.args(ask).output(Limits { timeout: Some(PATIENCE), cancel: None }) {
        Ok(output) => output,
        Err(error) => return State::Broken(first_line(&error)),
    };
    if !output.status.success() {
        let said = output.stderr.lines().chain(output.stdout.lines()).find(|line| !line.trim().is_empty());
        return State::Broken(said.unwrap_or("it fails without a word").trim().to_owned());
    }
    let version = Version::find(&output.stdout).or_else(|| Version::find(&output.stderr));
    match (&facts.minimum, version) {
        (Some(minimum), Some(version)) if version < *minimum => State::TooOld(version),
        (Some(_), None) => State::Broken("it does not say its version".to_owned()),
        (_, version) => State::Present(version),
    }
}

/// A compiler that isn't there finds nothing; that it is missing has a row of its own.
fn compiles(host: &Host, compiler: &str, arguments: &[&str], is_good: impl Fn(bool, &str) -> bool) -> State {
    let Some(path) = host.find(compiler) else { return State::Missing };
    match host.command(path).args(arguments).output(Limits { timeout: Some(PATIENCE), cancel: None }) {
        Ok(output) if is_good(output.status.success(), &output.stdout) => State::Present(None),
        Ok(_) => State::Missing,
        Err(error) => State::Broken(first_line(&error)),
    }
}

fn first_line(error: &CommandError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
