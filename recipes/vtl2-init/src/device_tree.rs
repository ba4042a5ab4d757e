//! The device tree as the kernel shows it, in the kernel log: what a test compares with the tree that was handed over.
//!
//! `device-tree PATH PROPERTY HEX` for every property under /proc/device-tree, `device-tree-blob HEX` for the blob
//! itself, where the kernel still has it. What is too long for one record is continued by records with the same head.

use std::fs;
use std::path::Path;

/// Whether `vtl2_init.device_tree=log` stands on the kernel's command line.
pub fn is_wanted(cmdline: &str) -> bool {
    let mut words = cmdline.split_ascii_whitespace().take_while(|word| *word != "--");
    words.any(|word| word == "vtl2_init.device_tree=log")
}

/// The records, none of them with more than `longest_bytes`. Below `root` is the machine's file system.
pub fn records(root: &Path, longest_bytes: usize) -> Vec<String> {
    let mut records = Vec::new();
    node(&root.join("proc/device-tree"), "/", longest_bytes, &mut records);
    if let Ok(blob) = fs::read(root.join("sys/firmware/fdt")) {
        value("device-tree-blob", &blob, longest_bytes, &mut records);
    }
    records
}

/// Files are properties, folders are nodes; in order of their names.
fn node(folder: &Path, path: &str, longest_bytes: usize, records: &mut Vec<String>) {
    let Ok(listing) = fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = listing.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let below = format!("{}/{name}", path.trim_end_matches('/'));
            node(&entry.path(), &below, longest_bytes, records);
        } else if let Ok(bytes) = fs::read(entry.path()) {
            value(&format!("device-tree {path} {name}"), &bytes, longest_bytes, records);
        }
    }
}

fn value(head: &str, bytes: &[u8], longest_bytes: usize, records: &mut Vec<String>) {
    let room = (longest_bytes.saturating_sub(head.len() + 1) / 2).max(1);
    // A value without bytes is a record as well.
    let empty: &[u8] = &[];
    let parts = bytes.chunks(room).chain(bytes.is_empty().then_some(empty));
    for part in parts {
        let digits: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        records.push(format!("{head} {digits}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_for_on_the_command_line() {
        assert!(is_wanted("quiet vtl2_init.device_tree=log panic=-1"));
        assert!(!is_wanted("quiet vtl2_init.device_tree=logs"));
        assert!(!is_wanted("quiet -- vtl2_init.device_tree=log"));
    }

    #[test]
    fn everything_in_pieces() {
        let root = std::env::temp_dir().join(format!("vtl2-init-device-tree-{}", std::process::id()));
        let cpus = root.join("proc/device-tree/cpus");
        fs::create_dir_all(&cpus).expect("temporary folder");
        fs::create_dir_all(root.join("sys/firmware")).expect("temporary folder");
        fs::write(cpus.join("reg"), [0xab; 5]).expect("temporary file");
        fs::write(root.join("proc/device-tree/ranges"), []).expect("temporary file");
        fs::write(root.join("sys/firmware/fdt"), [1, 2]).expect("temporary file");
        let found = records(&root, 28);
        let _ = fs::remove_dir_all(&root);
        assert_eq!(
            found,
            [
                "device-tree /cpus reg ababab",
                "device-tree /cpus reg abab",
                "device-tree / ranges ",
                "device-tree-blob 0102",
            ]
        );
    }
}
