//! How many objects each kernel had the last time: the total of the next build's progress bar.

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

    pub fn of(&self, step: &str) -> Option<u64> {
        self.counts.get(step).copied()
    }

    /// Only a progress bar depends on it: failing to write it fails nothing.
    pub fn remember(mut self, step: &str, objects: u64) {
        if objects > 0 && self.counts.insert(step.to_string(), objects) != Some(objects) {
            let _ = fs::write(&self.path, serde_json::to_vec(&self.counts).unwrap_or_default());
        }
    }
}
