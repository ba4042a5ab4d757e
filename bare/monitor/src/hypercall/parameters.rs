//! Where a call's parameters are: in memory at two addresses, or in registers (TLFS, "Hypercall
//! Inputs", "Alignment Requirements").

use super::Status;
use crate::Machine;

/// Registers that can carry parameters: X2 to X17 on 64-bit Arm, RDX and R8 on x86-64.
pub const WORDS_MAX: usize = 16;
const PAGE_BYTES: u64 = 4096;

/// Parameters in and out. What isn't there reads as zeros and takes no writes.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Registers, the first two of which are the addresses of input and output for a call in memory.
    pub words: [u64; WORDS_MAX],
    /// Of a VTL call or return, which has no others: its control input, RAX on x86-64 (TLFS 15.6.1).
    pub vtl_control: u64,
    /// How many of them the architecture has.
    count: usize,
    is_fast: bool,
    /// Where output begins, in bytes: behind the input, rounded up to 16.
    fast_output: usize,
    output_bytes: usize,
}

impl Parameters {
    pub fn new(registers: &[u64]) -> Parameters {
        let count = registers.len().min(WORDS_MAX);
        let mut words = [0; WORDS_MAX];
        words[..count].copy_from_slice(&registers[..count]);
        Parameters { words, vtl_control: 0, count, is_fast: false, fast_output: 0, output_bytes: 0 }
    }

    /// Decides where parameters of these sizes are, and that they can be there.
    pub(super) fn place(
        &mut self,
        machine: &impl Machine,
        is_fast: bool,
        input: usize,
        output: usize,
    ) -> Result<(), Status> {
        self.is_fast = is_fast;
        self.output_bytes = output;
        if is_fast {
            self.fast_output = input.next_multiple_of(16);
            let bytes = if output > 0 { self.fast_output + output } else { input };
            let fits = bytes <= self.count * 8;
            return if fits { Ok(()) } else { Err(Status::InvalidHypercallInput) };
        }
        check_address(machine, self.words[0], input)?;
        check_address(machine, self.words[1], output)
    }

    /// Reads input at `offset`, which lies within the sizes that were placed.
    pub(super) fn read(&self, machine: &impl Machine, offset: usize, to: &mut [u8]) {
        if !self.is_fast {
            let _ = machine.read(self.words[0].wrapping_add(offset as u64), to);
            return;
        }
        for (number, byte) in to.iter_mut().enumerate() {
            let at = offset + number;
            *byte = self.words.get(at / 8).map_or(0, |word| word.to_le_bytes()[at % 8]);
        }
    }

    /// Writes output at `offset`.
    pub(super) fn write(&mut self, machine: &mut impl Machine, offset: usize, from: &[u8]) {
        if offset + from.len() > self.output_bytes {
            return;
        }
        if !self.is_fast {
            let _ = machine.write(self.words[1].wrapping_add(offset as u64), from);
            return;
        }
        for (number, byte) in from.iter().enumerate() {
            let at = self.fast_output + offset + number;
            if let Some(word) = self.words.get_mut(at / 8) {
                let mut bytes = word.to_le_bytes();
                bytes[at % 8] = *byte;
                *word = u64::from_le_bytes(bytes);
            }
        }
    }
}

/// Aligned to 8 bytes, within one page, within the guest's memory: else HV_STATUS_INVALID_ALIGNMENT
/// (TLFS, "Common Hypercall Status Codes").
fn check_address(machine: &impl Machine, address: u64, bytes: usize) -> Result<(), Status> {
    let bytes = bytes as u64;
    if bytes == 0 {
        return Ok(());
    }
    let is_in_page = address % PAGE_BYTES + bytes <= PAGE_BYTES;
    if address.is_multiple_of(8) && is_in_page && machine.is_ram(address, bytes) {
        Ok(())
    } else {
        Err(Status::InvalidAlignment)
    }
}
