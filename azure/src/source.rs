//! The file that is sent: which parts of it hold data, and their digests. It is read once where all of it is sent, and looked
//! through before where some of it may be there.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use bytes::Bytes;
use release::Digest;
use rustix::{fs::SeekFrom, io::Errno};

use crate::ranges::{self, LIMIT_BYTES, PAGE_BYTES};

/// Raised when the same file is cut into other pieces.
const FORMAT: u32 = 1;

pub struct Source {
    path: PathBuf,
    file: File,
    pub size_bytes: u64,
    /// Stretches of 4 MiB, but for the last, that are not holes; in order.
    pub cells: Vec<Range<u64>>,
    /// Over size, holes, and the first and the last cell: what is known before all is read.
    pub sketch: Digest,
    stamp: [i64; 3],
}

/// What all of a file is.
pub struct Scan {
    /// By cell, in order; those that are zeros are left out.
    pub pieces: Vec<Vec<Piece>>,
    /// Over size, places and digests of the pieces.
    pub identity: Digest,
}

/// Data within a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub range: Range<u64>,
    pub sha256: Digest,
}

impl Piece {
    pub fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Scan {
    pub fn new(size_bytes: u64, pieces: Vec<Vec<Piece>>) -> Scan {
        let all = pieces.iter().flatten();
        let parts: Vec<_> = all.map(|piece| (piece.range.start, piece.range.end, piece.sha256)).collect();
        Scan { identity: Digest::of_json(&(FORMAT, size_bytes, parts)), pieces }
    }

    pub fn ranges(&self) -> Vec<Range<u64>> {
        self.pieces.iter().flatten().map(|piece| piece.range.clone()).collect()
    }

    pub fn data_bytes(&self) -> u64 {
        self.pieces.iter().flatten().map(Piece::size_bytes).sum()
    }
}

impl Source {
    /// Looks where it has holes.
    pub fn open(path: &Path) -> Result<Source, String> {
        let told = |error: io::Error| format!("can't read {}: {error}", path.display());
        let file = File::open(path).map_err(told)?;
        let stamp = stamp(&file).map_err(told)?;
        let size_bytes = file.metadata().map_err(told)?.len();
        if size_bytes == 0 || !size_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(format!(
                "{} has {size_bytes} bytes, but a page blob has a multiple of 512",
                path.display()
            ));
        }
        let cells = data_cells(&file, size_bytes).map_err(told)?;
        let digest = |cell: &Range<u64>| Ok(Digest::of(&read(&file, cell)?));
        let ends = cells.first().into_iter().chain(cells.last()).map(digest).collect::<io::Result<Vec<_>>>();
        let places: Vec<_> = cells.iter().map(|cell| cell.start).collect();
        let sketch = Digest::of_json(&(FORMAT, size_bytes, places, ends.map_err(told)?));
        Ok(Source { path: path.to_owned(), file, size_bytes, cells, sketch, stamp })
    }

    /// Reads all of it, by all cores.
    pub fn scan(&self) -> Result<Scan, String> {
        let next = AtomicUsize::new(0);
        let take = || -> Result<Vec<(usize, Vec<Piece>)>, String> {
            let mut found = Vec::new();
            while let Some(cell) =
                Some(next.fetch_add(1, Ordering::Relaxed)).filter(|cell| *cell < self.cells.len())
            {
                found.push((cell, self.cut(cell)?.0));
            }
            Ok(found)
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let parts = thread::scope(|scope| {
            let readers: Vec<_> = (0..cores).map(|_| scope.spawn(take)).collect();
            let crashed = |_| "a part of the search for data has crashed".to_owned();
            readers.into_iter().map(|reader| reader.join().map_err(crashed)?).collect::<Result<Vec<_>, _>>()
        })?;
        let mut pieces = vec![Vec::new(); self.cells.len()];
        parts.into_iter().flatten().for_each(|(cell, found)| pieces[cell] = found);
        Ok(Scan::new(self.size_bytes, pieces))
    }

    /// The pieces of a cell, and its bytes.
    pub fn cut(&self, cell: usize) -> Result<(Vec<Piece>, Bytes), String> {
        let cell = &self.cells[cell];
        let bytes = read(&self.file, cell).map_err(|error| self.told(&error))?;
        let piece = |range: Range<u64>| {
            let part = &bytes[(range.start - cell.start) as usize..(range.end - cell.start) as usize];
            Piece { sha256: Digest::of(part), range }
        };
        let pieces = ranges::of_data(cell.start, &bytes).into_iter().map(piece).collect();
        Ok((pieces, bytes.into()))
    }

    /// A piece's bytes, which have to be those of the scan.
    pub fn read(&self, piece: &Piece) -> Result<Bytes, String> {
        let bytes = read(&self.file, &piece.range).map_err(|error| self.told(&error))?;
        if Digest::of(&bytes) != piece.sha256 {
            return Err(self.changed());
        }
        Ok(bytes.into())
    }

    /// Nobody has written to it since it was opened, as far as the file system tells.
    pub fn check_unchanged(&self) -> Result<(), String> {
        match stamp(&self.file).map_err(|error| self.told(&error))? == self.stamp {
            true => Ok(()),
            false => Err(self.changed()),
        }
    }

    fn told(&self, error: &io::Error) -> String {
        format!("can't read {}: {error}", self.path.display())
    }

    fn changed(&self) -> String {
        format!(
            "{} has changed since this upload began\nhint: upload it again, with --replace, when nothing writes to it",
            self.path.display()
        )
    }

    /// All of the file in ranges as large as one request takes, zeros too.
    pub fn whole(&self) -> Vec<Range<u64>> {
        cells(self.size_bytes).collect()
    }

    pub fn read_range(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        read(&self.file, range)
    }
}

/// Length, and when the content was changed; a link or a mode changes nothing.
fn stamp(file: &File) -> io::Result<[i64; 3]> {
    let of = file.metadata()?;
    Ok([of.len() as i64, of.mtime(), of.mtime_nsec()])
}

fn cells(size_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let starts = (0..size_bytes).step_by(LIMIT_BYTES as usize);
    starts.map(move |start| start..(start + LIMIT_BYTES).min(size_bytes))
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

    /// A file of this size with these parts filled.
    fn source(size_bytes: u64, filled: &[Range<u64>]) -> (tempfile::NamedTempFile, Source) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size_bytes).unwrap();
        for range in filled {
            let bytes = vec![7; (range.end - range.start) as usize];
            file.as_file().write_all_at(&bytes, range.start).unwrap();
        }
        let source = Source::open(file.path()).unwrap();
        (file, source)
    }

    #[test]
    fn a_sparse_file_is_cut_where_it_has_data() {
        let size_bytes = (64 << 20) + 512;
        let filled = [0..512, (8 << 20) - 512..(12 << 20) + 512, size_bytes - 512..size_bytes];
        let (_file, source) = source(size_bytes, &filled);
        let scan = source.scan().unwrap();
        let wanted = [
            0..512,
            (8 << 20) - 512..8 << 20,
            8 << 20..12 << 20,
            12 << 20..(12 << 20) + 512,
            size_bytes - 512..size_bytes,
        ];
        assert_eq!(scan.ranges(), wanted);
        assert_eq!(scan.data_bytes(), (4 << 20) + 4 * 512);
        assert_eq!(ranges::total_bytes(&source.whole()), size_bytes);
        for (cell, pieces) in scan.pieces.iter().enumerate() {
            let (cut, bytes) = source.cut(cell).unwrap();
            assert_eq!(
                (&cut, bytes.len() as u64),
                (pieces, source.cells[cell].end - source.cells[cell].start)
            );
        }
    }

    #[test]
    fn written_zeros_and_holes_are_the_same_source() {
        let identity = |source: &Source| source.scan().unwrap().identity;
        let (file, holes) = source(8 << 20, &[0..512]);
        let before = identity(&holes);
        file.as_file().write_all_at(&vec![0; 4 << 20], 4 << 20).unwrap();
        assert_eq!(identity(&Source::open(file.path()).unwrap()), before);
        file.as_file().write_all_at(&[1], 5 << 20).unwrap();
        assert_ne!(identity(&Source::open(file.path()).unwrap()), before);
    }

    #[test]
    fn a_sketch_knows_size_holes_and_both_ends() {
        let sketch = |size_bytes, filled: &[Range<u64>]| source(size_bytes, filled).1.sketch;
        let filled = [0..512, 8 << 20..9 << 20, (20 << 20)..(20 << 20) + 512];
        let one = sketch(32 << 20, &filled);
        assert_eq!(one, sketch(32 << 20, &filled));
        assert_ne!(one, sketch(36 << 20, &filled));
        assert_ne!(one, sketch(32 << 20, &[0..512, 16 << 20..17 << 20, filled[2].clone()]));
        assert_ne!(one, sketch(32 << 20, &[0..1024, filled[1].clone(), filled[2].clone()]));
        assert_ne!(
            one,
            sketch(32 << 20, &[filled[0].clone(), filled[1].clone(), (20 << 20)..(20 << 20) + 513])
        );
    }

    #[test]
    fn a_file_that_changes_is_not_sent() {
        let (file, source) = source(1 << 20, &[0..512]);
        let scan = source.scan().unwrap();
        assert_eq!(source.read(&scan.pieces[0][0]).unwrap(), [7; 512][..]);
        source.check_unchanged().unwrap();
        file.as_file().write_all_at(&[1], 0).unwrap();
        assert!(source.read(&scan.pieces[0][0]).unwrap_err().contains("has changed"));
        assert!(source.check_unchanged().unwrap_err().contains("has changed"));
    }

    #[test]
    fn a_file_that_is_no_whole_number_of_pages_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Source::open(file.path()).err().unwrap().contains("has 0 bytes"));
        file.as_file().set_len(513).unwrap();
        assert!(Source::open(file.path()).err().unwrap().contains("multiple of 512"));
        assert!(Source::open(Path::new("/nowhere")).err().unwrap().contains("/nowhere"));
    }
}
