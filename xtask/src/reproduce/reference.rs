//! Somebody else's release to compare with: what its manifest says, and its files where they lie beside it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use release::manifest::{Manifest, Output};

use super::judge::Made;
use crate::{digest::Digest, plan::KeyParts, store::OutputKind};

pub struct Reference {
    manifest: Manifest,
    /// Folder of the manifest.
    folder: PathBuf,
}

impl Reference {
    /// Reads a manifest, or the one in a folder.
    pub fn read(path: &Path, profile: &str) -> Result<Reference> {
        let path = if path.is_dir() { path.join("manifest.json") } else { path.to_path_buf() };
        let text = fs::read(&path).with_context(|| {
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
        Ok(Reference { manifest, folder: path.parent().unwrap_or(Path::new(".")).to_path_buf() })
    }

    /// What it says that a step made; None for a step that it doesn't have.
    pub fn made(&self, step: &str) -> Option<Made> {
        let claim = self.manifest.steps.iter().find(|claim| claim.name == step)?;
        let outputs = claim.outputs.iter().map(|(name, digest)| (name.clone(), (OutputKind::File, *digest)));
        Some(Made { key: Some(claim.key), outputs: outputs.collect(), folder: None })
    }

    /// What may be another one there of all that a step's key is made from, in words.
    pub fn differences(&self, step: &str, ours: &KeyParts) -> Vec<String> {
        let tools = ours.tools().iter().filter_map(|(name, digest)| {
            let theirs = self.manifest.tools.get(name)?;
            let is_other = theirs.identity != *digest;
            is_other.then(|| format!("{name} is another one there: {}", theirs.version))
        });
        let claim = self.manifest.steps.iter().find(|claim| claim.name == step);
        let inputs = ours.inputs().iter().filter_map(|(role, digest)| {
            let theirs = claim?.inputs.get(role)?.sha256?;
            (theirs != *digest).then(|| format!("input {role} is another one there"))
        });
        let mut found: Vec<String> = tools.chain(inputs).collect();
        if found.is_empty() && claim.is_some() {
            found.push("the profile or the tool's own code for the step is another one there".to_string());
        }
        found
    }

    pub fn output(&self, name: &str) -> Option<&Output> {
        self.manifest.output(name)
    }

    /// An artifact's file beside the manifest, if it is the one that the manifest means. One that is compressed there
    /// is unpacked into `folder`.
    pub fn file(&self, output: &Output, folder: &Path) -> Result<Option<PathBuf>> {
        let plain = self.folder.join(&output.name);
        let packed = self.folder.join(format!("{}.zst", output.name));
        let path = match (plain.exists(), packed.exists()) {
            (true, _) => plain,
            (false, true) => unpack(&packed, &folder.join(&output.name))?,
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

fn unpack(from: &Path, to: &Path) -> Result<PathBuf> {
    let unpack = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        zstd::stream::copy_decode(File::open(from)?, File::create(to)?)
    };
    unpack().with_context(|| format!("can't unpack {}", from.display()))?;
    Ok(to.to_path_buf())
}
