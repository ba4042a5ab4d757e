//! Names in a FAT volume: what is allowed, and the tree that a list of paths makes.

use std::collections::{BTreeMap, BTreeSet};

use super::{FatError, File, MAX_FILE_BYTES};

/// Bytes of a directory entry.
const ENTRY_BYTES: u64 = 32;

/// Characters that one long-name entry holds (fatgen103, "FAT Long Directory Entries").
const LONG_NAME_PART: u64 = 13;

/// A volume's label: up to 11 upper-case letters, digits and the signs that short names allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeLabel([u8; 11]);

impl VolumeLabel {
    pub fn new(label: &str) -> Result<Self, FatError> {
        let fail = |reason| Err(FatError::Label { label: label.to_owned(), reason });
        if label.trim().is_empty() {
            return fail("it is empty");
        }
        if label.len() > 11 {
            return fail("it is longer than 11 bytes");
        }
        if label.starts_with(' ') {
            return fail("it starts with a blank");
        }
        let allowed = |byte: u8| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" $%'-_@~`!(){}^#&".contains(&byte)
        };
        if !label.bytes().all(allowed) {
            return fail("only A to Z, 0 to 9, blank and $%'-_@~`!(){}^#& are allowed");
        }
        let mut padded = [b' '; 11];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        Ok(VolumeLabel(padded))
    }

    pub(super) fn padded(self) -> [u8; 11] {
        self.0
    }
}

/// Files in a fixed order, and the directories that they need, parents first.
pub(super) struct Tree<'a> {
    pub directories: Vec<&'a str>,
    pub files: Vec<&'a File>,
}

impl<'a> Tree<'a> {
    pub fn new(files: &'a [File]) -> Result<Self, FatError> {
        let mut by_name: BTreeMap<Vec<String>, &File> = BTreeMap::new();
        for file in files {
            check_file(file)?;
            if let Some(other) = by_name.insert(folded(&file.path), file) {
                return Err(FatError::Duplicate { path: other.path.clone(), other: file.path.clone() });
            }
        }
        let mut directories = BTreeMap::new();
        for file in by_name.values() {
            for parent in parents(&file.path) {
                if let Some(same) = by_name.get(&folded(parent)) {
                    return Err(FatError::FileIsDirectory {
                        path: same.path.clone(),
                        other: file.path.clone(),
                    });
                }
                directories.entry(folded(parent)).or_insert(parent);
            }
        }
        Ok(Tree { directories: directories.into_values().collect(), files: by_name.into_values().collect() })
    }

    /// Bytes that each directory's entries take, the root's first.
    pub fn directory_bytes(&self) -> impl Iterator<Item = u64> {
        // The root has the label; any other directory `.` and `..`, for each of which fatfs takes two entries.
        let mut entries = BTreeMap::from([(Vec::new(), 1)]);
        entries.extend(self.directories.iter().map(|path| (folded(path), 4)));
        let files = self.files.iter().map(|file| file.path.as_str());
        let children: BTreeSet<&str> = files.chain(self.directories.iter().copied()).collect();
        for child in children {
            let mut parent = folded(child);
            let name = parent.pop().expect("a path has a name");
            *entries.entry(parent).or_default() += 1 + (name.len() as u64).div_ceil(LONG_NAME_PART);
        }
        entries.into_values().map(|count| count * ENTRY_BYTES)
    }
}

/// A path as FAT compares it: without regard to case. As a list, so that a directory sorts before what it holds and
/// beside nothing else.
fn folded(path: &str) -> Vec<String> {
    path.split('/').map(str::to_ascii_uppercase).collect()
}

/// Directories above a path, outermost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn check_file(file: &File) -> Result<(), FatError> {
    if file.length_bytes > MAX_FILE_BYTES {
        return Err(FatError::FileTooLarge { path: file.path.clone(), length_bytes: file.length_bytes });
    }
    for name in file.path.split('/') {
        if let Some(reason) = wrong_with(name) {
            return Err(FatError::Path { path: file.path.clone(), reason });
        }
    }
    Ok(())
}

/// What forbids a name. Non-ASCII names are legal, but firmware folds their case each in its own way.
fn wrong_with(name: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$%'-_@~`!(){}^#&. +,;=[]".contains(&byte);
    if name.is_empty() {
        Some("a name is empty (paths are relative, with single slashes)")
    } else if name == "." || name == ".." {
        Some("`.` and `..` are not names")
    } else if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        Some("a name starts with a blank, or ends with a blank or a dot")
    } else if name.len() > 255 {
        Some("a name is longer than 255 characters")
    } else if !name.bytes().all(allowed) {
        Some("only ASCII letters, digits, blanks and $%'-_@~`!(){}^#&.+,;=[] are allowed")
    } else {
        None
    }
}
