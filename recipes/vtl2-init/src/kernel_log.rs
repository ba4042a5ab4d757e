//! The kernel log: reading what the kernel said, and writing to it (`/dev/kmsg`, Documentation/ABI/testing/dev-kmsg).
//!
//! It is the one channel that is always there: in VTL 2 on x86 what user space writes to `/dev/console` is not seen.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::trust_level::LogState;

/// The kernel refuses a longer write (`PRINTKRB_RECORD_MAX`, priority and line end included).
const LONGEST_RECORD_BYTES: usize = 1024;
/// Room for text beside `<6>` and the line end.
pub const LONGEST_TEXT_BYTES: usize = LONGEST_RECORD_BYTES - 4;

const KMSG: &str = "/dev/kmsg";
const CONSOLE: &str = "/dev/console";
/// A read takes one record, at most 8 KiB (`PRINTK_MESSAGE_MAX`) whatever its length was when written.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Severity of a record, as in syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Writes one record, or, with no kernel log to write to, one line to the console. Never fails: there is nobody to tell.
///
/// The device is opened each time: `/dev` may be mounted over between two records.
pub fn write(severity: Severity, text: &str) {
    let mut record = format!("<{}>{}", severity as u8, text.replace('\n', " "));
    while record.len() >= LONGEST_RECORD_BYTES {
        record.pop();
    }
    record.push('\n');
    if append(Path::new(KMSG), record.as_bytes()).is_err() {
        let _ = append(Path::new(CONSOLE), format!("{text}\n").as_bytes());
    }
}

/// One write(2) a record: the kernel makes a record of each.
fn append(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .custom_flags((OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits())
        .open(path)?;
    file.write(bytes).map(drop)
}

/// What the kernel itself said so far (facility 0), oldest first, and whether that is all of it.
pub fn read() -> (Vec<String>, LogState) {
    let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(KMSG);
    match opened {
        Ok(file) => read_from(file),
        Err(_) => (Vec::new(), LogState::Unreadable),
    }
}

fn read_from(mut file: File) -> (Vec<String>, LogState) {
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut log = Collected::default();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => log.add(&String::from_utf8_lossy(&buffer[..length])),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // EPIPE: the record to be read next has been overwritten; reading goes on with the oldest there is.
            Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => log.gap = true,
            Err(_) => return (log.lines, LogState::Unreadable),
        }
    }
    let state = match log {
        Collected { first: None, .. } => LogState::Unreadable,
        Collected { first: Some(0), gap: false, .. } => LogState::Complete,
        Collected { .. } => LogState::Incomplete,
    };
    (log.lines, state)
}

/// Lines of the kernel among the records read so far.
#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    /// Sequence number of the first record seen; the kernel counts from 0.
    first: Option<u64>,
    gap: bool,
}

impl Collected {
    /// Adds the records in `text`: `prefix,sequence,time,flags[,…];message`, then indented `KEY=value` lines.
    fn add(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let Some((header, message)) = line.split_once(';') else {
                continue;
            };
            let mut fields = header.split(',');
            let number = |field: Option<&str>| field.and_then(|text| text.parse::<u64>().ok());
            let (Some(prefix), Some(sequence)) = (number(fields.next()), number(fields.next())) else {
                continue;
            };
            self.first.get_or_insert(sequence);
            // User space can't write with facility 0: the kernel makes it 1 (devkmsg_write).
            if prefix >> 3 == 0 {
                self.lines.push(message.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let check = |text: &str, lines: &[&str], state: LogState| {
            let path = tempfile::NamedTempFile::new().expect("temporary file");
            std::fs::write(path.path(), text).expect("written");
            let read = read_from(File::open(path.path()).expect("opened"));
            assert_eq!(
                (read.0.iter().map(String::as_str).collect(), read.1),
                (lines.to_vec(), state),
                "{text:?}"
            );
        };
        check(
            "5,0,0,-;Linux version\n6,1,10,-;Hello; world\n SUBSYSTEM=acpi\n",
            &["Linux version", "Hello; world"],
            LogState::Complete,
        );
        check("6,0,0,-,caller=T1;with a caller\n", &["with a caller"], LogState::Complete);
        check("6,17,0,-;late\n", &["late"], LogState::Incomplete);
        // Facility 1 is user space.
        check("6,0,0,-;kernel\n14,1,5,-;user\n12,2,6,-;user\n", &["kernel"], LogState::Complete);
        check("no record\nx,y;z\n", &[], LogState::Unreadable);
        check("", &[], LogState::Unreadable);
    }
}
