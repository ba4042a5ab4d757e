//! What the tests of all formats share: running judges, recording outputs, making contents.

use std::error::Error;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Output};

use image::layout::Layout;

/// Runs a judge in `directory`. A judge that is not there fails the test: without it nothing was shown.
pub fn judge(directory: &Path, package: &str, command: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("env")
        .arg(format!("PATH={path}:/usr/sbin:/sbin"))
        .args(["LC_ALL=C", "TZ=UTC", "MTOOLSRC=/dev/null"])
        .args(command)
        .current_dir(directory)
        .output()
        .ok()
        .filter(|output| output.status.code() != Some(127))
        .unwrap_or_else(|| panic!("cannot run {}: install the package {package}", command[0]))
}

/// Standard output of a judge that must be content.
pub fn content(directory: &Path, package: &str, command: &[&str]) -> String {
    let output = judge(directory, package, command);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}:\n{stdout}{stderr}");
    stdout
}

/// Bytes that stand for the contents named `source`: neither zero nor the same at two places of interest.
pub fn contents(source: &str, length: u64) -> Vec<u8> {
    let mut state = source.bytes().fold(1u32, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    let next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as u8 | 1
    };
    std::iter::repeat_with(next).take(length as usize).collect()
}

/// An `open` for [`Layout::write`] whose contents are those of [`contents`], as long as planned.
pub fn opener(layout: &Layout) -> impl Fn(&str) -> io::Result<Cursor<Vec<u8>>> {
    |source| {
        let streams = layout.streams();
        let planned = streams.iter().find(|stream| stream.source == source);
        let length = planned.ok_or(io::ErrorKind::NotFound)?.length_bytes;
        Ok(Cursor::new(contents(source, length)))
    }
}

/// Writes a layout to a fresh sparse file.
pub fn write_file(layout: &Layout, path: &Path) {
    let mut file = File::create(path).unwrap();
    file.set_len(layout.size_bytes()).unwrap();
    layout.write(opener(layout), &mut file).unwrap();
}

/// An output in memory that remembers which bytes were written.
pub struct Recording {
    pub bytes: Cursor<Vec<u8>>,
    pub ranges: Vec<Range<u64>>,
}

impl Recording {
    pub fn of(layout: &Layout) -> Self {
        let mut recording =
            Recording { bytes: Cursor::new(vec![0; layout.size_bytes() as usize]), ranges: Vec::new() };
        layout.write(opener(layout), &mut recording).unwrap();
        recording
    }

    /// Panics if any byte was written twice; returns how many were written.
    pub fn assert_written_once(&self) -> u64 {
        let mut ranges = self.ranges.clone();
        ranges.sort_by_key(|range| range.start);
        for pair in ranges.windows(2) {
            assert!(pair[0].end <= pair[1].start, "written twice: {pair:?}");
        }
        ranges.iter().map(|range| range.end - range.start).sum()
    }
}

impl Write for Recording {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = self.bytes.position();
        assert!(start + bytes.len() as u64 <= self.bytes.get_ref().len() as u64);
        self.ranges.push(start..start + bytes.len() as u64);
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Recording {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(target)
    }
}

/// A source that fails half-way.
pub struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the medium is gone"))
    }
}

/// An error with its causes, as a user would read it.
pub fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
