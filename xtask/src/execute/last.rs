//! What went into each step's key the last time, so that a build can say why a step runs again.

use std::path::Path;

use crate::{digest::Digest, plan::KeyParts, table::Table};

const HEADER: &str = "vtlforge last builds 1";

/// By name of the step: its key and, as JSON, the parts of that.
pub struct LastBuild {
    table: Table,
}

impl LastBuild {
    /// Reads the memory; one that is missing or damaged is an empty one.
    pub fn load(memo_dir: &Path) -> LastBuild {
        LastBuild { table: Table::load(&memo_dir.join("last"), HEADER) }
    }

    /// Why a step with these `parts` is not in the store, a phrase each.
    pub fn why(&self, step: &str, parts: &KeyParts) -> Vec<String> {
        let before = self.table.get(step).and_then(|line| serde_json::from_str(line.split_once(' ')?.1).ok());
        match before {
            None => vec!["not built before".to_string()],
            Some(before) => match parts.changes_since(&before) {
                changes if changes.is_empty() => vec!["no longer in the store".to_string()],
                changes => changes,
            },
        }
    }

    /// `key` is that of the step, and says whether its parts are others than before.
    pub fn remember(&mut self, step: &str, key: &Digest, parts: &KeyParts) {
        let key = key.to_string();
        let is_known = self.table.get(step).is_some_and(|line| line.starts_with(&key));
        if !is_known && let Ok(parts) = serde_json::to_string(parts) {
            self.table.set(step, format!("{key} {parts}"));
        }
    }

    /// Writes the memory if it changed. It only explains: failing to write it fails nothing.
    pub fn save(&mut self) {
        let _ = self.table.save(|_| true);
    }
}
