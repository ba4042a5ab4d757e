//! Sizes and places within a FAT32 volume: choosing the cluster size, and reading back what fatfs made of it.

use super::FatError;
use crate::fields::Fields as _;
use crate::sparse::{SECTOR_BYTES, Sparse};

/// A volume with fewer clusters is FAT16 (fatgen103, "FAT Type Determination").
const FAT32_MIN_CLUSTERS: u64 = 65525;

/// fatgen103 advises to stay this far away from that limit, as drivers disagree about it.
const CLUSTER_MARGIN: u64 = 16;

/// Larger clusters are known to trouble some drivers.
const MAX_CLUSTER_BYTES: u32 = 32 * 1024;

/// Sectors before the first FAT, as fatfs has it.
const RESERVED_SECTORS: u64 = 8;

const ENTRIES_PER_FAT_SECTOR: u64 = SECTOR_BYTES as u64 / 4;

/// FSI_Free_Count in the FSInfo sector, which fatfs puts right after the boot sector, in bytes from the volume's start.
const FREE_COUNT: u64 = SECTOR_BYTES as u64 + 488;

/// First cluster number that stands for a place in the data area.
const FIRST_CLUSTER: u32 = 2;

/// Largest cluster size, in bytes, with which `size_bytes` is a FAT32 volume.
pub(super) fn cluster_bytes(size_bytes: u64) -> Result<u32, FatError> {
    const SECTOR: u64 = SECTOR_BYTES as u64;
    let maximum = u64::from(u32::MAX) * SECTOR;
    if !size_bytes.is_multiple_of(SECTOR) {
        return Err(FatError::VolumeNotWholeSectors { actual: size_bytes });
    }
    if size_bytes > maximum {
        return Err(FatError::VolumeTooLarge { maximum, actual: size_bytes });
    }
    let mut cluster_bytes = MAX_CLUSTER_BYTES;
    while min_volume_bytes(cluster_bytes) > size_bytes {
        if u64::from(cluster_bytes) == SECTOR {
            return Err(FatError::VolumeTooSmall {
                minimum: min_volume_bytes(cluster_bytes),
                actual: size_bytes,
            });
        }
        cluster_bytes /= 2;
    }
    Ok(cluster_bytes)
}

/// Size of the smallest FAT32 volume with such clusters. fatfs may make a FAT one sector longer than needed.
fn min_volume_bytes(cluster_bytes: u32) -> u64 {
    let clusters = FAT32_MIN_CLUSTERS + CLUSTER_MARGIN;
    let fat_sectors = (clusters + u64::from(FIRST_CLUSTER)).div_ceil(ENTRIES_PER_FAT_SECTOR) + 1;
    let overhead = (RESERVED_SECTORS + 2 * fat_sectors) * SECTOR_BYTES as u64;
    overhead + clusters * u64::from(cluster_bytes)
}

/// A formatted volume's fields of the BIOS parameter block, offsets counted from the start of the whole image.
pub(super) struct Geometry {
    pub volume_start: u64,
    pub fat_start: u64,
    pub data_start: u64,
    pub cluster_bytes: u32,
    pub clusters: u32,
    pub root_cluster: u32,
}

impl Geometry {
    /// Reads the boot sector at `volume_start` (fatgen103, "Boot Sector and BPB Structure").
    pub fn read(store: &Sparse, volume_start: u64) -> Self {
        let mut sector = [0; SECTOR_BYTES];
        store.read_at(volume_start, &mut sector);

        let sector_bytes = u64::from(sector.le16(11));
        let cluster_sectors = u32::from(sector[13]);
        let reserved_sectors = u64::from(sector.le16(14));
        let fats = u64::from(sector[16]);
        let sectors = match sector.le16(19) {
            0 => u64::from(sector.le32(32)),
            small => small.into(),
        };
        let fat_sectors = u64::from(sector.le32(36));
        let data_sector = reserved_sectors + fats * fat_sectors;
        Geometry {
            volume_start,
            fat_start: volume_start + reserved_sectors * sector_bytes,
            data_start: volume_start + data_sector * sector_bytes,
            cluster_bytes: cluster_sectors * sector_bytes as u32,
            clusters: ((sectors - data_sector) / u64::from(cluster_sectors)) as u32,
            root_cluster: sector.le32(44),
        }
    }

    /// Offset of a cluster's contents in the image.
    pub fn cluster_offset(&self, cluster: u32) -> u64 {
        self.data_start + u64::from(cluster - FIRST_CLUSTER) * u64::from(self.cluster_bytes)
    }

    /// The cluster after `cluster` in its chain, if there is one.
    pub fn next_cluster(&self, store: &Sparse, cluster: u32) -> Option<u32> {
        let next = self.fat_entry(store, cluster);
        self.is_cluster(next).then_some(next)
    }

    /// Whether a number stands for a place in the data area.
    pub fn is_cluster(&self, number: u32) -> bool {
        (FIRST_CLUSTER..FIRST_CLUSTER + self.clusters).contains(&number)
    }

    /// Number of free clusters that the FSInfo sector states.
    pub fn free_count(&self, store: &Sparse) -> u32 {
        let mut count = [0; 4];
        store.read_at(self.volume_start + FREE_COUNT, &mut count);
        u32::from_le_bytes(count)
    }

    /// Sets it. fatfs keeps the number current, but after formatting it is unknown, and to find out fatfs reads the
    /// whole FAT entry by entry.
    pub fn set_free_count(&self, store: &mut Sparse, count: u32) {
        store.write_at(self.volume_start + FREE_COUNT, &count.to_le_bytes());
    }

    fn fat_entry(&self, store: &Sparse, cluster: u32) -> u32 {
        let mut entry = [0; 4];
        store.read_at(self.fat_start + u64::from(cluster) * 4, &mut entry);
        // The upper four bits are reserved.
        u32::from_le_bytes(entry) & 0x0fff_ffff
    }
}
