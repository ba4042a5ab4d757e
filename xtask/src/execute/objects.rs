//! How many objects a kernel will have: the total of its progress bar. Nothing else depends on it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

pub struct ObjectCounts {
    path: PathBuf,
    counts: BTreeMap<String, u64>,
}

impl ObjectCounts {
    pub fn load(memo_dir: &Path) -> ObjectCounts {
        let path = memo_dir.join("objects.json");
        let counts = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        ObjectCounts { path, counts: counts.unwrap_or_default() }
    }

    /// As many as the last time; before the first, a guess from the configuration: kernels of these profiles
    /// have one and a half to two objects for each symbol that is on.
    pub fn expect(&self, step: &str, dot_config: &str) -> u64 {
        let guess = || dot_config.lines().filter(|line| line.ends_with("=y")).count() as u64 * 7 / 4;
        self.counts.get(step).copied().unwrap_or_else(guess)
    }

    /// Only a progress bar depends on it: failing to write it fails nothing.
    pub fn remember(mut self, step: &str, objects: u64) {
        if objects > 0 && self.counts.insert(step.to_string(), objects) != Some(objects) {
            let _ = fs::write(&self.path, serde_json::to_vec(&self.counts).unwrap_or_default());
        }
    }
}
