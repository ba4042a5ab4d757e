//! Keeps the services running, reaps every child, forwards output, and waits to be told to stop.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::config::{Config, Service};
use crate::kernel_log::{self, Severity};
use crate::output::Output;
use crate::power::Action;
use crate::restart::{self, Ending, Next};
use crate::signals::Signals;

const PATH: &str = "/bin:/sbin:/usr/bin:/usr/sbin";
/// Between two looks at the children while the machine goes down.
const STOP_POLL: Duration = Duration::from_millis(10);

/// The services and everything that belongs to them.
pub struct Supervisor {
    signals: Signals,
    slots: Vec<Slot>,
    outputs: Vec<Output>,
    stop_grace: Duration,
}

/// A service and where it stands.
struct Slot {
    service: Service,
    state: State,
    quick_ends: u32,
}

#[derive(Clone, Copy)]
enum State {
    Due(Instant),
    Running { pid: Pid, since: Instant },
    Finished,
}

impl Supervisor {
    pub fn new(signals: Signals) -> Self {
        let grace_ms = Config::default().stop_grace_ms;
        Self {
            signals,
            slots: Vec::new(),
            outputs: Vec::new(),
            stop_grace: Duration::from_millis(grace_ms.into()),
        }
    }

    /// Takes a configuration over; its services start when [`Self::run`] is entered.
    pub fn configure(&mut self, config: Config) {
        self.stop_grace = Duration::from_millis(config.stop_grace_ms.into());
        let now = Instant::now();
        self.slots.extend(config.services.into_iter().map(|service| Slot {
            service,
            state: State::Due(now),
            quick_ends: 0,
        }));
    }

    /// How long processes have to end by themselves.
    pub fn stop_grace(&self) -> Duration {
        self.stop_grace
    }

    /// Supervises until a signal asks for an action.
    pub fn run(&mut self) -> Action {
        loop {
            self.reap();
            if let Some(action) = self.signals.take_request() {
                return action;
            }
            self.start_due();
            self.forward_output();
            self.wait();
        }
    }

    /// Reaps and forwards until no child is left (`true`) or the deadline passes (`false`). Starts nothing.
    pub fn wait_until_all_ended(&mut self, deadline: Instant) -> bool {
        loop {
            let none_left = self.reap();
            self.forward_output();
            if none_left {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(STOP_POLL);
        }
    }

    /// Takes up every child that has ended, orphans of others among them. `true` when no child is left at all.
    fn reap(&mut self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, Ending::Exited(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, Ending::Killed(signal as i32)),
                Ok(WaitStatus::StillAlive) => return false,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
    }

    fn ended(&mut self, pid: Pid, ending: Ending) {
        let slot = self.slots.iter_mut().find_map(|slot| match slot.state {
            State::Running { pid: running, since } if running == pid => Some((slot, since)),
            State::Running { .. } | State::Due(_) | State::Finished => None,
        });
        if let Some((slot, since)) = slot {
            // Its last words come before the news of its end.
            self.outputs.retain_mut(Output::forward);
            slot.end(ending, since.elapsed());
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for slot in &mut self.slots {
            if matches!(slot.state, State::Due(at) if at <= now) {
                self.outputs.extend(slot.start());
            }
        }
    }

    fn forward_output(&mut self) {
        self.outputs.retain_mut(Output::forward);
    }

    /// Sleeps until a signal, output, or the next start.
    fn wait(&self) {
        let next_start = self.slots.iter().filter_map(|slot| match slot.state {
            State::Due(at) => Some(at),
            State::Running { .. } | State::Finished => None,
        });
        let timeout = match next_start.min() {
            None => PollTimeout::NONE,
            // Rounded up: waking a moment early would only turn the loop.
            Some(at) => {
                let delay = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
                PollTimeout::try_from(delay).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.outputs.iter().map(|output| PollFd::new(output.as_fd(), PollFlags::POLLIN)));
        // An error (EINTR, no memory) is one more turn of the loop.
        let _ = poll(&mut fds, timeout);
    }
}

impl Slot {
    /// Starts the service and returns its output.
    fn start(&mut self) -> Option<Output> {
        match spawn(&self.service) {
            Ok((pid, output)) => {
                self.state = State::Running { pid, since: Instant::now() };
                Some(output)
            }
            Err(error) => {
                kernel_log::write(Severity::Error, &format!("vtl2-init: {}: {error}", self.service.name));
                self.end(Ending::NotStarted, Duration::ZERO);
                None
            }
        }
    }

    fn end(&mut self, ending: Ending, ran_for: Duration) {
        let (state, then) = match restart::next(self.service.restart, ending, ran_for, self.quick_ends) {
            Next::Finished => (State::Finished, String::new()),
            Next::Restart { delay, quick_ends } => {
                self.quick_ends = quick_ends;
                let then = format!(", starting again in {} ms", delay.as_millis());
                (State::Due(Instant::now() + delay), then)
            }
        };
        self.state = state;
        let (severity, what) = describe(ending);
        kernel_log::write(severity, &format!("vtl2-init: {} {what}{then}", self.service.name));
    }
}

fn describe(ending: Ending) -> (Severity, String) {
    match ending {
        Ending::Exited(0) => (Severity::Info, "ended".to_owned()),
        Ending::Exited(code) => (Severity::Warning, format!("failed with exit status {code}")),
        Ending::Killed(number) => {
            let name = Signal::try_from(number).map_or("a signal", Signal::as_str);
            (Severity::Warning, format!("was killed by {name}"))
        }
        Ending::NotStarted => (Severity::Warning, "could not be started".to_owned()),
    }
}

/// Starts a program in a process group of its own. It is waited for by process id, together with all other children.
fn spawn(service: &Service) -> io::Result<(Pid, Output)> {
    let (reader, writer) = io::pipe()?;
    let output = Output::new(&service.name, reader)?;
    let (program, arguments) = service.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(&service.environment)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok((Pid::from_raw(pid), output))
}
