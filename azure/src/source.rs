//! The file that is sent: which parts of it hold data, and their digests.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use release::Digest;
use rustix::{fs::SeekFrom, io::Errno};

use crate::ranges::{self, LIMIT_BYTES, PAGE_BYTES};

/// Raised when the same file is cut into other pieces.
const FORMAT: u32 = 1;

pub struct Source {
    path: PathBuf,
    file: File,
    pub size_bytes: u64,
    /// In order, each at most 4 MiB, without those that are zeros.
    pub pieces: Vec<Piece>,
    /// Over size, places and digests of the pieces.
    pub identity: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub range: Range<u64>,
    pub sha256: Digest,
    /// Tells cheaply whether the file has changed; nothing else relies on it.
    crc32: u32,
}

impl Source {
    /// Reads all data of the file once; holes are skipped.
    pub fn scan(path: &Path) -> Result<Source, String> {
        let told = |error: io::Error| format!("can't read {}: {error}", path.display());
        let file = File::open(path).map_err(told)?;
        let size_bytes = file.metadata().map_err(told)?.len();
        if size_bytes == 0 || !size_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(format!(
                "{} has {size_bytes} bytes, but a page blob has a multiple of 512",
                path.display()
            ));
        }
        let pieces = pieces(&file, size_bytes).map_err(told)?;
        let parts: Vec<_> =
            pieces.iter().map(|piece| (piece.range.start, piece.range.end, piece.sha256)).collect();
        let identity = Digest::of_json(&(FORMAT, size_bytes, parts));
        Ok(Source { path: path.to_owned(), file, size_bytes, pieces, identity })
    }

    pub fn data_bytes(&self) -> u64 {
        ranges::total_bytes(self.pieces.iter().map(|piece| &piece.range))
    }

    /// A piece's bytes, which have to be those of the scan.
    pub fn read(&self, piece: &Piece) -> Result<Vec<u8>, String> {
        let bytes = read(&self.file, &piece.range)
            .map_err(|error| format!("can't read {}: {error}", self.path.display()))?;
        match crc32fast::hash(&bytes) == piece.crc32 {
            true => Ok(bytes),
            false => Err(format!(
                "{} has changed since this upload began\nhint: upload it again, with --replace, when nothing writes to it",
                self.path.display()
            )),
        }
    }

    /// All of the file in ranges as large as one request takes, zeros too.
    pub fn whole(&self) -> Vec<Range<u64>> {
        cells(self.size_bytes).collect()
    }

    pub fn read_range(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        read(&self.file, range)
    }
}

fn cells(size_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let starts = (0..size_bytes).step_by(LIMIT_BYTES as usize);
    starts.map(move |start| start..(start + LIMIT_BYTES).min(size_bytes))
}

/// Cells that have data are read by all cores.
fn pieces(file: &File, size_bytes: u64) -> io::Result<Vec<Piece>> {
    let cells = data_cells(file, size_bytes)?;
    let next = AtomicUsize::new(0);
    let take = || -> io::Result<Vec<Piece>> {
        let (mut pieces, mut buffer) = (Vec::new(), vec![0; LIMIT_BYTES as usize]);
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            let bytes = &mut buffer[..(cell.end - cell.start) as usize];
            file.read_exact_at(bytes, cell.start)?;
            pieces.extend(pieces_of(cell, bytes));
        }
        Ok(pieces)
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let parts = thread::scope(|scope| {
        let readers: Vec<_> = (0..cores).map(|_| scope.spawn(take)).collect();
        let crashed = |_| io::Error::other("a part of the search for data has crashed");
        readers.into_iter().map(|reader| reader.join().map_err(crashed)?).collect::<io::Result<Vec<_>>>()
    })?;
    let mut pieces = parts.concat();
    pieces.sort_by_key(|piece| piece.range.start);
    Ok(pieces)
}

fn data_cells(file: &File, size_bytes: u64) -> io::Result<Vec<Range<u64>>> {
    let (mut found, mut next_data) = (Vec::new(), 0);
    for cell in cells(size_bytes) {
        if next_data < cell.start {
            next_data = data_from(file, cell.start, size_bytes)?;
        }
        if next_data < cell.end {
            found.push(cell);
        }
    }
    Ok(found)
}

fn pieces_of(cell: &Range<u64>, bytes: &[u8]) -> Vec<Piece> {
    let piece = |range: Range<u64>| {
        let part = &bytes[(range.start - cell.start) as usize..(range.end - cell.start) as usize];
        Piece { sha256: Digest::of(part), crc32: crc32fast::hash(part), range }
    };
    ranges::of_data(cell.start, bytes).into_iter().map(piece).collect()
}

/// Where the next data of a sparse file is (lseek(2), SEEK_DATA).
fn data_from(file: &File, offset: u64, size_bytes: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(found) => Ok(found),
        Err(Errno::NXIO) => Ok(size_bytes),
        // A file system without holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(offset),
        Err(error) => Err(error.into()),
    }
}

fn read(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests {
    use super::*;

    /// Where a file of this size with these parts filled has its pieces.
    fn scanned(size_bytes: u64, filled: &[Range<u64>]) -> (tempfile::NamedTempFile, Source) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size_bytes).unwrap();
        for range in filled {
            let bytes = vec![7; (range.end - range.start) as usize];
            file.as_file().write_all_at(&bytes, range.start).unwrap();
        }
        let source = Source::scan(file.path()).unwrap();
        (file, source)
    }

    #[test]
    fn a_sparse_file_is_cut_where_it_has_data() {
        let size_bytes = (64 << 20) + 512;
        let filled = [0..512, (8 << 20) - 512..(12 << 20) + 512, size_bytes - 512..size_bytes];
        let (_file, source) = scanned(size_bytes, &filled);
        let found: Vec<_> = source.pieces.iter().map(|piece| piece.range.clone()).collect();
        let wanted = [
            0..512,
            (8 << 20) - 512..8 << 20,
            8 << 20..12 << 20,
            12 << 20..(12 << 20) + 512,
            size_bytes - 512..size_bytes,
        ];
        assert_eq!(found, wanted);
        assert_eq!(source.data_bytes(), (4 << 20) + 4 * 512);
        assert_eq!(ranges::total_bytes(&source.whole()), size_bytes);
    }

    #[test]
    fn written_zeros_and_holes_are_the_same_source() {
        let (file, holes) = scanned(8 << 20, &[0..512]);
        file.as_file().write_all_at(&vec![0; 4 << 20], 4 << 20).unwrap();
        assert_eq!(Source::scan(file.path()).unwrap().identity, holes.identity);
        file.as_file().write_all_at(&[1], 5 << 20).unwrap();
        assert_ne!(Source::scan(file.path()).unwrap().identity, holes.identity);
    }

    #[test]
    fn a_file_that_changes_is_not_sent() {
        let (file, source) = scanned(1 << 20, &[0..512]);
        assert_eq!(source.read(&source.pieces[0]).unwrap(), [7; 512]);
        file.as_file().write_all_at(&[1], 0).unwrap();
        assert!(source.read(&source.pieces[0]).unwrap_err().contains("has changed"));
    }

    #[test]
    fn a_file_that_is_no_whole_number_of_pages_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Source::scan(file.path()).err().unwrap().contains("has 0 bytes"));
        file.as_file().set_len(513).unwrap();
        assert!(Source::scan(file.path()).err().unwrap().contains("multiple of 512"));
        assert!(Source::scan(Path::new("/nowhere")).err().unwrap().contains("/nowhere"));
    }
}
