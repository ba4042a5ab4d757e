//! Ranges of a page blob: which parts of a file are sent, and how that compares with what a blob has.

use std::ops::Range;

/// Unit of page blobs: ranges begin and end at multiples of it ("Understanding block blobs, append blobs, and page blobs").
pub const PAGE_BYTES: u64 = 512;
/// The most that one Put Page takes.
pub const LIMIT_BYTES: u64 = 4 << 20;
/// Zeros shorter than that aren't worth a request of their own.
const BLOCK_BYTES: usize = 64 << 10;

/// What isn't zeros of the bytes at `start`, which are at most [`LIMIT_BYTES`]: blocks that have data, those beside each
/// other as one range, without the zero pages at its ends.
pub fn of_data(start: u64, bytes: &[u8]) -> Vec<Range<u64>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate().filter(|(_, block)| !is_zero(block)) {
        let from = number * BLOCK_BYTES;
        match found.last_mut() {
            Some(last) if last.end == from => last.end += block.len(),
            _ => found.push(from..from + block.len()),
        }
    }
    let trimmed = |range: Range<usize>| {
        let pages = bytes[range.clone()].chunks(PAGE_BYTES as usize);
        let before = pages.clone().take_while(|page| is_zero(page)).count() as u64;
        let after = pages.rev().take_while(|page| is_zero(page)).count() as u64;
        start + range.start as u64 + before * PAGE_BYTES..start + range.end as u64 - after * PAGE_BYTES
    };
    found.into_iter().map(trimmed).collect()
}

fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    bytes == &ZEROS[..bytes.len()]
}

/// Sorted, with those that touch as one.
pub fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Whether joined ranges have all of this one.
pub fn cover(joined: &[Range<u64>], range: &Range<u64>) -> bool {
    let after = joined.partition_point(|found| found.start <= range.start);
    after.checked_sub(1).is_some_and(|before| joined[before].end >= range.end)
}

/// The first range that `there` has and `wanted` hasn't; both joined.
pub fn first_excess(there: &[Range<u64>], wanted: &[Range<u64>]) -> Option<Range<u64>> {
    there.iter().find(|range| !cover(wanted, range)).cloned()
}

pub fn total_bytes<'a>(ranges: impl IntoIterator<Item = &'a Range<u64>>) -> u64 {
    ranges.into_iter().map(|range| range.end - range.start).sum()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests {
    use super::*;

    fn data(size: usize, at: &[Range<usize>]) -> Vec<Range<u64>> {
        let mut bytes = vec![0; size];
        at.iter().for_each(|range| bytes[range.clone()].fill(1));
        of_data(1 << 30, &bytes).iter().map(|range| range.start - (1 << 30)..range.end - (1 << 30)).collect()
    }

    #[test]
    fn only_pages_with_data_are_at_the_ends_of_a_range() {
        assert_eq!(data(4 << 20, &[]), []);
        assert_eq!(data(4 << 20, &[0..4 << 20]), [0..4 << 20]);
        assert_eq!(data(4 << 20, &[513..514]), [512..1024]);
        assert_eq!(data(4 << 20, &[65535..65537]), [65024..66048]);
        // A gap within a block is sent, a block of zeros isn't.
        assert_eq!(data(4 << 20, &[0..1, 60000..60001]), [0..60416]);
        assert_eq!(data(4 << 20, &[0..1, 131072..131073]), [0..512, 131072..131584]);
        // The footer of a VHD is the rest of its file.
        assert_eq!(data(512, &[0..512]), [0..512]);
    }

    #[test]
    fn ranges_are_compared_whatever_pieces_they_come_in() {
        let there = joined(vec![1024..2048, 0..512, 512..1024, 4096..4608, 9000..9000]);
        assert_eq!(there, [0..2048, 4096..4608]);
        for (range, wanted) in [(0..2048, true), (512..1024, true), (0..4096, false), (4096..5120, false)] {
            assert_eq!(cover(&there, &range), wanted, "{range:?}");
        }
        assert!(!cover(&[], &(0..512)));
        assert_eq!(first_excess(&there, &[0..2048, 4096..8192]), None);
        assert_eq!(first_excess(&there, &[0..2048]), Some(4096..4608));
        assert_eq!(total_bytes(&there), 2560);
    }
}
