//! Symbols that a kernel tree declares for other architectures only.

use std::{fs, path::Path};

use walkdir::WalkDir;

/// file:line of the first `config NAME` in the Kconfig files of a tree, in the order of their names, wherever it is
/// read. Files that can't be read declare nothing.
pub fn declared_anywhere(tree: &Path, name: &str) -> Option<String> {
    let walk = WalkDir::new(tree).sort_by_file_name().into_iter().filter_map(Result::ok);
    let kconfig = walk.filter(|entry| entry.file_name().to_string_lossy().starts_with("Kconfig"));
    for entry in kconfig {
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let declares = |line: &str| {
            let mut words = line.split_whitespace();
            matches!(words.next(), Some("config" | "menuconfig")) && words.next() == Some(name)
        };
        if let Some(number) = text.lines().position(declares) {
            let path = entry.path().strip_prefix(tree).unwrap_or(entry.path());
            return Some(format!("{}:{}", path.display(), number + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_is_named() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("arch/arm64")).unwrap();
        fs::write(tree.path().join("Kconfig"), "config A\n\tbool\n").unwrap();
        fs::write(tree.path().join("arch/arm64/Kconfig.more"), "\nmenuconfig AB\n").unwrap();
        let place = |name| declared_anywhere(tree.path(), name);
        assert_eq!(place("A").as_deref(), Some("Kconfig:1"));
        assert_eq!(place("AB").as_deref(), Some("arch/arm64/Kconfig.more:2"));
        assert_eq!(place("B"), None);
    }
}
