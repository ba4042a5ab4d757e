//! CPUID: the hypervisor's answer, with what this guest's machine adds.

/// Leaves whose use this program wants to know of. Those of Hyper-V's that the hypervisor doesn't have come anyhow.
pub const LEAVES: [u32; 2] = [FEATURES, TOPOLOGY];

const FEATURES: u32 = 0x1;
const TOPOLOGY: u32 = 0xb;
/// Nobody else's: answers with a number that shows who answered, and is there for measuring and for tests.
pub const OWN_LEAF: u32 = 0x4000_0100;
pub const OWN_ANSWER: [u32; 4] = [0x7674_6c30, 0x7061_7261, 0x7669_736f, 0x72];

pub fn answer(leaf: u32, subleaf: u32, hypervisor: [u32; 4]) -> [u32; 4] {
    const LOCAL_APIC: u32 = 1 << 9;
    const X2APIC: u32 = 1 << 21;
    const DEADLINE_TIMER: u32 = 1 << 24;
    const MACHINE_CHECKS: u32 = 1 << 14 | 1 << 7;
    let [eax, ebx, ecx, edx] = hypervisor;
    match leaf {
        // One processor, number 0, whose controller is an x2APIC without a deadline timer; and no machine checks.
        FEATURES => {
            [eax, ebx & 0xffff | 1 << 16, ecx & !DEADLINE_TIMER | X2APIC, edx & !MACHINE_CHECKS | LOCAL_APIC]
        }
        // A thread, then a core: one of each, and no more levels.
        TOPOLOGY if subleaf < 2 => [0, 1, (subleaf + 1) << 8 | subleaf, 0],
        TOPOLOGY => [0, 0, subleaf & 0xff, 0],
        OWN_LEAF => OWN_ANSWER,
        _ => hypervisor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_processor_with_an_x2apic() {
        let [_, ebx, ecx, edx] = answer(1, 0, [0x663, 0x0704_0800, 1 << 24 | 1 << 31, 0]);
        assert_eq!((ebx, ecx, edx), (0x1_0800, 1 << 21 | 1 << 31, 1 << 9));
        assert_eq!(answer(0xb, 1, [9; 4]), [0, 1, 0x201, 0]);
        assert_eq!(answer(0xb, 2, [9; 4]), [0, 0, 2, 0]);
        assert_eq!(answer(OWN_LEAF, 0, [0; 4]), OWN_ANSWER);
        assert_eq!(answer(7, 0, [1, 2, 3, 4]), [1, 2, 3, 4]);
    }
}
