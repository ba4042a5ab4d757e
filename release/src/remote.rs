//! What builders share through a remote store: entries by the keys of steps, and the words in which `xtask` asks the
//! program that talks to the store.
//!
//! ```text
//! v1/steps/KEY.json      an [`Entry`]
//!    archives/SHA256     tar.zst of a step's outputs, by the digest of its bytes
//! ```
//!
//! Nothing there is believed: an entry has to be of the key that was asked for, an archive of the digest that its entry
//! names, and every output in it of the digest that the step's record names.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;

/// Version of the layout above.
pub const FORMAT: u32 = 1;
/// No entry is larger: it lists outputs and what made the key.
pub const ENTRY_LIMIT_BYTES: u64 = 4 << 20;

/// What one step made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    pub format: u32,
    pub key: Digest,
    /// What the key is the digest of, as canonical JSON.
    pub parts: Value,
    /// The store's record of the outputs.
    pub record: Value,
    /// Left out for steps that are as quickly run again as fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    pub sha256: Digest,
    pub size_bytes: u64,
}

impl Entry {
    pub fn name(key: &Digest) -> String {
        format!("v{FORMAT}/steps/{key}.json")
    }
}

impl Archive {
    pub fn name(&self) -> String {
        format!("v{FORMAT}/archives/{}", self.sha256)
    }
}

/// One line on the program's standard input; it answers each with one [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Request {
    /// The first: an address that has no secret in it.
    Open {
        address: String,
    },
    Exists {
        name: String,
    },
    /// Not more than that many bytes, to a file that isn't there.
    Get {
        name: String,
        to: String,
        limit_bytes: u64,
    },
    Put {
        name: String,
        from: String,
    },
}

/// One line on the program's standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Answer {
    Done,
    Absent,
    /// There is more of it than was allowed.
    TooLarge,
    /// The store can't be reached, or refuses.
    Failed {
        why: String,
    },
}
