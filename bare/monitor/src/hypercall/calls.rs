//! What each call does, once its parameters are known to be readable.

use super::{Code, Parameters, Status};
use crate::{
    Machine, Partition,
    json::Line,
    machine::{u16_at, u32_at, u64_at},
    partition::{MESSAGE, Unimplemented, Vp},
    synic::PAYLOAD_BYTES_MAX,
    vmbus,
};

/// HV_PARTITION_ID_SELF
pub(super) const PARTITION_ID_SELF: u64 = u64::MAX;
/// The partition's own number; which one doesn't matter to anybody.
const PARTITION_ID: u64 = 2;
/// HV_VP_INDEX_SELF
const VP_INDEX_SELF: u32 = 0xffff_fffe;

/// Header and first state of a processor: partition u64, index u32, VTL u8, 3 reserved bytes, then the context.
pub(super) const START_BYTES: usize = 16 + CONTEXT_BYTES;
const CONTEXT_BYTES: usize = 224;

/// State with which a processor begins on x86-64 (TLFS, HV_INITIAL_VP_CONTEXT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartContext {
    pub rip: u64,
    pub rsp: u64,
    pub rflags: u64,
    /// CS, DS, ES, FS, GS, SS, TR, LDTR.
    pub segments: [Segment; 8],
    pub idtr: Table,
    pub gdtr: Table,
    pub efer: u64,
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub pat: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    pub base: u64,
    pub limit: u32,
    pub selector: u16,
    /// As in a descriptor: type in bits 3:0, present in bit 7, AVL, L, D and G in bits 15:12.
    pub attributes: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub limit: u16,
    pub base: u64,
}

impl StartContext {
    /// From its 224 bytes; what isn't there reads as zeros.
    pub(crate) fn parse(bytes: &[u8]) -> StartContext {
        let segment = |number: usize| {
            let at = 24 + number * 16;
            Segment {
                base: u64_at(bytes, at),
                limit: u32_at(bytes, at + 8),
                selector: u16_at(bytes, at + 12),
                attributes: u16_at(bytes, at + 14),
            }
        };
        let table = |at: usize| Table { limit: u16_at(bytes, at + 6), base: u64_at(bytes, at + 8) };
        StartContext {
            rip: u64_at(bytes, 0),
            rsp: u64_at(bytes, 8),
            rflags: u64_at(bytes, 16),
            segments: core::array::from_fn(segment),
            idtr: table(152),
            gdtr: table(168),
            efer: u64_at(bytes, 184),
            cr0: u64_at(bytes, 192),
            cr3: u64_at(bytes, 200),
            cr4: u64_at(bytes, 208),
            pat: u64_at(bytes, 216),
        }
    }
}

/// Calls without repetitions.
pub(super) fn simple(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    code: Code,
    parameters: &mut Parameters,
) -> Status {
    match code {
        Code::NotifyLongSpinWait => Status::Success,
        Code::GetPartitionId => {
            parameters.write(machine, 0, &PARTITION_ID.to_le_bytes());
            Status::Success
        }
        Code::EnableVpVtl => enable_vp_vtl(partition, machine, vp, parameters),
        Code::StartVp => start_vp(partition, machine, vp, parameters),
        Code::PostMessage => post_message(partition, machine, parameters),
        Code::InstallIntercept => install_intercept(partition, machine, parameters),
        Code::SignalEvent => signal_event(partition, machine, parameters),
        Code::VtlCall | Code::VtlReturn => Status::AccessDenied,
        Code::GetVpRegisters | Code::SetVpRegisters | Code::GetVpIndexFromApicId => {
            Status::InvalidHypercallInput
        }
    }
}

/// One repetition of a call that has them; `header` is that of the whole call.
#[expect(
    clippy::too_many_arguments,
    reason = "the one place where a repetition's whole world is handed over"
)]
pub(super) fn repetition(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    code: Code,
    header: &[u8; 16],
    number: usize,
    input: &[u8],
    parameters: &mut Parameters,
) -> Status {
    if code == Code::GetVpIndexFromApicId {
        // Processors have their APIC ids as indices.
        let apic_id = u32_at(input, 0);
        if partition.vp(apic_id).is_none() {
            return Status::NotFound;
        }
        parameters.write(machine, number * 4, &apic_id.to_le_bytes());
        return Status::Success;
    }
    let target = match u32_at(header, 8) {
        VP_INDEX_SELF => vp,
        index => index,
    };
    if partition.vp(target).is_none() {
        return Status::InvalidVpIndex;
    }
    let name = u32_at(input, 0);
    let is_get = code == Code::GetVpRegisters;
    let done = if is_for_lower(partition, header[12]) {
        // Of another processor they may be changing.
        let value = [u64_at(input, 16), u64_at(input, 24)];
        match (target == vp, is_get) {
            (false, _) => None,
            (true, true) => machine.lower_register(vp, name).map(|[low, high]| {
                parameters.write(machine, number * 16, &low.to_le_bytes());
                parameters.write(machine, number * 16 + 8, &high.to_le_bytes());
            }),
            (true, false) => machine.set_lower_register(vp, name, value),
        }
    } else if is_get {
        partition.get_register(machine, target, name).map(|[low, high]| {
            parameters.write(machine, number * 16, &low.to_le_bytes());
            parameters.write(machine, number * 16 + 8, &high.to_le_bytes());
        })
    } else {
        partition.set_register(machine, target, name, u64_at(input, 16))
    };
    if done.is_some() {
        return Status::Success;
    }
    let status = Status::InvalidParameter;
    partition.unimplemented(machine, Unimplemented::Register, name.into(), status as u64);
    status
}

/// Whether HV_INPUT_VTL names the level below: bit 4 says that the low four bits count.
fn is_for_lower(partition: &Partition, input_vtl: u8) -> bool {
    const USE_TARGET: u8 = 1 << 4;
    partition.config.has_lower && input_vtl & 0x1f == USE_TARGET
}

/// What of the level below comes to its caller. Ports and MSRs always do, so only leaves of CPUID need be kept.
fn install_intercept(
    partition: &mut Partition,
    machine: &mut impl Machine,
    parameters: &Parameters,
) -> Status {
    const IO_PORT: u32 = 0;
    const MSR: u32 = 1;
    const CPUID: u32 = 2;
    let mut input = [0; 24];
    parameters.read(machine, 0, &mut input);
    if !partition.config.has_lower {
        return Status::AccessDenied;
    }
    if u64_at(&input, 0) != PARTITION_ID_SELF {
        return Status::InvalidPartitionId;
    }
    match u32_at(&input, 12) {
        IO_PORT | MSR => Status::Success,
        CPUID if partition.intercept_cpuid(u32_at(&input, 16)) => Status::Success,
        CPUID => Status::InsufficientBuffers,
        _ => Status::InvalidParameter,
    }
}

/// The processor that a call's header names.
fn target(partition: &mut Partition, vp: u32, header: &[u8]) -> Result<u32, Status> {
    if u64_at(header, 0) != PARTITION_ID_SELF {
        return Err(Status::InvalidPartitionId);
    }
    let index = match u32_at(header, 8) {
        VP_INDEX_SELF => vp,
        index => index,
    };
    partition.vp(index).map(|_| index).ok_or(Status::InvalidVpIndex)
}

/// TLFS, HvCallEnableVpVtl: only a level that the partition has can be enabled, and only once.
fn enable_vp_vtl(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    parameters: &Parameters,
) -> Status {
    let mut header = [0; 16];
    parameters.read(machine, 0, &mut header);
    let index = match target(partition, vp, &header) {
        Ok(index) => index,
        Err(status) => return status,
    };
    if partition.config.vtl == 0 || header[12] & 0xf != partition.config.vtl {
        return Status::InvalidParameter;
    }
    let Some(state) = partition.vp(index) else { return Status::InvalidVpIndex };
    if state.vtl_enabled {
        return Status::VtlAlreadyEnabled;
    }
    state.vtl_enabled = true;
    Status::Success
}

/// TLFS, HvCallStartVirtualProcessor: a processor that runs can't be started again.
fn start_vp(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    parameters: &Parameters,
) -> Status {
    let mut header = [0; 16];
    parameters.read(machine, 0, &mut header);
    let index = match target(partition, vp, &header) {
        Ok(index) => index,
        Err(status) => return status,
    };
    if header[12] & 0xf != partition.config.vtl {
        return Status::AccessDenied;
    }
    let mut bytes = [0; CONTEXT_BYTES];
    parameters.read(machine, header.len(), &mut bytes);
    let Some(state) = partition.vp(index) else { return Status::InvalidVpIndex };
    if state.started || !state.vtl_enabled {
        return Status::InvalidVpState;
    }
    state.started = true;
    let context = StartContext::parse(&bytes);
    machine.report(Line::new("vp-start").number("vp", index.into()).hex("rip", context.rip).end());
    machine.start(index, &context);
    Status::Success
}

/// TLFS, HvCallPostMessage. The only port that anything can be sent to is the VMBus host's.
#[inline(never)]
fn post_message(partition: &mut Partition, machine: &mut impl Machine, parameters: &Parameters) -> Status {
    let mut input = [0; 16 + PAYLOAD_BYTES_MAX];
    parameters.read(machine, 0, &mut input);
    let (connection, kind, size) = (u32_at(&input, 0), u32_at(&input, 8), u32_at(&input, 12) as usize);
    // Types with the top bit are the hypervisor's own.
    if size > PAYLOAD_BYTES_MAX || kind == 0 || kind >> 31 != 0 {
        return Status::InvalidParameter;
    }
    let is_known = match connection {
        vmbus::CONNECTION | vmbus::CONNECTION_4 => true,
        vmbus::CONNECTION_VTL2 => partition.config.vtl == 2,
        _ => false,
    };
    if !is_known {
        return Status::InvalidConnectionId;
    }
    // A message that is answered later must not have been taken already.
    let answers_to = partition.vmbus.vp();
    let is_full = |state: &mut Vp| state.synic.room() < vmbus::ANSWERS_MAX;
    if partition.vp(answers_to).is_some_and(is_full) {
        return Status::InsufficientBuffers;
    }
    partition.counts.messages += 1;
    let mut answer = partition.vmbus.take(machine, connection, &input[16..16 + size]);
    let is_new = partition.is_new(MESSAGE, u64::from(connection) << 32 | u64::from(u32_at(&input, 16)));
    if is_new {
        machine.report(answer.line.end());
    }
    // A processor that the guest made up gets nothing.
    let Some(state) = partition.vp(answer.vp) else { return Status::Success };
    for message in answer.messages.into_iter().flatten() {
        if !state.synic.post(machine, answer.vp, message) {
            return Status::InsufficientBuffers;
        }
    }
    partition.signal(machine, answer.signal);
    Status::Success
}

/// TLFS, HvCallSignalEvent. The only port for events is the one of the VMBus host's channel.
#[inline(never)]
fn signal_event(partition: &mut Partition, machine: &mut impl Machine, parameters: &Parameters) -> Status {
    let mut input = [0; 8];
    parameters.read(machine, 0, &mut input);
    match partition.vmbus.signalled(machine, u32_at(&input, 0)) {
        Some(signal) => {
            partition.counts.events += 1;
            partition.signal(machine, signal);
            Status::Success
        }
        None => Status::InvalidConnectionId,
    }
}
