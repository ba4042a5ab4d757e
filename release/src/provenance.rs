//! Where artifacts come from: an in-toto statement (v1) with SLSA provenance (v1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    Digest,
    bundle::Source,
    manifest::{self, Input, Manifest},
    sbom::debian_purl,
};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// What `externalParameters` mean is said in the guide.
const BUILD_TYPE: &str = "urn:vtlforge:release:v1";

/// `subjects` by name; `command` is what was run.
pub fn text(
    subjects: &BTreeMap<String, Digest>,
    source: &Source,
    manifest: &Manifest,
    command: &[String],
) -> String {
    let subjects: Vec<Value> =
        subjects.iter().map(|(name, digest)| json!({"name": name, "digest": {"sha256": digest}})).collect();
    let project = json!({
        "name": "project",
        "uri": format!("git+urn:vtlforge@{}", source.revision),
        "digest": {"gitCommit": source.revision},
    });
    let dependencies: Vec<Value> =
        [project].into_iter().chain(manifest.inputs.iter().map(dependency)).collect();
    let tools: Value = manifest
        .tools
        .iter()
        .map(|(name, tool)| (name.clone(), json!({"version": tool.version, "sha256": tool.sha256})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    manifest::text(&json!({
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"profile": manifest.profile.name, "command": command},
                "internalParameters": {
                    "modified": source.modified,
                    "hermetic": manifest.hermetic,
                    "builder": manifest.builder,
                    "reproduce": manifest.command,
                    "tools": tools,
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": "urn:vtlforge:xtask", "version": {"vtlforge": source.version}},
            },
        },
    }))
}

/// Digest of each subject of such a statement.
pub fn subjects(text: &[u8]) -> Result<BTreeMap<String, Digest>, String> {
    let statement: Value = serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))?;
    if statement["_type"] != STATEMENT || statement["predicateType"] != PROVENANCE {
        return Err("is no in-toto statement with SLSA provenance, both of version 1".to_owned());
    }
    let subjects = statement["subject"].as_array().map_or(&[][..], Vec::as_slice).iter();
    subjects
        .map(|subject| {
            let name = subject["name"].as_str().unwrap_or_default().to_owned();
            let digest = subject["digest"]["sha256"].as_str().unwrap_or_default();
            let digest = digest.parse().map_err(|error| format!("has no digest for {name}: {error}"))?;
            Ok((name, digest))
        })
        .collect()
}

fn dependency(input: &Input) -> Value {
    match input {
        Input::DebianPackage { package, version, architecture, pool, sha256, .. } => json!({
            "name": pool,
            "uri": debian_purl(package, version, architecture),
            "digest": {"sha256": sha256},
        }),
        Input::Download { url, sha256 } => json!({"uri": url, "digest": {"sha256": sha256}}),
        Input::GitRevision { url, revision } => {
            json!({"uri": format!("git+{url}@{revision}"), "digest": {"gitCommit": revision}})
        }
        Input::File { path, sha256 } => json!({"name": path, "digest": {"sha256": sha256}}),
        // The digest of a listing is none of the folder that others would compute.
        Input::Folder { path, sha256 } => json!({"name": path, "digest": {"vtlforgeFolder": sha256}}),
        Input::Local { path } => json!({"name": path, "annotations": {"content": "unknown"}}),
    }
}
