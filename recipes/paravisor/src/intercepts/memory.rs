//! Memory that isn't VTL0's: where nothing is, reading gives ones and writing does nothing, as on a bus that nobody
//! drives. That needs to know what the instruction wanted, so it is decoded; the few that kernels use on such memory
//! are carried out here.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::{
    intercepts::Next,
    memory::Memory,
    message::Access,
    paging::{self, Paging, translate},
    processor::{End, Processor},
};

const INSTRUCTION_BYTES_MAX: usize = 15;
/// Elements of a repeated instruction that are done at once; the rest comes back.
const REPETITIONS_MAX: u64 = 4096;

pub fn handle(processor: &mut Processor, address: u64, access: Access) -> Next {
    processor.note("pages", address & !0xfff);
    let rip = processor.mshv.rip();
    // Where processors begin after a reset: whoever goes there wants one, and no firmware is there to find out.
    const RESET_VECTORS: [u64; 2] = [0xf_fff0, 0xffff_fff0];
    if access == Access::Execute && RESET_VECTORS.contains(&address) {
        return Next::End(End::Reset);
    }
    if access == Access::Execute {
        return Next::End(End::Unhandled(format!("it ran into memory that isn't there, at {address:#x}")));
    }
    let paging = processor.mshv.paging();
    let mut bytes = [0; INSTRUCTION_BYTES_MAX];
    let count = paging::read(&processor.memory, &paging, rip, &mut bytes);
    let instruction = Decoder::with_ip(64, &bytes[..count], rip, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return Next::End(End::Unhandled(format!("no instruction at {rip:#x}, which touched {address:#x}")));
    }
    let mut state = State { mshv: &processor.mshv, memory: &processor.memory, paging };
    match state.carry_out(&instruction) {
        Some(true) => {
            processor.mshv.set_rip(instruction.next_ip());
            Next::Stay
        }
        Some(false) => Next::Stay,
        None => {
            let what = format!("{:?} at {rip:#x}, which touched {address:#x}", instruction.mnemonic());
            Next::End(End::Unhandled(what))
        }
    }
}

/// The general registers and flags, by number.
pub trait Registers {
    fn general(&self, number: usize) -> u64;
    fn set_general(&self, number: usize, value: u64);
    fn rflags(&self) -> u64;
    fn set_rflags(&self, value: u64);
}

impl Registers for crate::device::Mshv {
    fn general(&self, number: usize) -> u64 {
        self.general(number)
    }

    fn set_general(&self, number: usize, value: u64) {
        self.set_general(number, value);
    }

    fn rflags(&self) -> u64 {
        self.rflags()
    }

    fn set_rflags(&self, value: u64) {
        self.set_rflags(value);
    }
}

struct State<'a, R> {
    mshv: &'a R,
    memory: &'a Memory,
    paging: Paging,
}

const RCX: usize = 1;
const RSI: usize = 6;
const RDI: usize = 7;

impl<R: Registers> State<'_, R> {
    /// Whether it is done, and not only a part of its repetitions. `None`: an instruction that isn't known here.
    fn carry_out(&mut self, instruction: &Instruction) -> Option<bool> {
        let ones = u64::MAX;
        match instruction.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd | Mnemonic::Movnti => {
                if instruction.op0_kind() == OpKind::Memory {
                    return Some(true);
                }
                let bits = instruction.memory_size().size() as u32 * 8;
                let value = match instruction.mnemonic() {
                    Mnemonic::Movsx | Mnemonic::Movsxd => ones,
                    _ => ones >> (64 - bits.clamp(8, 64)),
                };
                self.set(instruction.op0_register(), value)?;
            }
            Mnemonic::Cmp | Mnemonic::Test => {
                let size = instruction.memory_size().size();
                let [left, right] = [0, 1].map(|number| self.operand(instruction, number));
                let flags = flags(instruction.mnemonic() == Mnemonic::Cmp, left?, right?, size);
                const ARITHMETIC: u64 = 0x8d5;
                self.mshv.set_rflags(self.mshv.rflags() & !ARITHMETIC | flags);
            }
            Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsd | Mnemonic::Movsq => {
                return Some(self.strings(instruction, true));
            }
            Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => {
                return Some(self.strings(instruction, false));
            }
            _ => return None,
        }
        Some(true)
    }

    fn operand(&self, instruction: &Instruction, number: u32) -> Option<u64> {
        Some(match instruction.op_kind(number) {
            OpKind::Memory => u64::MAX,
            OpKind::Register => {
                let register = instruction.op_register(number);
                let value = self.mshv.general(register.full_register().number());
                if is_high_byte(register) { value >> 8 } else { value }
            }
            _ => instruction.try_immediate(number).ok()?,
        })
    }

    fn set(&self, register: Register, value: u64) -> Option<()> {
        if !register.is_gpr() || is_high_byte(register) {
            return None;
        }
        let number = register.full_register().number();
        let before = self.mshv.general(number);
        let after = match register.size() {
            1 => before & !0xff | value & 0xff,
            2 => before & !0xffff | value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => value,
        };
        self.mshv.set_general(number, after);
        Some(())
    }

    /// MOVS and STOS: element by element, each to where its addresses lead. True once all is done.
    fn strings(&self, instruction: &Instruction, is_move: bool) -> bool {
        const BACKWARD: u64 = 1 << 10;
        let size = instruction.memory_size().size();
        let step = match self.mshv.rflags() & BACKWARD {
            0 => size as u64,
            _ => (size as u64).wrapping_neg(),
        };
        let is_repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        let count = if is_repeated { self.mshv.general(RCX) } else { 1 };
        let now = count.min(REPETITIONS_MAX);
        for _ in 0..now {
            let [from, to] = [RSI, RDI].map(|number| self.mshv.general(number));
            let mut bytes = self.mshv.general(0).to_le_bytes();
            if is_move {
                bytes = [0xff; 8];
                if let Some(address) = translate(self.memory, &self.paging, from) {
                    // What isn't there reads as ones.
                    let _ = self.memory.read(address, &mut bytes[..size]);
                }
                self.mshv.set_general(RSI, from.wrapping_add(step));
            }
            if let Some(address) = translate(self.memory, &self.paging, to) {
                // And takes nothing.
                let _ = self.memory.write(address, &bytes[..size]);
            }
            self.mshv.set_general(RDI, to.wrapping_add(step));
        }
        if is_repeated {
            self.mshv.set_general(RCX, count - now);
        }
        count == now
    }
}

fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

/// Flags after a comparison, or after a test of bits: carry, parity, zero, sign, overflow.
fn flags(is_comparison: bool, left: u64, right: u64, size: usize) -> u64 {
    let bits = size as u32 * 8;
    let mask = u64::MAX >> (64 - bits.clamp(8, 64));
    let (left, right) = (left & mask, right & mask);
    let result = if is_comparison { left.wrapping_sub(right) & mask } else { left & right };
    let sign = |value: u64| value >> (bits - 1) & 1;
    let carry = u64::from(is_comparison && left < right);
    let overflow = u64::from(is_comparison && sign(left) != sign(right) && sign(result) != sign(left));
    let parity = u64::from((result as u8).count_ones().is_multiple_of(2));
    carry | parity << 2 | u64::from(result == 0) << 6 | sign(result) << 7 | overflow << 11
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::mapping::Mapping;

    struct Fake {
        general: [Cell<u64>; 16],
        rflags: Cell<u64>,
    }

    impl Registers for Fake {
        fn general(&self, number: usize) -> u64 {
            self.general[number].get()
        }

        fn set_general(&self, number: usize, value: u64) {
            self.general[number].set(value);
        }

        fn rflags(&self) -> u64 {
            self.rflags.get()
        }

        fn set_rflags(&self, value: u64) {
            self.rflags.set(value);
        }
    }

    /// Runs one instruction with these registers, and returns them.
    fn run(bytes: &[u8], registers: &[(usize, u64)]) -> (Option<bool>, Fake) {
        let fake = Fake { general: Default::default(), rflags: Cell::new(2) };
        registers.iter().for_each(|(number, value)| fake.general[*number].set(*value));
        let memory = Memory::new(vec![Mapping::anonymous(0x1000, 0x1000)]);
        let instruction = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).decode();
        let mut state = State { mshv: &fake, memory: &memory, paging: Paging::default() };
        let done = state.carry_out(&instruction);
        if let (Some(true), Ok(word)) = (done, memory.read_u64(0x1000)) {
            fake.general[15].set(word);
        }
        (done, fake)
    }

    #[test]
    fn reading_gives_ones_in_the_size_that_was_read() {
        // mov eax, [rbx]; mov al, [rbx]; movzx ecx, word [rbx]; movsx rdx, byte [rbx]
        let check = |bytes: &[u8], number: usize, before: u64, after: u64| {
            let (done, fake) = run(bytes, &[(number, before)]);
            assert_eq!((done, fake.general(number)), (Some(true), after), "{bytes:x?}");
        };
        check(&[0x8b, 0x03], 0, u64::MAX << 8, 0xffff_ffff);
        check(&[0x8a, 0x03], 0, 0x1200, 0x12ff);
        check(&[0x0f, 0xb7, 0x0b], 1, 7, 0xffff);
        check(&[0x48, 0x0f, 0xbe, 0x13], 2, 7, u64::MAX);
        // mov [rbx], eax is lost.
        check(&[0x89, 0x03], 0, 5, 5);
    }

    #[test]
    fn comparing() {
        let check = |bytes: &[u8], rax: u64, wanted: u64| {
            let (done, fake) = run(bytes, &[(0, rax)]);
            assert_eq!((done, fake.rflags()), (Some(true), wanted | 2), "{bytes:x?}");
        };
        // cmp byte [rbx], 0xff: equal. cmp [rbx], eax with 0: sign. test byte [rbx], 1: neither.
        check(&[0x80, 0x3b, 0xff], 0, 0x44);
        check(&[0x39, 0x03], 0, 0x84);
        check(&[0xf6, 0x03, 0x01], 0, 0);
        // cmp eax, [rbx] with 0: borrows.
        check(&[0x3b, 0x03], 0, 0x01);
    }

    #[test]
    fn strings() {
        // rep movsd from nowhere to memory; rep stosb from memory into nowhere.
        let (done, fake) = run(&[0xf3, 0xa5], &[(RCX, 2), (RSI, 0x9000), (RDI, 0x1000)]);
        assert_eq!(done, Some(true));
        assert_eq!((fake.general(RCX), fake.general(RSI), fake.general(RDI)), (0, 0x9008, 0x1008));
        assert_eq!(fake.general(15), u64::MAX, "ones arrived");
        let (done, fake) = run(&[0xf3, 0xaa], &[(RCX, 5000), (RDI, 0x9000)]);
        assert_eq!((done, fake.general(RCX)), (Some(false), 5000 - REPETITIONS_MAX));
    }

    #[test]
    fn what_isnt_known_is_not_guessed() {
        // xadd [rbx], eax
        assert_eq!(run(&[0x0f, 0xc1, 0x03], &[]).0, None);
    }
}
