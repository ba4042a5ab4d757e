//! Which packages a set of wanted ones comes to, with all that they depend on: solved by apt over the indices of the
//! suites, in a state of its own. Nothing of what is installed here takes part, and nothing is installed or downloaded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    super::{chain, child, deb::CountedFile, decompress::decompress},
    PinsError, SNAPSHOT_DELAY_SECONDS, Updater,
    index::{Package, find_packages},
    suite::Reader,
    time,
};

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The newest version counts; of the same version in two suites, the one in the first.
    pub suites: &'a [&'a str],
    /// As Debian writes it.
    pub architecture: &'a str,
    /// With all that they depend on.
    pub packages: &'a [&'a str],
    /// Package and architecture: what they depend on is left out.
    pub alone: &'a [(&'a str, &'a str)],
}

/// A package of the set, by all that a pin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    pub package: String,
    pub version: String,
    /// Of the package itself: `all` where it is for every machine.
    pub architecture: String,
    pub suite: String,
    pub pool: String,
    pub size: u64,
    pub sha256: String,
    pub snapshot: String,
}

/// The set, sorted by package and architecture, and what should be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    pub packages: Vec<Locked>,
    pub notes: Vec<String>,
}

/// An index of one suite for one architecture, as a file.
struct Index {
    suite: String,
    architecture: String,
    /// Folder with the file Packages.
    folder: PathBuf,
    snapshot: String,
}

impl Updater<'_> {
    pub fn lock(&self, wanted: &Wanted) -> Result<Lock, PinsError> {
        let one = |problem: String| PinsError(vec![problem]);
        let scratch = tempfile::tempdir().map_err(|error| one(error.to_string()))?;
        let (indices, notes) = self.indices(wanted, scratch.path()).map_err(one)?;
        let own: Vec<&Index> =
            indices.iter().filter(|index| index.architecture == wanted.architecture).collect();
        let solved = solve(scratch.path(), &own, wanted).map_err(one)?;
        let names: BTreeSet<&str> = solved
            .iter()
            .map(|(name, _)| name.as_str())
            .chain(wanted.alone.iter().map(|(name, _)| *name))
            .collect();
        let known = read(&indices, &names).map_err(one)?;
        let (mut packages, mut problems) = (Vec::new(), Vec::new());
        for (name, version) in &solved {
            let is_it = |known: &&Locked| {
                known.package == *name
                    && known.version == *version
                    && ["all", wanted.architecture].contains(&known.architecture.as_str())
            };
            match known.iter().find(is_it) {
                Some(known) => packages.push(known.clone()),
                None => problems.push(format!("no suite has {name} {version}, which apt chose")),
            }
        }
        for (name, architecture) in wanted.alone {
            let of =
                known.iter().filter(|known| known.package == *name && known.architecture == *architecture);
            // Of equals, `max_by` takes the last one.
            let newest = of.rev().max_by(|a, b| super::version::compare(&a.version, &b.version));
            match newest {
                Some(newest) => packages.push(newest.clone()),
                None => problems.push(format!("no suite has {name} for {architecture}")),
            }
        }
        if !problems.is_empty() {
            return Err(PinsError(problems));
        }
        packages.sort_by(|a, b| (&a.package, &a.architecture).cmp(&(&b.package, &b.architecture)));
        packages.dedup();
        Ok(Lock { packages, notes })
    }

    /// Fetches and checks the indices of all suites, for every architecture that is asked for.
    fn indices(&self, wanted: &Wanted, scratch: &Path) -> Result<(Vec<Index>, Vec<String>), String> {
        let reader = self.reader();
        let (mut indices, mut open) = (Vec::new(), BTreeMap::new());
        let mut architectures = vec![wanted.architecture];
        architectures.extend(wanted.alone.iter().map(|(_, architecture)| *architecture));
        architectures.sort_unstable();
        architectures.dedup();
        for name in wanted.suites {
            let suite = reader.open(name)?;
            let date = time::parse_date(&suite.release.date)
                .ok_or_else(|| format!("suite {name} has no date that can be read"))?;
            for architecture in &architectures {
                let folder = scratch.join(format!("index-{}", indices.len()));
                save(&reader, &suite, architecture, &folder)?;
                indices.push(Index {
                    suite: (*name).to_owned(),
                    architecture: (*architecture).to_owned(),
                    folder,
                    snapshot: time::stamp(date + SNAPSHOT_DELAY_SECONDS),
                });
            }
            open.insert((*name).to_owned(), Ok(suite));
        }
        let notes = self.notes(&super::Suites { reader, open });
        Ok((indices, notes))
    }
}

fn save(reader: &Reader, suite: &super::Suite, architecture: &str, folder: &Path) -> Result<(), String> {
    let mut index = reader.packages(suite, "main", architecture)?;
    let mut write = || -> io::Result<()> {
        fs::create_dir(folder)?;
        io::copy(&mut index, &mut File::create(folder.join("Packages"))?)?;
        Ok(())
    };
    write().map_err(|error| format!("the index of {} for {architecture}: {}", suite.name, chain(&error)))
}

/// All versions of these packages in all indices.
fn read(indices: &[Index], names: &BTreeSet<&str>) -> Result<Vec<Locked>, String> {
    let mut known = Vec::new();
    for index in indices {
        let open =
            || decompress(Box::new(CountedFile::open(&index.folder.join("Packages"), &Default::default())?));
        let found = open().and_then(|file| find_packages(file, |name| names.contains(name)));
        let found = found.map_err(|error| format!("the index of {}: {}", index.suite, chain(&error)))?;
        known.extend(found.into_iter().filter(|(_, package)| package.is_complete()).map(
            |(package, Package { version, architecture, filename, size, sha256 })| Locked {
                package,
                version,
                architecture,
                suite: index.suite.clone(),
                pool: filename,
                size,
                sha256,
                snapshot: index.snapshot.clone(),
            },
        ));
    }
    Ok(known)
}

/// Names and versions of the packages that apt would install on a machine that has none.
fn solve(scratch: &Path, indices: &[&Index], wanted: &Wanted) -> Result<Vec<(String, String)>, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let state = scratch.join("apt");
    let mut sources = String::new();
    for index in indices {
        // Their digests have been compared with the suite's Release file already.
        let _ = writeln!(sources, "deb [trusted=yes] file:{} ./", text(&index.folder));
    }
    let settings = format!(
        "APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
         Dir \"{root}\";\nDir::Etc \"{root}/etc\";\nDir::State \"{root}/state\";\nDir::State::status \"{root}/status\";\n\
         Dir::Cache \"{root}/cache\";\nDir::Log \"{root}/log\";\n\
         APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n",
        architecture = wanted.architecture,
        root = text(&state),
    );
    let prepare = || -> io::Result<()> {
        for folder in [
            "state/lists/partial",
            "cache/archives/partial",
            "etc/sources.list.d",
            "etc/preferences.d",
            "etc/apt.conf.d",
            "log",
        ] {
            fs::create_dir_all(state.join(folder))?;
        }
        fs::write(state.join("status"), "")?;
        fs::write(state.join("etc/sources.list"), &sources)?;
        fs::write(state.join("settings"), &settings)
    };
    prepare().map_err(|error| format!("a state for apt: {error}"))?;
    let settings = state.join("settings");
    apt(&settings, &["update", "-qq"])?;
    let install: Vec<&str> =
        ["install", "--simulate", "-qq"].iter().chain(wanted.packages).copied().collect();
    let chosen: Vec<_> = apt(&settings, &install)?.lines().filter_map(chosen).collect();
    match chosen.is_empty() {
        true => Err("apt chose no package at all".to_owned()),
        false => Ok(chosen),
    }
}

fn apt(settings: &Path, arguments: &[&str]) -> Result<String, String> {
    let hint = "packages are chosen by apt-get: do it on Debian or Ubuntu";
    let output = child::command("apt-get")
        .env("APT_CONFIG", settings)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run apt-get: {error}\nhint: {hint}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("apt-get {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Name and version of a line `Inst NAME [OLD] (VERSION SUITES [ARCHITECTURE]) …` (apt-get(8), --simulate).
fn chosen(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("Inst ")?;
    let (name, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once('(')?;
    let (version, _) = rest.split_once(' ')?;
    Some((name.split(':').next().unwrap_or(name).to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_says_it_would_do() {
        let chosen = |line| chosen(line).map(|(name, version)| format!("{name} {version}"));
        let line = "Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []";
        assert_eq!(chosen(line).as_deref(), Some("libc6 2.36-9+deb12u14"));
        assert_eq!(chosen("Inst gcc [4:12.1] (4:12.2.0-3 . [amd64])").as_deref(), Some("gcc 4:12.2.0-3"));
        assert_eq!(chosen("Inst libc6:arm64 (2.36 . [arm64])").as_deref(), Some("libc6 2.36"));
        assert_eq!(chosen("Conf gcc (4:12.2.0-3 . [amd64])"), None);
    }
}
