//! Debian binary packages (deb(5)): an `ar` archive with `debian-binary`, `control.tar*` and `data.tar*`.
//! Only the data is of interest here, and only as a stream: nothing is installed and no script is run.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    decompress::{Source, decompress},
    pipe,
};

/// A file that counts how much of it has been read.
pub struct CountedFile {
    file: File,
    read: Arc<AtomicU64>,
}

impl CountedFile {
    pub fn open(path: &Path, read: &Arc<AtomicU64>) -> io::Result<CountedFile> {
        Ok(CountedFile { file: File::open(path)?, read: read.clone() })
    }
}

impl Read for CountedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The decompressed tar stream of the package's data.
pub fn data(package: CountedFile) -> io::Result<Source> {
    decompress(Box::new(pipe::spawn(move |out| copy_data(package, out))))
}

/// The content of one file of the package's data; `member` is its path without a leading `/` or `./`.
/// The reader ends with an error if there is no such file.
pub fn member(package: CountedFile, member: &str) -> Source {
    let member = member.to_owned();
    Box::new(pipe::spawn(move |out| {
        let mut tar = tar::Archive::new(data(package)?);
        for entry in tar.entries()? {
            let mut entry = entry?;
            if entry.path()?.strip_prefix("./").unwrap_or(&entry.path()?) != Path::new(&member) {
                continue;
            }
            if !entry.header().entry_type().is_file() {
                return Err(io::Error::other(format!("{member} in the package is not a regular file")));
            }
            let (size, copied) = (entry.size(), io::copy(&mut entry, out)?);
            return if copied == size { Ok(()) } else { Err(truncated("data.tar", copied, size)) };
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("the package has no file {member}")))
    }))
}

fn copy_data(package: CountedFile, out: &mut dyn Write) -> io::Result<()> {
    let mut archive = ar::Archive::new(io::BufReader::with_capacity(256 << 10, package));
    let not_a_package =
        |reason: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not a Debian package: {reason}"));
    let mut first = true;
    while let Some(entry) = archive.next_entry() {
        let mut entry = entry.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => not_a_package(&error.to_string()),
            _ => error,
        })?;
        let name = String::from_utf8_lossy(entry.header().identifier()).trim_end_matches('/').to_owned();
        if std::mem::take(&mut first) {
            let mut version = String::new();
            entry.by_ref().take(16).read_to_string(&mut version)?;
            if name != "debian-binary" || !version.starts_with("2.") {
                return Err(not_a_package("it does not begin with debian-binary 2.x"));
            }
            continue;
        }
        if name == "data.tar" || name.starts_with("data.tar.") {
            let size = entry.header().size();
            let copied = io::copy(&mut entry, out)?;
            return if copied == size { Ok(()) } else { Err(truncated(&name, copied, size)) };
        }
    }
    Err(not_a_package("it has no data.tar"))
}

fn truncated(name: &str, got: u64, wanted: u64) -> io::Error {
    let text = format!("{name} is truncated: {got} of {wanted} bytes");
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}
