//! A pipe inside the process: a thread produces bytes, the caller reads them. It lets decompression, tar
//! parsing and file writing overlap without an intermediate file. The thread ends by itself when the
//! reading side is dropped.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Size of a piece, and how many of them may wait: 8 MiB of read-ahead.
const PIECE_BYTES: usize = 512 << 10;
const PIECES: usize = 16;

type Piece = io::Result<Vec<u8>>;

/// Starts `produce` on a thread; what it writes, and the error it ends with, arrives in the reader.
pub fn spawn(produce: impl FnOnce(&mut PipeWriter) -> io::Result<()> + Send + 'static) -> PipeReader {
    let (sender, receiver) = sync_channel(PIECES);
    thread::spawn(move || {
        let mut writer = PipeWriter { sender, piece: Vec::with_capacity(PIECE_BYTES) };
        // An empty piece marks the end: a thread that dies must not look like the end of the data.
        let end = produce(&mut writer).and_then(|()| writer.flush()).map(|()| Vec::new());
        // The reader may be gone, then nobody wants to know.
        let _ = writer.sender.send(end);
    });
    PipeReader { receiver, piece: Vec::new(), start: 0, ended: false }
}

pub struct PipeWriter {
    sender: SyncSender<Piece>,
    piece: Vec<u8>,
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.sender.send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

pub struct PipeReader {
    receiver: Receiver<Piece>,
    piece: Vec<u8>,
    start: usize,
    ended: bool,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.start == self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            let piece = self.receiver.recv().map_err(|_| io::Error::other("the decoding thread died"))??;
            self.ended = piece.is_empty();
            (self.piece, self.start) = (piece, 0);
        }
        let taken = buffer.len().min(self.piece.len() - self.start);
        buffer[..taken].copy_from_slice(&self.piece[self.start..self.start + taken]);
        self.start += taken;
        Ok(taken)
    }
}
