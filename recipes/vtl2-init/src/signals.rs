//! What PID 1 is told by signals, turned into a pipe to poll and a request to read.
//!
//! | signal | meaning |
//! |---|---|
//! | SIGUSR2 | power off |
//! | SIGTERM, SIGINT (Ctrl-Alt-Del) | restart |
//! | SIGUSR1 | halt |
//! | SIGCHLD | a child ended |
//!
//! The same as BusyBox's init, so its `poweroff`, `reboot` and `halt` work.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::{flag, low_level};

use crate::power::Action;

const REQUESTS: [(i32, Action); 4] = [
    (SIGUSR2, Action::PowerOff),
    (SIGTERM, Action::Reboot),
    (SIGINT, Action::Reboot),
    (SIGUSR1, Action::Halt),
];

/// Asks PID 1 for an action, from another process.
pub fn ask(action: Action) -> nix::Result<()> {
    let signal = match action {
        Action::PowerOff => Signal::SIGUSR2,
        Action::Reboot => Signal::SIGTERM,
        Action::Halt => Signal::SIGUSR1,
    };
    kill(Pid::from_raw(1), signal)
}

/// The registered handlers.
pub struct Signals {
    wakeups: UnixStream,
    requests: Vec<(Arc<AtomicBool>, Action)>,
}

impl Signals {
    /// Registers the handlers. The kernel drops signals to PID 1 that have none.
    pub fn register() -> io::Result<Self> {
        let (wakeups, sender) = UnixStream::pair()?;
        wakeups.set_nonblocking(true)?;
        let mut requests = Vec::new();
        for (signal, action) in REQUESTS {
            let raised = Arc::new(AtomicBool::new(false));
            // Before the pipe: a wake-up must find its flag raised.
            flag::register(signal, Arc::clone(&raised))?;
            low_level::pipe::register(signal, sender.try_clone()?)?;
            requests.push((raised, action));
        }
        low_level::pipe::register(SIGCHLD, sender)?;
        Ok(Self { wakeups, requests })
    }

    /// Takes the wake-ups out of the pipe and says what was asked for, if anything.
    pub fn take_request(&mut self) -> Option<Action> {
        let mut buffer = [0; 64];
        while matches!(self.wakeups.read(&mut buffer), Ok(length) if length > 0) {}
        let mut asked = None;
        for (raised, action) in &self.requests {
            if raised.swap(false, Ordering::SeqCst) {
                asked = asked.or(Some(*action));
            }
        }
        asked
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeups.as_fd()
    }
}
