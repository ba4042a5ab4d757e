//! Running the level below, and what of it is answered here and what goes to the level above.

use monitor_core::{
    cpuid,
    lower::{Access, Intercept},
    msr,
    vtl::{Entry, Exit},
};

use super::{
    SHARED, Shared, cpu,
    exit::{
        CPUID, GENERAL_PROTECTION, INVALID_OPCODE, MSR, MSR_EFER, PORT, SKINIT, VMMCALL, VMRUN, count,
        inject, skip,
    },
    lower,
    svm::{Control, EFER_LMA, EFER_SVME, Registers, field},
};

// AMD64 APM volume 2, appendix C.
const INTERRUPT: u64 = 0x60;
const INTERRUPT_WINDOW: u64 = 0x64;
const HALT: u64 = 0x78;
const NESTED_PAGE_FAULT: u64 = 0x400;
const INVALID: u64 = u64::MAX;

/// Why the level above runs again.
enum End {
    Interrupt,
    Intercept(Intercept),
}

/// Runs the lower level on processor `vp` until the upper one, whose block is `upper`, is to know something.
pub fn run(vp: u32, upper: Control, registers: &mut Registers, entry: &Entry) {
    let control = lower::block(vp);
    lower::switch(upper, control);
    if let Some([rax, rcx]) = entry.rax_rcx {
        control.put(field::RAX, rax);
        registers.rcx = rcx;
    }
    lower::apply(control, &entry.changes);
    let end = loop {
        control.run(registers);
        count();
        lower::keep_event(control);
        if let Some(end) = handle(vp, control, registers) {
            break end;
        }
    };
    let state = lower::state(control, registers);
    {
        let mut shared = SHARED.take();
        let Shared { partition, board } = &mut *shared;
        let exit = match &end {
            End::Interrupt => Exit::Interrupt,
            End::Intercept(intercept) => Exit::Intercept(intercept),
        };
        partition.enter_upper(board, vp, &state, exit);
    }
    lower::switch(control, upper);
}

/// One exit. `None`: the lower level goes on.
fn handle(vp: u32, control: Control, registers: &mut Registers) -> Option<End> {
    let intercept = match control.get(field::EXIT_CODE) {
        INTERRUPT => return Some(End::Interrupt),
        INTERRUPT_WINDOW => {
            lower::window_is_open(control);
            Intercept::InterruptionDeliverable
        }
        HALT => Intercept::Halt,
        CPUID => answer_cpuid(control, registers)?,
        PORT => port(control),
        MSR => access_msr(vp, control, registers)?,
        NESTED_PAGE_FAULT => memory(control),
        INVALID => Intercept::InvalidRegister,
        VMMCALL => {
            call(control, registers);
            return None;
        }
        // SVM is hidden.
        VMRUN..=SKINIT => {
            inject(control, INVALID_OPCODE);
            return None;
        }
        // Shutdown; there is no other, and if there were, the lower level can not go on with it.
        _ => Intercept::UnrecoverableException,
    };
    Some(End::Intercept(intercept))
}

fn answer_cpuid(control: Control, registers: &mut Registers) -> Option<Intercept> {
    let (leaf, subleaf) = (control.get(field::RAX) as u32, registers.rcx as u32);
    let native = cpu::cpuid(leaf, subleaf);
    let (answer, is_intercepted) = {
        let mut shared = SHARED.take();
        shared.partition.counts.cpuids += 1;
        let config = shared.partition.config;
        let answer = cpuid::answer_lower(&config, leaf, subleaf, native, control.get(field::CR4));
        (answer, shared.partition.intercepts_cpuid(leaf))
    };
    if is_intercepted {
        return Some(Intercept::Cpuid { answer });
    }
    let [eax, ebx, ecx, edx] = answer.map(u64::from);
    control.put(field::RAX, eax);
    (registers.rbx, registers.rcx, registers.rdx) = (ebx, ecx, edx);
    skip(control, 2);
    None
}

/// EXITINFO1: direction in bit 0, string in 2, repetition in 3, size in 6:4, port in 31:16. EXITINFO2: the next instruction.
fn port(control: Control) -> Intercept {
    let info = control.get(field::EXIT_INFO_1);
    let length = control.get(field::EXIT_INFO_2).wrapping_sub(control.get(field::RIP));
    Intercept::IoPort {
        port: (info >> 16) as u16,
        size: (info >> 4 & 7) as u8,
        is_write: info & 1 == 0,
        is_string: info & 1 << 2 != 0,
        is_repeated: info & 1 << 3 != 0,
        length: length.min(15) as u8,
    }
}

fn access_msr(vp: u32, control: Control, registers: &mut Registers) -> Option<Intercept> {
    let number = registers.rcx as u32;
    let is_write = control.get(field::EXIT_INFO_1) & 1 != 0;
    let value = registers.rdx << 32 | control.get(field::RAX) & 0xffff_ffff;
    // System calls, long mode, no-execute pages, fast FXSAVE.
    const EFER_KNOWN: u64 = 1 << 0 | 1 << 8 | EFER_LMA | 1 << 11 | 1 << 14;
    let read = match (number, is_write) {
        (MSR_EFER, true) if value & !EFER_KNOWN != 0 => {
            inject(control, GENERAL_PROTECTION);
            return None;
        }
        (MSR_EFER, true) => {
            let kept = control.get(field::EFER) & EFER_LMA;
            control.put(field::EFER, value & !EFER_LMA | kept | EFER_SVME);
            skip(control, 2);
            return None;
        }
        (MSR_EFER, false) => Some(control.get(field::EFER) & !EFER_SVME),
        (_, false) => msr::read_lower(&SHARED.take().partition, vp, number),
        (_, true) => None,
    };
    let Some(read) = read else { return Some(Intercept::Msr { number, is_write }) };
    control.put(field::RAX, read & 0xffff_ffff);
    registers.rdx = read >> 32;
    skip(control, 2);
    None
}

/// EXITINFO1: a page fault's error code. EXITINFO2: the address.
fn memory(control: Control) -> Intercept {
    let error = control.get(field::EXIT_INFO_1);
    let access = match (error & 1 << 4 != 0, error & 1 << 1 != 0) {
        (true, _) => Access::Execute,
        (false, true) => Access::Write,
        (false, false) => Access::Read,
    };
    Intercept::Memory { address: control.get(field::EXIT_INFO_2), access }
}

fn call(control: Control, registers: &Registers) {
    let answer = match control.get(field::CPL) as u8 {
        0 => SHARED.take().partition.lower_hypercall(registers.rcx),
        _ => None,
    };
    match answer {
        Some(status) => {
            control.put(field::RAX, status);
            skip(control, 3);
        }
        None => inject(control, INVALID_OPCODE),
    }
}
