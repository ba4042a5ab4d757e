//! Identifiers inside images, derived from a seed and the name of their role. Nothing here is random or secret.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// GUID of a role: UUID version 8 (RFC 9562, section 5.8) from the first 16 bytes of SHA-256(seed, 0, role).
pub fn guid(seed: &[u8; 32], role: &str) -> Uuid {
    let digest = derive(seed, role);
    let bytes = std::array::from_fn(|index| digest[index]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// 32-bit serial number of a role's file system: the first 4 bytes, little-endian, of SHA-256(seed, 0, role).
pub fn volume_id(seed: &[u8; 32], role: &str) -> u32 {
    let digest = derive(seed, role);
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn derive(seed: &[u8; 32], role: &str) -> [u8; 32] {
    Sha256::new().chain_update(seed).chain_update([0]).chain_update(role).finalize().into()
}
