//! CycloneDX 1.6 as JSON (ECMA-424).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Bill, Kind, Part, Role, list_at, text_at};
use crate::{Digest, manifest};

const VERSION: &str = "1.6";

pub fn text(bill: &Bill) -> String {
    let mut components: Vec<Value> = Vec::new();
    for (number, output) in bill.artifacts.iter().enumerate() {
        components.push(json!({
            "type": "file",
            "bom-ref": format!("artifact-{number}"),
            "name": output.name,
            "hashes": [sha256(&output.sha256)],
        }));
    }
    components.extend(bill.parts.iter().enumerate().map(|(number, part)| component(number, part)));
    let all: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    manifest::text(&json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "serialNumber": format!("urn:uuid:{}", uuid(&bill.identity())),
        "version": 1,
        "metadata": {
            "timestamp": bill.date,
            "tools": {"components": [{"type": "application", "name": "vtlforge", "version": bill.version}]},
            "component": {
                "type": "operating-system",
                "bom-ref": "image",
                "name": format!("vtlforge-{}", bill.profile),
                "version": bill.version,
                "description": bill.description,
            },
        },
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": all}],
    }))
}

/// Digest of each artifact that such a document lists.
pub fn artifacts(text: &[u8]) -> Result<BTreeMap<String, Digest>, String> {
    let document = super::json(text)?;
    if text_at(&document, "bomFormat") != "CycloneDX" || text_at(&document, "specVersion") != VERSION {
        return Err(format!("is no document of CycloneDX {VERSION}"));
    }
    let files = list_at(&document, "components").iter();
    files
        .filter(|component| text_at(component, "type") == "file")
        .map(|component| {
            let name = text_at(component, "name").to_owned();
            let mut sha256 =
                list_at(component, "hashes").iter().filter(|hash| text_at(hash, "alg") == "SHA-256");
            let value = sha256.next().map_or("", |hash| text_at(hash, "content"));
            let digest = value.parse().map_err(|error| format!("has no digest for {name}: {error}"))?;
            Ok((name, digest))
        })
        .collect()
}

/// Name and version of each part that such a document lists, artifacts left out.
pub fn parts(text: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let document = super::json(text)?;
    let parts = list_at(&document, "components").iter();
    let parts = parts.filter(|component| text_at(component, "type") != "file");
    Ok(parts.map(|part| (text_at(part, "name").to_owned(), text_at(part, "version").to_owned())).collect())
}

fn component(number: usize, part: &Part) -> Value {
    let kind = match part.kind {
        Kind::Kernel => "operating-system",
        Kind::Library => "library",
        Kind::Program => "application",
        // CycloneDX has no type for a package of anything; `file` stands for artifacts here.
        Kind::Package => "data",
    };
    let scope = match part.role {
        Role::Contained => "required",
        Role::BuildTool => "excluded",
    };
    let mut component = json!({
        "type": kind,
        "bom-ref": format!("part-{number}"),
        "name": part.name,
        "version": part.version,
        "scope": scope,
    });
    if let Some(digest) = &part.sha256 {
        component["hashes"] = json!([sha256(digest)]);
    }
    if let Some(licence) = &part.licence {
        component["licenses"] = json!([{"expression": licence}]);
    }
    for (key, value) in [("cpe", &part.cpe), ("purl", &part.purl)] {
        if let Some(value) = value {
            component[key] = json!(value);
        }
    }
    if let Some(location) = &part.location {
        component["externalReferences"] = json!([{"type": "distribution", "url": location}]);
    }
    component
}

fn sha256(digest: &Digest) -> Value {
    json!({"alg": "SHA-256", "content": digest})
}

/// Version 8 (RFC 9562): of one's own making.
fn uuid(digest: &Digest) -> uuid::Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
