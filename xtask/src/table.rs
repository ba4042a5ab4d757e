//! A table in a file, of which a build reads the lines that it asks for: what a store remembers grows with every profile,
//! and a build in which nothing changed needs a hundred lines of it.
//!
//! Lines of `KEY tab VALUE`, sorted by the bytes of their keys, below a header that names what is kept and above a full
//! stop, which tells a whole file from one that lost its end. Tables only save time: a damaged or foreign file is an empty
//! one.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

const END: &str = ".\n";

pub struct Table {
    path: PathBuf,
    header: &'static str,
    /// The lines of the file.
    lines: String,
    /// What is new since then; None for what was removed.
    changes: BTreeMap<String, Option<String>>,
}

impl Table {
    pub fn load(path: &Path, header: &'static str) -> Table {
        let text = fs::read_to_string(path).unwrap_or_default();
        let body = text.strip_prefix(header).and_then(|text| text.strip_prefix('\n')?.strip_suffix(END));
        let body = body.filter(|body| body.is_empty() || body.ends_with('\n'));
        Table { lines: body.unwrap_or_default().to_owned(), ..Table::empty(path, header) }
    }

    /// Takes the place of whatever the file holds, as soon as it is saved.
    pub fn empty(path: &Path, header: &'static str) -> Table {
        Table { path: path.to_owned(), header, lines: String::new(), changes: BTreeMap::new() }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        match self.changes.get(key) {
            Some(change) => change.as_deref(),
            None => find(&self.lines, key),
        }
    }

    /// Whether it could be: keys have no tab, and neither has an end of a line.
    pub fn set(&mut self, key: &str, value: String) -> bool {
        let fits = !key.contains(['\t', '\n', '\r']) && !value.contains(['\n', '\r']);
        if fits {
            self.changes.insert(key.to_owned(), Some(value));
        }
        fits
    }

    pub fn remove(&mut self, key: &str) {
        if self.get(key).is_some() {
            self.changes.insert(key.to_owned(), None);
        }
    }

    /// Writes what changed, and leaves out what `is_wanted` doesn't want, in one piece: readers see the old file or the
    /// new one. Without changes it does nothing.
    pub fn save(&mut self, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let old = self.lines.lines().filter_map(|line| line.split_once('\t'));
        let mut entries: BTreeMap<&str, &str> = old.collect();
        for (key, change) in &self.changes {
            match change {
                Some(value) => _ = entries.insert(key, value),
                None => _ = entries.remove(key.as_str()),
            }
        }
        let kept = entries.into_iter().filter(|(key, _)| is_wanted(key));
        let lines: String = kept.map(|(key, value)| format!("{key}\t{value}\n")).collect();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        write!(file, "{}\n{lines}{END}", self.header)?;
        file.persist(&self.path).map_err(|error| error.error)?;
        (self.lines, self.changes) = (lines, BTreeMap::new());
        Ok(())
    }
}

/// The value of `key` among sorted lines, by halving.
fn find<'l>(lines: &'l str, key: &str) -> Option<&'l str> {
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let mut middle = low + (high - low) / 2;
        while !lines.is_char_boundary(middle) {
            middle -= 1;
        }
        let start = lines[low..middle].rfind('\n').map_or(low, |at| low + at + 1);
        let end = middle + lines[middle..high].find('\n')?;
        let (found, value) = lines[start..end].split_once('\t')?;
        match found.cmp(key) {
            Ordering::Equal => return Some(value),
            Ordering::Less => low = end + 1,
            Ordering::Greater => high = start,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "table of a test";

    #[test]
    fn a_line_is_found_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/table");
        for count in 0..40_usize {
            let key = |number: usize| format!("{}ä{number}", "k".repeat(number * 7 % 11));
            let mut table = Table::empty(&path, HEADER);
            assert!(table.set("before all others", String::new()));
            for number in 0..count {
                assert!(table.set(&key(number), format!("value\t{number}{}", "ö".repeat(number * 5 % 17))));
            }
            table.save(|key| key != "before all others").unwrap();
            for table in [&table, &Table::load(&path, HEADER)] {
                for number in 0..count {
                    let value = table.get(&key(number)).unwrap();
                    assert!(value.starts_with(&format!("value\t{number}")), "{count}: {number}: {value}");
                }
                for absent in ["", "k", "zzz", "before all others", &key(count)] {
                    assert_eq!(table.get(absent), None, "{count}: {absent}");
                }
            }
        }
    }

    #[test]
    fn changes_replace_and_remove_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let mut table = Table::load(&path, HEADER);
        table.save(|_| true).unwrap();
        assert!(!path.exists(), "nothing changed");
        assert!(table.set("a", "1".into()) && table.set("b", "2".into()) && table.set("c", "3".into()));
        table.save(|_| true).unwrap();
        let mut table = Table::load(&path, HEADER);
        assert!(table.set("b", "new".into()));
        table.remove("c");
        assert_eq!([table.get("a"), table.get("b"), table.get("c")], [Some("1"), Some("new"), None]);
        table.save(|_| true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "table of a test\na\t1\nb\tnew\n.\n");
    }

    #[test]
    fn what_would_break_a_line_is_refused() {
        let mut table = Table::empty(Path::new("nowhere"), HEADER);
        for (key, value) in [("a\tb", "1"), ("a\nb", "1"), ("a", "1\n2"), ("a", "1\r")] {
            assert!(!table.set(key, value.into()));
            assert_eq!(table.get(key), None);
        }
    }

    #[test]
    fn damaged_tables_are_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let good = "table of a test\nkey\tvalue\n.\n";
        let cases = [
            (good, Some("value")),
            ("", None),
            ("another table\nkey\tvalue\n.\n", None),
            ("table of a test", None),
            (&good[..good.len() - 2], None),
            (&good[..good.len() - 5], None),
            ("table of a test\nkey value\n.\n", None),
            ("table of a test\nkey\tvalue.\n", None),
            ("table of a test\n\n\n.\n", None),
            ("table of a test\nkex\tvalue\n.\n", None),
        ];
        for (text, wanted) in cases {
            fs::write(&path, text).unwrap();
            assert_eq!(Table::load(&path, HEADER).get("key"), wanted, "{text:?}");
        }
        fs::write(&path, b"table of a test\nkey\t\xff\n.\n").unwrap();
        assert_eq!(Table::load(&path, HEADER).get("key"), None);
    }
}
