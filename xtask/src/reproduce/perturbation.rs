//! What is different the second time: a value that follows from a seed and from what the machine is.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::host::{Host, command::Limits};

/// One thing that must not show in what is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    Paths,
    Home,
    UserName,
    Owner,
    Umask,
    TimeZone,
    Locale,
    HostName,
    Jobs,
    Clock,
    DirectoryOrder,
    Environment,
}

impl Aspect {
    pub fn name(self) -> &'static str {
        match self {
            Aspect::Paths => "paths",
            Aspect::Home => "home",
            Aspect::UserName => "user name",
            Aspect::Owner => "owner",
            Aspect::Umask => "umask",
            Aspect::TimeZone => "time zone",
            Aspect::Locale => "locale",
            Aspect::HostName => "host name",
            Aspect::Jobs => "jobs",
            Aspect::Clock => "clock",
            Aspect::DirectoryOrder => "directory order",
            Aspect::Environment => "environment",
        }
    }
}

/// Something that this machine doesn't let us change, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeftOut {
    pub aspect: Aspect,
    pub why: String,
}

/// All that will be different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Perturbation {
    /// The same seed gives the same perturbation on the same machine.
    pub seed: u64,
    /// Folder that holds project, store and home there; only the process inside sees it under this name.
    pub folder: PathBuf,
    /// A symbolic link to it, by which the build is told of store, home and temporary files.
    pub link: PathBuf,
    pub user: String,
    pub uid: u32,
    pub gid: u32,
    pub umask: u32,
    pub time_zone: String,
    pub locale: String,
    pub host_name: String,
    pub jobs: usize,
    pub clock_days: u32,
    /// Variables that a build should not look at.
    pub environment: BTreeMap<String, String>,
    pub left_out: Vec<LeftOut>,
}

/// Variables that compilers, make, packers and loaders look at, and what would be seen of them.
const NOISE: [(&str, &str); 16] = [
    ("CFLAGS", "-O0 -g3"),
    ("CPPFLAGS", "-DNOISE"),
    ("LDFLAGS", "-Wl,--build-id=uuid"),
    ("KCFLAGS", "-O1"),
    ("KBUILD_BUILD_USER", "noise"),
    ("KBUILD_BUILD_HOST", "noise"),
    ("KBUILD_BUILD_TIMESTAMP", "Sat Feb 29 12:34:56 UTC 2020"),
    ("LOCALVERSION", "-noise"),
    ("RUSTFLAGS", "-Cdebuginfo=2 -Copt-level=0"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_INCREMENTAL", "1"),
    ("SOURCE_DATE_EPOCH", "1582979696"),
    ("GZIP", "-1"),
    ("ZSTD_CLEVEL", "1"),
    ("PERL_HASH_SEED", "4711"),
    ("C_INCLUDE_PATH", "/nonexistent/noise"),
];

impl Perturbation {
    /// What can be done on this machine; what can't is in `left_out`.
    pub fn new(seed: u64, host: &Host, usual_jobs: usize) -> Perturbation {
        let mut random = Numbers(seed);
        let mut left_out = Vec::new();
        let word = |random: &mut Numbers| -> String {
            (0..8).map(|_| char::from(b'a' + (random.next() % 26) as u8)).collect()
        };
        let (locale, only_c) = locale(host);
        if only_c {
            let why = format!("no language is installed: {locale} is the most that differs from C");
            left_out.push(LeftOut { aspect: Aspect::Locale, why });
        }
        let noise = word(&mut random);
        let parent = Path::new("/").join(word(&mut random));
        let mut environment: BTreeMap<String, String> =
            NOISE.map(|(name, value)| (name.to_string(), value.to_string())).into();
        environment.insert(format!("NOISE_{}", noise.to_uppercase()), format!("noise-{noise}"));
        Perturbation {
            seed,
            folder: parent.join(word(&mut random)),
            user: word(&mut random),
            uid: 2000 + (random.next() % 50_000) as u32,
            gid: 2000 + (random.next() % 50_000) as u32,
            umask: [0o077, 0o027, 0o002][(random.next() % 3) as usize],
            // POSIX names the hours that have to be added to get UTC; no table of zones is needed.
            time_zone: format!("XYZ-{}:45", 3 + random.next() % 10),
            locale,
            host_name: format!("{}.invalid", word(&mut random)),
            jobs: if usual_jobs == 1 { 2 } else { usual_jobs + 1 },
            clock_days: 366 + (random.next() % 1000) as u32,
            link: parent.join(word(&mut random)),
            environment,
            left_out,
        }
    }
}

impl Perturbation {
    pub fn leave_out(&mut self, aspect: Aspect, why: impl ToString) {
        self.left_out.push(LeftOut { aspect, why: why.to_string() });
    }

    pub fn clock_seconds(&self) -> u64 {
        u64::from(self.clock_days) * 24 * 60 * 60
    }
}

impl fmt::Display for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noise: Vec<&str> = self.environment.keys().map(String::as_str).collect();
        let lines = [
            (
                Aspect::Paths,
                format!("below {}, through the link {}", self.folder.display(), self.link.display()),
            ),
            (Aspect::Home, format!("{}/home", self.link.display())),
            (Aspect::UserName, self.user.clone()),
            (Aspect::Owner, format!("{}:{}", self.uid, self.gid)),
            (Aspect::Umask, format!("{:03o}", self.umask)),
            (Aspect::TimeZone, self.time_zone.clone()),
            (Aspect::Locale, self.locale.clone()),
            (Aspect::HostName, self.host_name.clone()),
            (Aspect::Jobs, self.jobs.to_string()),
            (Aspect::Clock, format!("{} days ahead", self.clock_days)),
            (Aspect::DirectoryOrder, "by the seed".to_string()),
            (Aspect::Environment, noise.join(" ")),
        ];
        writeln!(f, "perturbation of seed {}:", self.seed)?;
        for (aspect, value) in lines {
            match self.left_out.iter().find(|left_out| left_out.aspect == aspect) {
                Some(LeftOut { why, .. }) if aspect == Aspect::Locale => {
                    writeln!(f, "  {:<16} {value} ({why})", aspect.name())?
                }
                Some(LeftOut { why, .. }) => writeln!(f, "  {:<16} not perturbed: {why}", aspect.name())?,
                None => writeln!(f, "  {:<16} {value}", aspect.name())?,
            }
        }
        Ok(())
    }
}

/// A language that sorts and writes otherwise than C, and whether there is none.
fn locale(host: &Host) -> (String, bool) {
    let listed =
        host.find("locale").and_then(|program| host.command(program).arg("-a").read(Limits::default()).ok());
    let is_other = |name: &&str| !["C", "POSIX"].contains(name) && !name.starts_with("C.");
    match listed.as_deref().unwrap_or_default().lines().find(is_other) {
        Some(name) => (name.to_string(), false),
        None => ("C.UTF-8".to_string(), true),
    }
}

/// Numbers that follow from a seed (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Arch, testing::FakeHost};

    #[test]
    fn a_seed_names_folder_and_link_which_are_told() {
        let fake = FakeHost::new(Arch::X86_64);
        let new = |seed| Perturbation::new(seed, &fake.host, 2);
        let perturbation = new(7);
        assert_eq!(perturbation, new(7));
        assert_ne!(perturbation.link, new(8).link);
        let (folder, link) = (&perturbation.folder, &perturbation.link);
        assert!(folder != link && folder.parent() == link.parent(), "{folder:?} and {link:?}");
        let told = perturbation.to_string();
        let paths =
            format!("paths            below {}, through the link {}\n", folder.display(), link.display());
        assert!(told.contains(&paths), "{told}");
    }
}
