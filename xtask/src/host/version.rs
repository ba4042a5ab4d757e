//! Versions of tools: read out of what they print, compared number by number.

use std::fmt;

/// Dotted numbers, `12.2.0` as [12, 2, 0]. Missing ones count as 0: 4.0 = 4.
#[derive(Clone, Debug)]
pub struct Version(Vec<u64>);

impl Version {
    pub fn new(numbers: &[u64]) -> Version {
        Version(numbers.to_vec())
    }

    /// The version in what a tool prints for `--version`: the first word of the form `1.2…`, `v1.2…` or `Name_1.2…`
    /// outside parentheses, else the first whole number; suffixes (`-nightly`, `-38.fc40`, `p1`) do not count.
    pub fn find(printed: &str) -> Option<Version> {
        printed.lines().find_map(|line| {
            let line = without_parentheses(line);
            let words = || line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
            words().find_map(dotted).or_else(|| words().find_map(whole))
        })
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> std::cmp::Ordering {
        let length = self.0.len().max(other.0.len());
        let padded = |version: &Version| -> Vec<u64> {
            (0..length).map(|at| version.0.get(at).copied().unwrap_or(0)).collect()
        };
        padded(self).cmp(&padded(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.pad(&text.join("."))
    }
}

fn dotted(word: &str) -> Option<Version> {
    let word = word.rsplit_once('_').map_or(word, |(_, version)| version);
    let numbers = word.strip_prefix('v').unwrap_or(word);
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(numbers.len());
    let parts: Vec<u64> =
        numbers[..end].trim_end_matches('.').split('.').map_while(|n| n.parse().ok()).collect();
    (parts.len() >= 2).then_some(Version(parts))
}

fn whole(word: &str) -> Option<Version> {
    Some(Version(vec![word.parse().ok()?]))
}

/// Distributions put their package version in parentheses before or behind the tool's own.
fn without_parentheses(line: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::new();
    for c in line.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        let cases = [
            (
                "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.",
                "12.2.0",
            ),
            ("gcc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)", "14.2.1"),
            ("aarch64-linux-gnu-gcc (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0", "13.3.0"),
            ("GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", "4.3"),
            ("GNU Make 4.4.90", "4.4.90"),
            ("flex 2.6.4", "2.6.4"),
            ("bison (GNU Bison) 3.8.2", "3.8.2"),
            ("bc 1.07.1\nCopyright 1991-1994, 1997, 1998, 2000, 2004", "1.7.1"),
            ("bc 6.7.5\nCopyright (c) 2018-2023 Gavin D. Howard and contributors", "6.7.5"),
            ("v5.36.0", "5.36.0"),
            ("GNU ld (GNU Binutils for Debian) 2.40", "2.40"),
            ("GNU ld version 2.41-38.fc40", "2.41"),
            ("GNU ld (GNU Binutils) 2.43.1", "2.43.1"),
            ("gzip 1.12", "1.12"),
            ("mawk 1.3.4 20200120", "1.3.4"),
            ("GNU Awk 5.2.1, API 3.2, PMA Avon 8-g1, (GNU MPFR 4.2.0, GNU MP 6.2.1)", "5.2.1"),
            ("GPT fdisk (sgdisk) version 1.0.9\n", "1.0.9"),
            ("mdir (GNU mtools) 4.0.32\nconfigured with the following options: enable-xdf", "4.0.32"),
            ("fsck.fat 4.2 (2021-01-31)", "4.2"),
            ("Version: DTC 1.6.1", "1.6.1"),
            ("Version: DTC v1.7.2-g52f07dcc", "1.7.2"),
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "7.2.22"),
            ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)", "10.0.2"),
            ("QEMU emulator version 9.2.3 (qemu-9.2.3-1.fc42)", "9.2.3"),
            ("qemu-img version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1.4)", "8.2.2"),
            ("cpio (GNU cpio) 2.13", "2.13"),
            ("16", "16"),
            ("git version 2.47.3", "2.47.3"),
            ("git version 2.39.5 (Apple Git-154)", "2.39.5"),
            ("*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***", "1.5.4"),
            ("xz (XZ Utils) 5.4.1\nliblzma 5.4.1", "5.4.1"),
            ("rustc 1.95.0 (59807616e 2026-04-14)", "1.95.0"),
            ("rustc 1.98.0-nightly (0123abcde 2026-05-19)", "1.98.0"),
            ("rustfmt 1.8.0-stable (59807616e2 2026-04-14)", "1.8.0"),
            ("cmp (GNU diffutils) 3.8", "3.8"),
            ("GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)", "5.2.15"),
            ("OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026", "9.2"),
            ("OpenSSH_10.0p2, OpenSSL 3.5.1", "10.0"),
            ("warning: something first\ntool 2.0", "2.0"),
        ];
        for (printed, expected) in cases {
            let found = Version::find(printed).map(|version| version.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{printed:?}");
        }
        for printed in ["", "sh: not found", "version unknown", "(1.2.3)"] {
            assert!(Version::find(printed).is_none(), "{printed:?}");
        }
    }

    #[test]
    fn versions_compare_number_by_number() {
        let rising = ["0.9", "1", "1.0.1", "1.6", "1.06.95", "1.7", "2.9.9", "2.10", "12"];
        let parsed: Vec<Version> = rising.iter().map(|text| Version::find(text).expect(text)).collect();
        let mut sorted = parsed.clone();
        sorted.sort();
        assert_eq!(sorted[0], parsed[0]);
        assert!(Version::new(&[4]) == Version::new(&[4, 0]) && Version::new(&[4, 0, 1]) > Version::new(&[4]));
        assert!(
            Version::new(&[2, 9]) < Version::new(&[2, 10])
                && Version::new(&[1, 6, 95]) < Version::new(&[1, 7])
        );
    }
}
