//! MSRs: the local interrupt controller, Hyper-V's few, and what kernels expect of any processor.

use crate::{devices::apic, intercepts::Next, processor::Processor};

// Of Hyper-V (TLFS appendix, "Hypervisor Synthetic MSRs"). Frequencies and the processor's index the hypervisor answers.
const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;
const VP_ASSIST_PAGE: u32 = 0x4000_0073;
/// Whether the time stamp counter shall go on at one rate; it does.
const TSC_INVARIANT_CONTROL: u32 = 0x4000_0118;

const MISC_ENABLE: u32 = 0x1a0;
/// Fast strings, and no SYSENTER trouble.
const MISC_ENABLE_VALUE: u64 = 1;
const PAGE_ATTRIBUTES: u32 = 0x277;
const MEMORY_TYPES_DEFAULT: u32 = 0x2ff;

/// Registers that are there, hold nothing, and forget what is written: microcode (0x8b), memory types and debugging of
/// branches, and AMD's configuration of its processors, which kernels set bits of.
const EMPTY: [u32; 14] = [
    0x8b,
    0xfe,
    0x1d9,
    0x3a,
    MEMORY_TYPES_DEFAULT,
    0xc000_0408,
    0xc001_0010,
    0xc001_0015,
    0xc001_001f,
    0xc001_0055,
    0xc001_0140,
    0xc001_0141,
    0xc001_1020,
    0xc001_1029,
];

/// What the guest has written.
#[derive(Debug)]
pub struct Msrs {
    guest_os_id: u64,
    hypercall: u64,
    vp_assist_page: u64,
    page_attributes: u64,
}

impl Default for Msrs {
    fn default() -> Msrs {
        // The reset value (Intel SDM 3A, 11.12.4).
        Msrs { guest_os_id: 0, hypercall: 0, vp_assist_page: 0, page_attributes: 0x0007_0406_0007_0406 }
    }
}

pub fn handle(processor: &mut Processor, number: u32, is_write: bool) -> Next {
    processor.note("msrs", number.into());
    let mshv = &processor.mshv;
    let done = if is_write {
        let value = mshv.general(2) << 32 | mshv.general(0) & 0xffff_ffff;
        write(processor, number, value)
    } else {
        read(processor, number).map(|value| {
            processor.mshv.set_general(0, value & 0xffff_ffff);
            processor.mshv.set_general(2, value >> 32);
        })
    };
    match done {
        Some(()) => Next::Skip,
        None => {
            processor.note("unknown-msrs", number.into());
            Next::Fault
        }
    }
}

fn read(processor: &Processor, number: u32) -> Option<u64> {
    let msrs = &processor.msrs;
    Some(match number {
        apic::FIRST..=apic::LAST => processor.apic.read(number, processor.clock.now_ns()).ok()?,
        apic::BASE => apic::BASE_VALUE,
        GUEST_OS_ID => msrs.guest_os_id,
        HYPERCALL => msrs.hypercall,
        VP_ASSIST_PAGE => msrs.vp_assist_page,
        MISC_ENABLE => MISC_ENABLE_VALUE,
        TSC_INVARIANT_CONTROL => 1,
        PAGE_ATTRIBUTES => msrs.page_attributes,
        number if EMPTY.contains(&number) => 0,
        _ => return None,
    })
}

fn write(processor: &mut Processor, number: u32, value: u64) -> Option<()> {
    let now = processor.clock.now_ns();
    let msrs = &mut processor.msrs;
    match number {
        apic::FIRST..=apic::LAST => {
            processor.apic.write(number, value, now).ok()?;
            processor.clock.set(processor.apic.deadline_ns());
        }
        // It stays where and what it is.
        apic::BASE | MISC_ENABLE | TSC_INVARIANT_CONTROL => {}
        GUEST_OS_ID => msrs.guest_os_id = value,
        HYPERCALL => {
            msrs.hypercall = value;
            enable_hypercalls(processor, value);
        }
        VP_ASSIST_PAGE => msrs.vp_assist_page = value,
        PAGE_ATTRIBUTES => msrs.page_attributes = value,
        number if EMPTY.contains(&number) => {}
        _ => return None,
    }
    Some(())
}

/// Writes the code with which the guest calls Hyper-V (TLFS 3.13): `vmmcall; ret`. A page that isn't the guest's memory
/// gets none.
fn enable_hypercalls(processor: &Processor, value: u64) {
    const ENABLED: u64 = 1;
    const CALL: [u8; 4] = [0x0f, 0x01, 0xd9, 0xc3];
    if value & ENABLED != 0 && processor.msrs.guest_os_id != 0 {
        let _ = processor.memory.write(value & !0xfff, &CALL);
    }
}
