//! CPUID and MSRs of x86-64, and calls of 64-bit Arm to firmware.

use super::*;
use crate::{cpuid, msr, smccc};

#[test]
fn cpuid_is_hyper_vs() {
    let config = partition(Arch::X86_64, 2).config;
    let answer = |leaf, native, cr4| cpuid::answer(&config, leaf, 0, native, cr4);
    let [_, ebx, ecx, edx] = answer(0x4000_0000, [0; 4], 0);
    let vendor: Vec<u8> = [ebx, ecx, edx].iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(vendor, b"Microsoft Hv");
    // A hypervisor shows; that bit aside, the processor's own answer.
    assert_eq!(answer(1, [1, 2, 3, 4], 0), [1, 2, 3 | 1 << 31, 4]);
    // OSXSAVE and OSPKE are the guest's, not the monitor's; SVM and five levels of page tables are hidden.
    assert_eq!(answer(1, [0, 0, 1 << 27, 0], 0)[2], 1 << 31);
    assert_eq!(answer(1, [0; 4], 1 << 18)[2], 1 << 31 | 1 << 27);
    assert_eq!(answer(7, [0, 0, 1 << 16 | 1 << 4, 0], 0)[2], 0);
    assert_eq!(answer(0x8000_0001, [0, 0, 0b111, 0], 0)[2], 0b011);
    assert_eq!(answer(0x8000_000a, [1; 4], 0), [0; 4]);
    assert_eq!(answer(0x4000_0080, [9; 4], 0), [0; 4], "what lies beyond Hyper-V's leaves isn't QEMU's");
}

#[test]
fn msrs() {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    let page = RAM_START + 0x5000;
    // Without an identity of the guest nothing is enabled.
    msr::write(&mut partition, &mut fake, 0, 0x4000_0001, page | 1).unwrap();
    assert_eq!(msr::read(&mut partition, &mut fake, 0, 0x4000_0001), Ok(page));
    msr::write(&mut partition, &mut fake, 0, 0x4000_0000, 7).unwrap();
    msr::write(&mut partition, &mut fake, 0, 0x4000_0001, page | 1).unwrap();
    // vmmcall; ret
    assert_eq!(fake.get(page) as u32, 0xc3d9_010f);
    assert_eq!(msr::read(&mut partition, &mut fake, 3, 0x4000_0002), Ok(3));
    assert_eq!(msr::read(&mut partition, &mut fake, 0, 0x4000_0022), Ok(2_000_000_000));
    assert_eq!(msr::read(&mut partition, &mut fake, 0, 0x4000_0fff), Err(msr::GeneralProtection));
    // Reference time at 2 GHz: 10 MHz by way of a scale of 2^64 / 200.
    msr::write(&mut partition, &mut fake, 0, 0x4000_0021, (RAM_START + 0x6000) | 1).unwrap();
    assert_eq!((fake.get(RAM_START + 0x6000), fake.get(RAM_START + 0x6008)), (1, u64::MAX / 200));
    // The last words of a kernel.
    msr::write(&mut partition, &mut fake, 0, 0x4000_0103, 0x99).unwrap();
    msr::write(&mut partition, &mut fake, 0, 0x4000_0105, 1 << 63).unwrap();
    assert!(fake.reported(&["guest-crash", "\"p3\":\"0x99\""]), "{:?}", fake.lines);
    // With a message, which may lie where nothing is, or be longer than memory.
    fake.write(RAM_START + 0x6000, b"so long").unwrap();
    for (address, length) in [(RAM_START + 0x6000, 7), (u64::MAX, u64::MAX), (RAM_END - 8, 9)] {
        msr::write(&mut partition, &mut fake, 0, 0x4000_0103, address).unwrap();
        msr::write(&mut partition, &mut fake, 0, 0x4000_0104, length).unwrap();
        msr::write(&mut partition, &mut fake, 0, 0x4000_0105, 3 << 62).unwrap();
    }
    assert!(fake.reported(&["guest-crash", "\"message\":\"so long\""]), "{:?}", fake.lines);
    assert_eq!(fake.lines.iter().filter(|line| line.contains("message")).count(), 1);
}

#[test]
fn calls_to_firmware_are_sorted() {
    use smccc::{Call, sort};
    assert_eq!(sort(smccc::HYPERCALL, 0), Call::Hypercall);
    assert_eq!(sort(smccc::VENDOR_HYPERVISOR_UID, 0), Call::Answer(smccc::HYPERV_UID));
    assert_eq!(sort(smccc::VERSION, 0), Call::Answer([0x1_0002, 0, 0, 0]));
    assert_eq!(sort(smccc::PSCI_FEATURES, smccc::VERSION), Call::Answer([0; 4]));
    assert_eq!(sort(smccc::PSCI_FEATURES, smccc::PSCI_CPU_ON), Call::Forward);
    assert_eq!(sort(smccc::PSCI_CPU_ON, 1), Call::CpuOn);
    assert_eq!(sort(smccc::PSCI_SYSTEM_OFF, 0), Call::End("system-off"));
    assert_eq!(sort(0x8400_0050, 0), Call::Unknown);
}
