//! What became of a download that failed: the answer of every location, and what to do.

use std::{fmt, io, path::PathBuf};

/// What became of one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It says that it has no such file.
    Gone(String),
    /// It will not give it, or has a file that cannot be the one.
    Refused(String),
    /// It gave other bytes; the SHA-256 of those.
    WrongBytes(String),
    /// No whole file in all attempts.
    Unreachable(String),
}

#[derive(Debug)]
pub enum DownloadError {
    /// No location gave the file; each with its answer.
    Failed {
        what: String,
        pin: Option<String>,
        sha256: String,
        answers: Vec<(String, Answer)>,
    },
    Disk {
        what: String,
        path: PathBuf,
        source: io::Error,
    },
    Cancelled {
        what: String,
    },
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Gone(reason) | Answer::Refused(reason) | Answer::Unreachable(reason) => {
                f.write_str(reason)
            }
            Answer::WrongBytes(sha256) => write!(f, "gave other bytes, sha256 {sha256}"),
        }
    }
}

impl std::error::Error for DownloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DownloadError::Disk { source, .. } => Some(source),
            DownloadError::Failed { .. } | DownloadError::Cancelled { .. } => None,
        }
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownloadError::Cancelled { what } => write!(f, "downloading {what} was stopped"),
            DownloadError::Disk { what, path, .. } => {
                write!(f, "cannot store the download of {what} in {}", path.display())
            }
            DownloadError::Failed { what, pin, sha256, answers } => {
                write!(f, "cannot download {what}")?;
                if !sha256.is_empty() {
                    write!(f, ", sha256 {sha256}")?;
                }
                let all_gone =
                    !answers.is_empty() && all(answers, |answer| matches!(answer, Answer::Gone(_)));
                match all_gone {
                    true if pin.is_some() => writeln!(f, "\nthe pin no longer exists anywhere:")?,
                    true => writeln!(f, "\nit no longer exists anywhere:")?,
                    false if answers.is_empty() => writeln!(f, "\nthere is no location to get it from")?,
                    false => writeln!(f)?,
                }
                for (location, answer) in answers {
                    writeln!(f, "  {location}: {answer}")?;
                }
                write!(f, "hint: {}", hint(pin.as_deref(), all_gone, answers))
            }
        }
    }
}

fn hint(pin: Option<&str>, all_gone: bool, answers: &[(String, Answer)]) -> String {
    let unreachable = |answer: &Answer| matches!(answer, Answer::Unreachable(_));
    match (pin, all_gone) {
        (Some(pin), true) => format!(
            "`cargo xtask pins {pin}` pins the newest version; `--mirror BASE` names a place that still has this one"
        ),
        (None, true) => "correct the address, or name a place that still has it".to_owned(),
        (Some(pin), false) if !answers.iter().any(|(_, answer)| unreachable(answer)) => format!(
            "`--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins {pin}`"
        ),
        (Some(_), false) => {
            "check the network and its proxy variables, or name a reachable place with `--mirror BASE`"
                .to_owned()
        }
        (None, false) => "check the address, the digest, the network and its proxy variables".to_owned(),
    }
}

fn all(answers: &[(String, Answer)], is: impl Fn(&Answer) -> bool) -> bool {
    answers.iter().all(|(_, answer)| is(answer))
}
