//! One module a format: what is where in it, and what kind of thing each part is.

mod archive;
mod disk;
mod fat;
mod igvm;
mod kernel;
mod program;
mod readable;
mod text;
mod tree;
mod vhd;

use crate::{
    strings::{first_difference, hex, only_in, pair, strings},
    walk::{Aspect, Part, Walk},
};

/// What a file is, by its own first (or last) bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Elf,
    Pe,
    BzImage,
    Arm64Image,
    Cpio,
    Zstd,
    Gzip,
    Gpt,
    Fat,
    Vhd,
    Igvm,
    DeviceTree,
    KernelConfig,
    Text,
    Unknown,
}

fn format(bytes: &[u8]) -> Format {
    let at = |place: usize, magic: &[u8]| bytes.get(place..place + magic.len()) == Some(magic);
    let is_vhd = bytes.len() > vhd::FOOTER_BYTES && at(bytes.len() - vhd::FOOTER_BYTES, b"conectix");
    match bytes {
        _ if at(0, b"\x7fELF") => Format::Elf,
        // A kernel may be a PE file as well.
        _ if at(0x202, b"HdrS") => Format::BzImage,
        _ if at(0x38, b"ARM\x64") => Format::Arm64Image,
        _ if at(0, b"MZ") => Format::Pe,
        _ if at(0, b"070701") || at(0, b"070702") => Format::Cpio,
        _ if at(0, &[0x28, 0xb5, 0x2f, 0xfd]) => Format::Zstd,
        _ if at(0, &[0x1f, 0x8b]) => Format::Gzip,
        _ if at(0, &[0xd0, 0x0d, 0xfe, 0xed]) => Format::DeviceTree,
        _ if at(0, b"IGVM") => Format::Igvm,
        _ if is_vhd => Format::Vhd,
        _ if at(512, b"EFI PART") => Format::Gpt,
        _ if at(510, &[0x55, 0xaa]) && (at(0x52, b"FAT32") || at(0x36, b"FAT")) => Format::Fat,
        _ => match std::str::from_utf8(bytes) {
            Ok(text) if is_readable(text) && text.lines().any(|line| line.starts_with("CONFIG_")) => {
                Format::KernelConfig
            }
            Ok(text) if is_readable(text) => Format::Text,
            _ => Format::Unknown,
        },
    }
}

fn is_readable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
}

impl Walk<'_> {
    /// Two things of whatever format; equal ones are passed over.
    pub fn content(&mut self, ours: &[u8], theirs: &[u8]) {
        if ours == theirs {
            return;
        }
        let before = self.count();
        if format(ours) == format(theirs) {
            self.same_format(format(ours), ours, theirs);
        }
        // Whatever the format's reader had no eye for still differs.
        if self.count() == before {
            self.bytes(ours, theirs);
        }
    }

    fn same_format(&mut self, format: Format, ours: &[u8], theirs: &[u8]) {
        match format {
            Format::Elf => program::elf(self, ours, theirs),
            Format::Pe => program::pe(self, ours, theirs),
            Format::BzImage => kernel::bz_image(self, ours, theirs),
            Format::Arm64Image => kernel::arm64_image(self, ours, theirs),
            Format::Cpio => archive::cpio(self, ours, theirs),
            Format::Zstd => archive::zstd(self, ours, theirs),
            Format::Gzip => archive::gzip(self, ours, theirs),
            Format::Gpt => disk::gpt(self, ours, theirs),
            Format::Fat => fat::fat(self, ours, theirs),
            Format::Igvm => igvm::igvm(self, ours, theirs),
            Format::Vhd => vhd::vhd(self, ours, theirs),
            Format::DeviceTree => tree::device_tree(self, ours, theirs),
            Format::KernelConfig => text::kernel_config(self, ours, theirs),
            Format::Text => text::text(self, ours, theirs),
            Format::Unknown => {}
        }
    }

    /// Bytes of no known format: the texts in them that differ, else the first bytes that do.
    pub fn bytes(&mut self, ours: &[u8], theirs: &[u8]) {
        if !self.texts(ours, theirs, |_| None) {
            self.first_bytes(ours, theirs);
        }
    }

    /// The first bytes that differ.
    pub fn first_bytes(&mut self, ours: &[u8], theirs: &[u8]) {
        let Some(place) = first_difference(ours, theirs) else { return };
        let around = |bytes: &[u8]| hex(bytes.get(place..bytes.len().min(place + 16)).unwrap_or_default());
        self.within(Part::Offset(place), |walk| walk.found(Aspect::Bytes, around(ours), around(theirs)));
    }

    /// Texts that only one of the two has. `owner` says what an offset in `ours` belongs to. False: there are none.
    pub fn texts(&mut self, ours: &[u8], theirs: &[u8], owner: impl Fn(usize) -> Option<Part>) -> bool {
        /// More are noise.
        const LIMIT: usize = 12;
        let (a, b) = (strings(ours), strings(theirs));
        let (left, right) = (only_in(&a, &b), only_in(&b, &a));
        let pairs = left.len().max(right.len());
        // Chance makes printable bytes of code; where much differs that isn't text, texts explain nothing.
        if pairs == 0 || pairs > 64 && left.len() != right.len() {
            return false;
        }
        for (ours, theirs) in pair(&left, &right).into_iter().take(LIMIT) {
            let place = ours.or(theirs).map_or(0, |(offset, _)| offset);
            let part = owner(place).unwrap_or(Part::Offset(place));
            let text =
                |string: Option<(usize, &str)>| string.map_or(String::new(), |(_, text)| text.to_string());
            self.within(part, |walk| walk.found(Aspect::Text, text(ours), text(theirs)));
        }
        true
    }

    /// Names in the order in which they stand.
    pub fn names(&mut self, ours: &[String], theirs: &[String]) {
        self.order("names", ours, theirs);
        self.presence(ours, theirs, |name| Part::File(name.to_string()));
    }

    /// The same names in another order.
    pub fn order(&mut self, what: &'static str, ours: &[String], theirs: &[String]) {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        let Some(first) = ours.iter().zip(theirs).position(|(a, b)| a != b) else { return };
        if sorted(ours) != sorted(theirs) {
            return;
        }
        fn borrowed(names: &[String]) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        let cause = crate::attribute::by_order(&borrowed(ours), &borrowed(theirs));
        let shown = |names: &[String]| names[first..names.len().min(first + 3)].join(" ");
        self.within(Part::OrderOf(what), |walk| walk.found(Aspect::Known(cause), shown(ours), shown(theirs)));
    }

    /// Names that only one of the two has.
    pub fn presence(&mut self, ours: &[String], theirs: &[String], part: impl Fn(&str) -> Part) {
        for name in ours.iter().filter(|name| !theirs.contains(name)) {
            self.within(part(name), |walk| walk.found(Aspect::Presence, name.as_str(), ""));
        }
        for name in theirs.iter().filter(|name| !ours.contains(name)) {
            self.within(part(name), |walk| walk.found(Aspect::Presence, "", name.as_str()));
        }
    }
}
