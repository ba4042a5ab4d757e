//! CPUID as a guest of Hyper-V sees it (TLFS, "Microsoft Hypervisor CPUID Leaves"), and the same facts for the
//! registers of 64-bit Arm.

use crate::{Arch, Config, VPS_MAX};

/// EAX, EBX, ECX, EDX.
pub type Words = [u32; 4];

const HYPERVISOR: u32 = 1 << 31;
const OSXSAVE: u32 = 1 << 27;
const OSPKE: u32 = 1 << 4;
const LA57: u32 = 1 << 16;
const SVM: u32 = 1 << 2;
const VMX: u32 = 1 << 5;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_PKE: u64 = 1 << 22;

/// What the guest gets for `leaf`, where `native` is what the processor itself says.
pub fn answer(config: &Config, leaf: u32, subleaf: u32, native: Words, cr4: u64) -> Words {
    let [eax, ebx, ecx, edx] = native;
    match (leaf, subleaf) {
        (1, _) => {
            // The processor looks at the monitor's CR4 here, so the two bits that mirror it are made anew.
            let osxsave = if cr4 & CR4_OSXSAVE != 0 { OSXSAVE } else { 0 };
            [eax, ebx, (ecx & !(OSXSAVE | VMX)) | osxsave | HYPERVISOR, edx]
        }
        (7, 0) => {
            let ospke = if cr4 & CR4_PKE != 0 { OSPKE } else { 0 };
            [eax, ebx, (ecx & !(OSPKE | LA57)) | ospke, edx]
        }
        (0x8000_0001, _) => [eax, ebx, ecx & !SVM, edx],
        (0x8000_000a, _) => [0; 4],
        // "Hypervisor CPUID Leaf Range": "Microsoft Hv" and the last leaf.
        (0x4000_0000, _) => [0x4000_0006, 0x7263_694d, 0x666f_736f, 0x7648_2074],
        // "Hypervisor Vendor-Neutral Interface Identification": "Hv#1".
        (0x4000_0001, _) => [0x3123_7648, 0, 0, 0],
        (0x4000_0002, _) => version(),
        (0x4000_0003, _) => features(config.arch),
        (0x4000_0004, _) => hints(),
        (0x4000_0005, _) => limits(config),
        (0x4000_0006..=0x4000_ffff, _) => [0; 4],
        _ => native,
    }
}

/// What the level below gets, before the level above has its say: no processor state that levels would have to swap and
/// don't (XSAVE and all that needs it, TSC_AUX), no monitoring of memory, and of Hyper-V what the monitor itself answers.
pub fn answer_lower(config: &Config, leaf: u32, subleaf: u32, native: Words, cr4: u64) -> Words {
    const MONITOR: u32 = 1 << 3;
    const FMA: u32 = 1 << 12;
    const XSAVE_TO_F16C: u32 = 0b1111 << 26;
    const AVX2: u32 = 1 << 5;
    const MPX: u32 = 1 << 14;
    const AVX512: u32 = 0b11 << 30 | 0b111 << 26 | 1 << 21 | 0b11 << 16;
    const PKU_AND_OSPKE: u32 = 0b11 << 3;
    const RDPID: u32 = 1 << 22;
    const VECTORS: u32 = 1 << 14 | 0b1111 << 9 | 1 << 6 | 1 << 1;
    const FMA4_AND_XOP: u32 = 1 << 16 | 1 << 11;
    const RDTSCP: u32 = 1 << 27;
    let [eax, ebx, ecx, edx] = answer(config, leaf, subleaf, native, cr4);
    match leaf {
        1 => [eax, ebx, ecx & !(MONITOR | FMA | XSAVE_TO_F16C), edx],
        7 if subleaf == 0 => [0, ebx & !(AVX2 | MPX | AVX512), ecx & !(PKU_AND_OSPKE | RDPID | VECTORS), 0],
        5 | 7 | 0xd => [0; 4],
        0x8000_0001 => [eax, ebx, ecx & !FMA4_AND_XOP, edx & !RDTSCP],
        0x4000_0003 => lower_features(),
        _ => [eax, ebx, ecx, edx],
    }
}

/// TLFS, "Hypervisor Feature Identification": what the level below may ask the monitor for.
fn lower_features() -> Words {
    const HYPERCALL: u32 = 1 << 5;
    const VP_INDEX: u32 = 1 << 6;
    const FREQUENCIES: u32 = 1 << 11;
    const TSC_INVARIANT: u32 = 1 << 15;
    const FREQUENCIES_READABLE: u32 = 1 << 8;
    [HYPERCALL | VP_INDEX | FREQUENCIES | TSC_INVARIANT, 0, 0, FREQUENCIES_READABLE]
}

/// "Hypervisor System Identity": build, major and minor version. That of the specification this follows, and no build
/// of Hyper-V's.
pub fn version() -> Words {
    [1, 10 << 16, 0, 0]
}

/// "Hypervisor Feature Identification": what the partition may do.
pub fn features(arch: Arch) -> Words {
    const TIME_REF_COUNT: u32 = 1 << 1;
    const SYNIC: u32 = 1 << 2;
    const HYPERCALL: u32 = 1 << 5;
    const VP_INDEX: u32 = 1 << 6;
    const REFERENCE_TSC: u32 = 1 << 9;
    const FREQUENCIES: u32 = 1 << 11;
    const PARTITION_ID: u32 = 1 << 1;
    const POST_MESSAGES: u32 = 1 << 4;
    const SIGNAL_EVENTS: u32 = 1 << 5;
    const VSM: u32 = 1 << 16;
    const VP_REGISTERS: u32 = 1 << 17;
    const START_VP: u32 = 1 << 21;
    const FREQUENCIES_READABLE: u32 = 1 << 8;
    const GUEST_CRASH: u32 = 1 << 10;
    let both = TIME_REF_COUNT | SYNIC | HYPERCALL | VP_INDEX;
    let high = PARTITION_ID | POST_MESSAGES | SIGNAL_EVENTS | VSM | VP_REGISTERS;
    match arch {
        Arch::X86_64 => {
            let low = both | REFERENCE_TSC | FREQUENCIES;
            [low, high | START_VP, 0, FREQUENCIES_READABLE | GUEST_CRASH]
        }
        Arch::Aarch64 => [both, high, 0, GUEST_CRASH],
    }
}

/// "Implementation Recommendations". Interrupts are real ones here, so the guest has to end them itself.
pub fn hints() -> Words {
    const NO_AUTO_EOI: u32 = 1 << 9;
    const NEVER_SPIN: u32 = u32::MAX;
    [NO_AUTO_EOI, NEVER_SPIN, 0, 0]
}

/// "Hypervisor Implementation Limits": the largest index of a virtual processor that the guest accepts, and the number
/// of logical ones.
pub fn limits(config: &Config) -> Words {
    [VPS_MAX as u32, config.vps, 0, 0]
}
