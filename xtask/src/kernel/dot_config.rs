//! A final configuration, the .config that conf wrote: our own or one that somebody brings. A machine's file,
//! so reading is plain; what a line says is `fragment`'s grammar without its rules for people.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use document::{Origin, Problem, Problems};

use super::{
    Value,
    lint::Series,
    text::{self, BYTE_ORDER_MARK},
};

/// Larger than any .config: those of distributions have 300 kB.
const SIZE_MAX_BYTES: usize = 8 << 20;
/// After so many bad lines it is some other file.
const PROBLEMS_MAX: usize = 10;
const NOT_BY_CONF: &str = "conf writes no such line: was the file edited, cut or put together by hand?";

/// Every symbol of a .config, with its prefix. A symbol that is `n` may also be absent: conf leaves out
/// what the tree's conditions make invisible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotConfig {
    symbols: BTreeMap<String, Setting>,
    header: Option<Header>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    value: Value,
    line: u32,
}

/// The first lines say `# Linux/x86 7.3.4 Kernel Configuration`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// As the kernel names it: `x86`, `x86_64`, `arm64`, …
    pub arch: String,
    pub version: String,
}

impl DotConfig {
    /// Reads a file of unknown origin.
    pub fn read(file: &Arc<str>, bytes: &[u8]) -> Result<DotConfig, Problems> {
        let whole = |message: String| Problem::new(Origin::file(file), message);
        let refused = if bytes.starts_with(&[0x1f, 0x8b]) {
            whole("compressed with gzip".into()).hint(format!("unpack it first: zcat {file} > kernel.config"))
        } else if bytes.len() > SIZE_MAX_BYTES {
            whole(format!("{} bytes are more than any .config has", bytes.len()))
                .hint("is this the file you meant?")
        } else {
            match text::utf8(file, bytes) {
                Ok(text) if text.starts_with(BYTE_ORDER_MARK) => {
                    whole("the file starts with a byte order mark".into())
                        .hint("save it as UTF-8 without one")
                }
                Ok(text) => return DotConfig::parse(file, text),
                Err(problem) => problem,
            }
        };
        Err(Problems(vec![refused]))
    }

    /// Fails on lines that conf does not write.
    pub fn parse(file: &Arc<str>, text: &str) -> Result<DotConfig, Problems> {
        if let Some(problem) = text::carriage_returns(file, text) {
            return Err(Problems(vec![problem]));
        }
        let mut problems = Problems::default();
        let mut config = DotConfig::default();
        for (number, line) in (1..).zip(text.lines()) {
            if problems.0.len() == PROBLEMS_MAX {
                let message = "too many such lines: the rest of the file was not read";
                let problem = Problem::new(Origin::new(file, number, 1), message);
                problems.push(problem.hint("is this the file you meant?"));
                break;
            }
            if config.header.is_none() {
                config.header = header(line);
            }
            match setting(line) {
                Ok(Some((symbol, value))) => {
                    let setting = Setting { value, line: number };
                    problems.0.extend(config.insert(file, symbol, setting).map(|twice| twice.excerpt(line)));
                }
                Ok(None) => {}
                Err(bad) => {
                    let problem = Problem::new(Origin::new(file, number, bad.column), bad.message);
                    problems.push(problem.excerpt(line).hint(NOT_BY_CONF));
                }
            }
        }
        problems.into_result(config)
    }

    fn insert(&mut self, file: &Arc<str>, symbol: &str, setting: Setting) -> Option<Problem> {
        match self.symbols.entry(symbol.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(setting);
                None
            }
            Entry::Occupied(entry) => {
                let first = entry.get();
                let message = format!("{symbol} stands twice in the file");
                let problem = Problem::new(Origin::new(file, setting.line, 1), message);
                let place = Origin::new(file, first.line, 1);
                let problem = problem.related(place, format!("first here, as {}", first.value));
                Some(problem.hint("conf writes each symbol once: keep the line that you mean"))
            }
        }
    }

    /// The value of `symbol` (with prefix); `None` if the file does not mention it.
    pub fn get(&self, symbol: &str) -> Option<&Value> {
        self.symbols.get(symbol).map(|setting| &setting.value)
    }

    /// Where the file mentions `symbol`.
    pub fn line(&self, symbol: &str) -> Option<u32> {
        self.symbols.get(symbol).map(|setting| setting.line)
    }

    pub fn values(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.symbols.iter().map(|(symbol, setting)| (symbol.as_str(), &setting.value))
    }

    /// The version that it says it is for.
    pub fn series(&self) -> Option<Series> {
        Series::parse(&self.header.as_ref()?.version)
    }

    /// For which architecture and version of the kernel it says that it is.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }
}

fn header(line: &str) -> Option<Header> {
    let (arch, rest) = line.strip_prefix("# Linux/")?.split_once(' ')?;
    let version = rest.strip_suffix(" Kernel Configuration")?;
    Some(Header { arch: arch.to_owned(), version: version.to_owned() })
}

/// What is wrong with a line; the column counts characters from 1.
struct Bad {
    column: u32,
    message: String,
}

fn setting(line: &str) -> Result<Option<(&str, Value)>, Bad> {
    let bad = |offset: usize, message: &str| Bad {
        column: line[..offset].chars().count() as u32 + 1,
        message: message.into(),
    };
    if let Some(comment) = line.strip_prefix('#') {
        let symbol = comment.strip_prefix(' ').and_then(|comment| comment.strip_suffix(" is not set"));
        let symbol = symbol.filter(|symbol| symbol.starts_with("CONFIG_") && !symbol.contains(' '));
        return Ok(symbol.map(|symbol| (symbol, Value::No)));
    }
    if line.is_empty() {
        return Ok(None);
    }
    let (symbol, text) =
        line.split_once('=').ok_or_else(|| bad(0, "neither a comment nor a symbol with its value"))?;
    if !symbol.starts_with("CONFIG_") {
        return Err(bad(0, "the name does not start with CONFIG_"));
    }
    if let Some(at) = symbol.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        return Err(bad(at, "the name of a symbol has only letters, digits and _"));
    }
    // A symbol of type hex whose default is written without 0x comes out as it stands in the Kconfig file.
    let bare_hex = || u64::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+')).map(Value::Hex);
    match Value::parse(text) {
        Ok(value) => Ok(Some((symbol, value))),
        Err(wrong) => match bare_hex() {
            Some(value) => Ok(Some((symbol, value))),
            None => Err(bad(symbol.len() + 1 + wrong.offset, &wrong.message)),
        },
    }
}
