//! What the store remembers of a finished step.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    pub outputs: Vec<Output>,
}

impl StepRecord {
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Name below the entry's `out/`.
    pub name: String,
    pub kind: OutputKind,
    /// Of a file: its content. Of a tree: its listing (see `memo::tree`).
    pub sha256: Digest,
    pub size_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    File,
    Tree,
}

/// Brings the entry's files to the disk before the rename makes them visible, so that a power cut can't
/// leave a key whose content is missing. A tree has up to a hundred thousand files, is checked by its
/// listing when it is read, and is cheap to unpack again, so it is left to the file system's own pace.
pub fn sync(entry: PathBuf, record: &StepRecord) -> Result<()> {
    let mut paths = vec![entry.join("outcome.json")];
    let files = record.outputs.iter().filter(|output| output.kind == OutputKind::File);
    paths.extend(files.map(|output| entry.join("out").join(&output.name)));
    paths.extend([entry.join("out"), entry.clone()]);
    for path in paths {
        let file = File::open(&path).with_context(|| format!("can't open {}", path.display()))?;
        file.sync_data().with_context(|| format!("can't write {} to the disk", path.display()))?;
    }
    // Outputs are for reading: a tool that writes into the store by mistake should be told.
    for output in record.outputs.iter().filter(|output| output.kind == OutputKind::File) {
        let path = entry.join("out").join(&output.name);
        let mut permissions = fs::metadata(&path)?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions)
            .with_context(|| format!("can't protect {}", path.display()))?;
    }
    Ok(())
}
