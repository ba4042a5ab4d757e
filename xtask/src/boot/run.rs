//! Running QEMU: the boot's folder, the console as it comes, the end.

use std::{
    cell::Cell,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{CWD, FileType, Mode};

use super::{
    evidence::{ConsoleLine, Ended, READY},
    machine::{CONSOLE, Machine, REPORT, REQUESTS},
};
use crate::host::{
    Host,
    command::{Command, CommandError, Limits},
};

/// A folder that one boot uses at a time.
pub struct Folder {
    path: PathBuf,
    /// Into the monitor.
    requests: Option<File>,
    _lock: File,
}

impl Folder {
    /// Makes it, or takes it over from a boot that has ended.
    pub fn open(path: &Path) -> Result<Folder> {
        fs::create_dir_all(path).with_context(|| format!("can't make {}", path.display()))?;
        let lock_path = path.join(".lock");
        let lock =
            File::create(&lock_path).with_context(|| format!("can't write {}", lock_path.display()))?;
        if lock.try_lock().is_err() {
            bail!(
                "{} is in use by another boot\n  hint: wait for it, or choose another folder with --logs DIR",
                path.display()
            );
        }
        for name in [CONSOLE, REPORT] {
            let _ = fs::remove_file(path.join(name));
        }
        Ok(Folder { path: path.to_owned(), requests: None, _lock: lock })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A link, in place of an older one.
    pub fn link(&self, name: &str, to: &Path) -> Result<()> {
        let path = self.file(name);
        let _ = fs::remove_file(&path);
        symlink(to, &path).with_context(|| format!("can't make {}", path.display()))
    }

    /// A file in place of a link, or of an older file.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        let _ = fs::remove_file(self.file(name));
        self.write(name, content)
    }

    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.file(name);
        fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))
    }

    /// Makes the pipe through which the guest, once it is ready, is asked to switch off.
    pub fn open_requests(&mut self) -> Result<()> {
        // QEMU adds these ends to the name of a pipe. What a guest writes goes nowhere.
        let path = self.file(&format!("{REQUESTS}.in"));
        let _ = fs::remove_file(&path);
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0)
            .with_context(|| format!("can't make the pipe {}", path.display()))?;
        self.link(&format!("{REQUESTS}.out"), Path::new("/dev/null"))?;
        // For both directions: QEMU, which reads, would wait for a writer, and a writer for QEMU.
        let pipe = File::options().read(true).write(true).open(&path);
        self.requests = Some(pipe.with_context(|| format!("can't open the pipe {}", path.display()))?);
        Ok(())
    }

    /// The monitor's report; empty where there is none.
    pub fn report(&self) -> String {
        fs::read(self.file(REPORT))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

/// How long a machine may run.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub timeout: Duration,
    /// No longer than until the payload has reported: nobody told it to end.
    pub until_ready: bool,
}

/// How often it is looked at whether somebody cancels.
const STEP: Duration = Duration::from_millis(50);

/// What came of it.
pub struct Run {
    pub console: Vec<ConsoleLine>,
    pub ended: Ended,
    pub took: Duration,
}

/// Runs the machine to its end, with the console in `console.log` and in what comes back.
pub fn run(
    host: &Host,
    qemu: &Path,
    machine: &Machine,
    folder: &Folder,
    patience: Patience,
    cancel: &AtomicBool,
) -> Result<Run> {
    let command = command(host, qemu, machine, folder);
    let mut console = Vec::new();
    let started = Instant::now();
    let (is_ready, stop) = (Cell::new(false), AtomicBool::new(false));
    let mut requests = folder.requests.as_ref();
    let mut on_line = |line: &str| {
        if line.contains(READY)
            && let Some(mut requests) = requests.take()
        {
            // A pipe that can't be written shows in the verdict: nobody was asked.
            let _ = requests.write_all(b"p");
        }
        console.push(ConsoleLine { at: started.elapsed(), text: line.to_string() });
        if patience.until_ready && line.contains(READY) {
            is_ready.set(true);
            stop.store(true, Ordering::Relaxed);
        }
    };
    let limits = Limits { timeout: Some(patience.timeout), cancel: Some(&stop) };
    let result = thread::scope(|scope| {
        let (has_ended, gone) = mpsc::channel::<()>();
        // Whoever cancels stops it as well.
        let stop = &stop;
        scope.spawn(move || {
            while gone.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                if cancel.load(Ordering::Relaxed) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        let result = command.status(&folder.file(CONSOLE), limits, Some(&mut on_line));
        drop(has_ended);
        result
    });
    let ended = match result {
        Ok(status) => status.code().map_or(Ended::Signal, Ended::Status),
        Err(CommandError::TimedOut { .. }) => Ended::TimeUp(patience.timeout),
        Err(CommandError::Cancelled { .. }) if is_ready.get() => Ended::Stopped,
        Err(CommandError::Cancelled { .. }) => return Err(crate::execute::Cancelled.into()),
        Err(error) => return Err(error.into()),
    };
    Ok(Run { console, ended, took: started.elapsed() })
}

/// Runs the machine on this terminal; QEMU itself writes the console's copy.
pub fn run_interactive(qemu: &Path, machine: &Machine, folder: &Folder) -> Result<Run> {
    let started = Instant::now();
    let mut child = std::process::Command::new(qemu);
    let status = child.args(&machine.arguments).current_dir(&folder.path).status();
    let status = status.with_context(|| format!("can't run {}", qemu.display()))?;
    std::io::stdout().flush().context("can't write to the terminal")?;
    let took = started.elapsed();
    let log = fs::read(folder.file(CONSOLE)).unwrap_or_default();
    let lines = String::from_utf8_lossy(&log).into_owned();
    // When each line came is not known.
    let console = lines.lines().map(|line| ConsoleLine { at: took, text: line.to_string() }).collect();
    Ok(Run { console, ended: status.code().map_or(Ended::Signal, Ended::Status), took })
}

fn command(host: &Host, qemu: &Path, machine: &Machine, folder: &Folder) -> Command {
    host.command(qemu).args(&machine.arguments).directory(&folder.path)
}
