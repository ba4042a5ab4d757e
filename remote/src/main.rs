//! Objects of a remote store: reads requests on standard input, answers on standard output, a JSON object a line (see
//! `release::remote`). Knows nothing of builds. Ends with its standard input.
//!
//! Keys and tokens come from the environment, in the variables that the stores' own tools use (`AWS_…`, `AZURE_…`), or from
//! a file of `NAME=VALUE` lines that VTLFORGE_REMOTE_SECRETS names. They are in no request and in no answer.

mod open;
mod transfer;

use std::io::{self, BufRead as _, Write as _};

use release::remote::{Answer, Request};

fn main() -> io::Result<()> {
    // Only fails if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut store = None;
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(Request::Open { address }) => match open::open(&address) {
                Ok(opened) => {
                    store = Some(opened);
                    Answer::Done
                }
                Err(why) => Answer::Failed { why },
            },
            Ok(request) => match &store {
                Some(store) => runtime.block_on(transfer::answer(store, &request)),
                None => Answer::Failed { why: "no store is open".to_owned() },
            },
            Err(error) => Answer::Failed { why: format!("a request that can't be understood: {error}") },
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}
