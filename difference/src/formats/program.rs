//! ELF and PE files: sections, and in ELF files the symbols that lie in them.

use std::collections::{BTreeMap, BTreeSet};

use object::{File, Object as _, ObjectSection as _, ObjectSymbol as _, SectionIndex, read::pe::PeFile64};

use crate::{
    Cause,
    attribute::without_rust_hash,
    strings::hex,
    walk::{Aspect, Part, Walk},
};

/// Sections that only hold what others are named by: they differ whenever those do.
const NAME_TABLES: [&str; 3] = [".symtab", ".strtab", ".shstrtab"];

/// Symbols of a section that are told.
const SYMBOLS_LIMIT: usize = 8;

pub fn elf(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (Ok(a), Ok(b)) = (File::parse(ours), File::parse(theirs)) else { return };
    let before = walk.count();
    let (symbols_a, symbols_b) = (Symbols::of(&a), Symbols::of(&b));
    symbols_a.compare(&symbols_b, walk);
    sections(walk, &a, &b, &symbols_a, &symbols_b, |name| !NAME_TABLES.contains(&name));
    if walk.count() == before {
        sections(walk, &a, &b, &symbols_a, &symbols_b, |name| NAME_TABLES.contains(&name));
    }
    if walk.count() == before {
        walk.field("entry", Aspect::Bytes, format!("{:#x}", a.entry()), format!("{:#x}", b.entry()));
    }
}

fn sections(
    walk: &mut Walk<'_>,
    a: &File<'_>,
    b: &File<'_>,
    symbols_a: &Symbols,
    symbols_b: &Symbols,
    wanted: impl Fn(&str) -> bool,
) {
    let names = |file: &File<'_>| -> Vec<String> {
        file.sections()
            .filter_map(|section| Some(section.name().ok()?.to_string()))
            .filter(|name| wanted(name))
            .collect()
    };
    let (names_a, names_b) = (names(a), names(b));
    walk.presence(&names_a, &names_b, |name| Part::Section(name.to_string()));
    walk.order("sections", &names_a, &names_b);
    let mut seen = BTreeSet::new();
    for name in names_a.iter().filter(|name| seen.insert(name.as_str())) {
        let (Some(one), Some(other)) = (a.section_by_name(name), b.section_by_name(name)) else { continue };
        let (Ok(ours), Ok(theirs)) = (one.data(), other.data()) else { continue };
        if ours == theirs {
            continue;
        }
        let before = walk.count();
        let half = |section: &object::Section<'_, '_>, data| (section.index(), section.address(), data);
        let (one, other) = (half(&one, ours), half(&other, theirs));
        walk.within(Part::Section(name.clone()), |walk| {
            // Digests and instructions look like text by chance.
            if !name.starts_with(".note") && !symbols_a.is_code(one.0) {
                let owner = |offset: usize| {
                    symbols_a.at(one.0, one.1 + offset as u64).map(|name| Part::Symbol(name.to_string()))
                };
                walk.texts(ours, theirs, owner);
            }
            variables(walk, one, other, symbols_a, symbols_b);
            if walk.is_empty_since(before) {
                walk.first_bytes(ours, theirs);
            }
        });
    }
}

/// Number, address and content of a section.
type Place<'d> = (SectionIndex, u64, &'d [u8]);

/// Variables and functions of a section that have other bytes, but for those of which a text has been told.
fn variables(
    walk: &mut Walk<'_>,
    one: Place<'_>,
    other: Place<'_>,
    symbols_a: &Symbols,
    symbols_b: &Symbols,
) {
    let before = walk.count();
    let bytes = |place: Place<'_>, (address, size): (u64, u64)| -> Option<Vec<u8>> {
        let start = address.checked_sub(place.1)? as usize;
        Some(place.2.get(start..start.checked_add(size as usize)?)?.to_vec())
    };
    for (name, range) in symbols_a.in_section(one.0) {
        if walk.count() - before >= SYMBOLS_LIMIT {
            return;
        }
        let Some(other_range) = symbols_b.named(other.0, name) else { continue };
        let (Some(a), Some(b)) = (bytes(one, range), bytes(other, other_range)) else { continue };
        if a == b || walk.has_symbol(name) {
            continue;
        }
        let place = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let shown = |bytes: &[u8]| hex(&bytes[place.min(bytes.len()) / 4 * 4..bytes.len().min(place + 16)]);
        walk.within(Part::Symbol(name.to_string()), |walk| walk.found(Aspect::Bytes, shown(&a), shown(&b)));
    }
}

/// Functions and variables with their places.
struct Symbols {
    /// Section, address and size by name; of several with a name, the first.
    by_name: BTreeMap<(usize, String), (u64, u64)>,
    /// Section and address → name and size.
    by_address: BTreeMap<(usize, u64), (String, u64)>,
    code: BTreeSet<usize>,
}

impl Symbols {
    fn of(file: &File<'_>) -> Symbols {
        let mut symbols =
            Symbols { by_name: BTreeMap::new(), by_address: BTreeMap::new(), code: BTreeSet::new() };
        symbols.code.extend(
            file.sections()
                .filter(|section| section.kind() == object::SectionKind::Text)
                .map(|section| section.index().0),
        );
        for symbol in file.symbols().filter(|symbol| symbol.size() > 0) {
            let (Some(section), Ok(name)) = (symbol.section_index(), symbol.name()) else { continue };
            let place = (symbol.address(), symbol.size());
            symbols.by_name.entry((section.0, name.to_string())).or_insert(place);
            symbols.by_address.entry((section.0, place.0)).or_insert((name.to_string(), place.1));
        }
        symbols
    }

    fn at(&self, section: SectionIndex, address: u64) -> Option<&str> {
        let (place, (name, size)) = self.by_address.range(..=(section.0, address)).next_back()?;
        (place.0 == section.0 && address < place.1 + size).then_some(name)
    }

    fn is_code(&self, section: SectionIndex) -> bool {
        self.code.contains(&section.0)
    }

    fn in_section(&self, section: SectionIndex) -> impl Iterator<Item = (&str, (u64, u64))> {
        let of_section = self.by_address.range((section.0, 0)..=(section.0, u64::MAX));
        of_section.map(|((_, address), (name, size))| (name.as_str(), (*address, *size)))
    }

    fn named(&self, section: SectionIndex, name: &str) -> Option<(u64, u64)> {
        self.by_name.get(&(section.0, name.to_string())).copied()
    }

    fn compare(&self, other: &Symbols, walk: &mut Walk<'_>) {
        let names = |symbols: &Symbols| -> Vec<String> {
            symbols.by_address.values().map(|(name, _)| name.clone()).collect()
        };
        let (ours, theirs) = (names(self), names(other));
        let plain =
            |names: &[String]| -> Vec<String> { names.iter().map(|name| without_rust_hash(name)).collect() };
        let (plain_a, plain_b) = (plain(&ours), plain(&theirs));
        walk.within(Part::Symbols, |walk| {
            walk.order("symbols", &plain_a, &plain_b);
            let renamed = ours.iter().zip(&theirs).find(|(a, b)| a != b);
            if let (true, Some((a, b))) = (plain_a == plain_b, renamed) {
                walk.found(Aspect::Known(Cause::RustIdentity), a.as_str(), b.as_str());
            }
        });
    }
}

/// A PE file, such as a unified kernel image: its sections may hold whole files of other formats.
pub fn pe(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (Ok(a), Ok(b)) = (PeFile64::parse(ours), PeFile64::parse(theirs)) else { return };
    let time = |file: &PeFile64<'_>| file.nt_headers().file_header.time_date_stamp.get(object::LittleEndian);
    walk.field("PE time stamp", Aspect::HeaderTime, time(&a), time(&b));
    let names = |file: &PeFile64<'_>| -> Vec<String> {
        file.sections().filter_map(|section| Some(section.name().ok()?.to_string())).collect()
    };
    let (names_a, names_b) = (names(&a), names(&b));
    walk.presence(&names_a, &names_b, |name| Part::Section(name.to_string()));
    walk.order("sections", &names_a, &names_b);
    for name in &names_a {
        let (Some(one), Some(other)) = (a.section_by_name(name), b.section_by_name(name)) else { continue };
        if let (Ok(ours), Ok(theirs)) = (one.data(), other.data()) {
            walk.within(Part::Section(name.clone()), |walk| walk.content(trimmed(ours), trimmed(theirs)));
        }
    }
    let sum = |file: &PeFile64<'_>| file.nt_headers().optional_header.check_sum.get(object::LittleEndian);
    walk.field("PE checksum", Aspect::Checksum, sum(&a), sum(&b));
}

/// Sections are padded with zeros to a whole number of blocks.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // Of binary formats the end may be a zero itself: four is what all of them are aligned to.
    &bytes[..end.next_multiple_of(4).min(bytes.len())]
}
