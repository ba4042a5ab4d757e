//! Puts right what fatfs 0.3.6 gets wrong in directories, so that `fsck.fat` finds nothing to say.
//!
//! 1. It writes long-name entries for `.` and `..`, which must be the first two entries of a directory and have no
//!    long names (fatgen103, "FAT Directory Structure").
//! 2. `..` of a directory in the root points at the root's cluster, where FAT32 wants 0.

use super::FatError;
use super::geometry::Geometry;
use crate::fields::Fields as _;
use crate::sparse::Sparse;

const ENTRY_BYTES: usize = 32;
const ATTRIBUTES: usize = 11;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTES_LONG_NAME: u8 = 0x0f;
const END: u8 = 0;
const DELETED: u8 = 0xe5;
const DOT: &[u8; 11] = b".          ";
const DOT_DOT: &[u8; 11] = b"..         ";

type Entry = [u8; ENTRY_BYTES];

/// Goes through all directories of a volume and mends each.
pub(super) fn mend_directories(store: &mut Sparse, geometry: &Geometry) -> Result<(), FatError> {
    let mut pending = subdirectories(store, geometry, geometry.root_cluster);
    for cluster in &pending {
        mend(store, geometry, *cluster, true)?;
    }
    while let Some(directory) = pending.pop() {
        for cluster in subdirectories(store, geometry, directory) {
            mend(store, geometry, cluster, false)?;
            pending.push(cluster);
        }
    }
    Ok(())
}

/// First clusters of the directories in the directory that starts at `cluster`, other than `.` and `..`.
fn subdirectories(store: &Sparse, geometry: &Geometry, cluster: u32) -> Vec<u32> {
    let chain = std::iter::successors(Some(cluster), |cluster| geometry.next_cluster(store, *cluster));
    let offsets = chain.flat_map(|cluster| {
        let start = geometry.cluster_offset(cluster);
        (start..start + u64::from(geometry.cluster_bytes)).step_by(ENTRY_BYTES)
    });
    offsets
        .map(|offset| read_entry(store, offset))
        .take_while(|entry| entry[0] != END)
        .filter(|entry| {
            // A long-name entry has attributes of its own that leave the directory bit out.
            entry[0] != DELETED && entry[0] != b'.' && entry[ATTRIBUTES] & ATTRIBUTE_DIRECTORY != 0
        })
        .map(|entry| first_cluster(&entry))
        .collect()
}

/// Rewrites the four entries that a directory starts with: `.`, `..` and two deleted ones.
fn mend(store: &mut Sparse, geometry: &Geometry, cluster: u32, parent_is_root: bool) -> Result<(), FatError> {
    if !geometry.is_cluster(cluster) {
        return Err(FatError::Unforeseen("a directory without a cluster"));
    }
    let start = geometry.cluster_offset(cluster);
    let [long_dot, dot, long_dot_dot, mut dot_dot] =
        std::array::from_fn(|index| read_entry(store, start + (index * ENTRY_BYTES) as u64));
    let foreseen = long_dot[ATTRIBUTES] == ATTRIBUTES_LONG_NAME
        && dot.starts_with(DOT)
        && long_dot_dot[ATTRIBUTES] == ATTRIBUTES_LONG_NAME
        && dot_dot.starts_with(DOT_DOT);
    if !foreseen {
        return Err(FatError::Unforeseen("the first entries of a directory"));
    }
    if parent_is_root {
        set_first_cluster(&mut dot_dot, 0);
    }
    let mut deleted = [0; ENTRY_BYTES];
    deleted[0] = DELETED;
    store.write_at(start, &[dot, dot_dot, deleted, deleted].concat());
    Ok(())
}

fn read_entry(store: &Sparse, offset: u64) -> Entry {
    let mut entry = [0; ENTRY_BYTES];
    store.read_at(offset, &mut entry);
    entry
}

/// DIR_FstClusHI at 20 and DIR_FstClusLO at 26.
fn first_cluster(entry: &Entry) -> u32 {
    u32::from(entry.le16(20)) << 16 | u32::from(entry.le16(26))
}

fn set_first_cluster(entry: &mut Entry, cluster: u32) {
    entry[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    entry[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
}
