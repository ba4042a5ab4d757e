//! FAT32 file systems, as an EFI system partition needs them. Not FAT12 or FAT16, and not for changing a volume.
//!
//! fatfs decides the file system; it runs once, against memory, and "writes" each file as that many zeros. What
//! it did to the metadata is kept, and where it put each file's clusters is noted, so that contents are copied straight
//! to their place later. Source: Microsoft, "FAT: General Overview of On-Disk Format" 1.03 (fatgen103).

mod geometry;
mod mend;
mod names;

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

use crate::layout::{Layout, Stream};
use crate::sparse::{Sparse, Window};
use geometry::Geometry;
pub use names::VolumeLabel;

/// Longest file that a FAT directory entry can describe.
pub const MAX_FILE_BYTES: u64 = u32::MAX as u64;

/// Most that a directory's entries may take (fatgen103, "FAT Directory Structure": 65536 entries).
const MAX_DIRECTORY_BYTES: u64 = 65536 * 32;

/// Contents of a FAT32 volume. The order of `files` makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Serial number of the volume (BS_VolID).
    pub volume_id: u32,
    pub label: VolumeLabel,
    pub files: Vec<File>,
}

/// A file of a volume; the directories above it come by themselves. All times are 1980-01-01 00:00, the format's zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path from the root of the volume, `/` between names, none in front: `EFI/BOOT/BOOTX64.EFI`.
    pub path: String,
    /// The caller's name for the contents, given to the `open` of [`Layout::write`].
    pub source: String,
    pub length_bytes: u64,
}

/// Why a volume cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    #[error("FAT32 needs a volume of at least {minimum} bytes, but it has {actual}")]
    VolumeTooSmall { minimum: u64, actual: u64 },
    #[error("FAT32 allows a volume of at most {maximum} bytes, but it has {actual}")]
    VolumeTooLarge { maximum: u64, actual: u64 },
    #[error("a volume's size is a multiple of 512 bytes, but it has {actual}")]
    VolumeNotWholeSectors { actual: u64 },
    #[error(
        "the files need {needed} bytes of the volume, but it has room for {available} \
         (clusters of {cluster_bytes} bytes)"
    )]
    NoRoom { needed: u64, available: u64, cluster_bytes: u32 },
    #[error("{path} has {length_bytes} bytes, but FAT32 allows at most {MAX_FILE_BYTES} in a file")]
    FileTooLarge { path: String, length_bytes: u64 },
    #[error("the entries of a directory need {needed} bytes, but FAT allows {MAX_DIRECTORY_BYTES}")]
    DirectoryTooLarge { needed: u64 },
    #[error("path {path:?} in a FAT volume: {reason}")]
    Path { path: String, reason: &'static str },
    #[error("{path} and {other} are the same name in a FAT volume, where case makes no difference")]
    Duplicate { path: String, other: String },
    #[error("{path} is both a file and the directory of {other}")]
    FileIsDirectory { path: String, other: String },
    #[error("volume label {label:?}: {reason}")]
    Label { label: String, reason: &'static str },
    #[error("the file system could not be laid out")]
    FileSystem(#[from] io::Error),
    #[error("fatfs wrote something unforeseen: {0}")]
    Unforeseen(&'static str),
}

/// Lays out a volume of `size_bytes` as an image of its own.
pub fn layout(size_bytes: u64, volume: &Volume) -> Result<Layout, FatError> {
    let store = RefCell::new(Sparse::new(size_bytes));
    let streams = place(&store, 0..size_bytes, volume)?;
    Ok(Layout::new(store.into_inner(), streams))
}

/// Makes the volume in `range` of `store`, contents left out; returns where these go (offsets in `store`).
pub(crate) fn place(
    store: &RefCell<Sparse>,
    range: Range<u64>,
    volume: &Volume,
) -> Result<Vec<Stream>, FatError> {
    let cluster_bytes = geometry::cluster_bytes(range.end - range.start)?;
    let tree = names::Tree::new(&volume.files)?;

    let mut window = Window::new(store, range.clone());
    fatfs::format_volume(
        &mut window,
        FormatVolumeOptions::new()
            .fat_type(FatType::Fat32)
            .bytes_per_cluster(cluster_bytes)
            .volume_id(volume.volume_id)
            .volume_label(volume.label.padded()),
    )?;
    let geometry = Geometry::read(&store.borrow(), range.start);
    let used_clusters = check_room(&geometry, &tree)?;
    geometry.set_free_count(&mut store.borrow_mut(), geometry.clusters - 1);

    window.seek(SeekFrom::Start(0))?;
    let streams = make_files(window, &geometry, &tree)?;
    mend::mend_directories(&mut store.borrow_mut(), &geometry)?;
    let free_clusters = u64::from(geometry.free_count(&store.borrow()));
    if free_clusters + used_clusters != u64::from(geometry.clusters) {
        return Err(FatError::Unforeseen("another number of clusters than computed"));
    }
    Ok(streams)
}

/// Number of clusters that `tree` takes, if the volume has them.
fn check_room(geometry: &Geometry, tree: &names::Tree<'_>) -> Result<u64, FatError> {
    if let Some(needed) = tree.directory_bytes().find(|bytes| *bytes > MAX_DIRECTORY_BYTES) {
        return Err(FatError::DirectoryTooLarge { needed });
    }
    let cluster_bytes = u64::from(geometry.cluster_bytes);
    let files = tree.files.iter().map(|file| file.length_bytes.div_ceil(cluster_bytes));
    let directories = tree.directory_bytes().map(|bytes| bytes.div_ceil(cluster_bytes));
    let needed: u64 = files.chain(directories).sum();
    if needed > u64::from(geometry.clusters) {
        return Err(FatError::NoRoom {
            needed: needed * cluster_bytes,
            available: u64::from(geometry.clusters) * cluster_bytes,
            cluster_bytes: geometry.cluster_bytes,
        });
    }
    Ok(needed)
}

/// Lets fatfs create everything in the formatted volume behind `window`.
fn make_files(
    window: Window<'_>,
    geometry: &Geometry,
    tree: &names::Tree<'_>,
) -> Result<Vec<Stream>, FatError> {
    let contents = Cell::new(None);
    let recorder = Recorder {
        window,
        data_start: geometry.data_start - geometry.volume_start,
        position: 0,
        contents: &contents,
    };
    let file_system = FileSystem::new(recorder, FsOptions::new().time_provider(&FIXED_TIME))?;
    let root = file_system.root_dir();
    for directory in &tree.directories {
        root.create_dir(directory)?;
    }
    let mut streams = Vec::with_capacity(tree.files.len());
    for planned in &tree.files {
        let mut file = root.create_file(&planned.path)?;
        contents.set(Some(Extent::default()));
        io::copy(&mut io::repeat(0).take(planned.length_bytes), &mut file)?;
        let extent = contents.take().unwrap_or_default();
        file.flush()?;
        if extent.broken || extent.length_bytes != planned.length_bytes {
            return Err(FatError::Unforeseen("a file in more than one piece"));
        }
        streams.push(Stream {
            source: planned.source.clone(),
            offset: geometry.volume_start + extent.offset,
            length_bytes: planned.length_bytes,
        });
    }
    drop(root);
    file_system.unmount()?;
    Ok(streams)
}

/// Where the contents of the file being written went, in bytes from the start of the volume.
#[derive(Clone, Copy, Default)]
struct Extent {
    offset: u64,
    length_bytes: u64,
    broken: bool,
}

/// The volume as fatfs sees it. While `contents` is set, writes to the data area are a file's contents, which are
/// noted there and go no further.
struct Recorder<'a> {
    window: Window<'a>,
    data_start: u64,
    position: u64,
    contents: &'a Cell<Option<Extent>>,
}

impl Read for Recorder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.window.seek(SeekFrom::Start(self.position))?;
        let count = self.window.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Recorder<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match self.contents.get() {
            Some(mut extent) if self.position >= self.data_start => {
                if extent.length_bytes == 0 {
                    extent.offset = self.position;
                }
                extent.broken |= extent.offset + extent.length_bytes != self.position;
                extent.length_bytes += bytes.len() as u64;
                self.contents.set(Some(extent));
                bytes.len()
            }
            _ => {
                self.window.seek(SeekFrom::Start(self.position))?;
                self.window.write(bytes)?
            }
        };
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Recorder<'_> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        if let SeekFrom::Current(_) = target {
            self.window.seek(SeekFrom::Start(self.position))?;
        }
        self.position = self.window.seek(target)?;
        Ok(self.position)
    }
}

/// The only time there is in our volumes: the first that FAT can express.
#[derive(Debug)]
struct FixedTime;

static FIXED_TIME: FixedTime = FixedTime;

impl fatfs::TimeProvider for FixedTime {
    fn get_current_date(&self) -> fatfs::Date {
        fatfs::Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> fatfs::DateTime {
        fatfs::DateTime {
            date: self.get_current_date(),
            time: fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 },
        }
    }
}
