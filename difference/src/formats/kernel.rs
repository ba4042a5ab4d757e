//! Linux kernel images: the header, and what is compressed behind it.
//!
//! Sources: Linux, Documentation/arch/x86/boot.rst and Documentation/arch/arm64/booting.rst.

use crate::{
    strings::first_difference,
    walk::{Aspect, Part, Walk},
};

pub fn bz_image(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let fields = [
        ("setup_sects", 0x1f1, 1),
        ("syssize", 0x1f4, 4),
        ("version", 0x206, 2),
        ("payload_length", 0x24c, 4),
        ("init_size", 0x260, 4),
    ];
    for (name, place, size) in fields {
        let number = |bytes: &[u8]| bytes.get(place..place + size).map(little_endian).unwrap_or_default();
        walk.field(name, Aspect::Checksum, number(ours), number(theirs));
    }
    let banner = |bytes: &[u8]| -> Option<String> {
        // Of kernel_version: offset of the text from 0x200.
        let start = little_endian(bytes.get(0x20e..0x210)?) as usize + 0x200;
        let text = bytes.get(start..)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    walk.field(
        "kernel_version",
        Aspect::Text,
        banner(ours).unwrap_or_default(),
        banner(theirs).unwrap_or_default(),
    );
    if let (Some(a), Some(b)) = (payload(ours), payload(theirs)) {
        walk.content(a, b);
    }
}

/// The compressed kernel.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let number = |place: usize, size: usize| Some(little_endian(bytes.get(place..place + size)?) as usize);
    let setup = (number(0x1f1, 1)?.max(4) + 1) * 512;
    let start = setup + number(0x248, 4)?;
    bytes.get(start..start + number(0x24c, 4)?)
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A flat image; `vmlinux` of the same kernel names the symbols.
pub fn arm64_image(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    const HEADER_BYTES: usize = 64;
    let header = |bytes: &[u8]| bytes.get(..HEADER_BYTES).unwrap_or_default().to_vec();
    if let Some(place) = first_difference(&header(ours), &header(theirs)) {
        walk.within(Part::Field("header"), |walk| {
            walk.within(Part::Offset(place), |walk| {
                walk.found(Aspect::Checksum, ours.len().to_string(), theirs.len().to_string());
            });
        });
    }
    walk.bytes(ours, theirs);
}
