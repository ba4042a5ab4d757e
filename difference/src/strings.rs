//! Texts inside of binary files, and bytes in words.

use std::collections::BTreeMap;

/// Shorter runs of printable characters are mostly chance.
const SHORTEST: usize = 4;

/// Runs of printable characters with their offsets.
pub fn strings(bytes: &[u8]) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    for end in 0..=bytes.len() {
        if bytes.get(end).is_some_and(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t') {
            continue;
        }
        if end - start >= SHORTEST {
            // Printable ASCII is UTF-8.
            found.extend(std::str::from_utf8(&bytes[start..end]).ok().map(|text| (start, text)));
        }
        start = end + 1;
    }
    found
}

/// Those that only one side has, each once, in order.
pub fn only_in<'s>(these: &[(usize, &'s str)], others: &[(usize, &str)]) -> Vec<(usize, &'s str)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, text) in others {
        *counts.entry(text).or_default() += 1;
    }
    let mut left = Vec::new();
    for (offset, text) in these {
        match counts.get_mut(text) {
            Some(count) if *count > 0 => *count -= 1,
            _ => left.push((*offset, *text)),
        }
    }
    left
}

type Found<'s> = (usize, &'s str);

/// Which text stands for which: those that begin alike, else as they come.
pub fn pair<'s>(ours: &[Found<'s>], theirs: &[Found<'s>]) -> Vec<(Option<Found<'s>>, Option<Found<'s>>)> {
    let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let mut rest: Vec<Option<Found<'s>>> = theirs.iter().copied().map(Some).collect();
    let mut pairs: Vec<(Option<Found<'s>>, Option<Found<'s>>)> = Vec::new();
    for one in ours {
        let likeness = |other: &Option<Found<'s>>| other.map_or(0, |(_, text)| alike(one.1, text));
        let best = (0..rest.len()).max_by_key(|&number| (likeness(&rest[number]), std::cmp::Reverse(number)));
        let best = best.filter(|&number| likeness(&rest[number]) >= SHORTEST);
        pairs.push((Some(*one), best.and_then(|number| rest[number].take())));
    }
    let mut rest = rest.into_iter().flatten();
    pairs.iter_mut().filter(|(_, theirs)| theirs.is_none()).for_each(|(_, theirs)| *theirs = rest.next());
    pairs.extend(rest.map(|other| (None, Some(other))));
    pairs
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first place where two slices differ; None for equal ones.
pub fn first_difference(ours: &[u8], theirs: &[u8]) -> Option<usize> {
    let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    (same < ours.len().max(theirs.len())).then_some(same)
}
