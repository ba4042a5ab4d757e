//! Why the kernel isn't started, in words.

use core::fmt::{self, Display, Write};

use crate::{Range, blob::Bad};

/// Why the kernel isn't started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The page that the build fills in makes no sense.
    Plan(&'static str),
    KernelDigest,
    InitramfsDigest,
    MemoryMap(&'static str),
    /// What is named has no memory of this level.
    NoRoom {
        what: &'static str,
        range: Range,
    },
    NoProcessors,
    TooManyProcessors {
        count: u32,
    },
    HostTree(Bad),
    HostProcessors {
        count: u32,
        named: usize,
    },
    SameProcessor {
        id: u64,
    },
    Template(Bad),
    TemplateLacks(&'static str),
    TreeTooLarge,
    Redistributors {
        bytes: u64,
        cpus: usize,
    },
    HostOptions(&'static str),
    /// Where in the host's text it begins, and how long it is.
    HostOption {
        start: usize,
        length: usize,
    },
    CommandLineTooLong {
        most: usize,
    },
    TooManyRanges,
}

impl Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Failure::Plan(what) => write!(to, "the shim's own page is wrong: {what}"),
            Failure::KernelDigest => to.write_str("the kernel is not the one that the file was built with"),
            Failure::InitramfsDigest => {
                to.write_str("the initramfs is not the one that the file was built with")
            }
            Failure::MemoryMap(what) => write!(to, "the host's memory map is wrong: {what}"),
            Failure::NoRoom { what, range } => write!(
                to,
                "the host's memory map has no room for the {what} at {:#x} to {:#x}",
                range.start, range.end
            ),
            Failure::NoProcessors => to.write_str("the host says that there is no processor"),
            Failure::TooManyProcessors { count } => {
                write!(to, "the host says that there are {count} processors, more than {}", crate::CPUS_MAX)
            }
            Failure::HostTree(bad) => write!(to, "the host's device tree is wrong: {bad}"),
            Failure::HostProcessors { count, named } => {
                write!(
                    to,
                    "the host says that there are {count} processors, and its device tree names {named}"
                )
            }
            Failure::SameProcessor { id } => {
                write!(to, "the host's device tree names processor {id:#x} twice")
            }
            Failure::Template(bad) => write!(to, "the built-in device tree is wrong: {bad}"),
            Failure::TemplateLacks(what) => write!(to, "the built-in device tree has no {what}"),
            Failure::TreeTooLarge => {
                to.write_str("the kernel's device tree has no room for all that the host describes")
            }
            Failure::Redistributors { bytes, cpus } => {
                write!(
                    to,
                    "the interrupt controller has {bytes:#x} bytes for {cpus} processors, which is too little"
                )
            }
            Failure::HostOptions(what) => {
                write!(to, "what the host adds to the command line is wrong: {what}")
            }
            Failure::HostOption { .. } => {
                to.write_str("the host adds an option to the command line that it may not")
            }
            Failure::CommandLineTooLong { most } => {
                write!(to, "the command line is longer than the {most} bytes that the kernel reads")
            }
            Failure::TooManyRanges => to.write_str("the host's memory has too many pieces"),
        }
    }
}

/// Text in a fixed buffer; what has no room is left out.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    bytes: [u8; 240],
    length: usize,
}

impl Text {
    pub fn of(what: &impl Display) -> Text {
        let mut text = Text { bytes: [0; 240], length: 0 };
        let _ = write!(text, "{what}");
        text
    }

    /// Adds a piece of the host's text, as far as it is printable.
    pub fn quote(&mut self, piece: &[u8]) {
        let _ = self.write_str(": ");
        for byte in piece.iter().filter(|byte| matches!(byte, b'!'..=b'~')).take(60) {
            let _ = self.write_char(char::from(*byte));
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let Some(place) = self.bytes.get_mut(self.length) else { return Err(fmt::Error) };
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}
