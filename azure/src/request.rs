//! Sending a request, and again while there is hope: when nobody answers, when the line is cut, when the service has too
//! much to do. So every request has to be one that may be carried out twice.
//!
//! Source: "Common REST API error codes"; for what may be tried again, the retry policy of Azure's own libraries.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{
    Method,
    blocking::Client,
    header::{CONTENT_LENGTH, DATE, HeaderMap},
};

use crate::{
    ranges::LIMIT_BYTES,
    secret::{Access, VERSION},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For 4 MiB there, and the answer; as much again for each 4 MiB that come.
const TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How often a pause looks whether it is still wanted.
const SLICE: Duration = Duration::from_millis(50);

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The service says no.
    Refused(Refusal),
    /// No answer, or none that can be understood.
    Unreachable(String),
    /// It was to end while a request was tried again.
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The service's word for it; empty if it has none.
    pub code: String,
    /// The service's clock.
    pub date: String,
}

pub struct Call<'a> {
    method: Method,
    /// Without a token.
    query: &'a str,
    headers: Vec<(&'a str, String)>,
    body: Bytes,
    /// What comes back.
    answer_bytes: u64,
}

pub struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl<'a> Call<'a> {
    pub fn new(method: Method, query: &'a str) -> Call<'a> {
        Call { method, query, headers: Vec::new(), body: Bytes::new(), answer_bytes: 0 }
    }

    #[must_use]
    pub fn header(mut self, name: &'a str, value: impl Into<String>) -> Call<'a> {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn answer_bytes(mut self, answer_bytes: u64) -> Call<'a> {
        self.answer_bytes = answer_bytes;
        self
    }

    #[must_use]
    pub fn body(mut self, body: Bytes) -> Call<'a> {
        self.body = body;
        self
    }
}

/// What speaks to one blob; any thread may.
pub struct Line<'a> {
    access: &'a Access,
    client: Client,
    /// How long a request is tried again.
    patience: Duration,
    /// Set by whoever wants no more of it.
    stop: &'a AtomicBool,
    retries: AtomicU64,
}

impl<'a> Line<'a> {
    pub fn new(access: &'a Access, patience: Duration, stop: &'a AtomicBool) -> Result<Line<'a>, String> {
        let mut client = Client::builder()
            .user_agent(concat!("vtlforge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // Somebody else would get the token.
            .redirect(reqwest::redirect::Policy::none());
        if access.address.is_local {
            client = client.no_proxy();
        }
        if access.address.is_plain() {
            // To read those that others have vouched for takes longer than a request.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(words)?;
        Ok(Line { access, client, patience, stop, retries: AtomicU64::new(0) })
    }

    pub fn send(&self, call: &Call) -> Result<Answer, Trouble> {
        let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let trouble = match self.send_once(call) {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            if !is_passing(&trouble) || started.elapsed() + pause > self.patience {
                return Err(trouble);
            }
            self.wait(pause)?;
            self.retries.fetch_add(1, Ordering::Relaxed);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub fn access(&self) -> &'a Access {
        self.access
    }

    /// Requests that were sent again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    fn send_once(&self, call: &Call) -> Result<Answer, Trouble> {
        let mut query = self.access.token();
        if !call.query.is_empty() {
            query = format!("{}&{query}", call.query);
        }
        let mut request = self
            .client
            .request(call.method.clone(), self.access.address.with(&query))
            .header("x-ms-version", VERSION)
            .timeout(TIMEOUT * (1 + call.answer_bytes / LIMIT_BYTES) as u32)
            .body(call.body.clone());
        if call.body.is_empty() && call.method == Method::PUT {
            request = request.header(CONTENT_LENGTH, 0);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let unreachable = |error| Trouble::Unreachable(words(error));
        let answer = request.send().map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        // To its end in any case, so that the connection can be used again.
        let body = answer.bytes().map_err(unreachable)?;
        if status.is_success() {
            return Ok(Answer { headers, body });
        }
        let code = text(&headers, "x-ms-error-code").unwrap_or_default();
        let date = text(&headers, DATE.as_str()).unwrap_or_default();
        Err(Trouble::Refused(Refusal { status: status.as_u16(), code, date }))
    }

    fn wait(&self, pause: Duration) -> Result<(), Trouble> {
        let started = Instant::now();
        while started.elapsed() < pause {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Trouble::Stopped);
            }
            sleep(SLICE);
        }
        Ok(())
    }
}

fn is_passing(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Unreachable(_) => true,
        Trouble::Refused(refusal) => matches!(refusal.status, 408 | 429 | 500 | 502 | 503 | 504),
        Trouble::Stopped => false,
    }
}

pub fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// An error with its causes, without the address, in which the token is.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words += &format!(": {more}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused = |status| Trouble::Refused(Refusal { status, code: String::new(), date: String::new() });
        for status in [408, 429, 500, 503] {
            assert!(is_passing(&refused(status)), "{status}");
        }
        for status in [400, 403, 404, 409, 412, 501] {
            assert!(!is_passing(&refused(status)), "{status}");
        }
        assert!(is_passing(&Trouble::Unreachable(String::new())) && !is_passing(&Trouble::Stopped));
    }
}
