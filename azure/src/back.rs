//! What of an upload is read back, and when: nothing, a sample, or everything that was sent.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use release::{Digest, upload::Verify};

use crate::{
    ranges::PAGE_BYTES,
    source::{Piece, Source},
};

/// Neighbours are read back by one request, which costs both ends less: the data of so many cells at the most.
const SPAN_CELLS: usize = 4;
/// Of so many cells, a part of one is in the sample.
const SAMPLE_STEP: usize = 16;
/// Of a file with few cells, more are: as many as that.
const SAMPLES: usize = 2;
const SAMPLE_BYTES: u64 = 64 << 10;

pub enum Back {
    Nothing,
    /// Right behind the piece, which is still at hand.
    Sample(Sample),
    /// As soon as a span of cells is there.
    Everything(Spans),
}

impl Back {
    pub fn new(verify: Verify, source: &Source) -> Back {
        match verify {
            Verify::Ranges => Back::Nothing,
            Verify::Sample => Back::Sample(Sample::new(source.cells.len(), source.sketch)),
            Verify::Full => Back::Everything(Spans::new(&source.cells)),
        }
    }
}

/// Parts of some cells: the first and the last bytes of the data, where partition tables and the footer are, and others
/// spread over it. The same ones for the same source.
pub struct Sample(BTreeMap<usize, Part>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    First,
    Last,
    /// Whichever these numbers lead to: a piece, and a page of it.
    Some(u64, u64),
}

impl Sample {
    fn new(cells: usize, seed: Digest) -> Sample {
        let mut parts = BTreeMap::new();
        let step = SAMPLE_STEP.min(cells / SAMPLES).max(1);
        for start in (0..cells).step_by(step) {
            let seed = Digest::of_json(&(seed, start)).0;
            let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| seed[at + index]));
            let cell = start + (number(0) % step.min(cells - start) as u64) as usize;
            parts.insert(cell, Part::Some(number(8), number(16)));
        }
        parts.extend(cells.checked_sub(1).map(|last| (last, Part::Last)));
        parts.extend((cells > 0).then_some((0, Part::First)));
        Sample(parts)
    }

    /// What is read back of this cell's pieces.
    pub fn of(&self, cell: usize, pieces: &[Piece]) -> Option<Range<u64>> {
        let (piece, skip) = match *self.0.get(&cell)? {
            Part::First => (pieces.first()?, 0),
            Part::Last => (pieces.last()?, u64::MAX),
            Part::Some(piece, page) => (pieces.get(piece.checked_rem(pieces.len() as u64)? as usize)?, page),
        };
        let Range { start, end } = piece.range;
        let pages = (end - start).saturating_sub(SAMPLE_BYTES) / PAGE_BYTES;
        let skipped = if skip == u64::MAX { pages } else { skip % (pages + 1) };
        let start = start + skipped * PAGE_BYTES;
        Some(start..end.min(start + SAMPLE_BYTES))
    }
}

/// Neighbouring cells.
pub struct Spans {
    /// By cell: the number of its span.
    span_of: Vec<usize>,
    /// By span.
    spans: Mutex<Vec<Span>>,
    /// What is there and wants to be read.
    ready: Mutex<Vec<Vec<Piece>>>,
}

struct Span {
    /// Cells that are not there yet.
    missing: usize,
    /// What was sent of the others.
    sent: Vec<Piece>,
}

impl Spans {
    fn new(cells: &[Range<u64>]) -> Spans {
        let (mut span_of, mut spans) = (Vec::new(), Vec::<Span>::new());
        for (number, cell) in cells.iter().enumerate() {
            let is_neighbour = number > 0 && cells[number - 1].end == cell.start;
            match spans.last_mut() {
                Some(span) if is_neighbour && span.missing < SPAN_CELLS => span.missing += 1,
                _ => spans.push(Span { missing: 1, sent: Vec::new() }),
            }
            span_of.push(spans.len() - 1);
        }
        Spans { span_of, spans: Mutex::new(spans), ready: Mutex::new(Vec::new()) }
    }

    /// A cell is there: these of its pieces were sent, the others found and compared already.
    pub fn arrived(&self, cell: usize, sent: Vec<Piece>) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let span = &mut spans[self.span_of[cell]];
        span.sent.extend(sent);
        span.missing -= 1;
        if span.missing > 0 {
            return;
        }
        let mut sent = std::mem::take(&mut span.sent);
        sent.sort_by_key(|piece| piece.range.start);
        let mut runs: Vec<Vec<Piece>> = Vec::new();
        for piece in sent {
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|last| last.range.end == piece.range.start) => {
                    run.push(piece)
                }
                _ => runs.push(vec![piece]),
            }
        }
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).extend(runs);
    }

    /// Neighbouring pieces to be read back by one request; nobody else gets them.
    pub fn take(&self) -> Option<Vec<Piece>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn piece(range: Range<u64>) -> Piece {
        Piece { sha256: Digest::of(b""), range }
    }

    #[test]
    fn a_sample_has_both_ends_and_something_of_each_stretch() {
        for (cells, wanted) in [(0, 0), (1, 1), (2, 2), (4, 3), (17, 3), (64, 4), (200, 13)] {
            let sample = Sample::new(cells, Digest::of(b"seed"));
            assert!((wanted..wanted + 3).contains(&sample.0.len()), "{cells}: {:?}", sample.0);
            assert_eq!(sample.0, Sample::new(cells, Digest::of(b"seed")).0);
            for cell in 0..cells {
                let start = cell as u64 * 4 * MIB;
                let pieces = [piece(start..start + MIB), piece(start + 2 * MIB..start + 3 * MIB)];
                let Some(part) = sample.of(cell, &pieces) else { continue };
                let within = |piece: &Piece| piece.range.start <= part.start && part.end <= piece.range.end;
                assert!(pieces.iter().any(within), "{part:?}");
                assert!(part.start.is_multiple_of(PAGE_BYTES) && part.end - part.start == SAMPLE_BYTES);
                match cell {
                    0 => assert_eq!(part.start, 0),
                    _ if cell == cells - 1 => assert_eq!(part.end, start + 3 * MIB),
                    _ => {}
                }
                // The footer of a VHD is less than that; written zeros are nothing.
                assert_eq!(sample.of(cell, &[piece(start..start + 512)]), Some(start..start + 512));
                assert_eq!(sample.of(cell, &[]), None);
            }
        }
    }

    /// Cells of 4 MiB, all of them data.
    fn full(numbers: &[u64]) -> (Vec<Range<u64>>, Vec<Piece>) {
        let cells: Vec<_> = numbers.iter().map(|number| number * 4 * MIB..(number + 1) * 4 * MIB).collect();
        let pieces = cells.iter().cloned().map(piece).collect();
        (cells, pieces)
    }

    fn taken(spans: &Spans) -> Vec<Range<u64>> {
        let stretch = |run: Vec<Piece>| run[0].range.start / MIB..run[run.len() - 1].range.end / MIB;
        let mut taken: Vec<_> = std::iter::from_fn(|| spans.take()).map(stretch).collect();
        taken.sort_by_key(|run| run.start);
        taken
    }

    #[test]
    fn neighbours_are_read_together_when_all_of_them_are_there() {
        let (cells, pieces) = full(&[0, 1, 2, 3, 4, 8]);
        let spans = Spans::new(&cells);
        let arrived = |cell: usize| spans.arrived(cell, vec![pieces[cell].clone()]);
        [3, 0, 5].into_iter().for_each(arrived);
        assert_eq!(taken(&spans), [32..36]);
        [1, 2].into_iter().for_each(arrived);
        assert_eq!(taken(&spans), [0..16]);
        spans.arrived(4, Vec::new());
        assert_eq!(taken(&spans), []);
    }

    #[test]
    fn what_was_found_is_not_read_again() {
        for (found, wanted) in [
            (vec![0], vec![4..16]),
            (vec![3], vec![0..12]),
            (vec![1], vec![0..4, 8..16]),
            (vec![0, 1, 3], vec![8..12]),
            (vec![0, 1, 2, 3], vec![]),
        ] {
            let (cells, pieces) = full(&[0, 1, 2, 3]);
            let spans = Spans::new(&cells);
            for (cell, piece) in pieces.into_iter().enumerate() {
                spans.arrived(cell, if found.contains(&cell) { vec![] } else { vec![piece] });
            }
            assert_eq!(taken(&spans), wanted, "{found:?}");
        }
    }
}
