//! A raw disk in a file, whose holes the file system tells.

use std::{
    fs::File,
    io::{self, Seek as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use image::source::Source;

use crate::export::next_extent;

pub struct Raw {
    file: File,
    size_bytes: u64,
    /// The data found last: asked for again where a reader stops within it.
    known: Range<u64>,
}

impl Raw {
    pub fn open(path: &Path) -> Result<Raw> {
        let open = || -> io::Result<Raw> {
            let mut file = File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            // Block devices have no length of their own.
            let size_bytes = file.seek(io::SeekFrom::End(0))?;
            Ok(Raw { file, size_bytes, known: 0..0 })
        };
        open().with_context(|| format!("can't read {}", path.display()))
    }
}

impl Source for Raw {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        if !self.known.contains(&from) {
            match next_extent(&self.file, from, self.size_bytes)? {
                Some((data, hole)) => self.known = data..hole,
                None => return Ok(None),
            }
        }
        Ok(Some(self.known.start.max(from)..self.known.end))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}
