//! cpio archives in the new ASCII format ("newc", magic 070701), as the Linux kernel unpacks them into its initramfs.
//!
//! Nothing is taken from a file system: owner, mode and time of each entry are given, inode numbers count up from 1,
//! and entries are sorted by path, so that a directory comes before what it holds. A directory that entries need and
//! nobody gave is an error, as its mode would be a guess; [`add_missing_parents`] is there to say what it shall be.
//! Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use crate::layout::read_full;

/// The kernel's PATH_MAX, which includes the terminating NUL.
const MAX_PATH_BYTES: usize = 4095;
const MAX_FILE_BYTES: u64 = u32::MAX as u64;
const ARCHIVE_STEP_BYTES: u64 = 512;
const TRAILER: &str = "TRAILER!!!";

/// One member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path relative to the root, single slashes between names: `dev/console`.
    pub path: String,
    pub kind: Kind,
    pub meta: Meta,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    /// `source` is the caller's name for the contents.
    File {
        source: String,
        length_bytes: u64,
    },
    Symlink {
        target: String,
    },
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
}

/// Permissions (the lower twelve bits of a mode), owner and time of modification (seconds since 1970).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub permissions: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: u32,
}

/// Why an archive cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    #[error("path {path:?} in an archive: {reason}")]
    Path { path: String, reason: &'static str },
    #[error("{path} is in the archive twice")]
    Duplicate { path: String },
    #[error("{path} needs the directory {parent}, which is not in the archive")]
    MissingParent { path: String, parent: String },
    #[error("{path} lies in {parent}, which is not a directory")]
    ParentNotDirectory { path: String, parent: String },
    #[error("target {target:?} of the symbolic link {path} is empty, has a NUL or is too long")]
    Target { path: String, target: String },
    #[error("permissions {permissions:o} of {path} have more than twelve bits")]
    Permissions { path: String, permissions: u32 },
    #[error("{path} has {length_bytes} bytes, but an archive holds files of at most {MAX_FILE_BYTES}")]
    FileTooLarge { path: String, length_bytes: u64 },
}

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot read {source_name} for {path}")]
    Source {
        path: String,
        source_name: String,
        #[source]
        cause: io::Error,
    },
    #[error("{source_name} for {path} does not have the {planned} bytes that the archive was laid out for")]
    SourceLength { path: String, source_name: String, planned: u64 },
    #[error("cannot write the archive")]
    Output(#[from] io::Error),
}

/// Entries that are checked and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    entries: Vec<Entry>,
}

impl Archive {
    /// Checks and sorts entries; the order given makes no difference.
    pub fn new(entries: Vec<Entry>) -> Result<Self, CpioError> {
        let mut by_path: BTreeMap<Vec<String>, Entry> = BTreeMap::new();
        for entry in entries {
            check(&entry)?;
            if let Some(same) = by_path.insert(names(&entry.path), entry) {
                return Err(CpioError::Duplicate { path: same.path });
            }
        }
        for (key, entry) in &by_path {
            let Some(parent) = parent(&entry.path).map(str::to_owned) else {
                continue;
            };
            let path = entry.path.clone();
            match by_path.get(&key[..key.len() - 1]).map(|found| &found.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(CpioError::ParentNotDirectory { path, parent }),
                None => return Err(CpioError::MissingParent { path, parent }),
            }
        }
        Ok(Archive { entries: by_path.into_values().collect() })
    }

    /// The entries in the order in which they are written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes the archive, padded to a multiple of 512 bytes, and flushes `out`. `open` gets the `source` of each file
    /// in turn, and returns contents that must be exactly as long as planned.
    pub fn write<R: Read>(
        &self,
        mut open: impl FnMut(&str) -> io::Result<R>,
        out: &mut impl Write,
    ) -> Result<(), WriteError> {
        let mut out = Counting { out, written: 0 };
        for (inode, entry) in (1..).zip(&self.entries) {
            let header = Header::of(entry, inode);
            out.header(&header, &entry.path)?;
            match &entry.kind {
                Kind::File { source, length_bytes } => {
                    copy(&entry.path, source, *length_bytes, &mut open, &mut out)?
                }
                Kind::Symlink { target } => out.write_all(target.as_bytes())?,
                Kind::Directory | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {}
            }
            out.pad(4)?;
        }
        out.header(&Header::default(), TRAILER)?;
        out.pad(ARCHIVE_STEP_BYTES)?;
        Ok(out.flush()?)
    }
}

/// Adds every directory that an entry lies in and that is not there, with the metadata given.
pub fn add_missing_parents(entries: &mut Vec<Entry>, meta: Meta) {
    let mut known: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    let mut next = 0;
    while next < known.len() {
        let above = parent(&known[next]).map(str::to_owned);
        next += 1;
        if let Some(path) = above.filter(|path| !path.is_empty() && !known.contains(path)) {
            known.push(path.clone());
            entries.push(Entry { path, kind: Kind::Directory, meta });
        }
    }
}

/// A path as a list of names, so that a directory sorts right before what it holds.
fn names(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

fn check(entry: &Entry) -> Result<(), CpioError> {
    let path = entry.path.clone();
    if let Some(reason) = wrong_with(&path) {
        return Err(CpioError::Path { path, reason });
    }
    let permissions = entry.meta.permissions;
    if permissions & !0o7777 != 0 {
        return Err(CpioError::Permissions { path, permissions });
    }
    match &entry.kind {
        Kind::File { length_bytes, .. } if *length_bytes > MAX_FILE_BYTES => {
            Err(CpioError::FileTooLarge { path, length_bytes: *length_bytes })
        }
        Kind::Symlink { target }
            if target.is_empty() || target.contains('\0') || target.len() > MAX_PATH_BYTES =>
        {
            Err(CpioError::Target { path, target: target.clone() })
        }
        _ => Ok(()),
    }
}

fn wrong_with(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("it is empty")
    } else if path.starts_with('/') {
        Some("it is absolute; paths are relative to the root")
    } else if path.contains('\0') {
        Some("it has a NUL")
    } else if path.len() > MAX_PATH_BYTES {
        Some("it is longer than 4095 bytes")
    } else if path.split('/').any(|name| name.is_empty() || name == "." || name == "..") {
        Some("it has an empty name, `.` or `..` in it")
    } else if path == TRAILER {
        Some("this name ends an archive")
    } else {
        None
    }
}

/// The numbers of an entry's header, without the length of its name.
#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    meta: Meta,
    links: u32,
    length_bytes: u32,
    device: (u32, u32),
}

impl Header {
    fn of(entry: &Entry, inode: u32) -> Self {
        // File type bits of a mode: S_IFMT in stat.h.
        let (file_type, links, length_bytes, device) = match &entry.kind {
            Kind::Directory => (0o040000, 2, 0, (0, 0)),
            // Checked in `check` to fit into 32 bits.
            Kind::File { length_bytes, .. } => (0o100000, 1, *length_bytes as u32, (0, 0)),
            Kind::Symlink { target } => (0o120000, 1, target.len() as u32, (0, 0)),
            Kind::CharDevice { major, minor } => (0o020000, 1, 0, (*major, *minor)),
            Kind::BlockDevice { major, minor } => (0o060000, 1, 0, (*major, *minor)),
        };
        Header {
            inode,
            mode: file_type | entry.meta.permissions,
            meta: entry.meta,
            links,
            length_bytes,
            device,
        }
    }
}

/// An output that knows how far it got, which is what padding is counted from.
struct Counting<W> {
    out: W,
    written: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Counting<W> {
    fn header(&mut self, header: &Header, name: &str) -> io::Result<()> {
        let fields = [
            header.inode,
            header.mode,
            header.meta.uid,
            header.meta.gid,
            header.links.max(1),
            header.meta.mtime,
            header.length_bytes,
            0, // Device of the file system, major
            0, // and minor
            header.device.0,
            header.device.1,
            name.len() as u32 + 1,
            0, // Checksum, only in format 070702
        ];
        let mut text = String::from("070701");
        for field in fields {
            text.push_str(&format!("{field:08X}"));
        }
        text.push_str(name);
        text.push('\0');
        self.write_all(text.as_bytes())?;
        self.pad(4)
    }

    fn pad(&mut self, step: u64) -> io::Result<()> {
        let missing = self.written.next_multiple_of(step) - self.written;
        self.write_all(&[0; ARCHIVE_STEP_BYTES as usize][..missing as usize])
    }
}

fn copy<R: Read>(
    path: &str,
    source: &str,
    planned: u64,
    open: &mut impl FnMut(&str) -> io::Result<R>,
    out: &mut impl Write,
) -> Result<(), WriteError> {
    let failed = |cause| WriteError::Source { path: path.to_owned(), source_name: source.to_owned(), cause };
    let mut reader = open(source).map_err(failed)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut left = planned;
    loop {
        let count = read_full(&mut reader, &mut buffer).map_err(failed)?;
        if count as u64 > left || (count < buffer.len() && (count as u64) < left) {
            return Err(WriteError::SourceLength {
                path: path.to_owned(),
                source_name: source.to_owned(),
                planned,
            });
        }
        out.write_all(&buffer[..count])?;
        left -= count as u64;
        if count < buffer.len() {
            return Ok(());
        }
    }
}
