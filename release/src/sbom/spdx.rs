//! SPDX 2.3 as JSON (ISO/IEC 5962 and its successor).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Bill, Kind, Part, Role, list_at, text_at};
use crate::{Digest, manifest, manifest::Output};

const VERSION: &str = "SPDX-2.3";
const IMAGE: &str = "SPDXRef-Image";
const NO_ASSERTION: &str = "NOASSERTION";
/// Begins the identifier of each artifact's package.
const ARTIFACT: &str = "SPDXRef-Artifact-";

pub fn text(bill: &Bill) -> String {
    let mut packages = vec![image(bill)];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    for (number, output) in bill.artifacts.iter().enumerate() {
        let id = format!("{ARTIFACT}{number}");
        relations.push(relation(IMAGE, "CONTAINS", &id));
        packages.push(artifact(&id, output));
    }
    for (number, part) in bill.parts.iter().enumerate() {
        let id = format!("SPDXRef-Part-{number}");
        relations.push(match part.role {
            Role::Contained => relation(IMAGE, "CONTAINS", &id),
            Role::BuildTool => relation(&id, "BUILD_TOOL_OF", IMAGE),
        });
        packages.push(package(&id, part));
    }
    let name = format!("{}-{}", bill.profile, bill.version);
    manifest::text(&json!({
        "spdxVersion": VERSION,
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "documentNamespace": format!("https://spdx.org/spdxdocs/vtlforge-{name}-{}", bill.identity()),
        "name": name,
        "creationInfo": {
            "created": bill.date,
            "creators": [format!("Tool: vtlforge-{}", bill.version)],
        },
        "packages": packages,
        "relationships": relations,
    }))
}

/// Digest of each artifact that such a document lists.
pub fn artifacts(text: &[u8]) -> Result<BTreeMap<String, Digest>, String> {
    let document = super::json(text)?;
    if text_at(&document, "spdxVersion") != VERSION {
        return Err(format!("is no document of {VERSION}"));
    }
    let packages = list_at(&document, "packages").iter();
    let artifacts = packages.filter(|package| text_at(package, "SPDXID").starts_with(ARTIFACT));
    artifacts
        .map(|package| {
            let name = text_at(package, "name").to_owned();
            let checksums = list_at(package, "checksums").iter();
            let mut sha256 = checksums.filter(|checksum| text_at(checksum, "algorithm") == "SHA256");
            let value = sha256.next().map_or("", |checksum| text_at(checksum, "checksumValue"));
            let digest = value.parse().map_err(|error| format!("has no digest for {name}: {error}"))?;
            Ok((name, digest))
        })
        .collect()
}

fn image(bill: &Bill) -> Value {
    json!({
        "SPDXID": IMAGE,
        "name": format!("vtlforge-{}", bill.profile),
        "versionInfo": bill.version,
        "description": bill.description,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })
}

fn artifact(id: &str, output: &Output) -> Value {
    json!({
        "SPDXID": id,
        "name": output.name,
        "packageFileName": output.name,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "FILE",
        "checksums": [sha256(&output.sha256)],
    })
}

fn package(id: &str, part: &Part) -> Value {
    let purpose = match part.kind {
        Kind::Kernel => "OPERATING-SYSTEM",
        Kind::Library => "LIBRARY",
        Kind::Program => "APPLICATION",
        Kind::Package => "ARCHIVE",
    };
    let mut package = json!({
        "SPDXID": id,
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": part.location.as_deref().unwrap_or(NO_ASSERTION),
        "filesAnalyzed": false,
        "primaryPackagePurpose": purpose,
        "licenseDeclared": part.licence.as_deref().unwrap_or(NO_ASSERTION),
    });
    if let Some(digest) = &part.sha256 {
        package["checksums"] = json!([sha256(digest)]);
    }
    let reference = |category: &str, kind: &str, locator: &String| json!({"referenceCategory": category, "referenceType": kind, "referenceLocator": locator});
    let purl = part.purl.iter().map(|purl| reference("PACKAGE-MANAGER", "purl", purl));
    let cpe = part.cpe.iter().map(|cpe| reference("SECURITY", "cpe23Type", cpe));
    let references: Vec<Value> = purl.chain(cpe).collect();
    if !references.is_empty() {
        package["externalRefs"] = json!(references);
    }
    package
}

fn sha256(digest: &Digest) -> Value {
    json!({"algorithm": "SHA256", "checksumValue": digest})
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}
