//! Where a Debian package of an exact version can be had, in the order to try: the mirrors that the user
//! named, the mirror that this machine installs from, the permanent archive. Also says what is missing
//! when the network may not be used.

use std::{fmt, sync::OnceLock};

use super::{Location, child};

/// The archive that keeps every version for ever: `<base>/<debian|debian-security>/<time stamp>/`.
const PERMANENT_ARCHIVE: &str = "https://snapshot.debian.org/archive";

/// Which of Debian's archives holds a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebianArchive {
    Main,
    Security,
}

impl DebianArchive {
    /// The security archive keeps its packages below pool/updates/.
    pub fn of_pool_path(pool: &str) -> DebianArchive {
        if pool.starts_with("pool/updates/") { DebianArchive::Security } else { DebianArchive::Main }
    }

    /// bookworm-security, trixie-security, …
    pub fn of_suite(suite: &str) -> DebianArchive {
        if suite.ends_with("-security") { DebianArchive::Security } else { DebianArchive::Main }
    }

    /// Its folder in the permanent archive.
    fn folder(self) -> &'static str {
        match self {
            DebianArchive::Main => "debian",
            DebianArchive::Security => "debian-security",
        }
    }

    /// The `Label` of its Release files.
    fn of_label(label: &str) -> Option<DebianArchive> {
        match label {
            "Debian" | "Debian Backports" => Some(DebianArchive::Main),
            "Debian-Security" => Some(DebianArchive::Security),
            _ => None,
        }
    }
}

/// A package by exact version, as a pin says it.
#[derive(Clone, Copy, Debug)]
pub struct Deb<'a> {
    pub package: &'a str,
    pub version: &'a str,
    /// Path below a mirror's base address, `pool/…/name_version_arch.deb`.
    pub pool: &'a str,
    pub size: u64,
    /// 64 hexadecimal digits.
    pub sha256: &'a str,
    /// Time stamp in the permanent archive, `YYYYMMDDTHHMMSSZ`.
    pub snapshot: &'a str,
}

/// A Debian mirror that this machine is set up to install from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineMirror {
    pub archive: DebianArchive,
    pub base: Location,
}

/// Everything that may be asked for packages.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Bases given by the user, tried first, for either archive. A folder may also hold the packages
    /// themselves, without pool/.
    pub mirrors: Vec<Location>,
    /// Filled when first needed: asking apt takes a second.
    machine: OnceLock<Vec<MachineMirror>>,
    permanent: Location,
    /// Leave out every location that is not on this machine.
    pub offline: bool,
}

impl Sources {
    /// The user's mirrors, then this machine's, then the permanent archive.
    pub fn new(mirrors: Vec<Location>, offline: bool) -> Sources {
        let permanent = Location::parse(PERMANENT_ARCHIVE).expect("a constant address");
        Sources { mirrors, machine: OnceLock::new(), permanent, offline }
    }

    /// With other places than the real ones.
    #[cfg(test)]
    pub fn fixed(mirrors: Vec<Location>, machine: Vec<MachineMirror>, permanent: Location) -> Sources {
        Sources { mirrors, machine: OnceLock::from(machine), permanent, offline: false }
    }

    /// Where the package may be, best first.
    pub fn of_deb(&self, deb: &Deb) -> Vec<Location> {
        let archive = DebianArchive::of_pool_path(deb.pool);
        let mut locations = Vec::new();
        for mirror in &self.mirrors {
            locations.push(mirror.join(deb.pool));
            if let (Location::File(_), Some((_, file))) = (mirror, deb.pool.rsplit_once('/')) {
                locations.push(mirror.join(file));
            }
        }
        locations.extend(self.machine_bases(archive).map(|base| base.join(deb.pool)));
        locations.push(self.permanent_base(archive, deb.snapshot).join(deb.pool));
        self.allowed(locations)
    }

    /// Bases of the archive that a suite belongs to, best first; the permanent archive as it was at `time`.
    pub fn of_suite(&self, suite: &str, time: &str) -> Vec<Location> {
        let archive = DebianArchive::of_suite(suite);
        let mut bases = self.mirrors.clone();
        bases.extend(self.machine_bases(archive).cloned());
        bases.push(self.permanent_base(archive, time));
        self.allowed(bases)
    }

    fn machine_bases(&self, archive: DebianArchive) -> impl Iterator<Item = &Location> {
        let machine = match self.offline {
            true => &[],
            false => &self.machine.get_or_init(machine_mirrors)[..],
        };
        machine.iter().filter(move |mirror| mirror.archive == archive).map(|mirror| &mirror.base)
    }

    fn permanent_base(&self, archive: DebianArchive, time: &str) -> Location {
        self.permanent.join(archive.folder()).join(time)
    }

    /// Without repetitions and, offline, without what is remote.
    fn allowed(&self, locations: Vec<Location>) -> Vec<Location> {
        let mut allowed: Vec<Location> = Vec::with_capacity(locations.len());
        for location in locations {
            let forbidden = self.offline && location.is_remote();
            if !forbidden && !allowed.contains(&location) {
                allowed.push(location);
            }
        }
        allowed
    }
}

/// Something that is not on this machine although the network may not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What people call it: package and version, or the address without credentials.
    pub name: String,
    /// None for a Git revision, which is its own digest.
    pub sha256: Option<String>,
    pub size: Option<u64>,
    /// Path below the folder given with --mirror, where it would be found.
    pub place: Option<String>,
}

impl Missing {
    pub fn deb(deb: &Deb) -> Missing {
        Missing {
            name: format!("{} {}", deb.package, deb.version),
            sha256: Some(deb.sha256.to_owned()),
            size: Some(deb.size),
            place: Some(deb.pool.to_owned()),
        }
    }
}

/// All that is missing, at once.
#[derive(Debug, thiserror::Error)]
pub struct OfflineError(pub Vec<Missing>);

impl fmt::Display for OfflineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "not on this machine, and --offline forbids downloading:")?;
        for missing in &self.0 {
            writeln!(f, "  {}", missing.name)?;
            match (&missing.sha256, missing.size) {
                (Some(sha256), Some(size)) => writeln!(f, "    {size} bytes, sha256 {sha256}")?,
                (Some(sha256), None) => writeln!(f, "    sha256 {sha256}")?,
                (None, _) => {}
            }
            if let Some(place) = &missing.place {
                writeln!(f, "    found as DIR/{place} or DIR/{}", place.rsplit('/').next().unwrap_or(place))?;
            }
        }
        let places = self.0.iter().any(|missing| missing.place.is_some());
        let folder =
            if places { ", or put the files into a folder and name it with --mirror DIR" } else { "" };
        write!(f, "  hint: run once without --offline{folder}")
    }
}

/// The Debian mirrors in apt's configuration; none on a machine without apt.
pub fn machine_mirrors() -> Vec<MachineMirror> {
    let mut apt = child::command("apt-get");
    apt.args(["indextargets", "--format", "$(SITE)|$(ORIGIN)|$(LABEL)"]);
    match apt.output() {
        Ok(output) if output.status.success() => {
            parse_index_targets(&String::from_utf8_lossy(&output.stdout))
        }
        _ => Vec::new(),
    }
}

/// Lines of `site|origin|label`: only repositories whose Release file says that Debian made them have
/// Debian's pool, whatever the mirror is called.
pub fn parse_index_targets(text: &str) -> Vec<MachineMirror> {
    let mut mirrors: Vec<MachineMirror> = Vec::new();
    for line in text.lines() {
        let [site, origin, label] = line.split('|').collect::<Vec<_>>()[..] else { continue };
        let (Some(archive), true) = (DebianArchive::of_label(label), origin.starts_with("Debian")) else {
            continue;
        };
        // apt knows more transports (mirror+file, cdrom) than can be fetched from.
        let Ok(base) = Location::parse(site) else { continue };
        let mirror = MachineMirror { archive, base };
        if !mirrors.contains(&mirror) {
            mirrors.push(mirror);
        }
    }
    mirrors
}
