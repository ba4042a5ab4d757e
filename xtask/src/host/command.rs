//! Running external programs: make, cargo, git, qemu, apt-get.
//!
//! A [`Command`] is a value: program, arguments, the whole environment, working directory. Nothing is
//! inherited, nothing goes through a shell, standard input is empty. The child leads its own process group;
//! when the caller cancels, or the time is up, the *group* gets SIGTERM and, two seconds later, SIGKILL. If
//! this process itself dies, however suddenly, the kernel sends the child SIGTERM, which make hands on to
//! what it started.
//!
//! The developer's verbs (fmt, clippy, test) run their tools through xshell instead: there the output
//! belongs on the terminal, the developer's environment is wanted, and nothing is built from the result.

mod supervise;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::process::Signal;

use supervise::{Stream, supervise};

/// Lines of the log that an error quotes.
const QUOTED_LINES: usize = 20;

/// A program with everything it is given. `Display` writes it so that it can be pasted into a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    program: PathBuf,
    /// What errors call it, where that isn't the program's own name.
    called: Option<OsString>,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: PathBuf,
}

/// When a running command is to be stopped.
#[derive(Clone, Copy, Default)]
pub struct Limits<'a> {
    pub timeout: Option<Duration>,
    /// Looked at every 50 ms.
    pub cancel: Option<&'a AtomicBool>,
}

/// What a program that was read to its end said.
#[derive(Clone, Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{program} could not be started: {source}\n  command: {command}")]
    Start { program: String, command: String, source: io::Error },
    #[error("{program} {}{}\n  command: {command}{}", outcome(*.status), quoted(.tail), logged(.log))]
    Failed { program: String, command: String, status: ExitStatus, log: Option<PathBuf>, tail: Vec<String> },
    #[error("{program} was stopped after {} s without an end{}\n  command: {command}{}", .limit.as_secs(), quoted(.tail), logged(.log))]
    TimedOut { program: String, command: String, limit: Duration, log: Option<PathBuf>, tail: Vec<String> },
    #[error("{program} was cancelled")]
    Cancelled { program: String },
    #[error("log file {}: {source}", .path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("{program}: lost touch with the running process: {source}")]
    Supervise { program: String, source: io::Error },
}

impl Command {
    pub fn new(program: impl Into<PathBuf>) -> Command {
        Command {
            program: program.into(),
            called: None,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: PathBuf::from("/"),
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Command {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Command {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// One variable of the environment, which is otherwise empty.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Command {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn envs<I, N, V>(mut self, variables: I) -> Command
    where
        I: IntoIterator<Item = (N, V)>,
        N: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        for (name, value) in variables {
            self = self.env(name, value);
        }
        self
    }

    /// Working directory; `/` when not set.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Command {
        self.directory = directory.into();
        self
    }

    /// The same command as `wrapper` runs it, which is told `arguments(working directory)` before it. Errors still name
    /// the program within.
    #[must_use]
    pub fn within(self, wrapper: &Path, arguments: impl FnOnce(&Path) -> Vec<OsString>) -> Command {
        let mut all = arguments(&self.directory);
        let called = self.called.or_else(|| self.program.file_name().map(OsStr::to_owned));
        all.push(self.program.into_os_string());
        all.extend(self.arguments);
        let (program, directory) = (wrapper.to_path_buf(), PathBuf::from("/"));
        Command { program, called, arguments: all, directory, environment: self.environment }
    }

    /// Runs to a successful end. Output of both kinds is appended to `log`, after a line with the command;
    /// with `on_line`, it is also handed over line by line, without line ends, as it comes.
    ///
    /// # Errors
    /// Not started, ended with another status than 0, stopped; each names the command and quotes the log.
    pub fn run(
        &self,
        log: &Path,
        limits: Limits,
        on_line: Option<&mut dyn FnMut(&str)>,
    ) -> Result<(), CommandError> {
        let status = self.status(log, limits, on_line)?;
        if status.success() { Ok(()) } else { Err(self.failed(status, Some(log), tail_of(log))) }
    }

    /// Like [`Command::run`], for programs whose exit status is an answer.
    pub fn status(
        &self,
        log: &Path,
        limits: Limits,
        on_line: Option<&mut dyn FnMut(&str)>,
    ) -> Result<ExitStatus, CommandError> {
        let at_log = |source| CommandError::Log { path: log.to_owned(), source };
        let mut file = File::options().create(true).append(true).open(log).map_err(at_log)?;
        writeln!(file, "$ {self}").map_err(at_log)?;
        let mut child = self.prepare();
        let ended = if let Some(on_line) = on_line {
            let (reader, writer) = io::pipe().map_err(at_log)?;
            child.stdout(writer.try_clone().map_err(at_log)?).stderr(writer);
            let mut lines = Lines { partial: Vec::new(), on_line };
            let mut log_error = None;
            let mut take = |bytes: &[u8]| {
                // The program is still read to its end when the disk is full, and the error told afterwards.
                if log_error.is_none() {
                    log_error = file.write_all(bytes).err();
                }
                lines.take(bytes);
            };
            let ended = self.supervised(child, limits, vec![Stream::new(reader, &mut take)]);
            lines.finish();
            if let Some(source) = log_error {
                return Err(at_log(source));
            }
            ended
        } else {
            child.stdout(file.try_clone().map_err(at_log)?).stderr(file);
            self.supervised(child, limits, Vec::new())
        };
        ended.map_err(|error| error.with_log(log))
    }

    /// Runs to its end and keeps what it said: for small answers. Any exit status is an answer.
    pub fn output(&self, limits: Limits) -> Result<Output, CommandError> {
        let start = |source| self.not_started(source);
        let mut child = self.prepare();
        let (out_reader, out_writer) = io::pipe().map_err(start)?;
        let (err_reader, err_writer) = io::pipe().map_err(start)?;
        child.stdout(out_writer).stderr(err_writer);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut take_out = |bytes: &[u8]| stdout.extend_from_slice(bytes);
        let mut take_err = |bytes: &[u8]| stderr.extend_from_slice(bytes);
        let streams = vec![Stream::new(out_reader, &mut take_out), Stream::new(err_reader, &mut take_err)];
        let status = self.supervised(child, limits, streams)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Standard output of a program that must succeed, without white space at its ends.
    pub fn read(&self, limits: Limits) -> Result<String, CommandError> {
        let output = self.output(limits)?;
        if output.status.success() {
            return Ok(output.stdout.trim().to_owned());
        }
        Err(self.failed(output.status, None, last_lines(&output.stderr)))
    }

    fn prepare(&self) -> std::process::Command {
        let mut child = std::process::Command::new(&self.program);
        child
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .process_group(0);
        let parent = rustix::process::getpid();
        // SAFETY: runs between fork and exec, where only async-signal-safe calls are allowed: two plain
        // system calls, no allocation, no lock.
        unsafe {
            child.pre_exec(move || {
                // SIGTERM, not SIGKILL: make passes it on to its own children, which would otherwise go on.
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
                // The parent may have died before the line above; then nobody would ever send the signal.
                if rustix::process::getppid() == Some(parent) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::Interrupted.into())
                }
            });
        }
        child
    }

    fn supervised(
        &self,
        mut child: std::process::Command,
        limits: Limits,
        streams: Vec<Stream>,
    ) -> Result<ExitStatus, CommandError> {
        let spawned = start(&mut child).map_err(|source| self.not_started(source))?;
        // The write ends of the pipes live in `child`; only the started program may hold them.
        drop(child);
        let (status, stopped) = supervise(spawned, limits, streams)
            .map_err(|source| CommandError::Supervise { program: self.program_name(), source })?;
        match (stopped, limits.timeout) {
            (None, _) => Ok(status),
            (Some(supervise::Stop::TimeUp), Some(limit)) => Err(CommandError::TimedOut {
                program: self.program_name(),
                command: self.to_string(),
                limit,
                log: None,
                tail: Vec::new(),
            }),
            (Some(_), _) => Err(CommandError::Cancelled { program: self.program_name() }),
        }
    }

    fn not_started(&self, source: io::Error) -> CommandError {
        CommandError::Start { program: self.program_name(), command: self.to_string(), source }
    }

    fn failed(&self, status: ExitStatus, log: Option<&Path>, tail: Vec<String>) -> CommandError {
        let (program, command) = (self.program_name(), self.to_string());
        CommandError::Failed { program, command, status, log: log.map(Path::to_owned), tail }
    }

    fn program_name(&self) -> String {
        let own = self.program.file_name().unwrap_or(self.program.as_os_str());
        self.called.as_deref().unwrap_or(own).to_string_lossy().into_owned()
    }
}

impl CommandError {
    /// Was it the caller who stopped the program?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, CommandError::Cancelled { .. })
    }

    fn with_log(mut self, path: &Path) -> CommandError {
        if let CommandError::TimedOut { log, tail, .. } = &mut self {
            *log = Some(path.to_owned());
            *tail = tail_of(path);
        }
        self
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "cd {} && env -i", quote(self.directory.as_os_str()))?;
        for (name, value) in &self.environment {
            // The address of a proxy may hold a password, and this text goes into logs.
            let is_secret = name.to_string_lossy().to_ascii_lowercase().ends_with("_proxy");
            let value = if is_secret { "...".to_owned() } else { quote(value) };
            write!(f, " {}={value}", name.to_string_lossy())?;
        }
        write!(f, " {}", quote(self.program.as_os_str()))?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", quote(argument)))
    }
}

/// A program unpacked a moment ago can be "busy" while another thread's fork still holds it open for
/// writing; that passes within milliseconds.
fn start(child: &mut std::process::Command) -> io::Result<std::process::Child> {
    for _ in 0..20 {
        match child.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
    child.spawn()
}

struct Lines<'a> {
    partial: Vec<u8>,
    on_line: &'a mut dyn FnMut(&str),
}

impl Lines<'_> {
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        if !self.partial.is_empty() {
            (self.on_line)(String::from_utf8_lossy(&self.partial).trim_end_matches(['\n', '\r']));
            self.partial.clear();
        }
    }
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+/.,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn outcome(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

fn quoted(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  | {line}")).collect()
}

fn logged(log: &Option<PathBuf>) -> String {
    log.as_ref().map(|path| format!("\n  log: {}", path.display())).unwrap_or_default()
}

fn tail_of(log: &Path) -> Vec<String> {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(16 * 1024);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // An unreadable log must not hide the error that it would have illustrated.
    last_lines(&String::from_utf8_lossy(&read().unwrap_or_default()))
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let first_own = lines.iter().rposition(|line| line.starts_with("$ ")).map_or(0, |at| at + 1);
    let start = lines.len().saturating_sub(QUOTED_LINES).max(first_own);
    lines[start..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests;
