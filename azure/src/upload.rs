//! An upload from end to end: the file is taken cell by cell, what holds data is put where it is missing, what `back` says is read
//! back, and at the end the blob is marked as complete. What an earlier upload left is believed when it was read back, all of
//! it, so no journal is kept.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use release::{
    Digest,
    upload::{Event, Left, Request, Uploaded},
};

use crate::{
    back::Back,
    blob::{Blob, Got, Marks, State},
    claim::{Claim, Claimant, LEASE, Standing},
    ranges,
    refusal::{End, end},
    request::{Line, Trouble},
    secret::{Access, Variables},
    source::{Piece, Scan, Source},
};

/// What runs while an upload does, and is heard of elsewhere.
pub struct Surroundings<'a> {
    pub variables: Variables<'a>,
    /// Set by whoever wants no more of it, or by the upload itself when a part of it fails.
    pub stop: &'a AtomicBool,
    pub say: &'a (dyn Fn(Event) + Sync),
}

/// Uploads, and returns the last event.
pub fn run(request: &Request, around: &Surroundings) -> Event {
    match uploaded(request, around) {
        Ok(uploaded) => Event::Finished(uploaded),
        Err((End::Stopped, left)) => Event::Stopped { left },
        Err((End::Failed(why), left)) => Event::Failed { why, left },
    }
}

fn uploaded(request: &Request, around: &Surroundings) -> Result<Uploaded, (End, Option<Left>)> {
    let started = Instant::now();
    let failed = |why| (End::Failed(why), None);
    let access = Access::find(request, around.variables).map_err(failed)?;
    if let Some(text) = access.note.clone() {
        (around.say)(Event::Note { text });
    }
    let patience = Duration::from_secs(request.patience_seconds);
    let source = Source::open(&request.file).map_err(failed)?;
    let blob = Blob(Line::new(&access, patience, around.stop).map_err(failed)?);
    let claimant = Claimant { blob: &blob, source: &source, stop: around.stop, say: around.say };
    let claim = claimant.claim(request.replace).map_err(|end| (end, None))?;

    let transfer = Transfer::new(request, around, &blob, &source, &claim);
    let ended = transfer.run(request.parallel);
    // Best effort: a lease that can't be given back ends by itself.
    let _ = blob.release(&claim.lease);
    let shown = access.address.to_string();
    let scan = match ended {
        Ok(scan) => scan,
        Err(end) => {
            let left = Left {
                blob: shown,
                there_bytes: transfer.there_bytes.load(Ordering::Relaxed),
                data_bytes: transfer.data_bytes.load(Ordering::Relaxed),
            };
            return Err((end, (claim.standing != Standing::Complete).then_some(left)));
        }
    };
    Ok(Uploaded {
        blob: shown,
        file_bytes: source.size_bytes,
        data_bytes: scan.data_bytes(),
        sent_bytes: transfer.sent_bytes.into_inner(),
        found_bytes: transfer.found_bytes.into_inner(),
        read_back_bytes: transfer.read_back_bytes.into_inner(),
        confirmed_bytes: transfer.confirmed_bytes.into_inner(),
        retries: blob.0.retries(),
        source: scan.identity.to_string(),
        milliseconds: started.elapsed().as_millis() as u64,
    })
}

/// The cells of one upload, shared by the threads that carry them.
struct Transfer<'a> {
    around: &'a Surroundings<'a>,
    blob: &'a Blob<'a>,
    source: &'a Source,
    claim: &'a Claim,
    back: Back,
    next: AtomicUsize,
    /// By cell, what was cut of a new one.
    cut: Mutex<Vec<Vec<Piece>>>,
    /// What is known not to be zeros, or not known yet.
    data_bytes: AtomicU64,
    there_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    found_bytes: AtomicU64,
    read_back_bytes: AtomicU64,
    confirmed_bytes: AtomicU64,
    /// Why it ends early; the first reason counts.
    ended: Mutex<Option<End>>,
}

impl<'a> Transfer<'a> {
    fn new(
        request: &Request,
        around: &'a Surroundings<'a>,
        blob: &'a Blob<'a>,
        source: &'a Source,
        claim: &'a Claim,
    ) -> Transfer<'a> {
        Transfer {
            around,
            blob,
            source,
            claim,
            back: Back::new(request.verify, source),
            next: AtomicUsize::new(0),
            cut: Mutex::new(vec![Vec::new(); source.cells.len()]),
            data_bytes: AtomicU64::new(match &claim.scan {
                Some(scan) => scan.data_bytes(),
                None => ranges::total_bytes(&source.cells),
            }),
            there_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            found_bytes: AtomicU64::new(0),
            read_back_bytes: AtomicU64::new(0),
            confirmed_bytes: AtomicU64::new(0),
            ended: Mutex::new(None),
        }
    }

    /// What is there then.
    fn run(&self, parallel: usize) -> Result<Scan, End> {
        let there = match self.claim.standing {
            Standing::New => Vec::new(),
            Standing::Resumed | Standing::Complete => self.ranges()?,
        };
        let (over, is_over) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let renewing = scope.spawn(|| self.keep_lease(is_over));
            let workers: Vec<_> = (0..parallel.max(1)).map(|_| scope.spawn(|| self.carry(&there))).collect();
            let ended: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            drop(over);
            renewing.join().and(ended.into_iter().collect::<Result<(), _>>())
        })
        .map_err(|_| End::Failed("a part of the upload has crashed".to_owned()))?;
        if let Some(end) = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(end);
        }
        let pieces = match &self.claim.scan {
            Some(scan) => scan.pieces.clone(),
            None => std::mem::take(&mut *self.cut.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        let scan = Scan::new(self.source.size_bytes, pieces);
        self.compare_ranges(&scan)?;
        self.source.check_unchanged().map_err(End::Failed)?;
        if self.claim.standing != Standing::Complete {
            let marks = Marks { state: State::Complete, source: scan.identity };
            let marked = self.blob.mark(&marks, &self.claim.lease);
            marked.map_err(|trouble| self.end("can't mark as complete", trouble))?;
        }
        Ok(scan)
    }

    /// Takes one thing after the other until there is none, or somebody has set `stop`. What was sent is read back before
    /// more is sent, so that both directions of the line are in use. Whoever sends the last cell of a span looks here again,
    /// so nothing stays unread.
    fn carry(&self, there: &[Range<u64>]) {
        loop {
            if self.around.stop.load(Ordering::Relaxed) {
                return self.give_up(End::Stopped);
            }
            let read_back = match &self.back {
                Back::Everything(spans) => spans.take(),
                Back::Sample(_) | Back::Nothing => None,
            };
            let done = match read_back {
                Some(pieces) => self.read_back(&pieces),
                None => match self.next.fetch_add(1, Ordering::Relaxed) {
                    cell if cell >= self.source.cells.len() => return,
                    cell => self.bring(cell, there),
                },
            };
            if let Err(end) = done {
                return self.give_up(end);
            }
            (self.around.say)(Event::Progress {
                done_bytes: self.there_bytes.load(Ordering::Relaxed),
                total_bytes: self.data_bytes.load(Ordering::Relaxed),
            });
        }
    }

    /// One cell, there afterwards.
    fn bring(&self, cell: usize, there: &[Range<u64>]) -> Result<(), End> {
        let sent = match &self.claim.scan {
            None => self.bring_new(cell)?,
            Some(scan) => self.bring_missing(cell, &scan.pieces[cell], there)?,
        };
        if let Back::Everything(spans) = &self.back {
            spans.arrived(cell, sent);
        }
        Ok(())
    }

    /// As it is read.
    fn bring_new(&self, cell: usize) -> Result<Vec<Piece>, End> {
        let start = self.source.cells[cell].start;
        let (pieces, bytes) = self.source.cut(cell).map_err(End::Failed)?;
        let zeros = bytes.len() as u64 - pieces.iter().map(Piece::size_bytes).sum::<u64>();
        self.data_bytes.fetch_sub(zeros, Ordering::Relaxed);
        let part = self.sample_of(cell, &pieces);
        for piece in &pieces {
            let own = (piece.range.start - start) as usize..(piece.range.end - start) as usize;
            self.put(piece, bytes.slice(own), part.as_ref())?;
        }
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)[cell].clone_from(&pieces);
        Ok(pieces)
    }

    /// What isn't there, or not as it should be.
    fn bring_missing(&self, cell: usize, pieces: &[Piece], there: &[Range<u64>]) -> Result<Vec<Piece>, End> {
        let (part, mut sent) = (self.sample_of(cell, pieces), Vec::new());
        for piece in pieces {
            let is_there = ranges::cover(there, &piece.range);
            if is_there && self.are_as_they_should_be(std::slice::from_ref(piece))? {
                self.found_bytes.fetch_add(piece.size_bytes(), Ordering::Relaxed);
                self.there_bytes.fetch_add(piece.size_bytes(), Ordering::Relaxed);
            } else if self.claim.standing == Standing::Complete {
                let (address, Range { start, end }) = (&self.blob.access().address, &piece.range);
                return Err(End::Failed(format!(
                    "{address} is marked as complete, but is not the file at bytes {start} to {end}\nhint: --replace \
                     overwrites it"
                )));
            } else {
                self.put(piece, self.source.read(piece).map_err(End::Failed)?, part.as_ref())?;
                sent.push(piece.clone());
            }
        }
        Ok(sent)
    }

    fn sample_of(&self, cell: usize, pieces: &[Piece]) -> Option<Range<u64>> {
        match &self.back {
            Back::Sample(sample) => sample.of(cell, pieces),
            Back::Everything(_) | Back::Nothing => None,
        }
    }

    /// Sends a piece, and reads back what of the sample is in it.
    fn put(&self, piece: &Piece, bytes: Bytes, part: Option<&Range<u64>>) -> Result<(), End> {
        let Range { start, end } = piece.range;
        let got = self.blob.put_page(&piece.range, bytes.clone(), Some(&self.claim.lease));
        match got.map_err(|trouble| self.end("can't write to", trouble))? {
            Got::Same => _ = self.confirmed_bytes.fetch_add(end - start, Ordering::Relaxed),
            Got::Other => return Err(self.changed("has got", &piece.range)),
            Got::Unsaid => {}
        }
        self.sent_bytes.fetch_add(end - start, Ordering::Relaxed);
        if let Some(part) = part.filter(|part| start <= part.start && part.end <= end) {
            let within = (part.start - start) as usize..(part.end - start) as usize;
            if self.read(part)? != bytes[within] {
                return Err(self.changed("gives back", part));
            }
        }
        if !matches!(self.back, Back::Everything(_)) {
            self.there_bytes.fetch_add(end - start, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Neighbouring pieces that were sent.
    fn read_back(&self, pieces: &[Piece]) -> Result<(), End> {
        let range = stretch(pieces);
        if !self.are_as_they_should_be(pieces)? {
            return Err(self.changed("gives back", &range));
        }
        self.there_bytes.fetch_add(range.end - range.start, Ordering::Relaxed);
        Ok(())
    }

    fn are_as_they_should_be(&self, pieces: &[Piece]) -> Result<bool, End> {
        let bytes = self.read(&stretch(pieces))?;
        let mut rest = &bytes[..];
        Ok(pieces.iter().all(|piece| {
            let (own, others) = rest.split_at((piece.range.end - piece.range.start) as usize);
            rest = others;
            Digest::of(own) == piece.sha256
        }))
    }

    fn read(&self, range: &Range<u64>) -> Result<Bytes, End> {
        let bytes = self.blob.read(range).map_err(|trouble| self.end("can't read back", trouble))?;
        self.read_back_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    fn changed(&self, what: &str, range: &Range<u64>) -> End {
        let Range { start, end } = range;
        let address = &self.blob.access().address;
        End::Failed(format!("{address} {what} other bytes than it was sent, from {start} to {end}"))
    }

    fn ranges(&self) -> Result<Vec<Range<u64>>, End> {
        self.blob.page_ranges().map_err(|trouble| self.end("can't list the pages of", trouble))
    }

    /// The blob has pages where the file has data, and nowhere else.
    fn compare_ranges(&self, scan: &Scan) -> Result<(), End> {
        let (there, wanted) = (self.ranges()?, ranges::joined(scan.ranges()));
        let address = &self.blob.access().address;
        let told = |what: &str, range: Range<u64>| {
            let Range { start, end } = range;
            Err(End::Failed(format!(
                "{address} {what} at bytes {start} to {end}\nhint: --replace overwrites it"
            )))
        };
        match (ranges::first_excess(&there, &wanted), ranges::first_excess(&wanted, &there)) {
            (Some(range), _) => told("has data that the file doesn't have", range),
            (None, Some(range)) => told("lacks data that it has taken", range),
            (None, None) => Ok(()),
        }
    }

    /// Until the other end is gone.
    fn keep_lease(&self, is_over: mpsc::Receiver<()>) {
        while let Err(mpsc::RecvTimeoutError::Timeout) = is_over.recv_timeout(LEASE / 3) {
            match self.blob.renew(&self.claim.lease) {
                // Whoever can't be reached is told of by those that carry.
                Ok(()) | Err(Trouble::Unreachable(_) | Trouble::Stopped) => {}
                Err(trouble) => return self.give_up(self.end("can't keep the lease of", trouble)),
            }
        }
    }

    fn give_up(&self, end: End) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get_or_insert(end);
        self.around.stop.store(true, Ordering::Relaxed);
    }

    fn end(&self, doing: &str, trouble: Trouble) -> End {
        end(doing, trouble, self.blob.access())
    }
}

/// From the first to the last of neighbours.
fn stretch(pieces: &[Piece]) -> Range<u64> {
    let [first, ..] = pieces else { return 0..0 };
    first.range.start..pieces.last().map_or(first.range.end, |last| last.range.end)
}
