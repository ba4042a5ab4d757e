//! Synthetic MSRs of x86-64 (TLFS, each on the page of its subject). Those that are the same as a register go to
//! the register.

use crate::{Machine, Partition, json::Line, partition::Unimplemented, register};

/// Every MSR here is Hyper-V's.
pub const FIRST: u32 = 0x4000_0000;
pub const LAST: u32 = 0x4000_ffff;

const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;
const VP_INDEX: u32 = 0x4000_0002;
const TSC_FREQUENCY: u32 = 0x4000_0022;
const APIC_FREQUENCY: u32 = 0x4000_0023;

/// The MSR is not there: the processor raises a general protection fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

// Where the sequences are in the hypercall page.
const CALL_OFFSET: u64 = 0x10;
const RETURN_OFFSET: u64 = 0x20;
/// Register VSM_CODE_PAGE_OFFSETS (TLFS, "Hypercall Page Assist"): twelve bits each, call then return.
pub const CODE_PAGE_OFFSETS: u64 = CALL_OFFSET | RETURN_OFFSET << 12;

/// What the hypercall page holds (TLFS, "Establishing the Hypercall Interface"): `vmmcall; ret`, then the sequences for
/// VTL call and return, which move the caller's RCX to RAX and put the call code in its place.
const CALL_CODE: [u8; 0x30] = {
    const CALL: [u8; 4] = [0x0f, 0x01, 0xd9, 0xc3];
    const fn vtl_switch(code: u8) -> [u8; 12] {
        // mov rax, rcx; mov ecx, code; vmmcall; ret
        [0x48, 0x89, 0xc8, 0xb9, code, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3]
    }
    let (call, back) = (vtl_switch(0x11), vtl_switch(0x12));
    let mut page = [0xcc; 0x30];
    let mut at = 0;
    while at < call.len() {
        if at < CALL.len() {
            page[at] = CALL[at];
        }
        page[CALL_OFFSET as usize + at] = call[at];
        page[RETURN_OFFSET as usize + at] = back[at];
        at += 1;
    }
    page
};

/// The register that an MSR is another name of.
fn as_register(msr: u32) -> Option<u32> {
    Some(match msr {
        GUEST_OS_ID => register::GUEST_OS_ID,
        VP_INDEX => register::VP_INDEX,
        0x4000_0020 => register::TIME_REF_COUNT,
        0x4000_0021 => register::REFERENCE_TSC,
        0x4000_0073 => register::VP_ASSIST_PAGE,
        0x4000_0080 => register::SCONTROL,
        0x4000_0081 => register::SVERSION,
        0x4000_0082 => register::SIEFP,
        0x4000_0083 => register::SIMP,
        0x4000_0084 => register::EOM,
        0x4000_0090..=0x4000_009f => register::SINT0 + (msr - 0x4000_0090),
        0x4000_0100..=0x4000_0105 => register::GUEST_CRASH_P0 + (msr - 0x4000_0100),
        _ => return None,
    })
}

pub fn read(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    msr: u32,
) -> Result<u64, GeneralProtection> {
    let value = match msr {
        HYPERCALL => Some(partition.hypercall_page),
        TSC_FREQUENCY => Some(partition.config.tsc_hz),
        APIC_FREQUENCY => Some(partition.config.apic_hz),
        _ => as_register(msr).and_then(|name| partition.get_register(machine, vp, name)).map(|[low, _]| low),
    };
    value.ok_or_else(|| {
        partition.unimplemented(machine, Unimplemented::Msr, msr.into(), 0);
        GeneralProtection
    })
}

/// What the monitor itself answers the level below: facts about the processor. All other MSRs of Hyper-V are for the
/// level above to show it.
pub fn read_lower(partition: &Partition, vp: u32, msr: u32) -> Option<u64> {
    Some(match msr {
        VP_INDEX => vp.into(),
        TSC_FREQUENCY => partition.config.tsc_hz,
        APIC_FREQUENCY => partition.config.apic_hz,
        _ => return None,
    })
}

pub fn write(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    msr: u32,
    value: u64,
) -> Result<(), GeneralProtection> {
    let done = match msr {
        HYPERCALL => enable_hypercalls(partition, machine, value),
        _ => as_register(msr).and_then(|name| partition.set_register(machine, vp, name, value)),
    };
    done.ok_or_else(|| {
        partition.unimplemented(machine, Unimplemented::Msr, msr.into(), 0);
        GeneralProtection
    })
}

/// TLFS, "Establishing the Hypercall Interface": enabling without a guest id has no effect; a page outside the guest's
/// memory is an error.
fn enable_hypercalls(partition: &mut Partition, machine: &mut impl Machine, value: u64) -> Option<()> {
    const ENABLE: u64 = 1;
    const LOCKED: u64 = 2;
    if partition.hypercall_page & LOCKED != 0 {
        return None;
    }
    if value & ENABLE != 0 && partition.guest_os_id != 0 {
        let page = value & !0xfff;
        machine.write(page, &CALL_CODE).ok()?;
        machine.report(Line::new("hypercall-page").hex("address", page).end());
        partition.hypercall_page = value;
    } else {
        partition.hypercall_page = value & !ENABLE;
    }
    Some(())
}
