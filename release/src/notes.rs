//! What changed since the last release, for people.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    bundle::{MANIFEST, Source},
    manifest::{Manifest, Measurement},
};

/// One release, as far as notes compare it.
pub struct Side<'a> {
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    /// Version of each part by its name.
    pub parts: &'a BTreeMap<String, String>,
}

/// A kernel symbol with its value before and now.
pub struct SymbolChange {
    pub symbol: String,
    pub before: String,
    pub now: String,
    /// Whether it only follows from others.
    pub derived: bool,
}

/// Notes of a release; without `before`, of a first one. In Markdown.
pub fn text(now: &Side, before: Option<&Side>, symbols: &[SymbolChange]) -> String {
    let profile = &now.manifest.profile;
    let mut text = format!("# {} {}\n\n{}\n", profile.name, now.source.version, profile.description);
    match before {
        None => text += "\nThe first release: there is nothing to compare it with.\n",
        Some(before) => {
            let _ = write!(text, "\nChanges since {}.\n", before.source.version);
            text += &configuration(symbols);
            text += &parts(now.parts, before.parts);
        }
    }
    let before = before.map(|before| before.manifest);
    text + &sizes(now.manifest, before) + &measurements(now.manifest, before) + &again(now)
}

/// How others come to the same bytes.
fn again(now: &Side) -> String {
    let mut text = "\n## Build it again\n\n".to_owned();
    if now.source.modified || !now.manifest.hermetic {
        text += "This release was made from files that are in no commit: it can't be made again from one.\n";
        return text;
    }
    let bundle = "path/of/this/folder";
    let command: Vec<&str> = now.manifest.command.iter().map(String::as_str).collect();
    let command = command.join(" ").replace(MANIFEST, bundle);
    let _ = write!(
        text,
        "In a checkout of the project, with the tools that `manifest.json` lists; every byte is compared:\n\n\
         \x20   git checkout {}\n    {command}\n",
        now.source.revision
    );
    text
}

fn configuration(symbols: &[SymbolChange]) -> String {
    if symbols.is_empty() {
        return "\n## Kernel configuration\n\nThe same.\n".to_owned();
    }
    let mut text = "\n## Kernel configuration\n\n".to_owned();
    for change in symbols.iter().filter(|change| !change.derived) {
        let _ = writeln!(text, "- `{}`: {} → {}", change.symbol, change.before, change.now);
    }
    match symbols.iter().filter(|change| change.derived).count() {
        0 => {}
        derived => _ = writeln!(text, "- and {derived} that can't be set by anybody or follow from these"),
    }
    text
}

fn parts(now: &BTreeMap<String, String>, before: &BTreeMap<String, String>) -> String {
    let mut text = "\n## Packages, crates and tools\n\n".to_owned();
    let names = now.keys().chain(before.keys().filter(|name| !now.contains_key(*name)));
    let mut lines: Vec<String> = names
        .filter_map(|name| match (before.get(name), now.get(name)) {
            (Some(before), Some(now)) if before == now => None,
            (Some(before), Some(now)) => Some(format!("- {name}: {before} → {now}\n")),
            (None, Some(now)) => Some(format!("- {name}: new, {now}\n")),
            (before, None) => Some(format!("- {name}: gone, was {}\n", before.map_or("", String::as_str))),
        })
        .collect();
    lines.sort();
    text += &match lines.is_empty() {
        true => "The same.\n".to_owned(),
        false => lines.concat(),
    };
    text
}

fn sizes(now: &Manifest, before: Option<&Manifest>) -> String {
    let mut text =
        "\n## Artifacts\n\n| artifact | bytes | change | SHA-256 |\n|---|---:|---:|---|\n".to_owned();
    for output in &now.outputs {
        let change = match before.map(|before| before.output(&output.name)) {
            None => String::new(),
            Some(None) => "new".to_owned(),
            Some(Some(before)) if before.sha256 == output.sha256 => "same".to_owned(),
            Some(Some(before)) => {
                let difference = i128::from(output.size_bytes) - i128::from(before.size_bytes);
                format!("{difference:+}")
            }
        };
        let _ =
            writeln!(text, "| {} | {} | {change} | `{}` |", output.name, output.size_bytes, output.sha256);
    }
    let gone = before.iter().flat_map(|before| &before.outputs).filter(|old| now.output(&old.name).is_none());
    for old in gone {
        let _ = writeln!(text, "| {} | | gone | |", old.name);
    }
    text
}

/// What platforms measure, and of which it changed: whoever attests has to know.
fn measurements(now: &Manifest, before: Option<&Manifest>) -> String {
    if now.measurements.is_empty() {
        return String::new();
    }
    let mut text =
        "\n## Measurements\n\n| platform | digest | change | value |\n|---|---|---|---|\n".to_owned();
    for measured in &now.measurements {
        let known = before.map(|before| {
            let same =
                |other: &&Measurement| other.platform == measured.platform && other.name == measured.name;
            before.measurements.iter().find(same)
        });
        let change = match known {
            None => "",
            Some(None) => "new",
            Some(Some(before)) if before.digest == measured.digest => "same",
            Some(Some(_)) => "changed",
        };
        let Measurement { platform, name, digest, .. } = measured;
        let _ = writeln!(text, "| {platform} | {name} | {change} | `{digest}` |");
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::{
        Digest,
        manifest::{FORMAT, Output, Profile},
    };

    fn source(version: &str) -> Source {
        Source {
            version: version.to_owned(),
            revision: "0123456789abcdef".to_owned(),
            date: String::new(),
            modified: false,
        }
    }

    fn manifest(outputs: &[(&str, &str)], measured: &str) -> Manifest {
        let output = |(name, content): &(&str, &str)| Output {
            name: (*name).to_owned(),
            size_bytes: content.len() as u64,
            sha256: Digest::of(content.as_bytes()),
        };
        let measurement = |platform: &str, digest: &str| Measurement {
            platform: platform.to_owned(),
            compatibility_mask: 1,
            name: "launch digest".to_owned(),
            algorithm: "SHA-384".to_owned(),
            digest: digest.to_owned(),
            assumes: Vec::new(),
        };
        Manifest {
            format: FORMAT,
            profile: Profile {
                name: "small".to_owned(),
                description: "A small one.".to_owned(),
                arch: "x86_64".to_owned(),
                vtl: 2,
                settings: serde_json::Map::new(),
            },
            hermetic: true,
            builder: Default::default(),
            command: ["verify", "small", "--against", "manifest.json"].map(str::to_owned).to_vec(),
            inputs: Vec::new(),
            tools: BTreeMap::new(),
            steps: Vec::new(),
            outputs: outputs.iter().map(output).collect(),
            measurements: vec![measurement("sev-snp", measured), measurement("vsm-isolation", "00")],
        }
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let before = manifest(&[("disk.raw", "1"), ("kernel", "old"), ("uki.efi", "u")], "aa");
        let now = manifest(&[("disk.raw", "1"), ("kernel", "newer"), ("vtl2.igvm", "i")], "bb");
        let parts = |parts: &[(&str, &str)]| -> BTreeMap<String, String> {
            parts.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
        };
        let (old_parts, new_parts) = (
            parts(&[("gcc", "12"), ("nix", "0.31.0"), ("flate2", "1.1")]),
            parts(&[("gcc", "12"), ("nix", "0.31.1"), ("tinyjson", "2.5")]),
        );
        let symbol = |symbol: &str, derived| SymbolChange {
            symbol: symbol.to_owned(),
            before: "n".to_owned(),
            now: "y".to_owned(),
            derived,
        };
        let (new, old) = (source("1.1"), source("1.0"));
        let told = text(
            &Side { source: &new, manifest: &now, parts: &new_parts },
            Some(&Side { source: &old, manifest: &before, parts: &old_parts }),
            &[symbol("CONFIG_SMP", false), symbol("CONFIG_HAVE_SMP", true)],
        );
        // Digests are those of other tests.
        let told: String = told.lines().map(|line| shortened(line) + "\n").collect();
        expect![[r#"
            # small 1.1

            A small one.

            Changes since 1.0.

            ## Kernel configuration

            - `CONFIG_SMP`: n → y
            - and 1 that can't be set by anybody or follow from these

            ## Packages, crates and tools

            - flate2: gone, was 1.1
            - nix: 0.31.0 → 0.31.1
            - tinyjson: new, 2.5

            ## Artifacts

            | artifact | bytes | change | SHA-256 |
            |---|---:|---:|---|
            | disk.raw | 1 | same | `6b86b273…` |
            | kernel | 5 | +2 | `804f51f7…` |
            | vtl2.igvm | 1 | new | `de7d1b72…` |
            | uki.efi | | gone | |

            ## Measurements

            | platform | digest | change | value |
            |---|---|---|---|
            | sev-snp | launch digest | changed | `bb` |
            | vsm-isolation | launch digest | same | `00` |

            ## Build it again

            In a checkout of the project, with the tools that `manifest.json` lists; every byte is compared:

                git checkout 0123456789abcdef
                verify small --against path/of/this/folder
        "#]]
        .assert_eq(&told);
    }

    #[test]
    fn what_nobody_else_can_make_is_called_so() {
        let (manifest, parts) = (manifest(&[("kernel", "k")], "aa"), BTreeMap::new());
        let modified = Source { modified: true, ..source("1.1-modified") };
        let local = Manifest { hermetic: false, ..manifest.clone() };
        for (source, manifest) in [(&modified, &manifest), (&source("1.1"), &local)] {
            let told = text(&Side { source, manifest, parts: &parts }, None, &[]);
            assert!(told.contains("can't be made again"), "{told}");
            assert!(!told.contains("git checkout"), "{told}");
        }
    }

    fn shortened(line: &str) -> String {
        match line.rsplit_once(" | `") {
            Some((head, value)) if value.len() > 64 => format!("{head} | `{}…` |", &value[..8]),
            _ => line.to_owned(),
        }
    }
}
