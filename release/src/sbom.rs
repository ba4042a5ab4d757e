//! Bills of materials: what is in a profile's artifacts and what they were made with, in the two formats that others
//! read.

pub mod cyclonedx;
pub mod spdx;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, manifest::Output};

/// What both formats are written from.
#[derive(Clone, Debug, Serialize)]
pub struct Bill<'a> {
    pub profile: &'a str,
    pub description: &'a str,
    pub version: &'a str,
    /// ISO 8601, UTC.
    pub date: &'a str,
    /// The artifacts, unpacked.
    pub artifacts: &'a [Output],
    pub parts: &'a [Part],
}

/// Something that an artifact contains or was made with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Part {
    pub kind: Kind,
    pub name: String,
    pub version: String,
    /// Of the package, archive or program.
    pub sha256: Option<Digest>,
    /// SPDX licence expression.
    pub licence: Option<String>,
    /// Package URL (ECMA-427).
    pub purl: Option<String>,
    /// CPE 2.3 name, under which vulnerabilities are filed.
    pub cpe: Option<String>,
    /// Where it is downloaded.
    pub location: Option<String>,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    Kernel,
    /// A crate or another library that is linked in.
    Library,
    Program,
    /// A package or another download.
    Package,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Some of it is in an artifact.
    Contained,
    /// It made artifacts and is in none.
    BuildTool,
}

/// A crate that a program was built from, as the step that built it remembers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Crate {
    pub name: String,
    pub version: String,
    pub licence: Option<String>,
    /// Of the package, as Cargo.lock has it; None for one that is no download.
    pub sha256: Option<Digest>,
    pub role: Role,
}

impl From<Crate> for Part {
    fn from(from: Crate) -> Part {
        // One that comes from no registry has no address there.
        let encoded = from.sha256.map(|_| (purl_encoded(&from.name), purl_encoded(&from.version)));
        Part {
            kind: Kind::Library,
            purl: encoded.map(|(name, version)| format!("pkg:cargo/{name}@{version}")),
            location: from.sha256.map(|_| {
                format!("https://static.crates.io/crates/{0}/{0}-{1}.crate", from.name, from.version)
            }),
            name: from.name,
            version: from.version,
            sha256: from.sha256,
            // The slash is an older way to write it.
            licence: from.licence.map(|licence| licence.replace('/', " OR ")),
            cpe: None,
            role: from.role,
        }
    }
}

impl Bill<'_> {
    /// Follows from everything in the bill, so that two documents with one name are the same.
    fn identity(&self) -> Digest {
        Digest::of_json(self)
    }
}

/// Package URL of a Debian package.
pub fn debian_purl(name: &str, version: &str, arch: &str) -> String {
    format!("pkg:deb/debian/{}@{}?arch={arch}", purl_encoded(name), purl_encoded(version))
}

/// A package URL's parts are percent-encoded but for these (ECMA-427).
pub fn purl_encoded(part: &str) -> String {
    let mut encoded = String::new();
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                encoded.push(byte as char)
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn json(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))
}

fn text_at<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list_at<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
