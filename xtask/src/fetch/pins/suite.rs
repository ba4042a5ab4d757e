//! A suite of the Debian archive on the best mirror there is: its Release file, checked against Debian's
//! keys where that is possible, and its package indices, checked against the Release file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    super::{
        Control, Location, chain, child,
        deb::CountedFile,
        decompress::{Source, decompress},
        download::{Download, DownloadError, Downloader},
        locations::Sources,
    },
    index::{Release, strip_signature},
    time,
};

/// Where Debian's package debian-archive-keyring puts the keys, in older and newer releases.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// InRelease files have about 200 kB.
const RELEASE_LIMIT_BYTES: u64 = 16 << 20;

/// How the signature of a Release file is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By gpgv with this keyring; a Release file without a good signature is refused.
    Keyring(PathBuf),
    /// Not at all, for the reason given.
    Mirror(&'static str),
}

impl Trust {
    /// The best that this machine can do.
    pub fn of_machine() -> Trust {
        let keyring = KEYRINGS.iter().map(PathBuf::from).find(|path| path.is_file());
        match (keyring, child::is_installed("gpgv")) {
            (Some(keyring), true) => Trust::Keyring(keyring),
            (None, true) => Trust::Mirror("the package debian-archive-keyring is not installed"),
            (_, false) => Trust::Mirror("gpgv is not installed"),
        }
    }
}

pub struct Suite {
    pub name: String,
    base: Location,
    pub release: Release,
}

/// The means to read suites.
pub struct Reader<'a> {
    pub sources: &'a Sources,
    pub downloader: &'a Downloader,
    pub control: &'a Control<'a>,
    pub trust: &'a Trust,
    /// Seconds since 1970: which state of the permanent archive is the newest.
    pub now: u64,
}

impl Reader<'_> {
    /// The suite on the first mirror that has it.
    pub fn open(&self, name: &str) -> Result<Suite, String> {
        let mut answers = Vec::new();
        for base in self.sources.of_suite(name, &time::stamp(self.now)) {
            match self.open_at(&base, name) {
                Ok(release) => return Ok(Suite { name: name.to_owned(), base, release }),
                Err(answer) => answers.push(format!("\n  {base}: {}", answer.replace('\n', "\n  "))),
            }
        }
        let hint = "\nhint: name a Debian mirror with `--mirror BASE`";
        Err(format!("no mirror has a usable suite {name}{}{hint}", answers.concat()))
    }

    fn open_at(&self, base: &Location, name: &str) -> Result<Release, String> {
        let location = base.join(&format!("dists/{name}/InRelease"));
        let message = self
            .downloader
            .download_unpinned("the suite's InRelease", &location, RELEASE_LIMIT_BYTES, self.control)
            .map_err(|error| format!("InRelease: {}", only_answer(&error)))?;
        let text = match &self.trust {
            Trust::Keyring(keyring) => verified(&message, keyring)?,
            Trust::Mirror(_) => strip_signature(&String::from_utf8_lossy(&message)),
        };
        let release = Release::parse(&text).map_err(|error| format!("its InRelease is unusable: {error}"))?;
        // Otherwise a mirror could pass off an older suite, signed as well, for the wanted one.
        if name != release.suite && name != release.codename {
            return Err(format!("its InRelease is of {} ({})", release.codename, release.suite));
        }
        Ok(release)
    }

    /// The decompressed Packages file of a component.
    pub fn packages(&self, suite: &Suite, component: &str, architecture: &str) -> Result<Source, String> {
        let Some(file) = suite.release.packages(component, architecture) else {
            return Err(format!("suite {} has no index for {component}, {architecture}", suite.name));
        };
        let folder = suite.base.join("dists").join(&suite.name);
        let (parent, _) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        // By its digest it stays available while the mirror is being updated.
        let locations =
            [folder.join(parent).join("by-hash/SHA256").join(&file.sha256), folder.join(&file.path)];
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let dest = scratch.path().join("Packages");
        let wanted = Download {
            what: &file.path,
            pin: None,
            locations: &locations,
            sha256: &file.sha256,
            size: Some(file.size),
            dest: &dest,
        };
        self.downloader.download(&wanted, self.control).map_err(|error| {
            format!(
                "{} of suite {} (is the mirror being updated? then try again):{}",
                file.path,
                suite.name,
                answers(&error)
            )
        })?;
        // The open file outlives its name.
        let open = || decompress(Box::new(CountedFile::open(&dest, &Default::default())?));
        open().map_err(|error: io::Error| format!("{}: {error}", file.path))
    }
}

/// What the locations answered, without the advice for people who build.
fn answers(error: &DownloadError) -> String {
    match error {
        DownloadError::Failed { answers, .. } => {
            answers.iter().map(|(location, answer)| format!("\n  {location}: {answer}")).collect()
        }
        DownloadError::Disk { .. } | DownloadError::Cancelled { .. } => format!(" {}", chain(error)),
    }
}

/// The answer of the one location that was asked.
fn only_answer(error: &DownloadError) -> String {
    match error {
        DownloadError::Failed { answers, .. } => {
            answers.iter().map(|(_, answer)| answer.to_string()).collect()
        }
        DownloadError::Disk { .. } | DownloadError::Cancelled { .. } => chain(error),
    }
}

/// The signed text of a clear-signed message, if one of the keys has signed it and no signature is bad.
fn verified(message: &[u8], keyring: &Path) -> Result<String, String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (signed, text) = (scratch.path().join("InRelease"), scratch.path().join("Release"));
    fs::write(&signed, message).map_err(|error| error.to_string())?;
    let mut gpgv = child::command("gpgv");
    gpgv.args(["--quiet", "--status-fd", "1", "--keyring"]).arg(keyring);
    gpgv.arg("--output").arg(&text).arg(&signed).env("GNUPGHOME", scratch.path());
    let output = gpgv.output().map_err(|error| format!("cannot run gpgv: {error}"))?;
    let status = String::from_utf8_lossy(&output.stdout);
    // One unknown key among several is usual around a release; the exit code does not tell it from worse.
    let has = |word: &str| status.lines().any(|line| line.split(' ').nth(1) == Some(word));
    if !has("GOODSIG") || has("BADSIG") {
        let answer = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("the signature of its InRelease is not good:\n{answer}"));
    }
    fs::read_to_string(&text).map_err(|error| format!("gpgv left no text: {error}"))
}
