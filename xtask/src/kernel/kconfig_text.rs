//! The text of a kernel's Kconfig files as far as it explains a failure: where a symbol is defined, what it
//! depends on, under which condition a person may set it, and what selects it. Conditions are quoted, never
//! evaluated, and macros are not expanded: the kernel's own conf is the judge, this only shows its law.

mod scan;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
};

use serde::Serialize;
use walkdir::WalkDir;

/// One place where a symbol is defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Definition {
    /// Relative to the source tree.
    pub file: String,
    pub line: u32,
    /// Conditions that must all hold, outermost first: of the enclosing `if`, `menu`, `choice`, and the
    /// `source` chain's, then its own `depends on`.
    pub depends_on: Vec<String>,
    pub prompt: Prompt,
    /// A later definition may leave the type to an earlier one.
    #[serde(rename = "type")]
    pub kind: Option<SymbolType>,
    /// Of a number, as they stand in the file: `1 512 if SMP`.
    pub ranges: Vec<String>,
    /// The choice that this is a member of, see [`KconfigText::choice_members`].
    #[serde(skip)]
    pub choice: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SymbolType {
    Bool,
    Tristate,
    Int,
    Hex,
    String,
}

impl fmt::Display for SymbolType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SymbolType::Bool => "bool",
            SymbolType::Tristate => "tristate",
            SymbolType::Int => "int",
            SymbolType::Hex => "hex",
            SymbolType::String => "string",
        })
    }
}

impl Definition {
    /// Everything that other symbols' values enter into, as they stand in the file.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        let prompts: &[String] = match &self.prompt {
            Prompt::If(conditions) => conditions,
            Prompt::None | Prompt::Always => &[],
        };
        self.depends_on.iter().chain(prompts).chain(&self.ranges).map(String::as_str)
    }
}

/// Whether a fragment can set the symbol at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prompt {
    /// No prompt: only defaults and other symbols' `select` decide.
    None,
    Always,
    /// The conditions after `if` on the prompts, of which one has to hold.
    If(Vec<String>),
}

/// A `select` that turns a symbol on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selector {
    /// Without prefix.
    pub symbol: String,
    #[serde(rename = "if")]
    pub condition: Option<String>,
}

/// An index of the Kconfig files of one tree for one architecture. Symbols are without their prefix.
#[derive(Clone, Debug, Default)]
pub struct KconfigText {
    definitions: BTreeMap<String, Vec<Definition>>,
    selectors: BTreeMap<String, Vec<Selector>>,
    choices: Vec<Vec<String>>,
    /// Symbol → file:line, for what only files define that this architecture does not read.
    elsewhere: BTreeMap<String, String>,
}

impl KconfigText {
    /// `files`: path relative to the tree → text. Reading starts at `Kconfig` and follows `source`;
    /// `source_arch` is the directory under arch/.
    pub fn new(files: &BTreeMap<String, String>, source_arch: &str) -> KconfigText {
        let mut scanned = scan::Scan::new(files, source_arch);
        scanned.file("Kconfig", &[]);
        let scan::Scan { definitions, selectors, choices, read, .. } = scanned;
        let mut index = KconfigText { definitions, selectors, choices, elsewhere: BTreeMap::new() };
        index.find_elsewhere(files, &read);
        index
    }

    fn find_elsewhere(&mut self, files: &BTreeMap<String, String>, read: &BTreeSet<String>) {
        for (file, text) in files.iter().filter(|(file, _)| !read.contains(*file) && is_for_a_kernel(file)) {
            for (symbol, line) in scan::names(text) {
                if !self.definitions.contains_key(symbol) {
                    self.elsewhere.entry(symbol.into()).or_insert_with(|| format!("{file}:{line}"));
                }
            }
        }
    }

    /// Every definition of a symbol in the order of reading; none if this architecture has no such symbol.
    pub fn definitions(&self, symbol: &str) -> &[Definition] {
        self.definitions.get(symbol).map_or(&[], Vec::as_slice)
    }

    pub fn selectors(&self, symbol: &str) -> &[Selector] {
        self.selectors.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// Symbols of the choice with this number.
    pub fn choice_members(&self, choice: usize) -> Option<&[String]> {
        self.choices.get(choice).map(Vec::as_slice)
    }

    /// file:line of a definition that this architecture does not read.
    pub fn elsewhere(&self, symbol: &str) -> Option<&str> {
        self.elsewhere.get(symbol).map(String::as_str)
    }

    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }
}

/// Kconfig's own test cases define symbols that are no kernel's.
fn is_for_a_kernel(file: &str) -> bool {
    !file.starts_with("scripts/kconfig/") && !file.starts_with("tools/")
}

/// Reads the Kconfig files of the source tree at `source`: about 2,000 files, 7 MB. Meant for failures only.
pub fn read_tree(source: &Path, source_arch: &str) -> io::Result<KconfigText> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(source).sort_by_file_name() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if !entry.file_type().is_file() || !name.starts_with("Kconfig") {
            continue;
        }
        let relative = entry.path().strip_prefix(source).unwrap_or(entry.path());
        let bytes = std::fs::read(entry.path())
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", entry.path().display())))?;
        files.insert(relative.to_string_lossy().into_owned(), String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(KconfigText::new(&files, source_arch))
}
