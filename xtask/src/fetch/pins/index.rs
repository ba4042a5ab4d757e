//! Debian's indices (DebianRepository/Format): a suite's Release file, and the Packages files that it
//! lists with their digests.

use std::io::{self, BufRead, BufReader};

use crate::fetch::decompress::Source;

/// What matters of a Release file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    pub suite: String,
    pub codename: String,
    pub date: String,
    pub valid_until: Option<String>,
    pub files: Vec<IndexFile>,
}

/// A line of the SHA256 list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    pub sha256: String,
    pub size: u64,
    /// Relative to the suite's folder, `main/binary-amd64/Packages.xz`.
    pub path: String,
}

/// A package as the index has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    pub version: String,
    pub architecture: String,
    pub filename: String,
    pub size: u64,
    pub sha256: String,
}

impl Release {
    pub fn parse(text: &str) -> Result<Release, String> {
        let mut release = Release::default();
        let mut in_list = false;
        for line in text.lines() {
            if let Some(entry) = line.strip_prefix(' ') {
                if in_list {
                    release.files.push(IndexFile::parse(entry).ok_or(format!("bad line {line:?}"))?);
                }
                continue;
            }
            in_list = line.trim_end() == "SHA256:";
            let Some((field, value)) = line.split_once(':') else { continue };
            let value = value.trim().to_owned();
            match field {
                "Suite" => release.suite = value,
                "Codename" => release.codename = value,
                "Date" => release.date = value,
                "Valid-Until" => release.valid_until = Some(value),
                _ => {}
            }
        }
        match release.files.is_empty() {
            true => Err("it lists no files with SHA256".to_owned()),
            false => Ok(release),
        }
    }

    /// The Packages file of the component, in the compression that is smallest.
    pub fn packages(&self, component: &str, architecture: &str) -> Option<&IndexFile> {
        let path = format!("{component}/binary-{architecture}/Packages");
        [".xz", ".gz", ""].iter().find_map(|ending| {
            self.files.iter().find(|file| file.path.strip_prefix(&path).is_some_and(|rest| rest == *ending))
        })
    }
}

impl IndexFile {
    fn parse(line: &str) -> Option<IndexFile> {
        let [sha256, size, path] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        let hexadecimal = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The path becomes part of an address or of a file name.
        let safe = !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        (hexadecimal && safe).then_some(IndexFile {
            sha256: sha256.to_owned(),
            size: size.parse().ok()?,
            path: path.to_owned(),
        })
    }
}

/// The text inside a clear-signed message (RFC 9580, section 7), unchecked.
pub fn strip_signature(message: &str) -> String {
    let Some((_, rest)) = message.split_once("-----BEGIN PGP SIGNED MESSAGE-----") else {
        return message.to_owned();
    };
    let body = rest.split_once("\n\n").map_or("", |(_, body)| body);
    let body = body.split("\n-----BEGIN PGP SIGNATURE-----").next().unwrap_or_default();
    body.lines().map(|line| format!("{}\n", line.strip_prefix("- ").unwrap_or(line))).collect()
}

/// Every version of the package in a decompressed Packages file, and the names of packages that begin
/// with `relatives`.
pub fn find_package(index: Source, name: &str, relatives: &str) -> io::Result<(Vec<Package>, Vec<String>)> {
    let mut related = Vec::new();
    let found = find_packages(index, |other| {
        if other != name && other.starts_with(relatives) {
            related.push(other.to_owned());
        }
        other == name
    })?;
    Ok((found.into_iter().map(|(_, package)| package).collect(), related))
}

/// Every version of the packages in a decompressed Packages file whose names are wanted.
pub fn find_packages(
    index: Source,
    mut is_wanted: impl FnMut(&str) -> bool,
) -> io::Result<Vec<(String, Package)>> {
    let mut index = BufReader::with_capacity(256 << 10, index);
    let mut found = Vec::new();
    let (mut line, mut current) = (Vec::new(), None::<(String, Package)>);
    loop {
        line.clear();
        let end = index.read_until(b'\n', &mut line)? == 0;
        let trimmed = line.trim_ascii_end();
        if trimmed.is_empty() {
            found.extend(current.take());
            if end {
                return Ok(found);
            }
        } else if let Some(value) = trimmed.strip_prefix(b"Package: ") {
            let value = String::from_utf8_lossy(value);
            if is_wanted(&value) {
                current = Some((value.into_owned(), Package::default()));
            }
        } else if let Some((_, package)) = &mut current {
            package.set(&String::from_utf8_lossy(trimmed));
        }
    }
}

impl Package {
    fn set(&mut self, line: &str) {
        let Some((field, value)) = line.split_once(": ") else { return };
        match field {
            "Version" => self.version = value.to_owned(),
            "Architecture" => self.architecture = value.to_owned(),
            "Filename" => self.filename = value.to_owned(),
            "Size" => self.size = value.parse().unwrap_or(0),
            "SHA256" => self.sha256 = value.to_owned(),
            _ => {}
        }
    }

    /// Whether the index says everything that a pin needs.
    pub fn is_complete(&self) -> bool {
        let pool = self.filename.starts_with("pool/") && !self.filename.split('/').any(|part| part == "..");
        pool && self.size > 0
            && self.sha256.len() == 64
            && self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !self.version.is_empty()
    }
}
