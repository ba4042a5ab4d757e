//! Numbers at known places of a structure that was read whole.

use uuid::Uuid;

/// Panics where a field lies behind the end: how long a structure is was checked before.
pub(crate) trait Fields {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N];

    fn le16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.array(offset))
    }
    fn le32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }
    fn le64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }
    fn be16(&self, offset: usize) -> u16 {
        u16::from_be_bytes(self.array(offset))
    }
    fn be32(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.array(offset))
    }
    fn be64(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.array(offset))
    }
    /// A GUID with its first three fields little-endian, as Microsoft and UEFI have them.
    fn guid(&self, offset: usize) -> Uuid {
        Uuid::from_bytes_le(self.array(offset))
    }
}

impl Fields for [u8] {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        std::array::from_fn(|index| self[offset + index])
    }
}
