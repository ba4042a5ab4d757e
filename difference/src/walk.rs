//! The way into two artifacts at once, and what was found on it.

use std::fmt;

use serde::Serialize;

use crate::{Cause, Comparison, FINDINGS_LIMIT, Sides, attribute};

/// One step of the way to a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Of an ELF or PE file.
    Section(String),
    /// A function or variable of an ELF file, demangled by nobody.
    Symbol(String),
    /// The table of an ELF file's symbols.
    Symbols,
    CpioEntry(String),
    FatEntry(String),
    GptPartition(u32),
    /// A field of a header or an entry; the format says which.
    Field(&'static str),
    DtbNode(String),
    DtbProperty(String),
    ConfigSymbol(String),
    /// A page of a guest's memory, by its address.
    IgvmPage(u64),
    /// A header that places no page, counted from 0.
    IgvmHeader(usize),
    /// Counted from 1.
    Line(usize),
    /// An order of things that are otherwise the same.
    OrderOf(&'static str),
    /// What a compressed file holds.
    Decompressed(&'static str),
    /// The disk in front of a VHD's footer.
    Disk,
    /// A file of a tree.
    File(String),
    /// From the beginning of what stands to the left.
    Offset(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Section(name) => write!(f, "section {name}"),
            Part::Symbol(name) => write!(f, "symbol {name}"),
            Part::Symbols => write!(f, "symbol table"),
            Part::CpioEntry(name) => write!(f, "cpio entry {name}"),
            Part::FatEntry(path) => write!(f, "FAT entry {path}"),
            Part::GptPartition(number) => write!(f, "partition {number}"),
            Part::Field(name) => write!(f, "{name}"),
            Part::DtbNode(path) => write!(f, "node {path}"),
            Part::DtbProperty(name) => write!(f, "property {name}"),
            Part::IgvmPage(gpa) => write!(f, "page {gpa:#x}"),
            Part::IgvmHeader(number) => write!(f, "header {number}"),
            Part::ConfigSymbol(name) => write!(f, "{name}"),
            Part::Line(number) => write!(f, "line {number}"),
            Part::OrderOf(what) => write!(f, "order of {what}"),
            Part::Decompressed(how) => write!(f, "inside {how}"),
            Part::Disk => write!(f, "disk"),
            Part::File(path) => write!(f, "{path}"),
            Part::Offset(offset) => write!(f, "byte {offset:#x}"),
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// From the artifact inwards.
    pub place: Vec<Part>,
    /// What stands there, in words or as hexadecimal bytes; empty where there is nothing.
    pub ours: String,
    pub theirs: String,
    /// None where nothing is known of it.
    pub cause: Option<Cause>,
}

impl Finding {
    /// `section .rodata, symbol built_at`
    pub fn place_text(&self) -> String {
        self.place.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// What kind of thing differs; it decides what is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Words: paths, names, dates.
    Text,
    /// Bytes without a known meaning.
    Bytes,
    /// Modification time of a file.
    FileTime,
    Owner,
    Mode,
    /// GUID, volume id: whoever makes it has to derive it.
    Identifier,
    FileSystemIdentity,
    /// A time in a header of a program, a disk or an archive.
    HeaderTime,
    Checksum,
    /// Something that only one of the two has.
    Presence,
    /// Known already.
    Known(Cause),
}

pub struct Walk<'a> {
    pub sides: &'a Sides,
    place: Vec<Part>,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    pub fn new(sides: &'a Sides) -> Walk<'a> {
        Walk { sides, place: Vec::new(), findings: Vec::new() }
    }

    /// Everything that `work` finds is inside `part`. Returns whether it found anything.
    pub fn within(&mut self, part: Part, work: impl FnOnce(&mut Walk<'a>)) -> bool {
        let before = self.findings.len();
        self.place.push(part);
        work(self);
        self.place.pop();
        self.findings.len() > before
    }

    pub fn found(&mut self, aspect: Aspect, ours: impl Into<String>, theirs: impl Into<String>) {
        let (ours, theirs) = (ours.into(), theirs.into());
        let cause = attribute::cause(aspect, &self.place, &ours, &theirs, self.sides);
        let (ours, theirs) = shorten(&ours, &theirs);
        self.findings.push(Finding { place: self.place.clone(), ours, theirs, cause });
    }

    /// A field of a header or an entry, where it differs.
    pub fn field<T: PartialEq + ToString>(&mut self, name: &'static str, aspect: Aspect, ours: T, theirs: T) {
        if ours != theirs {
            self.within(Part::Field(name), |walk| walk.found(aspect, ours.to_string(), theirs.to_string()));
        }
    }

    /// Whether something has been found in this symbol of the section that the walk is in.
    pub fn has_symbol(&self, name: &str) -> bool {
        let is_it = |part: &Part| matches!(part, Part::Symbol(symbol) if symbol == name);
        self.findings.iter().any(|finding| {
            finding.place.starts_with(&self.place) && finding.place.get(self.place.len()).is_some_and(is_it)
        })
    }

    pub fn is_empty_since(&self, count: usize) -> bool {
        self.findings.len() == count
    }

    pub fn count(&self) -> usize {
        self.findings.len()
    }

    pub fn into_comparison(self) -> Comparison {
        let mut findings = self.findings;
        // What explains comes first, what only follows last; otherwise as they lie in the file.
        findings.sort_by_key(|finding| match finding.cause {
            Some(cause) if !cause.follows() => 0,
            None => 1,
            Some(_) => 2,
        });
        let more = findings.len().saturating_sub(FINDINGS_LIMIT);
        findings.truncate(FINDINGS_LIMIT);
        Comparison { findings, more }
    }
}

/// Characters that are shown before the first difference, and in all.
const CONTEXT: usize = 24;
const SHOWN: usize = 120;

/// The parts of two texts around their first difference.
fn shorten(ours: &str, theirs: &str) -> (String, String) {
    let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
    let skip = if ours.chars().count().max(theirs.chars().count()) > SHOWN {
        same.saturating_sub(CONTEXT)
    } else {
        0
    };
    let cut = |text: &str| {
        let shown: String = text.chars().skip(skip).take(SHOWN).collect();
        let more = text.chars().count() > skip + SHOWN;
        format!("{}{shown}{}", if skip > 0 { "…" } else { "" }, if more { "…" } else { "" })
    };
    (cut(ours), cut(theirs))
}
