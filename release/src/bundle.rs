//! The folder that is given to others: which files it has, and `release.json`, which says what they are.
//!
//! ```text
//! BUNDLE/release.json            this file's types
//!        manifest.json           what was made from what
//!        sbom.spdx.json, sbom.cdx.json, provenance.intoto.json, NOTES.md
//!        kernel, disk.raw.zst …  the artifacts
//!        SHA256SUMS              digests of all of these
//!        SHA256SUMS.sig          signature over that; without one there is UNSIGNED, which SHA256SUMS lists
//! ```
//!
//! A collection has such folders, whole and each signed by itself, `release.json`, `NOTES.md`, and its own
//! `SHA256SUMS`, which lists every file below it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Digest,
    manifest::{self, Output},
    pack::Packing,
    sums::Sums,
};

pub const RELEASE: &str = "release.json";
pub const MANIFEST: &str = "manifest.json";
pub const SPDX: &str = "sbom.spdx.json";
pub const CYCLONEDX: &str = "sbom.cdx.json";
pub const PROVENANCE: &str = "provenance.intoto.json";
pub const NOTES: &str = "NOTES.md";
pub const SUMS: &str = "SHA256SUMS";
pub const SIGNATURE: &str = "SHA256SUMS.sig";
pub const UNSIGNED: &str = "UNSIGNED";

/// What stands in an unsigned bundle's file of that name.
pub const UNSIGNED_TEXT: &str =
    "Nobody has signed this release: its digests say that it is whole, not who made it.\n";

/// Version of the format of `release.json`.
pub const FORMAT: u32 = 1;

/// `release.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Release {
    Profile(ProfileRelease),
    Collection(Collection),
}

/// One profile's artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProfileRelease {
    pub format: u32,
    pub source: Source,
    pub profile: String,
    /// Makes the same release in a checkout of the revision.
    pub command: Vec<String>,
    pub artifacts: Vec<Artifact>,
}

/// Several profiles' bundles in one folder, each under its profile's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Collection {
    pub format: u32,
    pub source: Source,
    pub profiles: Vec<String>,
}

/// The project that it was made from, as its repository tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    pub version: String,
    /// Full commit id.
    pub revision: String,
    /// When that was committed: ISO 8601, UTC.
    pub date: String,
    /// Whether files differed from that revision.
    pub modified: bool,
}

/// An artifact, and the file that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Artifact {
    /// In the bundle. Its digest is in SHA256SUMS.
    pub file: String,
    pub packing: Packing,
    /// What it is unpacked.
    pub content: Output,
}

impl Release {
    pub fn parse(text: &[u8]) -> Result<Release, String> {
        let value: serde_json::Value =
            serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format != u64::from(FORMAT) => Err(format!(
                "is of format {format}, and this program reads format {FORMAT}: take a newer one"
            )),
            _ => serde_json::from_value(value).map_err(|error| format!("describes no release: {error}")),
        }
    }

    pub fn text(&self) -> String {
        manifest::text(self)
    }

    pub fn source(&self) -> &Source {
        match self {
            Release::Profile(release) => &release.source,
            Release::Collection(collection) => &collection.source,
        }
    }
}

impl ProfileRelease {
    /// Content of each artifact by its name, as bills of materials list it.
    pub fn contents(&self) -> BTreeMap<String, Digest> {
        self.artifacts
            .iter()
            .map(|artifact| (artifact.content.name.clone(), artifact.content.sha256))
            .collect()
    }

    /// What a provenance speaks of: the manifest, the artifacts as files of the bundle, and unpacked.
    pub fn subjects(&self, sums: &Sums) -> BTreeMap<String, Digest> {
        let files = self.artifacts.iter().map(|artifact| artifact.file.as_str()).chain([MANIFEST]);
        let files = files.filter_map(|file| Some((file.to_owned(), sums.get(file)?)));
        self.contents().into_iter().chain(files).collect()
    }
}
