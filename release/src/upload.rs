//! What `xtask` and the program that uploads disks say to each other: one request on the program's standard input, events
//! on its standard output, a JSON object a line. The last event says how it ended. When its standard input ends, the
//! program finishes what it is sending and ends as stopped.
//!
//! Secrets are in none of them: the program finds them itself, in the environment or in the file that it is told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    pub file: PathBuf,
    /// Where to, without a query: `https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME`. Left out: a URL in the file with
    /// the token says it.
    pub address: Option<String>,
    pub secret: SecretFile,
    pub parallel: usize,
    /// Whether a blob that is something else may be overwritten.
    pub replace: bool,
    pub verify: Verify,
    /// How long a request that fails is tried again.
    pub patience_seconds: u64,
    /// Something else is wanted than an upload: what one is compared with.
    pub bare: Option<Bare>,
}

/// Where the secret is; of a kind, so that one is not taken for the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretFile {
    /// An account's key, or its connection string.
    Key(PathBuf),
    /// A shared access signature, alone or as a URL.
    Sas(PathBuf),
    /// `AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_SAS_TOKEN` or `AZURE_STORAGE_KEY`.
    Environment,
}

/// What of an upload is read back, after the service has compared the digest of each range that it got, and before the list
/// of its ranges is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Everything.
    Full,
    /// The first and the last data, and a part of some ranges between them.
    Sample,
    /// Nothing.
    Ranges,
}

/// Put Page alone: no look before, no lease, nothing read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bare {
    /// The ranges that hold data.
    Data,
    /// All of the file.
    Whole,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    Note {
        text: String,
    },
    /// Bytes of data that are there for certain, of those in the file.
    Progress {
        done_bytes: u64,
        total_bytes: u64,
    },
    Finished(Uploaded),
    /// `why` may end with a line that begins with `hint: `.
    Failed {
        why: String,
        left: Option<Left>,
    },
    Stopped {
        left: Option<Left>,
    },
}

/// A blob that is the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Uploaded {
    /// Without a query.
    pub blob: String,
    pub file_bytes: u64,
    /// In ranges that are not all zeros.
    pub data_bytes: u64,
    pub sent_bytes: u64,
    /// Found there, read back and equal.
    pub found_bytes: u64,
    pub read_back_bytes: u64,
    /// Sent, and the service has answered with the digest of what it got, which is ours.
    pub confirmed_bytes: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Of the data's places and digests; the blob's metadata has it too.
    pub source: String,
    pub milliseconds: u64,
}

/// A blob that is incomplete, and marked so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Left {
    pub blob: String,
    pub there_bytes: u64,
    pub data_bytes: u64,
}
