//! Hypercalls: the input value, where parameters are, and which call does what (TLFS, "Hypercall Interface").
//!
//! A call that isn't implemented is answered as Hyper-V answers one that it doesn't have, and is counted.

mod calls;
mod parameters;

use crate::{
    Arch, Machine, Partition,
    json::Line,
    machine::u64_at,
    partition::{CALL, Unimplemented},
    vtl::Entry,
};

pub use calls::{Segment, StartContext, Table};
pub use parameters::Parameters;

/// Result of a call (TLFS, HV_STATUS; the numbers are in Linux, include/hyperv/hvgdk_mini.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    Success = 0x00,
    InvalidHypercallCode = 0x02,
    InvalidHypercallInput = 0x03,
    InvalidAlignment = 0x04,
    InvalidParameter = 0x05,
    AccessDenied = 0x06,
    InvalidPartitionId = 0x0d,
    InvalidVpIndex = 0x0e,
    NotFound = 0x10,
    InvalidConnectionId = 0x12,
    InsufficientBuffers = 0x13,
    InvalidVpState = 0x15,
    VtlAlreadyEnabled = 0x86,
}

/// How a call ends for the processor that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result value (TLFS, "Hypercall Outputs"): status in bits 15:0, repetitions done in bits 43:32.
    Result(u64),
    /// The instruction is undefined here: a VTL switch with no level to switch to (TLFS, "VTL Call Restrictions",
    /// "VTL Return").
    Undefined,
    /// The processor goes on at the level below.
    Lower(Entry),
}

/// Sizes of a call's parameters, in bytes.
struct Shape {
    name: &'static str,
    header: usize,
    /// One repetition's input and output; a simple call has none.
    repetition: Option<(usize, usize)>,
    /// Output of a simple call.
    output: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    NotifyLongSpinWait,
    EnableVpVtl,
    VtlCall,
    VtlReturn,
    GetPartitionId,
    GetVpRegisters,
    SetVpRegisters,
    PostMessage,
    SignalEvent,
    StartVp,
    InstallIntercept,
    GetVpIndexFromApicId,
}

impl Code {
    fn of(number: u16, arch: Arch) -> Option<Code> {
        Some(match number {
            0x0008 => Code::NotifyLongSpinWait,
            0x0011 => Code::VtlCall,
            0x0012 => Code::VtlReturn,
            0x0046 => Code::GetPartitionId,
            0x0050 => Code::GetVpRegisters,
            0x0051 => Code::SetVpRegisters,
            0x005c => Code::PostMessage,
            0x005d => Code::SignalEvent,
            // On 64-bit Arm processors start through PSCI.
            0x000f if arch == Arch::X86_64 => Code::EnableVpVtl,
            0x004d if arch == Arch::X86_64 => Code::InstallIntercept,
            0x0099 if arch == Arch::X86_64 => Code::StartVp,
            0x009a if arch == Arch::X86_64 => Code::GetVpIndexFromApicId,
            _ => return None,
        })
    }

    fn shape(self) -> Shape {
        let simple = |name, header, output| Shape { name, header, repetition: None, output };
        let repeated = |name, header, input, output| Shape {
            name,
            header,
            repetition: Some((input, output)),
            output: 0,
        };
        match self {
            // TLFS, HvCallNotifyLongSpinWait; the others too have a page under their names
            Code::NotifyLongSpinWait => simple("notify-long-spin-wait", 8, 0),
            // HvCallEnableVpVtl, with the processor's first state behind the header
            Code::EnableVpVtl => simple("enable-vp-vtl", calls::START_BYTES, 0),
            // HvCallVtlCall
            Code::VtlCall => simple("vtl-call", 0, 0),
            // HvCallVtlReturn
            Code::VtlReturn => simple("vtl-return", 0, 0),
            // HvCallGetPartitionId, which has no page: Linux, drivers/hv/hv_common.c
            Code::GetPartitionId => simple("get-partition-id", 0, 8),
            // HvCallGetVpRegisters
            Code::GetVpRegisters => repeated("get-vp-registers", 16, 4, 16),
            // HvCallSetVpRegisters
            Code::SetVpRegisters => repeated("set-vp-registers", 16, 32, 0),
            // HvCallPostMessage
            Code::PostMessage => simple("post-message", 256, 0),
            // HvCallSignalEvent
            Code::SignalEvent => simple("signal-event", 8, 0),
            // HvCallStartVirtualProcessor
            Code::StartVp => simple("start-vp", calls::START_BYTES, 0),
            // HvCallInstallIntercept: partition, access types, type of intercept, its parameter
            Code::InstallIntercept => simple("install-intercept", 24, 0),
            // HvCallGetVpIndexFromApicId
            Code::GetVpIndexFromApicId => repeated("get-vp-index-from-apic-id", 16, 4, 4),
        }
    }
}

/// Fields of the input value (TLFS, "Hypercall Inputs").
#[derive(Clone, Copy)]
struct Control(u64);

impl Control {
    const FAST: u64 = 1 << 16;
    /// Bits that must be zero: 31:27 (31 asks for a nested hypervisor, which there is none of), 47:44, 63:60.
    const RESERVED: u64 = 0xf000_f000_f800_0000;

    fn code(self) -> u16 {
        self.0 as u16
    }

    fn is_fast(self) -> bool {
        self.0 & Control::FAST != 0
    }

    /// In units of 8 bytes; none of the calls here has a variable header.
    fn variable_header(self) -> u64 {
        self.0 >> 17 & 0x3ff
    }

    fn count(self) -> usize {
        (self.0 >> 32 & 0xfff) as usize
    }

    fn start(self) -> usize {
        (self.0 >> 48 & 0xfff) as usize
    }
}

/// Carries out one call of processor `vp`.
pub fn hypercall(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    control: u64,
    parameters: &mut Parameters,
) -> Outcome {
    partition.counts.hypercalls += 1;
    let control = Control(control);
    let Some(code) = Code::of(control.code(), partition.config.arch) else {
        partition.counts.failed_hypercalls += 1;
        let status = Status::InvalidHypercallCode as u64;
        partition.unimplemented(machine, Unimplemented::Hypercall, control.code().into(), status);
        return Outcome::Result(status);
    };
    if code == Code::VtlReturn
        && let Some(entry) = partition.enter_lower(machine, vp, parameters.vtl_control)
    {
        return Outcome::Lower(entry);
    }
    if matches!(code, Code::VtlCall | Code::VtlReturn) {
        partition.counts.failed_hypercalls += 1;
        report(partition, machine, vp, control, code.shape().name, None);
        return Outcome::Undefined;
    }
    let (status, done) = match prepare(machine, control, &code.shape(), parameters) {
        Ok(()) => run(partition, machine, vp, code, control, parameters),
        Err(status) => (status, 0),
    };
    if status != Status::Success {
        partition.counts.failed_hypercalls += 1;
    }
    report(partition, machine, vp, control, code.shape().name, Some(status));
    Outcome::Result(status as u64 | (done as u64) << 32)
}

/// The checks that come before every call (TLFS, "Common Hypercall Status Codes").
fn prepare(
    machine: &impl Machine,
    control: Control,
    shape: &Shape,
    parameters: &mut Parameters,
) -> Result<(), Status> {
    if control.0 & Control::RESERVED != 0 || control.variable_header() != 0 {
        return Err(Status::InvalidHypercallInput);
    }
    let (input, output) = match shape.repetition {
        None if control.count() != 0 || control.start() != 0 => return Err(Status::InvalidHypercallInput),
        None => (shape.header, shape.output),
        Some(_) if control.start() >= control.count() => return Err(Status::InvalidHypercallInput),
        Some((input, output)) => (shape.header + control.count() * input, control.count() * output),
    };
    parameters.place(machine, control.is_fast(), input, output)
}

fn run(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    code: Code,
    control: Control,
    parameters: &mut Parameters,
) -> (Status, usize) {
    let Some((input_bytes, _)) = code.shape().repetition else {
        return (calls::simple(partition, machine, vp, code, parameters), 0);
    };
    let mut header = [0; 16];
    parameters.read(machine, 0, &mut header);
    if u64_at(&header, 0) != calls::PARTITION_ID_SELF {
        return (Status::InvalidPartitionId, 0);
    }
    for number in control.start()..control.count() {
        let mut input = [0; 32];
        let input = &mut input[..input_bytes];
        parameters.read(machine, header.len() + number * input_bytes, input);
        let status = calls::repetition(partition, machine, vp, code, &header, number, input, parameters);
        if status != Status::Success {
            return (status, number);
        }
    }
    (Status::Success, control.count())
}

/// Reports the first of each kind of call and status; no status is an undefined instruction.
fn report(
    partition: &mut Partition,
    machine: &mut impl Machine,
    vp: u32,
    control: Control,
    name: &str,
    status: Option<Status>,
) {
    let number = status.map_or(u64::MAX >> 32, |status| status as u64);
    if partition.is_new(CALL, u64::from(control.code()) << 32 | number) {
        let line = Line::new("hypercall").number("vp", vp.into()).hex("code", control.code().into());
        let status = status.map_or("undefined", Status::name);
        machine.report(line.text("name", name).text("status", status).end());
    }
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::InvalidHypercallCode => "invalid-hypercall-code",
            Status::InvalidHypercallInput => "invalid-hypercall-input",
            Status::InvalidAlignment => "invalid-alignment",
            Status::InvalidParameter => "invalid-parameter",
            Status::AccessDenied => "access-denied",
            Status::InvalidPartitionId => "invalid-partition-id",
            Status::InvalidVpIndex => "invalid-vp-index",
            Status::NotFound => "not-found",
            Status::InvalidConnectionId => "invalid-connection-id",
            Status::InsufficientBuffers => "insufficient-buffers",
            Status::InvalidVpState => "invalid-vp-state",
            Status::VtlAlreadyEnabled => "vtl-already-enabled",
        }
    }
}
