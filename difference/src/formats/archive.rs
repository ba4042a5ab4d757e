//! Archives and compressed files.

use std::io::{self, Read as _};

use crate::{
    Cause,
    walk::{Aspect, Part, Walk},
};

/// What a compressed file may grow to here: a mistake in one should not take all memory.
const LIMIT_BYTES: u64 = 4 << 30;

pub fn zstd(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let unpack = |bytes: &[u8]| -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        zstd::Decoder::new(bytes)?.take(LIMIT_BYTES).read_to_end(&mut content)?;
        Ok(content)
    };
    decompressed(walk, "zstd", unpack(ours), unpack(theirs));
}

pub fn gzip(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    // RFC 1952, section 2.3.1: time of the original file, seconds since 1970.
    let time =
        |bytes: &[u8]| bytes.get(4..8).map(|time| u32::from_le_bytes([time[0], time[1], time[2], time[3]]));
    walk.field(
        "gzip time",
        Aspect::HeaderTime,
        time(ours).unwrap_or_default(),
        time(theirs).unwrap_or_default(),
    );
    let unpack = |bytes: &[u8]| -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(bytes).take(LIMIT_BYTES);
        match decoder.read_to_end(&mut content) {
            // A kernel's payload has its size behind the stream.
            Err(_) if !content.is_empty() => Ok(content),
            Err(error) => Err(error),
            Ok(_) => Ok(content),
        }
    };
    let before = walk.count();
    let (ours, theirs) = (unpack(ours), unpack(theirs));
    if !matches!((&ours, &theirs), (Ok(a), Ok(b)) if a == b && walk.count() > before) {
        decompressed(walk, "gzip", ours, theirs);
    }
}

fn decompressed(
    walk: &mut Walk<'_>,
    how: &'static str,
    ours: io::Result<Vec<u8>>,
    theirs: io::Result<Vec<u8>>,
) {
    match (ours, theirs) {
        (Ok(a), Ok(b)) if a == b => {
            let words = "the same content";
            walk.found(Aspect::Known(Cause::Compression), words, words);
        }
        (Ok(a), Ok(b)) => _ = walk.within(Part::Decompressed(how), |walk| walk.content(&a, &b)),
        // Damaged on one side: its bytes are what there is to tell.
        _ => {}
    }
}

struct Entry<'b> {
    name: String,
    facts: cpio::newc::Entry,
    content: &'b [u8],
}

pub fn cpio(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (Some(a), Some(b)) = (entries(ours), entries(theirs)) else { return };
    let names =
        |entries: &[Entry<'_>]| -> Vec<String> { entries.iter().map(|entry| entry.name.clone()).collect() };
    walk.order("cpio entries", &names(&a), &names(&b));
    walk.presence(&names(&a), &names(&b), |name| Part::CpioEntry(name.to_string()));
    for one in &a {
        let Some(other) = b.iter().find(|other| other.name == one.name) else { continue };
        walk.within(Part::CpioEntry(one.name.clone()), |walk| entry(walk, one, other));
    }
}

fn entry(walk: &mut Walk<'_>, one: &Entry<'_>, other: &Entry<'_>) {
    let (a, b) = (&one.facts, &other.facts);
    walk.field("mode", Aspect::Mode, format!("{:o}", a.mode()), format!("{:o}", b.mode()));
    walk.field("uid", Aspect::Owner, a.uid(), b.uid());
    walk.field("gid", Aspect::Owner, a.gid(), b.gid());
    walk.field("mtime", Aspect::FileTime, a.mtime(), b.mtime());
    walk.field("nlink", Aspect::FileSystemIdentity, a.nlink(), b.nlink());
    walk.field("ino", Aspect::FileSystemIdentity, a.ino(), b.ino());
    let device = |entry: &cpio::newc::Entry| format!("{}:{}", entry.dev_major(), entry.dev_minor());
    walk.field("device", Aspect::FileSystemIdentity, device(a), device(b));
    let special = |entry: &cpio::newc::Entry| format!("{}:{}", entry.rdev_major(), entry.rdev_minor());
    walk.field("device number", Aspect::Bytes, special(a), special(b));
    walk.content(one.content, other.content);
}

/// None for an archive that can't be read.
fn entries(bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    loop {
        let reader = cpio::newc::Reader::new(rest).ok()?;
        let facts = reader.entry().clone();
        if facts.is_trailer() {
            return Some(entries);
        }
        let size = facts.file_size() as usize;
        let header = cpio_header_bytes(facts.name());
        let content = rest.get(header..header + size)?;
        entries.push(Entry { name: facts.name().to_string(), facts, content });
        rest = reader.finish().ok()?;
    }
}

/// Of one entry up to its content: 110 bytes, the name with a zero behind it, and padding to four.
fn cpio_header_bytes(name: &str) -> usize {
    (110 + name.len() + 1).next_multiple_of(4)
}
