//! How many objects a kernel will have: the total of its progress bar. Nothing else depends on it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub struct ObjectCounts {
    path: PathBuf,
    /// By the name of the step.
    counts: BTreeMap<String, Count>,
}

/// What the last whole build of a kernel came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    /// Those of its configuration that were on and may have been for something to compile.
    symbols: u64,
    objects: u64,
}

/// Before the first build: kernels of these profiles have 2.8 to 3.04 objects for each such symbol.
const GUESS: Count = Count { symbols: 1, objects: 3 };

/// What architecture and tools can do is said by symbols of these families, of which small kernels have as many as large ones.
const CAPABILITIES: [&str; 11] =
    ["ARCH", "AS", "CC", "GCC", "GENERIC", "HAS", "HAVE", "LD", "NEED", "TOOLS", "USE"];

impl ObjectCounts {
    pub fn load(memo_dir: &Path) -> ObjectCounts {
        let path = memo_dir.join("objects.json");
        let counts = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        ObjectCounts { path, counts: counts.unwrap_or_default() }
    }

    /// As many as the last time; of another configuration, as many more or less as it has symbols.
    pub fn expect(&self, step: &str, dot_config: &str) -> Total {
        let Count { symbols, objects } = self.counts.get(step).copied().unwrap_or(GUESS);
        Total((on(dot_config) * objects).div_ceil(symbols.max(1)))
    }

    /// Only a progress bar depends on it: failing to write it fails nothing.
    pub fn remember(mut self, step: &str, dot_config: &str, objects: u64) {
        let count = Count { symbols: on(dot_config), objects };
        if objects > 0 && self.counts.insert(step.to_string(), count) != Some(count) {
            let _ = fs::write(&self.path, serde_json::to_vec(&self.counts).unwrap_or_default());
        }
    }
}

/// The total that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total(u64);

impl Total {
    /// It is never less than what is done: a twentieth more each time that there are more objects than were expected.
    pub fn beside(&mut self, done: u64) -> u64 {
        while self.0 < done {
            self.0 += self.0 / 20 + 1;
        }
        self.0
    }
}

/// How many symbols are on that are no capabilities.
fn on(dot_config: &str) -> u64 {
    let names = dot_config.lines().filter_map(|line| line.strip_prefix("CONFIG_")?.strip_suffix("=y"));
    let is_capability =
        |name: &&str| name.split_once('_').is_some_and(|(family, _)| CAPABILITIES.contains(&family));
    names.filter(|name| !is_capability(name)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot_config(symbols: u64) -> String {
        let on: String = (0..symbols).map(|number| format!("CONFIG_{number}=y\n")).collect();
        on + "# CONFIG_X is not set\nCONFIG_NR_CPUS=8\nCONFIG_HAVE_KVM=y\nCONFIG_CC_IS_GCC=y\n"
    }

    #[test]
    fn as_many_as_the_last_time_or_in_proportion() {
        let folder = tempfile::tempdir().unwrap();
        let expect = |step: &str, symbols| {
            ObjectCounts::load(folder.path()).expect(step, &dot_config(symbols)).beside(0)
        };
        assert_eq!(expect("kernel a", 647), 1941);
        ObjectCounts::load(folder.path()).remember("kernel a", &dot_config(647), 1893);
        assert_eq!((expect("kernel a", 647), expect("kernel b", 647)), (1893, 1941));
        assert_eq!((expect("kernel a", 657), expect("kernel a", 0)), (1923, 0));
        // A build that had nothing to compile tells nothing.
        ObjectCounts::load(folder.path()).remember("kernel a", &dot_config(647), 0);
        assert_eq!(expect("kernel a", 647), 1893);
        // What an older vtlforge remembered, or half a file.
        for text in ["{\"kernel a\":962}", "{\"ker"] {
            fs::write(folder.path().join("objects.json"), text).unwrap();
            assert_eq!(expect("kernel a", 647), 1941);
        }
    }

    #[test]
    fn no_more_is_done_than_the_total_says() {
        for expected in [0, 1, 10, 1687, 1893] {
            let mut total = Total(expected);
            let mut shown = Vec::new();
            for done in 0..=1893 {
                let beside = total.beside(done);
                assert!(beside >= done, "{done} of {beside}");
                shown.push(beside);
            }
            assert!(shown.is_sorted() && shown[0] == expected, "{shown:?}");
            // It doesn't run ahead of what is done, one by one.
            shown.dedup();
            assert!(expected < 1000 || shown.len() <= 4, "{shown:?}");
        }
    }
}
