//! Bytes in memory as what libraries for disks want: something to read from that can't be written to.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

/// A disk that nobody can change.
#[derive(Debug)]
pub struct ReadOnly<'a>(Cursor<&'a [u8]>);

impl<'a> ReadOnly<'a> {
    pub fn new(bytes: &'a [u8]) -> ReadOnly<'a> {
        ReadOnly(Cursor::new(bytes))
    }
}

impl Read for ReadOnly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for ReadOnly<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for ReadOnly<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
