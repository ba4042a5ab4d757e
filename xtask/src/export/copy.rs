//! Copies of files that may be large and sparse.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use anyhow::{Context as _, Result};
use rustix::{fs::SeekFrom, io::Errno};

/// Copies a file, keeping its holes, so that a sparse disk stays sparse; shares the blocks where the file
/// system can. `to` must not exist.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> {
        let source = File::open(from)?;
        let target = File::create_new(to)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
            return Ok(());
        }
        copy_extents(&source, &target, copy_in_kernel)
    };
    copy().with_context(|| format!("can't copy {} to {}", from.display(), to.display()))
}

/// Copies up to `length` bytes that stand at `position` in both files; says how many.
type CopyPart = fn(source: &File, target: &File, position: u64, length: u64) -> io::Result<u64>;

fn copy_extents(source: &File, target: &File, copy_part: CopyPart) -> io::Result<()> {
    let end = source.metadata()?.len();
    target.set_len(end)?;
    let mut position = 0;
    while let Some((data, hole)) = next_extent(source, position, end)? {
        position = data;
        while position < hole {
            let copied = copy_part(source, target, position, hole - position)?;
            if copied == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            position += copied;
        }
    }
    Ok(())
}

/// Begin and end of the first data at or behind `position`. A file system that can't tell holes has none.
pub fn next_extent(source: &File, position: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    if position >= end {
        return Ok(None);
    }
    let data = match rustix::fs::seek(source, SeekFrom::Data(position)) {
        Ok(data) => data,
        // Nothing but a hole up to the end.
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((position, end))),
        Err(error) => return Err(error.into()),
    };
    let hole = rustix::fs::seek(source, SeekFrom::Hole(data))?;
    Ok(Some((data, hole.min(end))))
}

/// By copy_file_range(2), which some pairs of file systems and some kernels refuse.
fn copy_in_kernel(source: &File, target: &File, position: u64, length: u64) -> io::Result<u64> {
    let (mut from, mut to) = (position, position);
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), wanted) {
        // Zero may mean a shorter file, or a file system that says so instead of refusing.
        Ok(0) => copy_by_hand(source, target, position, length),
        Ok(copied) => Ok(copied as u64),
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
            copy_by_hand(source, target, position, length)
        }
        Err(error) => Err(error.into()),
    }
}

fn copy_by_hand(source: &File, target: &File, position: u64, length: u64) -> io::Result<u64> {
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(1 << 20)];
    let count = source.read_at(&mut buffer, position)?;
    target.write_all_at(&buffer[..count], position)?;
    Ok(count as u64)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A file of `size_bytes` with data at these places and holes between them.
    fn sparse(path: &Path, size_bytes: u64, data: &[(u64, &[u8])]) -> File {
        let file = File::create_new(path).unwrap();
        file.set_len(size_bytes).unwrap();
        data.iter().for_each(|(position, bytes)| file.write_all_at(bytes, *position).unwrap());
        File::open(path).unwrap()
    }

    #[track_caller]
    fn check(size_bytes: u64, data: &[(u64, &[u8])]) {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let source = sparse(&from, size_bytes, data);
        copy(&from, &to).unwrap();
        let by_extents: [(&str, CopyPart); 2] = [("in kernel", copy_in_kernel), ("by hand", copy_by_hand)];
        let mut copies = vec![to];
        for (name, copy_part) in by_extents {
            let to = folder.path().join(name);
            copy_extents(&source, &File::create_new(&to).unwrap(), copy_part).unwrap();
            copies.push(to);
        }
        let blocks = fs::metadata(&from).unwrap().blocks();
        for copy in copies {
            assert!(fs::read(&copy).unwrap() == fs::read(&from).unwrap(), "{}", copy.display());
            let copied = fs::metadata(&copy).unwrap().blocks();
            // Room for what a file system keeps beside the data.
            assert!(copied <= blocks + 64, "{}: {copied} blocks of {blocks}", copy.display());
        }
    }

    #[test]
    fn content_and_holes_are_kept() {
        let noise: Vec<u8> = (0..2 * MIB).map(|number| (number % 251) as u8).collect();
        check(0, &[]);
        check(1, &[(0, b"x")]);
        check(16 * MIB, &[]);
        check(16 * MIB, &[(0, b"begin"), (8 * MIB + 7, &noise), (16 * MIB - 3, b"end")]);
        check(16 * MIB + 511, &[(5 * MIB, &noise)]);
    }

    /// /dev/shm is a file system of its own nearly everywhere; what counts is that the copy is right.
    #[test]
    fn from_one_file_system_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let (from, to) = (folder.path().join("from"), other.path().join("to"));
        sparse(&from, 8 * MIB, &[(MIB, b"data"), (7 * MIB, &[7; 70_000])]);
        copy(&from, &to).unwrap();
        assert!(fs::read(&to).unwrap() == fs::read(&from).unwrap());
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let error = format!("{:#}", copy(&from, &to).unwrap_err());
        assert_eq!(
            error,
            format!("can't copy {} to {}: File exists (os error 17)", from.display(), to.display())
        );
        assert_eq!(fs::read(&to).unwrap(), b"old");
    }
}
