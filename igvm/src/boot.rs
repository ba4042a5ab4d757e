//! The boot's request: a file and the machine that it is to be loaded into, as runs of memory and registers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use image::igvm::start::{Guest, Host, Run};
use serde::Deserialize;

use crate::{
    foreign::Foreign,
    load::{self, Loaded},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    pub file: PathBuf,
    pub host: Host,
    /// Where the runs go, and `guest.json`, which says what they are.
    pub folder: PathBuf,
}

/// Carries out the request in a file.
pub fn boot(path: &Path) -> Result<()> {
    let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let request: Request =
        serde_json::from_slice(&text).with_context(|| format!("{} is no request", path.display()))?;
    let Foreign { file, arch, .. } = Foreign::open(&request.file)?;
    let loaded = load::load(&file, arch, &request.host)
        .with_context(|| format!("{}: a host refuses it", request.file.display()))?;
    let mut runs = Vec::new();
    for (number, (gpa, bytes)) in loaded.blocks.iter().enumerate() {
        let file = format!("memory-{number:02}");
        write(&request.folder.join(&file), bytes)?;
        runs.push(Run { gpa: *gpa, length_bytes: bytes.len() as u64, file });
    }
    let Loaded { takes_command_line, registers, .. } = loaded;
    let guest = Guest { runs, takes_command_line, registers };
    write(&request.folder.join("guest.json"), &serde_json::to_vec_pretty(&guest)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("can't write {}", path.display()))
}
