//! Downloads one pinned file: several locations in order, each with a few attempts, resuming what is
//! already there, until the digest is right. Nothing appears under the final name before that.

mod error;

use std::{
    fs, io,
    path::Path,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use reqwest::{Url, blocking::Client, redirect};

pub use error::{Answer, DownloadError};

use super::{
    Control, Location, chain,
    transfer::{Attempt, Failure, Part},
};

/// Limit for files whose size is not pinned.
pub const UNPINNED_SIZE_LIMIT: u64 = 2 << 30;

/// A file with its digest, and where it may be.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    /// What people call it: package and version, or the file name.
    pub what: &'a str,
    /// What `cargo xtask pins` is to be told to renew it, if it is pinned: `update NAME`.
    pub pin: Option<&'a str>,
    /// Tried in this order.
    pub locations: &'a [Location],
    /// 64 hexadecimal digits.
    pub sha256: &'a str,
    /// Bytes, where pinned.
    pub size: Option<u64>,
    /// Final place. Unfinished it is called the same with `.part` at the end.
    pub dest: &'a Path,
}

/// How patient a download is.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Attempts at one location that bring nothing new before it is given up.
    pub attempts: u32,
    /// Pause before the second attempt; doubled for each further one.
    pub first_pause: Duration,
    pub connect_timeout: Duration,
    /// A server that sends nothing for so long is given up.
    pub stall_timeout: Duration,
    pub redirects: usize,
    /// Whether the proxy variables of the environment count.
    pub use_proxy: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            attempts: 4,
            first_pause: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            redirects: 5,
            use_proxy: true,
        }
    }
}

/// A finished download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Who gave it, or the last part of it; `None` if an earlier run had left it complete.
    pub location: Option<String>,
    pub size: u64,
    /// Bytes that an earlier run had left and that were used.
    pub resumed: u64,
    /// What went wrong before it went well and should be told, such as a mirror with wrong bytes.
    pub warnings: Vec<String>,
}

/// Downloads through one HTTP client, made when first needed.
pub struct Downloader {
    policy: Policy,
    client: OnceLock<Result<Client, String>>,
}

impl Downloader {
    pub fn new(policy: Policy) -> Downloader {
        Downloader { policy, client: OnceLock::new() }
    }

    /// Gets the file. After an error an unfinished `.part` stays for the next run, unless its bytes were
    /// found to be wrong.
    pub fn download(&self, wanted: &Download, control: &Control) -> Result<Downloaded, DownloadError> {
        let part = Part::open(wanted.dest).map_err(|error| wanted.disk_error(wanted.dest, error))?;
        Run { downloader: self, wanted, control, part, warnings: Vec::new() }.run()
    }

    /// Gets a small file whose digest nobody knows beforehand, such as an index; at most `limit` bytes.
    pub fn download_unpinned(
        &self,
        what: &str,
        location: &Location,
        limit: u64,
        control: &Control,
    ) -> Result<Vec<u8>, DownloadError> {
        let disk = |source| DownloadError::Disk { what: what.to_owned(), path: std::env::temp_dir(), source };
        let folder = tempfile::tempdir().map_err(disk)?;
        let mut part = Part::open(&folder.path().join("index")).map_err(disk)?;
        let attempt = Attempt { location, index: 0, size: None, limit, control };
        match self.persist(&attempt, &mut part) {
            Ok(()) => fs::read(part.path()).map_err(disk),
            Err(Stop::Answer(answer)) => Err(DownloadError::Failed {
                what: what.to_owned(),
                pin: None,
                sha256: String::new(),
                answers: vec![(location.to_string(), answer)],
            }),
            Err(Stop::Cancelled) => Err(DownloadError::Cancelled { what: what.to_owned() }),
            Err(Stop::Disk(error)) => Err(disk(error)),
        }
    }

    /// Attempts at one location until it has given all it has, or is given up.
    fn persist(&self, attempt: &Attempt, part: &mut Part) -> Result<(), Stop> {
        let (mut failures, mut restarted) = (0, false);
        loop {
            let before = part.len();
            let reason = match self.attempt(attempt, part) {
                Ok(()) => return Ok(()),
                Err(Failure::Gone(reason)) => return Err(Stop::Answer(Answer::Gone(reason))),
                Err(Failure::Refused(reason)) => return Err(Stop::Answer(Answer::Refused(reason))),
                Err(Failure::Cancelled) => return Err(Stop::Cancelled),
                Err(Failure::Disk(error)) => return Err(Stop::Disk(error)),
                Err(Failure::StartOver(reason)) if restarted => {
                    return Err(Stop::Answer(Answer::Refused(reason)));
                }
                Err(Failure::StartOver(_)) => {
                    restarted = true;
                    part.clear().map_err(Stop::Disk)?;
                    continue;
                }
                Err(Failure::Transient(reason)) => reason,
            };
            // A connection that breaks now and then, but brings the file forward, is not hopeless.
            failures = if part.len() >= before + (1 << 20) { 1 } else { failures + 1 };
            if failures >= self.policy.attempts {
                return Err(Stop::Answer(Answer::Unreachable(reason)));
            }
            self.pause(failures, attempt.control)?;
        }
    }

    fn attempt(&self, attempt: &Attempt, part: &mut Part) -> Result<(), Failure> {
        match attempt.location {
            Location::File(path) => attempt.copy_file(path, part),
            Location::Http(url) => attempt.ask_server(self.client()?, url, part),
        }
    }

    /// Sleeps before attempt number `failures` + 1.
    fn pause(&self, failures: u32, control: &Control) -> Result<(), Stop> {
        let end = Instant::now() + self.policy.first_pause * 2u32.saturating_pow(failures - 1);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if control.cancelled() {
                return Err(Stop::Cancelled);
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
        Ok(())
    }

    fn client(&self) -> Result<&Client, Failure> {
        let client = self.client.get_or_init(|| {
            make_client(&self.policy).map_err(|error| {
                format!(
                    "cannot set up TLS: {}; are the certificates installed (ca-certificates)?",
                    chain(&error)
                )
            })
        });
        client.as_ref().map_err(|reason| Failure::Refused(reason.clone()))
    }
}

fn make_client(policy: &Policy) -> reqwest::Result<Client> {
    // Fails if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let limit = policy.redirects;
    let redirects = redirect::Policy::custom(move |attempt| {
        let (from, count) = (attempt.previous().last(), attempt.previous().len());
        match judge_redirect(from, attempt.url(), count, limit) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    });
    let builder = Client::builder()
        .user_agent(concat!("vtlforge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(policy.connect_timeout)
        .timeout(policy.stall_timeout)
        .referer(false)
        .redirect(redirects);
    if policy.use_proxy { builder.build() } else { builder.no_proxy().build() }
}

/// Whether a redirect may be followed, the `count`th one.
fn judge_redirect(from: Option<&Url>, to: &Url, count: usize, limit: usize) -> Result<(), &'static str> {
    match to.scheme() {
        _ if count > limit => Err("too many redirects"),
        "http" if from.is_some_and(|from| from.scheme() == "https") => Err("redirects from https to http"),
        "http" | "https" => Ok(()),
        _ => Err("redirects to something that is neither http nor https"),
    }
}

/// Why a location was left.
enum Stop {
    Answer(Answer),
    Cancelled,
    Disk(io::Error),
}

/// One download under way.
struct Run<'a> {
    downloader: &'a Downloader,
    wanted: &'a Download<'a>,
    control: &'a Control<'a>,
    part: Part,
    warnings: Vec<String>,
}

impl Run<'_> {
    fn run(mut self) -> Result<Downloaded, DownloadError> {
        if self.part.len() > 0 {
            if self.is_complete() {
                return self.finish(None);
            }
            if self.wanted.size.is_some_and(|size| self.part.len() >= size) {
                self.clear()?;
            }
        }
        let mut answers = Vec::new();
        for (index, location) in self.wanted.locations.iter().enumerate() {
            match self.try_location(index, location) {
                Ok(()) => return self.finish(Some(location)),
                Err(Stop::Cancelled) => {
                    return Err(DownloadError::Cancelled { what: self.wanted.what.to_owned() });
                }
                Err(Stop::Disk(error)) => return Err(self.wanted.disk_error(self.part.path(), error)),
                Err(Stop::Answer(answer)) => {
                    if let Answer::WrongBytes(_) = answer {
                        self.warnings.push(format!("{location} {answer}"));
                    }
                    answers.push((location.to_string(), answer));
                }
            }
        }
        if self.part.len() == 0 {
            let path = self.part.path().to_owned();
            self.part.discard().map_err(|error| self.wanted.disk_error(&path, error))?;
        }
        Err(DownloadError::Failed {
            what: self.wanted.description(),
            pin: self.wanted.pin.map(str::to_owned),
            sha256: self.wanted.sha256.to_owned(),
            answers,
        })
    }

    /// The whole file from one location. If what it continued came from elsewhere and the digest is wrong,
    /// nobody knows whose fault it is, so it is asked for the whole once.
    fn try_location(&mut self, index: usize, location: &Location) -> Result<(), Stop> {
        let size = self.wanted.size;
        let limit = size.unwrap_or(UNPINNED_SIZE_LIMIT);
        let attempt = Attempt { location, index, size, limit, control: self.control };
        loop {
            self.downloader.persist(&attempt, &mut self.part)?;
            if self.is_complete() {
                return Ok(());
            }
            let (foreign, sha256) = (self.part.is_foreign_to(index), self.part.sha256());
            self.part.clear().map_err(Stop::Disk)?;
            if !foreign {
                return Err(Stop::Answer(Answer::WrongBytes(sha256)));
            }
            self.warnings
                .push(format!("what had been downloaded before did not fit {location}; started over"));
        }
    }

    fn is_complete(&self) -> bool {
        self.wanted.size.is_none_or(|size| size == self.part.len())
            && self.part.sha256().eq_ignore_ascii_case(self.wanted.sha256)
    }

    fn clear(&mut self) -> Result<(), DownloadError> {
        self.part.clear().map_err(|error| self.wanted.disk_error(self.part.path(), error))
    }

    fn finish(self, location: Option<&Location>) -> Result<Downloaded, DownloadError> {
        let (size, resumed) = (self.part.len(), self.part.inherited());
        self.part
            .finish(self.wanted.dest)
            .map_err(|error| self.wanted.disk_error(self.wanted.dest, error))?;
        Ok(Downloaded { location: location.map(Location::to_string), size, resumed, warnings: self.warnings })
    }
}

impl Download<'_> {
    fn description(&self) -> String {
        match self.size {
            Some(size) => format!("{} ({size} bytes)", self.what),
            None => self.what.to_owned(),
        }
    }

    fn disk_error(&self, path: &Path, source: io::Error) -> DownloadError {
        DownloadError::Disk { what: self.what.to_owned(), path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_leave_tls() {
        let check = |from: &str, to: &str, followed: bool| {
            let url = |text| Url::parse(text).expect("an address");
            assert_eq!(judge_redirect(Some(&url(from)), &url(to), 1, 5).is_ok(), followed, "{from} to {to}");
        };
        check("http://a/", "http://b/", true);
        check("http://a/", "https://b/", true);
        check("https://a/", "https://b/", true);
        check("https://a/", "http://a/", false);
        check("https://a/", "file:///etc/passwd", false);
    }
}
