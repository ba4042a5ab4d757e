//! What went into each step's key the last time, so that a build can say why a step runs again.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::plan::KeyParts;

pub struct LastBuild {
    path: PathBuf,
    steps: BTreeMap<String, KeyParts>,
    changed: bool,
}

impl LastBuild {
    /// Reads the memory; one that is missing or damaged is an empty one.
    pub fn load(memo_dir: &Path) -> LastBuild {
        let path = memo_dir.join("last.json");
        let steps = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        LastBuild { path, steps: steps.unwrap_or_default(), changed: false }
    }

    /// Why a step with these `parts` is not in the store, a phrase each.
    pub fn why(&self, step: &str, parts: &KeyParts) -> Vec<String> {
        match self.steps.get(step) {
            None => vec!["not built before".to_string()],
            Some(before) => match parts.changes_since(before) {
                changes if changes.is_empty() => vec!["no longer in the store".to_string()],
                changes => changes,
            },
        }
    }

    pub fn remember(&mut self, step: &str, parts: &KeyParts) {
        if self.steps.get(step) != Some(parts) {
            self.steps.insert(step.to_string(), parts.clone());
            self.changed = true;
        }
    }

    /// Writes the memory if it changed. It only explains: failing to write it fails nothing.
    pub fn save(&mut self) {
        if !self.changed {
            return;
        }
        let write = || -> std::io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec(&self.steps)?)?;
            file.persist(&self.path)?;
            Ok(())
        };
        self.changed = write().is_err();
    }
}
