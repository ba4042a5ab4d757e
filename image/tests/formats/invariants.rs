use std::fs;
use std::path::{Path, PathBuf};

/// Modules of the standard library that compute, and touch nothing outside.
const PURE_MODULES: [&str; 8] = ["array", "cell", "cmp", "collections", "fmt", "io", "iter", "ops"];

/// Other ways out: what our dependencies offer, and macros that read files or the environment.
const FORBIDDEN: [&str; 12] = [
    "extern crate",
    "extern \"C\"",
    "new_v4",
    "now_v7",
    "GptConfig::open",
    ".create(",
    "include",
    "env!(",
    "io::std",
    "print!(",
    "println!(",
    "dbg!(",
];

/// The crate reaches no file system, environment, process, network, clock or random source.
#[test]
fn sources_name_only_pure_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &mut sources);
    assert!(sources.len() > 10, "{sources:?}");
    for path in sources {
        for (number, line) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
            let place = format!("{}:{number}: {line}", path.display());
            for (at, _) in line.match_indices("std::") {
                let module = line[at + 5..].split(|c: char| !c.is_alphanumeric() && c != '_');
                let module = module.into_iter().next().unwrap_or_default();
                assert!(PURE_MODULES.contains(&module), "{place}");
            }
            let code = line.split("//").next().unwrap_or_default();
            assert!(!FORBIDDEN.iter().any(|word| code.contains(word)), "{place}");
            assert!(!code.contains("use std as") && !code.contains("use std;"), "{place}");
        }
    }
}

fn collect(directory: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}
