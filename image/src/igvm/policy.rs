//! Guest policies, as the processors' firmware takes them, and which of them let the host look in.
//!
//! Sources: AMD, SEV Secure Nested Paging Firmware ABI, section 4.3; igvm_defs, `SnpPolicy` and `TdxPolicy`.

use super::{GuestPolicy, PlatformKind};

/// ABI 0.31, simultaneous multithreading allowed, and the bit that must be set.
const SEV_SNP: u64 = 0x1f | 1 << 16 | 1 << 17;
const SEV_SNP_DEBUG: u64 = 1 << 19;
/// Touching memory that isn't there is an error of the guest, not an exception to be handled.
const TDX: u64 = 1 << 1;
const TDX_DEBUG: u64 = 1 << 0;

pub(super) fn sev_snp(policy: GuestPolicy) -> u64 {
    match policy {
        GuestPolicy::Release => SEV_SNP,
        GuestPolicy::Debug => SEV_SNP | SEV_SNP_DEBUG,
    }
}

pub(super) fn tdx(policy: GuestPolicy) -> u64 {
    match policy {
        GuestPolicy::Release => TDX,
        GuestPolicy::Debug => TDX | TDX_DEBUG,
    }
}

/// Whether a policy in a file lets the host look into the guest.
pub fn allows_debug(kind: PlatformKind, policy: u64) -> bool {
    match kind {
        PlatformKind::SevSnp => policy & SEV_SNP_DEBUG != 0,
        PlatformKind::Tdx => policy & TDX_DEBUG != 0,
        PlatformKind::VsmIsolation | PlatformKind::Native => false,
    }
}
