//! The build's request: a layout, the paths of its contents, and where the results go.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use igvm_defs::IgvmPlatformType;
use image::igvm::{Layout, PlatformKind, fit::Fit};
use serde::Deserialize;

use crate::{headers, map::Origins, measure, write};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    pub layout: Layout,
    /// What takes how much memory, for the map.
    pub memory: Fit,
    /// Name in the layout → path.
    pub sources: BTreeMap<String, PathBuf>,
    /// The IGVM file to be written.
    pub file: PathBuf,
    /// The JSON file with the origin of each page.
    pub map: PathBuf,
    /// The JSON file of the measurements.
    pub measurements: PathBuf,
    /// Platform → its endorsement.
    pub endorsements: BTreeMap<PlatformKind, PathBuf>,
    pub security_version: u32,
}

/// Carries out the request in a file.
pub fn pack(path: &Path) -> Result<()> {
    let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let request: Request =
        serde_json::from_slice(&text).with_context(|| format!("{} is no request", path.display()))?;
    let file = headers::file(&request.layout, &request.sources)?;
    let can_not_write = |path: &Path| format!("can't write {}", path.display());
    let out = File::create(&request.file).with_context(|| can_not_write(&request.file))?;
    let size_bytes = write::write(&file, request.layout.arch, &mut BufWriter::with_capacity(1 << 18, out))
        .with_context(|| can_not_write(&request.file))?;
    let mut measured = measure::Measured::new(&file)?;
    let put = |path: &Path, bytes: &[u8]| fs::write(path, bytes).with_context(|| can_not_write(path));
    let origins = Origins::new(&request.layout, request.memory.clone(), size_bytes);
    put(&request.map, (serde_json::to_string_pretty(&origins)? + "\n").as_bytes())?;
    let measurements = serde_json::to_string_pretty(&measured.measurements())? + "\n";
    put(&request.measurements, measurements.as_bytes())?;
    for (kind, path) in &request.endorsements {
        put(path, &measured.endorse(platform_type(*kind), request.security_version)?)?;
    }
    Ok(())
}

fn platform_type(kind: PlatformKind) -> IgvmPlatformType {
    match kind {
        PlatformKind::VsmIsolation => IgvmPlatformType::VSM_ISOLATION,
        PlatformKind::Native => IgvmPlatformType::NATIVE,
        PlatformKind::SevSnp => IgvmPlatformType::SEV_SNP,
        PlatformKind::Tdx => IgvmPlatformType::TDX,
    }
}
