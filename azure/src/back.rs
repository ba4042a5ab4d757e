//! What of an upload is read back, and when: nothing, a sample, or everything that was sent.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use release::{Digest, upload::Verify};

use crate::{
    ranges::PAGE_BYTES,
    source::{Piece, Source},
};

/// Neighbouring pieces are read back by one request, which costs both ends less. That many bytes at the most.
const SPAN_BYTES: u64 = 16 << 20;
/// Of so many pieces, a part of one is in the sample.
const SAMPLE_STEP: usize = 16;
/// Of a file with few pieces, more are: as many as that.
const SAMPLES: usize = 2;
const SAMPLE_BYTES: u64 = 64 << 10;

pub enum Back {
    Nothing,
    /// Right behind the piece, which is still at hand.
    Sample(Sample),
    /// As soon as a span of pieces is there.
    Everything(Spans),
}

impl Back {
    pub fn new(verify: Verify, source: &Source) -> Back {
        match verify {
            Verify::Ranges => Back::Nothing,
            Verify::Sample => Back::Sample(Sample::new(source)),
            Verify::Full => Back::Everything(Spans::new(&source.pieces)),
        }
    }
}

/// Parts of some pieces: the first and the last bytes of the data, where partition tables and the footer are, and others
/// spread over it. The same ones for the same source.
pub struct Sample(BTreeMap<usize, Range<u64>>);

impl Sample {
    fn new(source: &Source) -> Sample {
        let pieces = &source.pieces;
        let mut parts = BTreeMap::new();
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Sample(parts) };
        let step = SAMPLE_STEP.min(pieces.len() / SAMPLES).max(1);
        for start in (0..pieces.len()).step_by(step) {
            let seed = Digest::of_json(&(source.identity, start)).0;
            let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| seed[at + index]));
            let piece = start + (number(0) % step.min(pieces.len() - start) as u64) as usize;
            parts.insert(piece, part(&pieces[piece].range, |pages| number(8) % (pages + 1)));
        }
        parts.insert(pieces.len() - 1, part(&last.range, |pages| pages));
        parts.insert(0, part(&first.range, |_| 0));
        Sample(parts)
    }

    /// What is read back of this piece.
    pub fn of(&self, piece: usize) -> Option<Range<u64>> {
        self.0.get(&piece).cloned()
    }
}

/// So much of a range, `skip` pages from its beginning; it is told how many it may skip.
fn part(range: &Range<u64>, skip: impl Fn(u64) -> u64) -> Range<u64> {
    let pages = (range.end - range.start).saturating_sub(SAMPLE_BYTES) / PAGE_BYTES;
    let start = range.start + skip(pages) * PAGE_BYTES;
    start..range.end.min(start + SAMPLE_BYTES)
}

/// Runs of neighbouring pieces.
pub struct Spans {
    spans: Vec<Span>,
    /// By piece: its span.
    span_of: Vec<usize>,
    /// By piece: it was sent, not found.
    is_sent: Vec<AtomicBool>,
    /// What is there and wants to be read.
    ready: Mutex<Vec<Range<usize>>>,
}

struct Span {
    pieces: Range<usize>,
    /// Pieces that are not there yet.
    missing: AtomicUsize,
}

impl Spans {
    fn new(pieces: &[Piece]) -> Spans {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            match runs.last_mut() {
                Some(run)
                    if pieces[run.end - 1].range.end == piece.range.start
                        && piece.range.end - pieces[run.start].range.start <= SPAN_BYTES =>
                {
                    run.end += 1;
                }
                _ => runs.push(number..number + 1),
            }
        }
        let span_of =
            runs.iter().enumerate().flat_map(|(span, run)| run.clone().map(move |_| span)).collect();
        let span = |pieces: Range<usize>| Span { missing: AtomicUsize::new(pieces.len()), pieces };
        Spans {
            spans: runs.into_iter().map(span).collect(),
            span_of,
            is_sent: pieces.iter().map(|_| AtomicBool::new(false)).collect(),
            ready: Mutex::new(Vec::new()),
        }
    }

    /// A piece is there: sent, or found and compared already.
    pub fn arrived(&self, piece: usize, is_sent: bool) {
        self.is_sent[piece].store(is_sent, Ordering::Relaxed);
        let span = &self.spans[self.span_of[piece]];
        if span.missing.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let mut run = span.pieces.start..span.pieces.start;
        for piece in span.pieces.clone() {
            if !self.is_sent[piece].load(Ordering::Relaxed) {
                ready.extend((!run.is_empty()).then(|| run.clone()));
                run.start = piece + 1;
            }
            run.end = piece + 1;
        }
        ready.extend((!run.is_empty()).then_some(run));
    }

    /// Pieces to be read back by one request; nobody else gets them.
    pub fn take(&self) -> Option<Range<usize>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn source(size_bytes: u64, filled: &[Range<u64>]) -> Source {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size_bytes).unwrap();
        for range in filled {
            let bytes = vec![7; (range.end - range.start) as usize];
            file.as_file().write_all_at(&bytes, range.start).unwrap();
        }
        Source::scan(file.path()).unwrap()
    }

    #[test]
    fn a_sample_has_both_ends_and_something_of_each_stretch() {
        for (pieces, wanted) in [(1, 1), (2, 2), (4, 3), (17, 3), (64, 4), (200, 13)] {
            let filled: Vec<_> = (0..pieces).map(|n| n * 4 * MIB).map(|at| at..at + MIB).collect();
            let source = source(pieces * 4 * MIB, &filled);
            let sample = Sample::new(&source);
            assert!((wanted..wanted + 3).contains(&sample.0.len()), "{pieces}: {:?}", sample.0);
            for (piece, part) in &sample.0 {
                let range = &source.pieces[*piece].range;
                assert!(range.start <= part.start && part.end <= range.end, "{part:?} of {range:?}");
                assert!(part.start.is_multiple_of(PAGE_BYTES) && part.end - part.start == SAMPLE_BYTES);
            }
            assert_eq!(sample.of(0).unwrap().start, 0);
            if pieces > 1 {
                assert_eq!(sample.of(pieces as usize - 1).unwrap().end, (pieces - 1) * 4 * MIB + MIB);
            }
            assert_eq!(sample.0, Sample::new(&source).0);
        }
        // The footer of a VHD is a piece of its own.
        let source = source(8 * MIB + 512, &[MIB..MIB + 512, 8 * MIB..8 * MIB + 512]);
        let parts: Vec<_> = Sample::new(&source).0.into_values().collect();
        assert_eq!(parts, [MIB..MIB + 512, 8 * MIB..8 * MIB + 512]);
        assert!(Sample::new(&self::source(MIB, &[])).0.is_empty());
    }

    #[test]
    fn neighbours_are_read_together_when_all_of_them_are_there() {
        let source = source(64 * MIB, &[0..18 * MIB, 32 * MIB..36 * MIB]);
        let spans = Spans::new(&source.pieces);
        let runs: Vec<_> = spans.spans.iter().map(|span| span.pieces.clone()).collect();
        assert_eq!(runs, [0..4, 4..5, 5..6]);
        for piece in [3, 0, 5] {
            spans.arrived(piece, true);
        }
        assert_eq!((spans.take(), spans.take()), (Some(5..6), None));
        spans.arrived(1, true);
        spans.arrived(2, true);
        assert_eq!((spans.take(), spans.take()), (Some(0..4), None));
        spans.arrived(4, false);
        assert_eq!(spans.take(), None);
    }

    #[test]
    fn what_was_found_is_not_read_again() {
        let source = source(16 * MIB, &[0..16 * MIB]);
        for (found, wanted) in [
            (vec![0], vec![1..4]),
            (vec![3], vec![0..3]),
            (vec![1], vec![0..1, 2..4]),
            (vec![0, 1, 3], vec![2..3]),
            (vec![0, 1, 2, 3], vec![]),
        ] {
            let spans = Spans::new(&source.pieces);
            (0..4).for_each(|piece| spans.arrived(piece, !found.contains(&piece)));
            let mut taken: Vec<_> = std::iter::from_fn(|| spans.take()).collect();
            taken.sort_by_key(|run| run.start);
            assert_eq!(taken, wanted, "{found:?}");
        }
    }
}
