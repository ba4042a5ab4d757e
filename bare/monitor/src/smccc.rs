//! Function identifiers of 64-bit Arm's calling convention (Arm DEN 0028, SMCCC) that a monitor at EL2 meets.

/// SMCCC_VERSION.
pub const VERSION: u64 = 0x8000_0000;
/// SMCCC_ARCH_FEATURES.
pub const ARCH_FEATURES: u64 = 0x8000_0001;
/// PSCI_FEATURES (Arm DEN 0022).
pub const PSCI_FEATURES: u64 = 0x8400_000a;
pub const PSCI_CPU_ON: u64 = 0xc400_0003;
pub const PSCI_SYSTEM_OFF: u64 = 0x8400_0008;
pub const PSCI_SYSTEM_RESET: u64 = 0x8400_0009;
pub const PSCI_SYSTEM_RESET2: u64 = 0xc400_0012;
/// Vendor-specific hypervisor service: who are you? (SMCCC, "General service queries")
pub const VENDOR_HYPERVISOR_UID: u64 = 0x8600_ff01;
/// Hyper-V's hypercall: HVC #0 with this in X0 (Linux, arch/arm64/include/asm/mshyperv.h; TLFS shows x64's).
pub const HYPERCALL: u64 = 0x4600_0001;

pub const NOT_SUPPORTED: u64 = u64::MAX;

/// Hyper-V's answer to "who are you": 58ba324d-6447-24cd-756c-ef8e24705916.
pub const HYPERV_UID: [u64; 4] = [0x4d32_ba58, 0xcd24_4764, 0x8eef_6c75, 0x1659_7024];

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Hypercall,
    /// Answer with these values in X0 to X3.
    Answer([u64; 4]),
    /// A processor starts: the monitor has to be there first.
    CpuOn,
    /// The machine ends or begins anew; firmware does it.
    End(&'static str),
    /// Firmware's affair.
    Forward,
    Unknown,
}

/// Sorts a call by X0 and X1.
pub fn sort(function: u64, argument: u64) -> Call {
    // The function identifier is in W0 (SMCCC): the upper half of X0 may hold anything.
    let function = function & 0xffff_ffff;
    let one = |value| Call::Answer([value, 0, 0, 0]);
    match function {
        HYPERCALL => Call::Hypercall,
        VENDOR_HYPERVISOR_UID => Call::Answer(HYPERV_UID),
        // 1.2: the hypercall convention needs registers beyond X3.
        VERSION => one(0x1_0002),
        PSCI_FEATURES if argument & 0xffff_ffff == VERSION => one(0),
        ARCH_FEATURES => one(NOT_SUPPORTED),
        PSCI_CPU_ON => Call::CpuOn,
        PSCI_SYSTEM_OFF => Call::End("system-off"),
        PSCI_SYSTEM_RESET | PSCI_SYSTEM_RESET2 => Call::End("system-reset"),
        0x8400_0000..=0x8400_001f | 0xc400_0000..=0xc400_001f => Call::Forward,
        _ => Call::Unknown,
    }
}
