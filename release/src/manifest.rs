//! The manifest, format 1: what was made from what, by digest. Its JSON schema is docs/manifest.schema.json.
//!
//! It holds nothing that differs between two builds of the same plan: where, when and how fast goes elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Digest;

/// Version of the format below.
pub const FORMAT: u32 = 1;

/// What one profile's artifacts were made from, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Version of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    pub profile: Profile,
    /// False where a local source tree took part: the same manifest then doesn't promise the same bytes.
    pub hermetic: bool,
    /// Whose programs built it.
    #[serde(default)]
    pub builder: Builder,
    /// The command that builds these artifacts again and compares every byte with what is listed here. It runs in a
    /// checkout of the project (of the revision that a release names), with the path of this file in place of
    /// `manifest.json`. Where a local source tree took part, it only builds: nothing can promise the same bytes.
    pub command: Vec<String>,
    /// All that came from outside: downloads, and files of the project.
    pub inputs: Vec<Input>,
    /// The programs that took part, by name.
    pub tools: BTreeMap<String, Tool>,
    /// What was done, each step after those whose outputs it reads.
    pub steps: Vec<Step>,
    /// The artifacts, by name.
    pub outputs: Vec<Output>,
    /// What platforms will report of an IGVM file among them, in its order of platforms; empty without one.
    pub measurements: Vec<Measurement>,
}

/// What was built: the whole profile, layers merged and defaults applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Profile {
    pub name: String,
    pub description: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// Hyper-V Virtual Trust Level: 0 is a normal guest, 2 the paravisor.
    pub vtl: u8,
    /// The other keys, as profiles/schema/profile.schema.json describes them.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// Whose programs built something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Builder {
    /// Those of the machine, which are under `tools`: with others, the bytes may be different ones.
    #[default]
    Machine,
    /// Those of pinned packages, which are among `inputs`, in a root of their own.
    Root {
        /// Of the root's listing.
        sha256: Digest,
    },
}

/// Something from outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Input {
    DebianPackage {
        package: String,
        version: String,
        architecture: String,
        /// Path below a mirror's base address.
        pool: String,
        size_bytes: u64,
        sha256: Digest,
    },
    Download {
        url: String,
        sha256: Digest,
    },
    GitRevision {
        url: String,
        /// Full commit id.
        revision: String,
    },
    /// A file of the project.
    File {
        path: String,
        sha256: Digest,
    },
    /// A folder of the project; the digest is of the canonical JSON of {path: digest} over its files.
    Folder {
        path: String,
        sha256: Digest,
    },
    /// A tree outside the project's care, of unknown content.
    Local {
        path: String,
    },
}

/// A program with all that it brings into what it makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tool {
    /// The first line that it tells of its version.
    pub version: String,
    /// Of its files.
    pub sha256: Digest,
    /// What enters the keys of steps: a digest of name, version and `sha256`.
    pub identity: Digest,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    pub name: String,
    pub kind: String,
    /// Of the tool's own code for the step: another one may make other bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of all that decides the outputs.
    pub key: Digest,
    /// Differ from kind to kind.
    pub parameters: Value,
    /// By the role that each plays in the step.
    pub inputs: BTreeMap<String, StepInput>,
    /// Names under the manifest's `tools`.
    pub tools: Vec<String>,
    /// By name; of a tree, the digest is of its listing.
    pub outputs: BTreeMap<String, Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StepInput {
    pub from: Origin,
    /// Unknown for a local tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// Where an input of a step comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Origin {
    /// An earlier step's output.
    Output { step: String, name: String },
    /// A file of the project.
    File(String),
    /// A folder of the project.
    Folder(String),
    /// A tree outside the project's care.
    Local(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Output {
    pub name: String,
    pub size_bytes: u64,
    pub sha256: Digest,
}

/// The digest that a platform computes while it loads an IGVM file; `measurements.json` is a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Measurement {
    pub platform: String,
    /// The platform's bit in the file's headers.
    pub compatibility_mask: u32,
    /// The platform's own name of the digest.
    pub name: String,
    pub algorithm: String,
    /// Lower-case hexadecimal digits.
    pub digest: String,
    /// What the loader has to do for the digest to come out.
    pub assumes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("is no manifest: {0}")]
    NotOne(serde_json::Error),
    #[error("is of format {0}, and this program reads format {FORMAT}: take a newer one")]
    OtherFormat(u64),
}

impl Manifest {
    /// # Errors
    /// It is no JSON, has another form than the schema says, or another format.
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        let value: Value = serde_json::from_slice(text).map_err(ManifestError::NotOne)?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format != u64::from(FORMAT) => Err(ManifestError::OtherFormat(format)),
            _ => serde_json::from_slice(text).map_err(ManifestError::NotOne),
        }
    }

    /// As it is written: indented, with a line end.
    pub fn text(&self) -> String {
        text(self)
    }

    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }
}

/// JSON Schema of the format.
pub fn schema() -> String {
    text(&schemars::schema_for!(Manifest))
}

pub(crate) fn text<T: Serialize>(value: &T) -> String {
    // Our own types have string keys; serialising them can't fail.
    serde_json::to_string_pretty(value).expect("our own types serialise") + "\n"
}
