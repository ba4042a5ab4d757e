//! Somebody else's manifest: what it says that steps made, and of what; artifacts, where they lie beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use release::{
    bundle::{self, MANIFEST, RELEASE, Release},
    manifest::{self, Builder, Manifest, Origin, Output, Tool},
};

use super::judge::Made;
use crate::{
    digest::Digest,
    plan::{KeyParts, parameter_changes},
    store::OutputKind,
};

pub struct Reference {
    /// Of the manifest, as the user named it or found in the folder that they named.
    pub path: PathBuf,
    manifest: Manifest,
    /// What the release beside it says that it was made from.
    source: Option<bundle::Source>,
}

impl Reference {
    /// Reads a manifest, or the one in the folder of a release.
    pub fn read(path: &Path, profile: &str) -> Result<Reference> {
        let inside = [path.join(MANIFEST), path.join(profile).join(MANIFEST)];
        let path = match path.is_dir() {
            true => inside.iter().find(|path| path.exists()).unwrap_or(&inside[0]),
            false => path,
        };
        let text = fs::read(path).with_context(|| {
            format!("can't read {}\n  hint: name a manifest.json, or the folder of a release", path.display())
        })?;
        let manifest =
            Manifest::parse(&text).map_err(|error| anyhow::anyhow!("{} {error}", path.display()))?;
        if manifest.profile.name != profile {
            bail!(
                "{} is of the profile {}, not of {profile}\n  hint: cargo xtask verify {} --against …",
                path.display(),
                manifest.profile.name,
                manifest.profile.name
            );
        }
        if manifest.outputs.is_empty() {
            bail!("{} lists no outputs: there is nothing to compare with", path.display());
        }
        let release = fs::read(path.with_file_name(RELEASE)).ok();
        let release = release.and_then(|text| Release::parse(&text).ok());
        Ok(Reference {
            path: path.to_path_buf(),
            manifest,
            source: release.map(|release| release.source().clone()),
        })
    }

    /// Whether it was built with pinned programs in a root of their own.
    pub fn is_of_root(&self) -> bool {
        matches!(self.manifest.builder, Builder::Root { .. })
    }

    /// What it says that a step made; None for a step that it doesn't have.
    pub fn made(&self, step: &str) -> Option<Made> {
        let claim = self.step(step)?;
        let outputs = claim.outputs.iter().map(|(name, digest)| (name.clone(), (OutputKind::File, *digest)));
        Some(Made { key: claim.key, outputs: outputs.collect(), folder: None })
    }

    /// In what a step differs there of all that its key is made from, but for inputs of the `known` roles, a phrase
    /// each. `tools` are the ones here.
    pub fn reasons(
        &self,
        step: &str,
        ours: &KeyParts,
        tools: &BTreeMap<String, Tool>,
        known: &BTreeSet<String>,
    ) -> Vec<String> {
        let Some(claim) = self.step(step) else { return Vec::new() };
        let code = claim.version.as_deref().filter(|version| *version != ours.version());
        let code = code.map(|_| "vtlforge's own code for the step".to_owned());
        let inputs = inputs(claim, ours).into_iter().filter(|(role, _)| !known.contains(role));
        let inputs = inputs.map(|(_, phrase)| phrase);
        let found = code.into_iter().chain(parameters(claim, ours)).chain(inputs);
        found.chain(self.tools(claim, ours, tools)).collect()
    }

    fn tools(&self, claim: &manifest::Step, ours: &KeyParts, here: &BTreeMap<String, Tool>) -> Vec<String> {
        let names: BTreeSet<&String> = ours.tools().keys().chain(&claim.tools).collect();
        let phrase = |name: &String| {
            let there = self.manifest.tools.get(name).filter(|_| claim.tools.contains(name));
            match (ours.tools().get(name), there) {
                (Some(identity), Some(there)) if *identity == there.identity => None,
                (Some(_), Some(there)) => {
                    let here = here.get(name).map_or("unknown", |tool| tool.version.as_str());
                    Some(match here == there.version {
                        true => format!("tool {name}: other files of the same version, {here}"),
                        false => format!("tool {name}: {here} here, {} there", there.version),
                    })
                }
                (Some(_), None) => Some(format!("tool {name}: takes part here alone")),
                (None, _) => Some(format!("tool {name}: takes part there alone")),
            }
        };
        names.into_iter().filter_map(phrase).collect()
    }

    /// What to do about differences, where the release beside the manifest was made from another state of the project
    /// than `here`.
    pub fn hint(&self, here: Option<&bundle::Source>) -> Option<String> {
        let there = self.source.as_ref()?;
        let short = |source: &bundle::Source| source.revision.chars().take(12).collect::<String>();
        if there.modified {
            return Some(format!(
                "the release was made from files that differ from its commit {}: only who made it has those",
                short(there)
            ));
        }
        match here {
            Some(here) if here.revision != there.revision => Some(format!(
                "the release was made from commit {}, and this is {}: git checkout {}",
                short(there),
                short(here),
                there.revision
            )),
            Some(here) if here.modified => Some(format!(
                "files here differ from the commit {} that the release was made from",
                short(here)
            )),
            Some(_) => None,
            None => Some(format!("the release was made from commit {}", there.revision)),
        }
    }

    pub fn output(&self, name: &str) -> Option<&Output> {
        self.manifest.output(name)
    }

    pub fn outputs(&self) -> &[Output] {
        &self.manifest.outputs
    }

    fn step(&self, name: &str) -> Option<&manifest::Step> {
        self.manifest.steps.iter().find(|claim| claim.name == name)
    }

    /// An artifact's file beside the manifest, if it is the one that the manifest means. One that is compressed there
    /// is unpacked into `folder`.
    pub fn file(&self, output: &Output, folder: &Path) -> Result<Option<PathBuf>> {
        let plain = self.path.with_file_name(&output.name);
        let packed = self.path.with_file_name(format!("{}.zst", output.name));
        let path = match (plain.exists(), packed.exists()) {
            (true, _) => plain,
            (false, true) => unpack(&packed, output, &folder.join(&output.name))?,
            (false, false) => return Ok(None),
        };
        let (digest, size_bytes) =
            Digest::of_file(&path).with_context(|| format!("can't read {}", path.display()))?;
        if digest != output.sha256 || size_bytes != output.size_bytes {
            bail!(
                "{} beside the manifest is not what the manifest lists\n  found {digest}\n  listed {}\n  \
                 hint: it was changed after the release, or belongs to another one",
                output.name,
                output.sha256
            );
        }
        Ok(Some(path))
    }
}

/// What a step is told that it isn't told there.
fn parameters(claim: &manifest::Step, ours: &KeyParts) -> Vec<String> {
    if ours.parameters().get("kind").is_none() {
        // A download: its key has no more than digest and size, wherever it comes from.
        let (here, there) = (&ours.parameters()["sha256"], &claim.parameters["sha256"]);
        return if here == there {
            Vec::new()
        } else {
            vec![format!("download: {here} here, {there} there")]
        };
    }
    let changes = parameter_changes(&claim.parameters, ours.parameters());
    changes.into_iter().map(|change| format!("parameter {change}")).collect()
}

/// Roles of inputs that differ, with a phrase.
fn inputs(claim: &manifest::Step, ours: &KeyParts) -> Vec<(String, String)> {
    let roles: BTreeSet<&String> = ours.inputs().keys().chain(claim.inputs.keys()).collect();
    let phrase = |role: &String| {
        let origin = claim.inputs.get(role).map(|input| match &input.from {
            Origin::Output { step, name } => format!("{name} of step `{step}`"),
            Origin::File(path) | Origin::Folder(path) | Origin::Local(path) => path.clone(),
        });
        let there = claim.inputs.get(role).and_then(|input| input.sha256);
        match (ours.inputs().get(role), origin) {
            (Some(here), Some(_)) if there == Some(*here) => None,
            (Some(here), Some(origin)) => {
                let there = there.map_or("unknown".to_owned(), |digest| digest.short());
                Some(format!("input {role}, {origin}: {} here, {there} there", here.short()))
            }
            (_, None) => Some(format!("input {role}: is read here alone")),
            (None, Some(origin)) => Some(format!("input {role}, {origin}: is read there alone")),
        }
    };
    roles.into_iter().filter_map(|role| Some((role.clone(), phrase(role)?))).collect()
}

fn unpack(from: &Path, output: &Output, to: &Path) -> Result<PathBuf> {
    let unpack = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        // One byte more than listed is enough to tell that it is another file.
        let mut plain = zstd::stream::Decoder::new(File::open(from)?)?.take(output.size_bytes + 1);
        io::copy(&mut plain, &mut File::create(to)?).map(|_| ())
    };
    unpack().with_context(|| format!("can't unpack {}", from.display()))?;
    Ok(to.to_path_buf())
}
