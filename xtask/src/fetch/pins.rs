//! Renews the pins of Debian packages: looks up the newest version in each pin's suite and puts it into the
//! text of pins.yaml, changing values alone. Downloads no package; the next build does, and checks it.

mod index;
mod lock;
mod rewrite;
mod suite;
mod time;
mod version;

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use document::did_you_mean;
use serde::Deserialize;
use similar::TextDiff;

use super::{Control, chain, download::Downloader, locations::Sources};
use index::{Package, find_package};
pub use lock::{Locked, Wanted};
pub use rewrite::{Change, rewrite};
pub use suite::Trust;
use suite::{Reader, Suite};

/// The permanent archive takes a snapshot every six hours and answers with the last one before the time
/// asked for. A version that is new in a suite is in the snapshot after the suite's date, not in the one
/// before it; superseded packages stay for days.
const SNAPSHOT_DELAY_SECONDS: u64 = 12 * 3600;

/// The means to renew pins.
pub struct Updater<'a> {
    pub sources: &'a Sources,
    pub downloader: &'a Downloader,
    pub control: &'a Control<'a>,
    pub trust: Trust,
    /// Seconds since 1970.
    pub now: u64,
}

/// What renewing gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The new text of the file; the old one if nothing changed.
    pub text: String,
    /// Unified diff from the old text to the new; empty if nothing changed.
    pub diff: String,
    pub renewed: Vec<Renewed>,
    /// Names of pins that are the newest version already.
    pub current: Vec<String>,
    /// What should be told: trust, outdated mirrors, things left to the user.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    pub name: String,
    pub old_version: String,
    pub new_version: String,
}

/// All that stands in the way, together. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub struct PinsError(pub Vec<String>);

impl fmt::Display for PinsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot renew the pins:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {}", problem.replace('\n', "\n  ")))
    }
}

/// What is needed of pins.yaml; whether the rest is right is for the profile checker to say.
#[derive(Deserialize)]
struct Document {
    pins: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    linux: Option<String>,
    deb: DebEntry,
}

#[derive(Deserialize)]
struct DebEntry {
    package: String,
    version: String,
    architecture: String,
    suite: String,
    pool: String,
    size: u64,
    sha256: String,
}

impl Updater<'_> {
    /// Renews the pins called `names`, or all, in `text`, the content of `file` (its name in the diff).
    pub fn update(&self, file: &str, text: &str, names: &[String]) -> Result<Update, PinsError> {
        let document: Document =
            serde_yaml::from_str(text).map_err(|error| PinsError(vec![format!("{file}: {error}")]))?;
        let mut problems = unknown_names(file, &document, names);
        let mut found = Found::default();
        let mut suites = Suites { reader: self.reader(), open: BTreeMap::new() };
        for (name, entry) in &document.pins {
            if !names.is_empty() && !names.contains(name) {
                continue;
            }
            let newest = suites.newest(entry);
            if let Err(problem) = newest.and_then(|newest| found.judge(name, entry, newest)) {
                problems.push(format!("{name}: {problem}"));
            }
        }
        if !problems.is_empty() {
            return Err(PinsError(problems));
        }
        found.notes.extend(self.notes(&suites));
        let new =
            rewrite(text, &found.changes).map_err(|error| PinsError(vec![format!("{file}: {error}")]))?;
        let diff = TextDiff::from_lines(text, &new).unified_diff().header(file, file).to_string();
        let Found { renewed, current, notes, .. } = found;
        Ok(Update { text: new, diff, renewed, current, notes })
    }

    fn reader(&self) -> Reader<'_> {
        let Updater { sources, downloader, control, trust, now } = self;
        Reader { sources, downloader, control, trust, now: *now }
    }

    fn notes(&self, suites: &Suites) -> Vec<String> {
        let mut notes = Vec::new();
        match &self.trust {
            _ if suites.open.is_empty() => {}
            Trust::Keyring(keyring) => {
                notes.push(format!("signatures of the suites checked with {}", keyring.display()));
            }
            Trust::Mirror(reason) => notes.push(format!(
                "signatures of the suites NOT checked ({reason}): only the mirror and its transport are trusted"
            )),
        }
        for suite in suites.open.values().flatten() {
            let until = suite.release.valid_until.as_deref();
            if let Some(until) =
                until.filter(|until| time::parse_date(until).is_none_or(|end| end < self.now))
            {
                notes.push(format!("the mirror's {} is out of date: valid until {until}", suite.name));
            }
        }
        notes
    }
}

fn unknown_names(file: &str, document: &Document, names: &[String]) -> Vec<String> {
    let unknown = names.iter().filter(|name| !document.pins.contains_key(*name));
    unknown
        .map(|name| match did_you_mean(name, document.pins.keys().map(String::as_str)) {
            Some(meant) => format!("{file} has no pin {name:?}; did you mean {meant:?}?"),
            None => format!("{file} has no pin {name:?}"),
        })
        .collect()
}

/// Suites that have been looked at, each once.
struct Suites<'a> {
    reader: Reader<'a>,
    open: BTreeMap<String, Result<Suite, String>>,
}

struct Newest {
    package: Package,
    snapshot: String,
}

impl Suites<'_> {
    /// The newest version of the pin's package in its suite.
    fn newest(&mut self, entry: &Entry) -> Result<Newest, String> {
        let deb = &entry.deb;
        let reader = &self.reader;
        let suite = self.open.entry(deb.suite.clone()).or_insert_with(|| reader.open(&deb.suite));
        let suite = suite.as_ref().map_err(Clone::clone)?;
        let component = component(&deb.pool).ok_or_else(|| format!("no component in {:?}", deb.pool))?;
        // Packages for all architectures are in the index of each.
        let architecture = if deb.architecture == "all" { "amd64" } else { &deb.architecture };
        let index = reader.packages(suite, component, architecture)?;
        let stem = deb.package.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (packages, related) = find_package(index, &deb.package, stem)
            .map_err(|error| format!("{}: {}", suite.name, chain(&error)))?;
        let newest = packages
            .into_iter()
            .filter(|package| package.architecture == deb.architecture && package.is_complete())
            .max_by(|a, b| version::compare(&a.version, &b.version));
        let Some(package) = newest else {
            return Err(not_there(&suite.name, deb, &related));
        };
        let date = time::parse_date(&suite.release.date)
            .ok_or_else(|| format!("suite {} has no date that can be read", suite.name))?;
        Ok(Newest { package, snapshot: time::stamp(date + SNAPSHOT_DELAY_SECONDS) })
    }
}

/// `main` of pool/main/… and of pool/updates/main/….
fn component(pool: &str) -> Option<&str> {
    let below = pool.strip_prefix("pool/updates/").or_else(|| pool.strip_prefix("pool/"))?;
    below.split_once('/').map(|(component, _)| component)
}

fn not_there(suite: &str, deb: &DebEntry, related: &[String]) -> String {
    let stem = deb.package.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_version =
        |name: &String| name[stem.len()..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let mut others: Vec<&str> =
        related.iter().filter(|name| stem != deb.package && is_version(name)).map(String::as_str).collect();
    others.sort_unstable();
    others.dedup();
    let others = if others.is_empty() { String::new() } else { format!("; it has {}", others.join(", ")) };
    format!("suite {suite} has no package {} for {}{others}", deb.package, deb.architecture)
}

/// What has been found so far.
#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    renewed: Vec<Renewed>,
    current: Vec<String>,
    notes: Vec<String>,
}

impl Found {
    fn judge(&mut self, name: &str, entry: &Entry, newest: Newest) -> Result<(), String> {
        let (deb, package) = (&entry.deb, &newest.package);
        match version::compare(&package.version, &deb.version) {
            Ordering::Less => {
                self.notes.push(format!(
                    "{name}: {} is pinned, newer than {} in {}; left as it is",
                    deb.version, package.version, deb.suite
                ));
                Ok(())
            }
            Ordering::Equal if package.sha256 != deb.sha256 || package.size != deb.size => Err(format!(
                "{} {} in {} is not what is pinned: {} bytes, sha256 {}; a version never changes, so the pin or the mirror is wrong",
                deb.package, deb.version, deb.suite, package.size, package.sha256
            )),
            Ordering::Equal => {
                self.current.push(name.to_owned());
                Ok(())
            }
            Ordering::Greater => {
                self.renew(name, entry, newest);
                Ok(())
            }
        }
    }

    fn renew(&mut self, name: &str, entry: &Entry, newest: Newest) {
        let (deb, package) = (&entry.deb, newest.package);
        let (old_linux, new_linux) = (version::upstream(&deb.version), version::upstream(&package.version));
        let path = |keys: &[&str]| ["pins", name].iter().chain(keys).map(|key| (*key).to_owned()).collect();
        let mut change = |keys: &[&str], value: String| self.changes.push(Change { path: path(keys), value });
        match entry.linux.as_deref() {
            Some(linux) if linux == old_linux => change(&["linux"], new_linux.to_owned()),
            Some(linux) => self.notes.push(format!(
                "{name}: linux is {linux}, not {old_linux} as in the package's version; correct it by hand"
            )),
            None => {}
        }
        let mut change =
            |key: &str, value: String| self.changes.push(Change { path: path(&["deb", key]), value });
        change("version", package.version.clone());
        change("pool", package.filename);
        change("size", package.size.to_string());
        change("sha256", package.sha256);
        change("snapshot", newest.snapshot);
        self.renewed.push(Renewed {
            name: name.to_owned(),
            old_version: deb.version.clone(),
            new_version: package.version,
        });
    }
}
