//! Messages. What the program writes to standard output goes to the kernel log behind its name; the report goes there
//! by itself, without a name in front.

use std::{fs::OpenOptions, io::Write};

/// A line in the kernel log, `first-boot: …`.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.replace('\n', " "));
}

/// A record of its own in the kernel log, of severity 6 (information).
pub fn record(line: &str) {
    let written = OpenOptions::new().append(true).open("/dev/kmsg").and_then(|mut log| {
        // One write(2): the kernel makes a record of each.
        log.write(format!("<6>{line}\n").as_bytes())
    });
    if written.is_err() {
        say(line);
    }
}
