//! The build's request: a layout, the paths of its contents, and where the results go.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use image::igvm::Layout;
use serde::Deserialize;

use crate::{headers, measure, write};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    pub layout: Layout,
    /// Name in the layout → path.
    pub sources: BTreeMap<String, PathBuf>,
    /// The IGVM file to be written.
    pub file: PathBuf,
    /// The JSON file of its measurements to be written.
    pub measurements: PathBuf,
}

/// Carries out the request in a file.
pub fn pack(path: &Path) -> Result<()> {
    let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let request: Request =
        serde_json::from_slice(&text).with_context(|| format!("{} is no request", path.display()))?;
    let file = headers::file(&request.layout, &request.sources)?;
    let out =
        File::create(&request.file).with_context(|| format!("can't write {}", request.file.display()))?;
    write::write(&file, request.layout.arch, &mut BufWriter::with_capacity(1 << 20, out))
        .with_context(|| format!("can't write {}", request.file.display()))?;
    let measurements = serde_json::to_string_pretty(&measure::measure(&file)?)? + "\n";
    fs::write(&request.measurements, measurements)
        .with_context(|| format!("can't write {}", request.measurements.display()))
}
