//! Messages about intercepts, as Hyper-V writes them: what VTL0 did (TLFS, "Intercepts"; Linux,
//! include/hyperv/hvhdk.h).

pub const MESSAGE_BYTES: usize = 256;

/// How memory was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Execute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intercept {
    /// `size` in bytes.
    Io {
        port: u16,
        size: u8,
        is_write: bool,
        is_string: bool,
    },
    Msr {
        number: u32,
        is_write: bool,
    },
    /// Leaf and subleaf, and what the hypervisor would answer: EAX, EBX, ECX, EDX.
    Cpuid {
        leaf: u32,
        subleaf: u32,
        answer: [u32; 4],
    },
    Memory {
        address: u64,
        access: Access,
    },
    Halt,
    /// An interrupt can be taken now, as was asked for.
    InterruptionDeliverable,
    UnrecoverableException,
    InvalidRegister,
    Other(u32),
}

/// What is common to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub intercept: Intercept,
    pub rip: u64,
    /// 0 where it isn't known.
    pub instruction_length: u8,
}

impl Intercept {
    /// Its name in reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Intercept::Io { .. } => "io",
            Intercept::Msr { .. } => "msr",
            Intercept::Cpuid { .. } => "cpuid",
            Intercept::Memory { .. } => "memory",
            Intercept::Halt => "halt",
            Intercept::InterruptionDeliverable => "interrupt-window",
            Intercept::UnrecoverableException => "triple-fault",
            Intercept::InvalidRegister => "invalid-register",
            Intercept::Other(_) => "other",
        }
    }
}

// Offsets: the header of all messages, then that of all intercepts.
const LENGTH: usize = 20;
const ACCESS: usize = 21;
const RIP: usize = 40;
const BODY: usize = 56;

pub fn parse(bytes: &[u8; MESSAGE_BYTES]) -> Message {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let wide = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let access = match bytes[ACCESS] {
        0 => Access::Read,
        1 => Access::Write,
        _ => Access::Execute,
    };
    let is_write = access == Access::Write;
    let intercept = match word(0) {
        0x8000_0000 | 0x8000_0001 => Intercept::Memory { address: wide(BODY + 16), access },
        0x8000_0020 => Intercept::InvalidRegister,
        0x8000_0021 => Intercept::UnrecoverableException,
        0x8001_0000 => {
            let (port, info) = (word(BODY) as u16, bytes[BODY + 2]);
            Intercept::Io { port, size: info & 7, is_write, is_string: info & 1 << 3 != 0 }
        }
        0x8001_0001 => Intercept::Msr { number: word(BODY), is_write },
        0x8001_0002 => {
            let [eax, ecx, edx, ebx] = [32, 40, 48, 56].map(|at| word(BODY + at));
            let (leaf, subleaf) = (word(BODY), word(BODY + 8));
            Intercept::Cpuid { leaf, subleaf, answer: [eax, ebx, ecx, edx] }
        }
        0x8001_0007 => Intercept::Halt,
        0x8001_0008 => Intercept::InterruptionDeliverable,
        other => Intercept::Other(other),
    };
    Message { intercept, rip: wide(RIP), instruction_length: bytes[LENGTH] & 0xf }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u32, access: u8, body: &[u8]) -> Message {
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[20] = 0x32;
        bytes[21] = access;
        bytes[40..48].copy_from_slice(&0x1234_5678_u64.to_le_bytes());
        bytes[56..56 + body.len()].copy_from_slice(body);
        parse(&bytes)
    }

    #[test]
    fn kinds() {
        let check = |kind, access, body: &[u8], wanted: Intercept| {
            let message = message(kind, access, body);
            assert_eq!(message.intercept, wanted);
            assert_eq!((message.rip, message.instruction_length), (0x1234_5678, 2));
        };
        let io = Intercept::Io { port: 0x3f8, size: 1, is_write: true, is_string: false };
        check(0x8001_0000, 1, &[0xf8, 3, 1], io);
        check(0x8001_0001, 0, &[0x1b, 0, 0, 0], Intercept::Msr { number: 0x1b, is_write: false });
        let mut body = [0; 64];
        (body[0], body[8], body[32], body[40], body[48], body[56]) = (7, 1, 10, 12, 13, 11);
        check(0x8001_0002, 2, &body, Intercept::Cpuid { leaf: 7, subleaf: 1, answer: [10, 11, 12, 13] });
        let mut body = [0; 24];
        body[18] = 1;
        check(0x8000_0000, 2, &body, Intercept::Memory { address: 0x1_0000, access: Access::Execute });
        check(0x8001_0007, 2, &[], Intercept::Halt);
        check(0x8000_0021, 2, &[], Intercept::UnrecoverableException);
        check(0x1, 0, &[], Intercept::Other(1));
    }
}
