//! The level below: what its processor's state looks like from above, and the messages that tell the level above what
//! it did. Formats are those that Linux reads (include/hyperv/hvhdk.h, hvgdk_mini.h); the messages are also in the TLFS,
//! "Intercepts".

use crate::{
    hypercall::Segment,
    machine::{u16_at, u32_at, u64_at},
};

/// Size of a message, header included.
pub const MESSAGE_BYTES: usize = 256;
/// Bytes of the register page that are written (`struct hv_vp_register_page`, up to `xfem`).
pub const REGISTER_PAGE_BYTES: usize = 432;

/// State of a processor that belongs to the lower level alone, and the registers that levels share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. All but RSP are shared by the levels.
    pub general: [u64; 16],
    pub rip: u64,
    pub rflags: u64,
    /// ES, CS, SS, DS, FS, GS.
    pub segments: [Segment; 6],
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub cr8: u64,
    pub efer: u64,
    pub dr7: u64,
    /// As register PENDING_INTERRUPTION has it.
    pub pending_interruption: u64,
    /// The instruction behind one that enables interrupts: none is taken before it.
    pub is_in_interrupt_shadow: bool,
    pub privilege: u8,
}

const RAX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RBX: usize = 3;
const RSP: usize = 4;
const RSI: usize = 6;
const RDI: usize = 7;
const CS: usize = 1;

/// How memory was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Execute,
}

/// What the lower level did that the level above is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intercept {
    /// `size` in bytes: 1, 2 or 4.
    IoPort {
        port: u16,
        size: u8,
        is_write: bool,
        is_string: bool,
        is_repeated: bool,
        length: u8,
    },
    Msr {
        number: u32,
        is_write: bool,
    },
    /// With what it would get: EAX, EBX, ECX, EDX.
    Cpuid {
        answer: [u32; 4],
    },
    /// An address that isn't the lower level's memory.
    Memory {
        address: u64,
        access: Access,
    },
    Halt,
    /// An interrupt can be taken now, which was asked to be told.
    InterruptionDeliverable,
    /// It can't go on: an exception while delivering an exception while delivering an exception.
    UnrecoverableException,
    /// The state that it was given is none that a processor can have.
    InvalidRegister,
}

/// Kinds of intercepts, for counting.
pub const KINDS: [&str; 8] = [
    "io-port",
    "msr",
    "cpuid",
    "memory",
    "halt",
    "interruption-deliverable",
    "unrecoverable-exception",
    "invalid-register",
];

impl Intercept {
    /// Its place in [`KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Intercept::IoPort { .. } => 0,
            Intercept::Msr { .. } => 1,
            Intercept::Cpuid { .. } => 2,
            Intercept::Memory { .. } => 3,
            Intercept::Halt => 4,
            Intercept::InterruptionDeliverable => 5,
            Intercept::UnrecoverableException => 6,
            Intercept::InvalidRegister => 7,
        }
    }

    /// HV_MESSAGE_TYPE.
    fn message_type(&self) -> u32 {
        match self {
            Intercept::Memory { .. } => 0x8000_0000,
            Intercept::InvalidRegister => 0x8000_0020,
            Intercept::UnrecoverableException => 0x8000_0021,
            Intercept::IoPort { .. } => 0x8001_0000,
            Intercept::Msr { .. } => 0x8001_0001,
            Intercept::Cpuid { .. } => 0x8001_0002,
            Intercept::Halt => 0x8001_0007,
            Intercept::InterruptionDeliverable => 0x8001_0008,
        }
    }

    /// HV_INTERCEPT_ACCESS_TYPE.
    fn access(&self) -> u8 {
        match self {
            Intercept::IoPort { is_write, .. } | Intercept::Msr { is_write, .. } => u8::from(*is_write),
            Intercept::Memory { access: Access::Write, .. } => 1,
            Intercept::Memory { access: Access::Execute, .. }
            | Intercept::Cpuid { .. }
            | Intercept::Halt
            | Intercept::InterruptionDeliverable
            | Intercept::UnrecoverableException
            | Intercept::InvalidRegister => 2,
            Intercept::Memory { access: Access::Read, .. } => 0,
        }
    }

    /// Bytes of the instruction, 0 where it isn't known; without prefixes, which none of these needs.
    fn instruction_length(&self) -> u8 {
        match self {
            Intercept::IoPort { length, .. } => *length & 0xf,
            Intercept::Msr { .. } | Intercept::Cpuid { .. } => 2,
            Intercept::Halt => 1,
            Intercept::Memory { .. }
            | Intercept::InterruptionDeliverable
            | Intercept::UnrecoverableException
            | Intercept::InvalidRegister => 0,
        }
    }
}

/// Bytes that are filled from front to back.
struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }

    fn words(&mut self, words: &[u64]) {
        words.iter().for_each(|word| self.put(&word.to_le_bytes()));
    }

    fn segment(&mut self, segment: &Segment) {
        self.put(&segment.base.to_le_bytes());
        self.put(&segment.limit.to_le_bytes());
        self.put(&segment.selector.to_le_bytes());
        self.put(&segment.attributes.to_le_bytes());
    }
}

/// The message about an intercept of processor `vp`: header, header of all intercepts, and what each kind has.
pub fn message(vp: u32, state: &State, intercept: &Intercept) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut to = Writer { bytes: &mut bytes, at: 16 };
    to.put(&vp.to_le_bytes());
    to.put(&[intercept.instruction_length() | (state.cr8 as u8) << 4, intercept.access()]);
    to.put(&execution_state(state).to_le_bytes());
    to.segment(&state.segments[CS]);
    to.words(&[state.rip, state.rflags]);
    let general = &state.general;
    match intercept {
        Intercept::IoPort { port, size, is_string, is_repeated, .. } => {
            to.put(&port.to_le_bytes());
            to.put(&[size & 7 | u8::from(*is_string) << 3 | u8::from(*is_repeated) << 4, 0, 0, 0, 0, 0]);
            to.words(&[general[RAX], 0, 0]);
            to.segment(&state.segments[3]);
            to.segment(&state.segments[0]);
            to.words(&[general[RCX], general[RSI], general[RDI]]);
        }
        Intercept::Msr { number, .. } => to.words(&[u64::from(*number), general[RDX], general[RAX]]),
        Intercept::Cpuid { answer: [eax, ebx, ecx, edx] } => {
            to.words(&[general[RAX], general[RCX], general[RDX], general[RBX]]);
            to.words(&[*eax, *ecx, *edx, *ebx].map(u64::from));
        }
        Intercept::Memory { address, .. } => {
            // Cache type, count of instruction bytes, which addresses are valid, priority; no virtual address.
            to.words(&[0, 0, *address]);
        }
        Intercept::Halt
        | Intercept::InterruptionDeliverable
        | Intercept::UnrecoverableException
        | Intercept::InvalidRegister => {}
    }
    let length = to.at - 16;
    bytes[..4].copy_from_slice(&intercept.message_type().to_le_bytes());
    bytes[4] = length as u8;
    bytes
}

/// HV_X64_VP_EXECUTION_STATE, at level 0.
fn execution_state(state: &State) -> u16 {
    let bit = |condition: bool, number: u32| u16::from(condition) << number;
    u16::from(state.privilege & 3)
        | bit(state.cr0 & 1 != 0, 2)
        | bit(state.cr0 & 1 << 18 != 0, 3)
        | bit(state.efer & 1 << 10 != 0, 4)
        | bit(state.pending_interruption & 1 != 0, 6)
        | bit(state.is_in_interrupt_shadow, 12)
}

// `struct hv_vp_register_page`: offsets, and bits of `dirty`.
const VALID: usize = 2;
const DIRTY: usize = 4;
const GENERAL: usize = 8;
const RIP: usize = 136;
const RFLAGS: usize = 144;
const SEGMENTS: usize = 256;
const DIRTY_GENERAL: u32 = 1 << 0;
const DIRTY_RIP: u32 = 1 << 1;
const DIRTY_SEGMENTS: u32 = 1 << 3;
const DIRTY_FLAGS: u32 = 1 << 4;

/// The register page as it is after an intercept: valid, nothing in it changed.
pub fn register_page(state: &State) -> [u8; REGISTER_PAGE_BYTES] {
    let mut bytes = [0; REGISTER_PAGE_BYTES];
    bytes[0] = 1;
    bytes[VALID] = 1;
    let mut to = Writer { bytes: &mut bytes, at: GENERAL };
    to.words(&state.general);
    to.words(&[state.rip, state.rflags]);
    to.at = SEGMENTS;
    state.segments.iter().for_each(|segment| to.segment(segment));
    to.words(&[state.cr0, state.cr3, state.cr4, state.cr8, state.efer, state.dr7]);
    to.words(&[state.pending_interruption, u64::from(state.is_in_interrupt_shadow)]);
    bytes
}

/// What the level above has changed in the register page. Of the general registers RSP counts: the others travel in
/// the processor itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub rip: Option<u64>,
    pub rsp: Option<u64>,
    pub rflags: Option<u64>,
    pub segments: Option<[Segment; 6]>,
}

pub fn changes(page: &[u8; REGISTER_PAGE_BYTES]) -> Changes {
    let dirty = u32_at(page, DIRTY);
    if page[VALID] == 0 || dirty == 0 {
        return Changes::default();
    }
    let when = |bit: u32, at: usize| (dirty & bit != 0).then(|| u64_at(page, at));
    let segment = |number: usize| Segment {
        base: u64_at(page, SEGMENTS + number * 16),
        limit: u32_at(page, SEGMENTS + number * 16 + 8),
        selector: u16_at(page, SEGMENTS + number * 16 + 12),
        attributes: u16_at(page, SEGMENTS + number * 16 + 14),
    };
    Changes {
        rip: when(DIRTY_RIP, RIP),
        rsp: when(DIRTY_GENERAL, GENERAL + RSP * 8),
        rflags: when(DIRTY_FLAGS, RFLAGS),
        segments: (dirty & DIRTY_SEGMENTS != 0).then(|| core::array::from_fn(segment)),
    }
}
