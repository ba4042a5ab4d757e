//! SHA256SUMS as sha256sum(1) writes and checks it, read strictly: it is what a signature is over.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::Digest;

/// Digests of files by their path below the folder, with `/` between its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(pub BTreeMap<String, Digest>);

/// A line that isn't `DIGEST  NAME`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SumsError {
    /// Counted from 1.
    pub line: usize,
    pub what: String,
}

impl Sums {
    pub fn parse(text: &str) -> Result<Sums, SumsError> {
        let mut sums = Sums::default();
        for (line, content) in (1..).zip(text.lines()) {
            let wrong = |what: String| SumsError { line, what };
            let (digest, name) = content
                .split_once("  ")
                .ok_or_else(|| wrong("not a digest, two spaces and a file's name".to_owned()))?;
            let digest = digest.parse().map_err(|error| wrong(format!("{error}")))?;
            if !is_plain(name) {
                return Err(wrong(format!("`{name}` is no path below the folder")));
            }
            if sums.0.insert(name.to_owned(), digest).is_some() {
                return Err(wrong(format!("`{name}` is listed twice")));
            }
        }
        Ok(sums)
    }

    /// Sorted by name.
    pub fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (name, digest)| {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{digest}  {name}");
            text
        })
    }

    pub fn get(&self, name: &str) -> Option<Digest> {
        self.0.get(name).copied()
    }

    /// Those in the folder `prefix`, by their path below that.
    pub fn below(&self, prefix: &str) -> Sums {
        let inside = |(name, digest): (&String, &Digest)| {
            let name = name.strip_prefix(prefix)?.strip_prefix('/')?;
            Some((name.to_owned(), *digest))
        };
        Sums(self.0.iter().filter_map(inside).collect())
    }
}

/// A relative path that leads nowhere but down, of visible ASCII characters.
pub fn is_plain(name: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..");
    name.split('/').all(part) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let digests = [("kernel", Digest::of(b"1")), ("all/disk.raw.zst", Digest::of(b"2"))];
        let sums = Sums(digests.into_iter().map(|(name, digest)| (name.to_owned(), digest)).collect());
        assert_eq!(Sums::parse(&sums.text()), Ok(sums.clone()));
        assert!(sums.text().ends_with("  kernel\n"), "{}", sums.text());
        assert_eq!(sums.below("all").text(), format!("{}  disk.raw.zst\n", Digest::of(b"2")));
    }

    #[test]
    fn what_no_release_writes_is_refused() {
        let digest = Digest::of(b"1");
        let good = format!("{digest}  kernel\n");
        let cases = [
            ("one space", format!("{good}{digest} disk\n"), 2),
            ("binary mode", format!("{digest} *disk\n"), 1),
            ("upwards", format!("{digest}  ../disk\n"), 1),
            ("absolute", format!("{digest}  /etc/passwd\n"), 1),
            ("escaped", format!("\\{digest}  a\\nb\n"), 1),
            ("short digest", format!("{good}{}  disk\n", &digest.to_string()[..63]), 2),
            ("twice", format!("{good}{good}"), 2),
            ("an empty line", format!("{good}\n"), 2),
        ];
        for (name, text, line) in cases {
            assert_eq!(Sums::parse(&text).unwrap_err().line, line, "{name}");
        }
    }
}
