//! Forwards what services print to the kernel log, a record a line.

use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::kernel_log::{self, Severity};

/// Longer lines are cut: a record holds 1024 bytes, the name of the service among them.
const LONGEST_LINE_BYTES: usize = 900;
/// How much is read of one service before others have their turn.
const READ_BYTES: usize = 4096;

/// The reading end of a service's standard output and error. Open as long as anyone holds the other end.
pub struct Output {
    name: String,
    pipe: PipeReader,
    lines: Lines,
}

impl Output {
    pub fn new(name: &str, pipe: PipeReader) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { name: name.to_owned(), pipe, lines: Lines::default() })
    }

    /// Forwards what is there. `false` once nothing more can come.
    pub fn forward(&mut self) -> bool {
        let mut buffer = [0; READ_BYTES];
        let (lines, open) = match self.pipe.read(&mut buffer) {
            Ok(0) => (self.lines.finish(), false),
            Ok(length) => (self.lines.push(&buffer[..length]), true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return true;
            }
            Err(_) => (self.lines.finish(), false),
        };
        for line in lines {
            kernel_log::write(Severity::Info, &format!("{}: {line}", self.name));
        }
        open
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Bytes in, lines out.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` completes; empty ones are left out.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.begun.push(byte);
            }
            if byte == b'\n' || self.begun.len() == LONGEST_LINE_BYTES {
                complete.extend(self.finish());
            }
        }
        complete
    }

    /// The line begun, when there is one.
    fn finish(&mut self) -> Vec<String> {
        let line = String::from_utf8_lossy(&self.begun).trim_end().to_owned();
        self.begun.clear();
        if line.is_empty() { Vec::new() } else { vec![line] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check = |pieces: &[&[u8]], wanted: &[&str]| {
            let mut lines = Lines::default();
            let mut got: Vec<String> = pieces.iter().flat_map(|piece| lines.push(piece)).collect();
            got.extend(lines.finish());
            assert_eq!(got, wanted);
        };
        check(&[b"one\ntwo\n"], &["one", "two"]);
        check(&[b"o", b"ne\r\n\n\ntw", b"o"], &["one", "two"]);
        check(&[b"\xff\n"], &["\u{fffd}"]);
        let long = [b'x'; LONGEST_LINE_BYTES + 1];
        check(&[&long], &[&"x".repeat(LONGEST_LINE_BYTES), "x"]);
        check(&[&long[..LONGEST_LINE_BYTES], b"\n"], &[&"x".repeat(LONGEST_LINE_BYTES)]);
        check(&[], &[]);
    }
}
