//! Ending the machine's run: every process asked, then killed, everything synced, then the kernel told.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kernel_log::{self, Severity};
use crate::supervise::Supervisor;

/// Time after SIGKILL until what is left is given up.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// How the machine's run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    PowerOff,
    Reboot,
    Halt,
}

impl Action {
    /// What a program of this name is for.
    pub fn of_command(name: &str) -> Option<Self> {
        match name {
            "poweroff" => Some(Self::PowerOff),
            "reboot" => Some(Self::Reboot),
            "halt" => Some(Self::Halt),
            _ => None,
        }
    }

    fn describe(self) -> (&'static str, RebootMode) {
        match self {
            Self::PowerOff => ("powering off", RebootMode::RB_POWER_OFF),
            Self::Reboot => ("restarting", RebootMode::RB_AUTOBOOT),
            Self::Halt => ("halting", RebootMode::RB_HALT_SYSTEM),
        }
    }
}

/// Stops all processes and carries the action out. Returns only when the kernel refuses.
pub fn carry_out(action: Action, supervisor: &mut Supervisor) {
    let (text, mode) = action.describe();
    kernel_log::write(Severity::Info, &format!("vtl2-init: {text}"));
    stop_everything(supervisor);
    nix::unistd::sync();
    tell_kernel(text, mode);
}

/// In a thread of its own: where the machine can't be switched off the kernel ends the calling thread, and when that is
/// the last one of PID 1 it panics. Returns only when the kernel refuses.
fn tell_kernel(text: &'static str, mode: RebootMode) {
    let (sender, refused) = mpsc::channel();
    let told = thread::Builder::new().spawn(move || {
        let Err(errno) = reboot(mode);
        let _ = sender.send(errno);
    });
    let error = match told {
        // The end of the thread by the kernel's hand drops no sender: this waits as long as the machine is up.
        Ok(_) => refused.recv().map_or_else(|error| error.to_string(), |errno| errno.desc().to_owned()),
        Err(error) => error.to_string(),
    };
    kernel_log::write(Severity::Error, &format!("vtl2-init: {text}: {error}"));
}

fn stop_everything(supervisor: &mut Supervisor) {
    for (signal, patience) in [(Signal::SIGTERM, supervisor.stop_grace()), (Signal::SIGKILL, KILL_WAIT)] {
        // -1: every process but this one. There may be none.
        match kill(Pid::from_raw(-1), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => {
                kernel_log::write(Severity::Warning, &format!("vtl2-init: {signal}: {}", error.desc()))
            }
        }
        // A stopped process acts on SIGTERM only when it goes on.
        let _ = kill(Pid::from_raw(-1), Signal::SIGCONT);
        if supervisor.wait_until_all_ended(Instant::now() + patience) {
            return;
        }
    }
    kernel_log::write(Severity::Warning, "vtl2-init: some processes did not end");
}
