//! What the notes say: this release beside the last one.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use release::{
    bundle::{CYCLONEDX, MANIFEST, RELEASE, Release, Source},
    manifest::Manifest,
    notes::SymbolChange,
    sbom,
};

use crate::kernel::{
    DotConfig, Value,
    difference::{Half, Side, compare},
};

/// A bundle as notes compare it.
pub struct Facts {
    pub source: Source,
    pub manifest: Manifest,
    pub parts: BTreeMap<String, String>,
    pub config: Option<DotConfig>,
}

const CONFIG: &str = "kernel.config";

impl Facts {
    /// Of the bundle in `folder`, which may still lack its notes and sums.
    pub fn read(folder: &Path) -> Result<Facts> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).with_context(|| format!("can't read {}", path.display()))
        };
        let wrong = |name: &str, what: String| anyhow::anyhow!("{} {what}", folder.join(name).display());
        let release = Release::parse(&read(RELEASE)?).map_err(|what| wrong(RELEASE, what))?;
        let manifest =
            Manifest::parse(&read(MANIFEST)?).map_err(|error| wrong(MANIFEST, error.to_string()))?;
        let parts = sbom::cyclonedx::parts(&read(CYCLONEDX)?).map_err(|what| wrong(CYCLONEDX, what))?;
        let config = match folder.join(CONFIG) {
            path if path.exists() => {
                Some(DotConfig::read(&path.to_string_lossy().as_ref().into(), &read(CONFIG)?)?)
            }
            _ => None,
        };
        Ok(Facts { source: release.source().clone(), manifest, parts, config })
    }
}

/// Kernel symbols whose values differ.
pub fn symbols(before: &Facts, now: &Facts) -> Vec<SymbolChange> {
    let (Some(before), Some(now)) = (&before.config, &now.config) else { return Vec::new() };
    let side = |config: &DotConfig| Side { config: config.clone(), made: None };
    let value = |half: &Half| half.value.as_ref().unwrap_or(&Value::No).to_string();
    let differences = compare(&side(before), &side(now)).into_iter();
    differences
        .map(|difference| SymbolChange {
            before: value(&difference.one),
            now: value(&difference.other),
            symbol: difference.symbol,
            derived: difference.derived,
        })
        .collect()
}
