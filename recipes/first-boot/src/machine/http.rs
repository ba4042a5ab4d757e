//! HTTP to the two addresses of Azure, with patience: both may answer late, or ask to come again.

use std::time::{Duration, Instant};

use ureq::Agent;

use crate::sources::LONGEST_TEXT_BYTES;

const PATIENCE: Duration = Duration::from_secs(60);
const ONE_TRY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// The text of an answer.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Result<String, String> {
    patiently(url, |agent| {
        let request =
            headers.iter().fold(agent.get(url), |request, (name, value)| request.header(*name, *value));
        text(request.call()?)
    })
}

pub fn post(url: &str, headers: &[(&str, &str)], body: &str) -> Result<(), String> {
    patiently(url, |agent| {
        let request =
            headers.iter().fold(agent.post(url), |request, (name, value)| request.header(*name, *value));
        request.send(body).map(drop)
    })
}

fn text(mut answer: ureq::http::Response<ureq::Body>) -> Result<String, ureq::Error> {
    answer.body_mut().with_config().limit(LONGEST_TEXT_BYTES).read_to_string()
}

/// Tries again where that may help: nobody there yet, too many requests, the service's own trouble.
fn patiently<T>(url: &str, ask: impl Fn(&Agent) -> Result<T, ureq::Error>) -> Result<T, String> {
    // No proxy: the addresses are the host's own.
    let config = Agent::config_builder().timeout_global(Some(ONE_TRY)).proxy(None).max_redirects(0);
    let agent = Agent::new_with_config(config.build());
    let end = Instant::now() + PATIENCE;
    loop {
        let error = match ask(&agent) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let is_final = match &error {
            ureq::Error::StatusCode(status) => !matches!(status, 404 | 408 | 410 | 429 | 500..),
            ureq::Error::BodyExceedsLimit(_) => true,
            _ => false,
        };
        if is_final || Instant::now() >= end {
            return Err(format!("{url}: {error}"));
        }
        std::thread::sleep(PAUSE);
    }
}
