//! Whether a bundle is what was released: every file there and unchanged, none too many, and the documents in it in
//! agreement with each other. Who signed it is for the caller to find out, before it believes any of this.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    Digest,
    bundle::{self, ProfileRelease, Release},
    manifest::Manifest,
    pack, provenance, sbom,
    sums::{Sums, SumsError},
};

/// What was found in a bundle that is whole.
#[derive(Clone, Debug)]
pub struct Checked {
    pub release: Release,
    pub files: usize,
    pub size_bytes: u64,
    /// Whether there is a signature; not whose.
    pub has_signature: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{folder} is no release: it has no {name}\n  hint: name the folder that has SHA256SUMS in it")]
    NoBundle { folder: String, name: &'static str },
    #[error("{name} can't be read: {source}")]
    Unreadable { name: String, source: io::Error },
    #[error("SHA256SUMS: {0}")]
    Sums(SumsError),
    #[error("{name} is missing")]
    Missing { name: String },
    #[error("{name} is no part of the release: SHA256SUMS doesn't list it")]
    Extra { name: String },
    #[error("{name} is no plain file")]
    NoFile { name: String },
    #[error("{name} was changed: its digest is {found}, not {wanted}")]
    Changed { name: String, wanted: Digest, found: Digest },
    #[error("{document} {what}")]
    Document { document: String, what: String },
}

/// How thorough a check is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Files that are read at a time.
    pub jobs: usize,
    /// Unpack what is packed, and compare that as well.
    pub unpack: bool,
}

/// # Errors
/// All that is wrong. Documents are compared with each other only where every file is what it should be.
pub fn check(folder: &Path, options: Options) -> Result<Checked, Vec<Problem>> {
    let sums = read_sums(folder).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let has_signature = listing(folder, &sums, &mut problems);
    let size_bytes = digests(folder, &sums, options.jobs, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let release = documents(folder, &sums, options, &mut problems);
    if has_signature == sums.get(bundle::UNSIGNED).is_some() {
        let what = match has_signature {
            true => "says that nobody has signed this release, but there is a signature",
            false => "has to be there if there is no signature",
        };
        problems.push(Problem::Document { document: bundle::UNSIGNED.to_owned(), what: what.to_owned() });
    }
    match release {
        Some(release) if problems.is_empty() => {
            Ok(Checked { release, files: sums.0.len(), size_bytes, has_signature })
        }
        _ => Err(problems),
    }
}

fn read_sums(folder: &Path) -> Result<Sums, Problem> {
    match fs::read_to_string(folder.join(bundle::SUMS)) {
        Ok(text) => Sums::parse(&text).map_err(Problem::Sums),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Problem::NoBundle { folder: folder.display().to_string(), name: bundle::SUMS })
        }
        Err(source) => Err(Problem::Unreadable { name: bundle::SUMS.to_owned(), source }),
    }
}

/// Compares names; says whether there is a signature.
fn listing(folder: &Path, sums: &Sums, problems: &mut Vec<Problem>) -> bool {
    let mut has_signature = false;
    for entry in walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let name = error.path().unwrap_or(folder).display().to_string();
                problems.push(Problem::Unreadable { name, source: error.into() });
                continue;
            }
        };
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
        let is_file = entry.file_type().is_file();
        match name.as_str() {
            _ if entry.file_type().is_dir() => {}
            _ if !is_file => problems.push(Problem::NoFile { name }),
            bundle::SUMS => {}
            bundle::SIGNATURE => has_signature = true,
            _ if sums.get(&name).is_none() => problems.push(Problem::Extra { name }),
            _ => {}
        }
    }
    has_signature
}

/// Reads every listed file, the largest first, several at a time; returns how much that was.
fn digests(folder: &Path, sums: &Sums, jobs: usize, problems: &mut Vec<Problem>) -> u64 {
    let size = |name: &str| fs::metadata(folder.join(name)).map_or(0, |metadata| metadata.len());
    let mut files: Vec<(&String, &Digest, u64)> =
        sums.0.iter().map(|(name, digest)| (name, digest, size(name))).collect();
    files.sort_by_key(|(_, _, size_bytes)| std::cmp::Reverse(*size_bytes));
    let next = AtomicUsize::new(0);
    let found = Mutex::new((BTreeMap::new(), 0));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, files.len().max(1)) {
            scope.spawn(|| {
                while let Some((name, wanted, _)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let read = Digest::of_file(&folder.join(name));
                    let mut found = found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    match judge(name, **wanted, read) {
                        Ok(size_bytes) => found.1 += size_bytes,
                        Err(problem) => _ = found.0.insert(*name, problem),
                    }
                }
            });
        }
    });
    let (wrong, size_bytes) = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    problems.extend(wrong.into_values());
    size_bytes
}

fn judge(name: &str, wanted: Digest, read: io::Result<(Digest, u64)>) -> Result<u64, Problem> {
    let name = name.to_owned();
    match read {
        Ok((found, size_bytes)) if found == wanted => Ok(size_bytes),
        Ok((found, _)) => Err(Problem::Changed { name, wanted, found }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::Missing { name }),
        Err(source) => Err(Problem::Unreadable { name, source }),
    }
}

/// One bundle's documents while they are compared.
struct Documents<'a> {
    folder: &'a Path,
    /// Of the bundle in the folder: empty, or the name of a profile of a collection.
    prefix: &'a str,
    sums: Sums,
    problems: &'a mut Vec<Problem>,
}

fn documents(folder: &Path, sums: &Sums, options: Options, problems: &mut Vec<Problem>) -> Option<Release> {
    let mut top = Documents { folder, prefix: "", sums: sums.clone(), problems };
    let release = top.parsed(bundle::RELEASE, Release::parse)?;
    match &release {
        Release::Profile(release) => top.profile(release, options),
        Release::Collection(collection) => {
            for profile in &collection.profiles {
                let mut part =
                    Documents { folder, prefix: profile, sums: sums.below(profile), problems: top.problems };
                part.part_of_collection(collection, options);
            }
            let is_known = |name: &str| {
                collection.profiles.iter().any(|profile| name.starts_with(&format!("{profile}/")))
            };
            let strangers = sums.0.keys().filter(|name| name.contains('/') && !is_known(name));
            for name in strangers {
                let what = format!("names no profile that {name} would belong to");
                top.problems.push(Problem::Document { document: bundle::RELEASE.to_owned(), what });
            }
        }
    }
    Some(release)
}

impl Documents<'_> {
    fn part_of_collection(&mut self, collection: &bundle::Collection, options: Options) {
        let listed = self.parsed(bundle::SUMS, |text| {
            Sums::parse(&String::from_utf8_lossy(text)).map_err(|error| error.to_string())
        });
        let mut wanted = self.sums.clone();
        for own in [bundle::SUMS, bundle::SIGNATURE] {
            wanted.0.remove(own);
        }
        if listed.is_some_and(|listed| listed != wanted) {
            self.wrong(bundle::SUMS, "lists other files than that of the collection");
        }
        match self.parsed(bundle::RELEASE, Release::parse) {
            Some(Release::Profile(release)) => {
                if release.profile != self.prefix {
                    self.wrong(bundle::RELEASE, format!("is of the profile {}", release.profile));
                }
                if release.source != collection.source {
                    self.wrong(bundle::RELEASE, "is of another version than the collection");
                }
                self.profile(&release, options);
            }
            Some(Release::Collection(_)) => self.wrong(bundle::RELEASE, "is a collection in a collection"),
            None => {}
        }
    }

    fn profile(&mut self, release: &ProfileRelease, options: Options) {
        let manifest =
            self.parsed(bundle::MANIFEST, |text| Manifest::parse(text).map_err(|error| error.to_string()));
        if let Some(manifest) = manifest {
            let mut contents: Vec<_> = release.artifacts.iter().map(|artifact| &artifact.content).collect();
            contents.sort_by_key(|content| &content.name);
            if manifest.profile.name != release.profile
                || contents != manifest.outputs.iter().collect::<Vec<_>>()
            {
                self.wrong(bundle::MANIFEST, format!("and {} name different artifacts", bundle::RELEASE));
            }
        }
        for artifact in &release.artifacts {
            self.artifact(artifact, options);
        }
        let contents = release.contents();
        type Artifacts = fn(&[u8]) -> Result<BTreeMap<String, Digest>, String>;
        let bills: [(&str, Artifacts); 2] =
            [(bundle::SPDX, sbom::spdx::artifacts), (bundle::CYCLONEDX, sbom::cyclonedx::artifacts)];
        for (name, artifacts) in bills {
            if self.parsed(name, artifacts).is_some_and(|listed| listed != contents) {
                self.wrong(name, "is a bill of other artifacts");
            }
        }
        let wanted = release.subjects(&self.sums);
        if self.parsed(bundle::PROVENANCE, provenance::subjects).is_some_and(|subjects| subjects != wanted) {
            self.wrong(bundle::PROVENANCE, "speaks of other artifacts");
        }
        if self.sums.get(bundle::NOTES).is_none() {
            self.wrong(bundle::NOTES, "is missing");
        }
    }

    fn artifact(&mut self, artifact: &bundle::Artifact, options: Options) {
        let Some(digest) = self.sums.get(&artifact.file) else {
            return self.wrong(bundle::RELEASE, format!("names {}, which isn't there", artifact.file));
        };
        if artifact.packing == pack::Packing::None {
            if digest != artifact.content.sha256 {
                self.wrong(bundle::RELEASE, format!("has another digest for {}", artifact.file));
            }
        } else if options.unpack {
            let unpacked = File::open(self.folder.join(self.prefix).join(&artifact.file))
                .and_then(|file| pack::unpack(BufReader::new(file), artifact.packing))
                .and_then(|mut content| Digest::of_reader(&mut content));
            match unpacked {
                Ok(found) if found == (artifact.content.sha256, artifact.content.size_bytes) => {}
                Ok(_) => self.wrong(&artifact.file, "has other content than the manifest says"),
                Err(error) => self.wrong(&artifact.file, format!("can't be unpacked: {error}")),
            }
        }
    }

    /// A document of the bundle, unless it is missing or can't be understood, which is a problem then.
    fn parsed<T>(&mut self, name: &str, parse: impl Fn(&[u8]) -> Result<T, String>) -> Option<T> {
        let path = self.folder.join(self.prefix).join(name);
        let parsed = match fs::read(&path) {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("is missing".to_owned()),
            Err(error) => Err(format!("can't be read: {error}")),
        };
        parsed.map_err(|what| self.wrong(name, what)).ok()
    }

    fn wrong(&mut self, name: &str, what: impl Into<String>) {
        let document = match self.prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        self.problems.push(Problem::Document { document, what: what.into() });
    }
}

/// Files in the folder of a bundle that it doesn't list.
///
/// # Errors
/// The folder is no bundle.
pub fn strangers(folder: &Path) -> Result<Vec<String>, Problem> {
    let sums = read_sums(folder)?;
    let mut problems = Vec::new();
    listing(folder, &sums, &mut problems);
    let name = |problem| match problem {
        Problem::Extra { name } | Problem::NoFile { name } => Some(name),
        _ => None,
    };
    Ok(problems.into_iter().filter_map(name).collect())
}
