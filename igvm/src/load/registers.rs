//! Registers of a VP context, by name, as fields.

use igvm::registers::{AArch64Register, SegmentRegister, TableRegister, X86Register};
use image::igvm::start::{Aarch64, Segment, Table, X86_64};

/// Memory types of ranges are the machine's own affair: what is set of them is left out.
pub fn x86_64(registers: &[X86Register]) -> X86_64 {
    let mut state = X86_64::default();
    for register in registers {
        match *register {
            X86Register::Gdtr(value) => state.gdtr = table(value),
            X86Register::Idtr(value) => state.idtr = table(value),
            X86Register::Cs(value) => state.segments[0] = segment(value),
            X86Register::Ds(value) => state.segments[1] = segment(value),
            X86Register::Es(value) => state.segments[2] = segment(value),
            X86Register::Fs(value) => state.segments[3] = segment(value),
            X86Register::Gs(value) => state.segments[4] = segment(value),
            X86Register::Ss(value) => state.segments[5] = segment(value),
            X86Register::Tr(value) => state.segments[6] = segment(value),
            X86Register::Cr0(value) => state.cr0 = value,
            X86Register::Cr3(value) => state.cr3 = value,
            X86Register::Cr4(value) => state.cr4 = value,
            X86Register::Efer(value) => state.efer = value,
            X86Register::Pat(value) => state.pat = value,
            X86Register::Rbp(value) => state.rbp = value,
            X86Register::Rip(value) => state.rip = value,
            X86Register::Rsi(value) => state.rsi = value,
            X86Register::Rsp(value) => state.rsp = value,
            X86Register::R8(value) => state.r8_to_r12[0] = value,
            X86Register::R9(value) => state.r8_to_r12[1] = value,
            X86Register::R10(value) => state.r8_to_r12[2] = value,
            X86Register::R11(value) => state.r8_to_r12[3] = value,
            X86Register::R12(value) => state.r8_to_r12[4] = value,
            X86Register::Rflags(value) => state.rflags = value,
            _ => {}
        }
    }
    state
}

fn segment(from: SegmentRegister) -> Segment {
    let SegmentRegister { base, limit, selector, attributes } = from;
    Segment { base, limit, selector, attributes }
}

fn table(from: TableRegister) -> Table {
    Table { base: from.base, limit: from.limit }
}

pub fn aarch64(registers: &[AArch64Register]) -> Aarch64 {
    let mut state = Aarch64::default();
    for register in registers {
        match *register {
            AArch64Register::Pc(value) => state.pc = value,
            AArch64Register::X0(value) => state.x0_to_x7[0] = value,
            AArch64Register::X1(value) => state.x0_to_x7[1] = value,
            AArch64Register::X2(value) => state.x0_to_x7[2] = value,
            AArch64Register::X3(value) => state.x0_to_x7[3] = value,
            AArch64Register::X4(value) => state.x0_to_x7[4] = value,
            AArch64Register::X5(value) => state.x0_to_x7[5] = value,
            AArch64Register::X6(value) => state.x0_to_x7[6] = value,
            AArch64Register::X7(value) => state.x0_to_x7[7] = value,
            AArch64Register::Cpsr(value) => state.cpsr = value,
            AArch64Register::SctlrEl1(value) => state.sctlr = value,
            AArch64Register::TcrEl1(value) => state.tcr = value,
            AArch64Register::MairEl1(value) => state.mair = value,
            AArch64Register::VbarEl1(value) => state.vbar = value,
            AArch64Register::Ttbr0El1(value) => state.ttbr[0] = value,
            AArch64Register::Ttbr1El1(value) => state.ttbr[1] = value,
        }
    }
    state
}
