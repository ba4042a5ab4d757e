//! FAT file systems: the volume's own fields and every entry of every folder.

use std::{collections::BTreeMap, io::Read as _};

use fatfs::{DateTime, Dir, FileSystem, FsOptions};

use super::readable::ReadOnly;
use crate::walk::{Aspect, Part, Walk};

pub fn fat(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let open =
        |bytes| FileSystem::new(ReadOnly::new(bytes), FsOptions::new().update_accessed_date(false)).ok();
    let (Some(a), Some(b)) = (open(ours), open(theirs)) else { return };
    walk.field(
        "volume id",
        Aspect::Identifier,
        format!("{:08x}", a.volume_id()),
        format!("{:08x}", b.volume_id()),
    );
    walk.field("volume label", Aspect::Text, a.volume_label(), b.volume_label());
    walk.field("cluster size", Aspect::Bytes, a.cluster_size(), b.cluster_size());
    let (entries_a, entries_b) = (entries(&a), entries(&b));
    walk.order("FAT entries", &names(&entries_a), &names(&entries_b));
    walk.presence(&names(&entries_a), &names(&entries_b), |name| Part::FatEntry(name.to_string()));
    let others: BTreeMap<&str, &Entry> = entries_b.iter().map(|entry| (entry.path.as_str(), entry)).collect();
    for one in &entries_a {
        if let Some(other) = others.get(one.path.as_str()) {
            walk.within(Part::FatEntry(one.path.clone()), |walk| entry(walk, one, other));
        }
    }
}

struct Entry {
    path: String,
    created: String,
    modified: String,
    accessed: String,
    attributes: u8,
    content: Vec<u8>,
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.path.clone()).collect()
}

fn entry(walk: &mut Walk<'_>, one: &Entry, other: &Entry) {
    walk.field("created", Aspect::FileTime, one.created.as_str(), other.created.as_str());
    walk.field("modified", Aspect::FileTime, one.modified.as_str(), other.modified.as_str());
    walk.field("accessed", Aspect::FileTime, one.accessed.as_str(), other.accessed.as_str());
    walk.field(
        "attributes",
        Aspect::Bytes,
        format!("{:#04x}", one.attributes),
        format!("{:#04x}", other.attributes),
    );
    walk.content(&one.content, &other.content);
}

/// In the order in which they stand in their folders.
fn entries(volume: &FileSystem<ReadOnly<'_>>) -> Vec<Entry> {
    let mut entries = Vec::new();
    list(&volume.root_dir(), "", &mut entries, 0);
    entries
}

/// Folders in a circle, on a damaged disk, end here.
const DEEPEST: usize = 32;

fn list(folder: &Dir<'_, ReadOnly<'_>>, path: &str, entries: &mut Vec<Entry>, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    for entry in folder.iter().filter_map(Result::ok) {
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        let mut content = Vec::new();
        if entry.is_file() {
            // A file that can't be read to its end is compared as far as it goes.
            let _ = entry.to_file().read_to_end(&mut content);
        }
        let accessed = entry.accessed();
        entries.push(Entry {
            path: path.clone(),
            created: time(entry.created()),
            modified: time(entry.modified()),
            accessed: format!("{:04}-{:02}-{:02}", accessed.year, accessed.month, accessed.day),
            attributes: entry.attributes().bits(),
            content,
        });
        if entry.is_dir() {
            list(&entry.to_dir(), &path, entries, depth + 1);
        }
    }
}

fn time(time: DateTime) -> String {
    let (date, time) = (time.date, time.time);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        date.year, date.month, date.day, time.hour, time.min, time.sec
    )
}
