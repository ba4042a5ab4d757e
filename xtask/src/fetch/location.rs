//! A place to download from. Shown to people without credentials: neither user info nor a query string
//! (where signed addresses carry their secret) is ever part of a message.

use std::{fmt, path::PathBuf};

use reqwest::Url;

/// Where bytes are: on a server, or in a file of this machine.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    Http(Url),
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{shown:?} is not a place to download from: {reason}; write https://…, http://…, file:///… or an absolute path"
)]
pub struct BadLocation {
    shown: String,
    reason: String,
}

impl Location {
    /// Reads an `http:`, `https:` or `file:` address or an absolute path.
    pub fn parse(text: &str) -> Result<Location, BadLocation> {
        if text.starts_with('/') {
            return Ok(Location::File(PathBuf::from(text)));
        }
        let bad = |reason: &str| BadLocation { shown: redact_text(text), reason: reason.to_owned() };
        if !text.contains(':') {
            return Err(bad("it is neither an address nor an absolute path"));
        }
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Location::Http(url)),
            "file" => {
                url.to_file_path().map(Location::File).map_err(|()| bad("it is not the path of a local file"))
            }
            scheme => Err(bad(&format!("the scheme {scheme:?} is not supported"))),
        }
    }

    /// The location of `relative` (segments parted by `/`) below this one.
    pub fn join(&self, relative: &str) -> Location {
        match self {
            Location::File(path) => Location::File(path.join(relative)),
            Location::Http(url) => {
                let mut url = url.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(relative.split('/'));
                }
                Location::Http(url)
            }
        }
    }

    /// False if it is a file of this machine that isn't there; a server is not asked.
    pub fn may_exist(&self) -> bool {
        match self {
            Location::File(path) => path.is_file(),
            Location::Http(_) => true,
        }
    }

    pub fn is_remote(&self) -> bool {
        matches!(self, Location::Http(_))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => write!(f, "{}", path.display()),
            Location::Http(url) => f.write_str(&redact(url)),
        }
    }
}

/// As shown: a debug print must not leak what the display hides.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The address without user info, query and fragment.
pub fn redact(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot have user info.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// What `redact` does, for text that may not even be an address.
pub fn redact_text(text: &str) -> String {
    if let Ok(url) = Url::parse(text) {
        return redact(&url);
    }
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}{}", &text[..scheme + 3], &text[at + 1..]),
        (None, Some(at)) => text[at + 1..].to_owned(),
        _ => text.to_owned(),
    }
}
