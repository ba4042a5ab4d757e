//! Time, and a timer that brings VTL2 back.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    time::clock_gettime,
};

pub struct Clock {
    timer: TimerFd,
}

impl Clock {
    pub fn new() -> Result<Clock, String> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC);
        Ok(Clock { timer: timer.map_err(|error| format!("a timer: {error} (CONFIG_TIMERFD)"))? })
    }

    /// Readable once the time that was set has come.
    pub fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Since some moment before now.
    pub fn now_ns(&self) -> u64 {
        let now = clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
        now.map_or(0, |now| now.as_nanos() as u64)
    }

    /// When the timer is to fire; one that is past fires at once.
    pub fn set(&self, deadline_ns: Option<u64>) {
        let set = match deadline_ns {
            Some(at) => {
                let at = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => self.timer.unset(),
        };
        // Only a time that doesn't fit is refused, and none such is made here.
        debug_assert!(set.is_ok());
    }

    /// Until the timer fires, or a signal comes.
    pub fn wait(&self) {
        let _ = poll(&mut [PollFd::new(self.timer.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
    }
}
