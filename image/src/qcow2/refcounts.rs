//! How often each cluster of the file is used: the table, its blocks, and the room that they need for themselves.

use super::{CLUSTER_BYTES, ENTRIES_A_CLUSTER};

/// Counts of 16 bits that fit a cluster.
const COUNTS_A_BLOCK: u64 = CLUSTER_BYTES / 2;

/// Uses of the clusters of a file, in their order.
pub struct Refcounts(Vec<u16>);

/// Blocks and table as they lie one behind the other in the file.
pub struct Placed {
    /// The blocks first, then the table.
    pub bytes: Vec<u8>,
    pub table_at: u64,
    pub table_clusters: u32,
    /// Length of the whole file in bytes.
    pub file_bytes: u64,
}

impl Refcounts {
    pub fn new() -> Self {
        Refcounts(Vec::new())
    }

    /// Counts one more use of the clusters that these bytes of the file touch.
    pub fn used(&mut self, offset: u64, length_bytes: u64) {
        let (first, last) = (offset / CLUSTER_BYTES, (offset + length_bytes - 1) / CLUSTER_BYTES);
        if self.0.len() as u64 <= last {
            self.0.resize(last as usize + 1, 0);
        }
        for count in &mut self.0[first as usize..=last as usize] {
            *count += 1;
        }
    }

    /// Puts blocks and table behind the last cluster; they count themselves.
    pub fn place(mut self) -> Placed {
        let others = self.0.len() as u64;
        let (mut blocks, mut table) = (1, 1);
        // Both only grow, and slower than what they count: this ends after a few rounds.
        while blocks * COUNTS_A_BLOCK < others + blocks + table || table * ENTRIES_A_CLUSTER < blocks {
            blocks = (others + blocks + table).div_ceil(COUNTS_A_BLOCK);
            table = blocks.div_ceil(ENTRIES_A_CLUSTER);
        }
        let blocks_at = others * CLUSTER_BYTES;
        let table_at = blocks_at + blocks * CLUSTER_BYTES;
        let file_bytes = table_at + table * CLUSTER_BYTES;
        self.used(blocks_at, file_bytes - blocks_at);
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|count| count.to_be_bytes()).collect();
        bytes.resize((blocks * CLUSTER_BYTES) as usize, 0);
        bytes.extend((0..blocks).flat_map(|block| (blocks_at + block * CLUSTER_BYTES).to_be_bytes()));
        bytes.resize((file_bytes - blocks_at) as usize, 0);
        Placed { bytes, table_at, table_clusters: table as u32, file_bytes }
    }
}
