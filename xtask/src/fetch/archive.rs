//! Unpacks tarballs and Debian packages into a fresh directory, as if their author meant harm: nothing is
//! written outside the directory, no device, set-id bit, owner or time is taken over, and sizes are
//! capped. Equal archives give equal trees, whatever the umask, the user and the clock.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Control, chain, deb,
    deb::CountedFile,
    decompress::{Source, decompress},
    pipe,
    tree::Tree,
};

/// What to unpack. Compression is known by content, not by name.
#[derive(Clone, Copy, Debug)]
pub enum Archive<'a> {
    /// .tar, .tar.xz, .tar.gz, .tar.zst
    Tarball(&'a Path),
    /// All files that a Debian package would install.
    Package(&'a Path),
    /// A tarball inside a Debian package, by its path without leading `/`. Never touches the disk itself.
    TarballInPackage { package: &'a Path, member: &'a str },
}

impl Archive<'_> {
    fn file(&self) -> &Path {
        match self {
            Archive::Tarball(file) | Archive::Package(file) => file,
            Archive::TarballInPackage { package, .. } => package,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Leave out the one top folder that release tarballs have; an error if there are several.
    pub strip_top: bool,
    /// Modification time of everything unpacked, seconds since 1970. One time for all means that no file
    /// looks older than what it was made from.
    pub mtime: u64,
    /// What lies in /bin, /sbin, /lib and so on goes below usr, where it is on every system since those are links.
    pub merge_usr: bool,
    pub limits: Limits,
}

/// Beyond these an archive is taken for a bomb.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries: u64,
    pub bytes: u64,
}

impl Default for Limits {
    /// Ten times a Linux source tree.
    fn default() -> Self {
        Limits { entries: 1_000_000, bytes: 16 << 30 }
    }
}

/// What has been unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub directories: u64,
    pub files: u64,
    pub links: u64,
    /// Sum of the file sizes.
    pub bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot unpack {archive}: {reason}")]
    Broken { archive: String, reason: String },
    #[error("refusing to unpack {archive}: entry {entry:?} {reason}")]
    Refused { archive: String, entry: PathBuf, reason: String },
    #[error("cannot unpack {archive}: writing {}: {source}", path.display())]
    Write { archive: String, path: PathBuf, source: io::Error },
    #[error("unpacking {archive} was stopped")]
    Cancelled { archive: String },
}

/// Unpacks into `target`, which is made and must not exist or be empty. Progress is in bytes of the
/// archive file. Nothing is flushed to the disk; on an error what has been unpacked stays behind.
pub fn unpack(
    archive: Archive,
    target: &Path,
    options: &Options,
    control: &Control,
) -> Result<Unpacked, ArchiveError> {
    let name = archive_name(&archive);
    let broken = |error: io::Error| ArchiveError::Broken { archive: name.clone(), reason: chain(&error) };
    let total = fs::metadata(archive.file()).map_err(broken)?.len();
    let read = Arc::new(AtomicU64::new(0));
    let file = CountedFile::open(archive.file(), &read).map_err(broken)?;
    let stream = match archive {
        Archive::Tarball(_) => decompress(Box::new(file)),
        Archive::Package(_) => deb::data(file),
        Archive::TarballInPackage { member, .. } => decompress(deb::member(file, member)),
    };
    let report = || (control.progress)(read.load(Ordering::Relaxed).min(total), Some(total));
    let rerooted = matches!(archive, Archive::Package(_));
    let unpacked =
        unpack_stream(&name, stream.map_err(broken)?, target, options, rerooted, &report, control)?;
    (control.progress)(total, Some(total));
    Ok(unpacked)
}

/// Unpacks a decompressed tar stream that a program writes, such as `git archive`.
pub fn unpack_tar(
    name: &str,
    stream: Source,
    target: &Path,
    options: &Options,
    control: &Control,
) -> Result<Unpacked, ArchiveError> {
    unpack_stream(name, stream, target, options, false, &|| {}, control)
}

/// Copies one file out of a Debian package's data, at most `limit` bytes of it. Answers its size.
pub fn extract_member(
    package: &Path,
    member: &str,
    limit: u64,
    out: &mut dyn Write,
) -> Result<u64, ArchiveError> {
    let name = package.display().to_string();
    let broken = |error: io::Error| ArchiveError::Broken { archive: name.clone(), reason: chain(&error) };
    let file = CountedFile::open(package, &Arc::default()).map_err(broken)?;
    let copied = io::copy(&mut deb::member(file, member).take(limit + 1), out).map_err(broken)?;
    if copied > limit {
        let reason = format!("{member} in the package is larger than {limit} bytes");
        return Err(ArchiveError::Broken { archive: name, reason });
    }
    Ok(copied)
}

fn archive_name(archive: &Archive) -> String {
    match archive {
        Archive::Tarball(file) | Archive::Package(file) => file.display().to_string(),
        Archive::TarballInPackage { package, member } => format!("{member} in {}", package.display()),
    }
}

fn unpack_stream(
    name: &str,
    stream: Source,
    target: &Path,
    options: &Options,
    rerooted: bool,
    report: &dyn Fn(),
    control: &Control,
) -> Result<Unpacked, ArchiveError> {
    let mut tree = Tree::create(name, target, options, rerooted)?;
    // Decoding on its own thread, so that it overlaps with the writing of files.
    let mut stream = stream;
    let decoded = pipe::spawn(move |out| io::copy(&mut stream, out).map(drop));
    let mut tar = tar::Archive::new(EndWatch { inner: decoded, trailing_zeros: 0 });
    let broken = |error| ArchiveError::Broken { archive: name.to_owned(), reason: explain(&error) };
    for entry in tar.entries().map_err(broken)? {
        if control.cancelled() {
            return Err(ArchiveError::Cancelled { archive: name.to_owned() });
        }
        tree.add(&mut entry.map_err(broken)?)?;
        if tree.entries() % 256 == 0 {
            report();
        }
    }
    // The checksum of the compression comes after the end of the tar stream.
    let mut rest = tar.into_inner();
    let extra =
        io::copy(&mut rest.by_ref().take(options.limits.bytes + 1), &mut io::sink()).map_err(broken)?;
    if extra > options.limits.bytes || rest.trailing_zeros < 512 {
        return Err(broken(io::Error::other(
            "it has no end marker, so it is truncated or not a tar archive",
        )));
    }
    tree.finish()
}

/// What the tar crate says, without the garbage that it quotes from damaged headers.
fn explain(error: &io::Error) -> String {
    let text = chain(error);
    if text.contains("unexpected EOF") || text.contains("failed to read entire block") {
        return "it is truncated".to_owned();
    }
    match text.contains(|character: char| character.is_control() || character == char::REPLACEMENT_CHARACTER)
    {
        true => "it is not a tar archive, or damaged".to_owned(),
        false => text,
    }
}

/// Sees whether a stream ends in a block of zeros, as every complete tar archive does (POSIX pax,
/// "ustar Interchange Format"); the tar crate takes any block boundary for the end.
struct EndWatch<R> {
    inner: R,
    trailing_zeros: usize,
}

impl<R: Read> Read for EndWatch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let zeros = buffer[..count].iter().rev().take_while(|byte| **byte == 0).take(512).count();
        let all = zeros == count.min(512);
        self.trailing_zeros = if all { (self.trailing_zeros + zeros).min(1024) } else { zeros };
        Ok(count)
    }
}
