//! A machine under emulation whose serial console is QEMU's standard output.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::Instant,
};

/// Ends with its owner, whichever way that goes.
pub struct Console {
    machine: Child,
    lines: mpsc::Receiver<String>,
}

impl Console {
    /// The same with a keyboard, which the command has as its standard input.
    pub fn start_typed(command: &mut Command) -> (Console, ChildStdin) {
        let mut console = Console::start(command);
        let keyboard = console.machine.stdin.take().expect("it is a pipe");
        (console, keyboard)
    }

    pub fn start(command: &mut Command) -> Console {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut machine = spawned.unwrap_or_else(|error| {
            panic!("can't run {:?}: {error}; `cargo xtask doctor --install` brings it", command.get_program())
        });
        let (sender, lines) = mpsc::channel();
        let stdout = machine.stdout.take().expect("it is a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Console { machine, lines }
    }

    /// Exit status of a machine that ends by itself.
    pub fn ended(&mut self) -> i32 {
        self.machine.wait().unwrap().code().unwrap_or(-1)
    }

    /// Everything up to the first line with `wanted`; a machine that ends or hangs before fails the test.
    pub fn wait_for(&mut self, wanted: &str, end: Instant) -> String {
        let mut console = String::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    console += line.trim_end();
                    console.push('\n');
                    if line.contains(wanted) {
                        return console;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("no {wanted:?} in time; console:\n{console}")
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let mut said = String::new();
                    let stderr = self.machine.stderr.take().expect("taken once");
                    let _ = BufReader::new(stderr).read_to_string(&mut said);
                    panic!("the machine ended before {wanted:?}; it said {said:?}; console:\n{console}");
                }
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}
