//! Watching one running child: its output, its end, the clock and the cancel flag, in one poll loop.
//!
//! One thread does it all on purpose: the kernel's parent-death signal counts the death of the *thread*
//! that started the child, so that thread has to stay until the child has gone.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::Limits;

/// Longest sleep between two looks at the cancel flag.
const STEP: Duration = Duration::from_millis(50);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// Why a child was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Cancelled,
    TimeUp,
}

/// The read end of a pipe and who takes what comes through it.
pub(super) struct Stream<'a> {
    pipe: io::PipeReader,
    take: &'a mut dyn FnMut(&[u8]),
    open: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(pipe: io::PipeReader, take: &'a mut dyn FnMut(&[u8])) -> Stream<'a> {
        Stream { pipe, take, open: true }
    }

    /// Takes what is there without waiting for more.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        while self.open {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(count) => (self.take)(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Waits until the child has ended, by itself or stopped. Nothing of its process group is left behind.
pub(super) fn supervise(
    mut child: Child,
    limits: Limits,
    mut streams: Vec<Stream>,
) -> io::Result<(ExitStatus, Option<Stop>)> {
    let watched = watch(&child, limits, &mut streams);
    // The dead child is not yet reaped, so the number of its group can't have been given to another.
    kill_group(&child, Signal::KILL);
    let status = child.wait()?;
    Ok((status, watched?))
}

fn watch(child: &Child, limits: Limits, streams: &mut [Stream]) -> io::Result<Option<Stop>> {
    for stream in &*streams {
        rustix::fs::fcntl_setfl(&stream.pipe, OFlags::NONBLOCK)?;
    }
    let process = rustix::process::pidfd_open(pid(child), PidfdFlags::empty())?;
    let started = Instant::now();
    let mut stopping: Option<(Stop, Instant)> = None;
    while !wait_for_event(&process, streams)? {
        for stream in &mut *streams {
            stream.drain()?;
        }
        match stopping {
            None => {
                if let Some(stop) = must_stop(limits, started) {
                    kill_group(child, Signal::TERM);
                    stopping = Some((stop, Instant::now()));
                }
            }
            Some((_, since)) if since.elapsed() >= GRACE => kill_group(child, Signal::KILL),
            Some(_) => {}
        }
    }
    for stream in streams {
        stream.drain()?;
    }
    Ok(stopping.map(|(stop, _)| stop))
}

/// Sleeps until there is output, the child has ended (true), or the step is over.
fn wait_for_event(process: &OwnedFd, streams: &[Stream]) -> io::Result<bool> {
    let mut polled = vec![PollFd::new(process, PollFlags::IN)];
    polled.extend(streams.iter().filter(|s| s.open).map(|s| PollFd::new(&s.pipe, PollFlags::IN)));
    let step = Timespec { tv_sec: 0, tv_nsec: STEP.subsec_nanos().into() };
    match rustix::event::poll(&mut polled, Some(&step)) {
        Ok(_) => Ok(!polled[0].revents().is_empty()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn must_stop(limits: Limits, started: Instant) -> Option<Stop> {
    if limits.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        return Some(Stop::Cancelled);
    }
    limits.timeout.filter(|limit| started.elapsed() >= *limit).map(|_| Stop::TimeUp)
}

/// The group is gone when every process in it is; that is no error.
fn kill_group(child: &Child, signal: Signal) {
    let _ = rustix::process::kill_process_group(pid(child), signal);
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
