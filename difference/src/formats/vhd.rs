//! Fixed VHDs: a disk, and a footer behind it.
//!
//! Source: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, section "Hard Disk Footer Format".

use std::ops::Range;

use crate::{
    strings::hex,
    walk::{Aspect, Part, Walk},
};

pub const FOOTER_BYTES: usize = 512;

const FIELDS: [(&str, Range<usize>, Aspect); 12] = [
    ("footer features", 8..12, Aspect::Bytes),
    ("footer format version", 12..16, Aspect::Bytes),
    ("footer time stamp", 24..28, Aspect::HeaderTime),
    ("footer creator application", 28..32, Aspect::Text),
    ("footer creator version", 32..36, Aspect::Bytes),
    ("footer creator host", 36..40, Aspect::Text),
    ("footer original size", 40..48, Aspect::Bytes),
    ("footer current size", 48..56, Aspect::Bytes),
    ("footer geometry", 56..60, Aspect::Bytes),
    ("footer disk type", 60..64, Aspect::Bytes),
    ("footer unique id", 68..84, Aspect::Identifier),
    ("footer checksum", 64..68, Aspect::Checksum),
];

pub fn vhd(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (disk_a, footer_a) = ours.split_at(ours.len() - FOOTER_BYTES);
    let (disk_b, footer_b) = theirs.split_at(theirs.len() - FOOTER_BYTES);
    for (name, range, aspect) in FIELDS {
        walk.field(name, aspect, hex(&footer_a[range.clone()]), hex(&footer_b[range]));
    }
    walk.within(Part::Disk, |walk| walk.content(disk_a, disk_b));
}
