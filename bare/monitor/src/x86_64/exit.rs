//! What brings the guest to the monitor: CPUID, hypercalls, MSRs, a few ports, and the end.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use monitor_core::{
    cpuid,
    hypercall::{Outcome, Parameters, hypercall},
    json::Line,
    msr,
    vtl::Entry,
};

use super::{
    SHARED, Shared, below, cpu, port, report,
    svm::{Control, EFER_LMA, EFER_SVME, Registers, field, watched},
};

// AMD64 APM volume 2, appendix C.
pub const CPUID: u64 = 0x72;
const HALT: u64 = 0x78;
pub const PORT: u64 = 0x7b;
pub const MSR: u64 = 0x7c;
const SHUTDOWN: u64 = 0x7f;
pub const VMRUN: u64 = 0x80;
pub const VMMCALL: u64 = 0x81;
pub const SKINIT: u64 = 0x86;

pub const MSR_EFER: u32 = 0xc000_0080;
pub const INVALID_OPCODE: u64 = 6;
pub const GENERAL_PROTECTION: u64 = 13;

static EXITS: AtomicU64 = AtomicU64::new(0);

/// Runs processor `vp` for ever.
pub fn serve(vp: u32, control: Control, registers: &mut Registers) -> ! {
    loop {
        control.run(registers);
        count();
        match control.get(field::EXIT_CODE) {
            CPUID => answer_cpuid(control, registers),
            VMMCALL => {
                if let Some(entry) = call(vp, control, registers) {
                    below::run(vp, control, registers, &entry);
                }
            }
            MSR => access_msr(vp, control, registers),
            PORT => access_port(control),
            HALT => halt(control),
            SHUTDOWN => finish("triple-fault"),
            // SVM is hidden from the guest.
            VMRUN..=SKINIT => inject(control, INVALID_OPCODE),
            code => {
                let line = Line::new("unexpected-exit").number("vp", vp.into()).hex("code", code);
                let line = line.hex("info_1", control.get(field::EXIT_INFO_1));
                report(line.hex("address", control.get(field::RIP)).end());
                finish("unexpected-exit");
            }
        }
    }
}

/// The guest idles, or, with interrupts off, has ended. It isn't kept from running: it looks for work by itself.
fn halt(control: Control) {
    static HALTED: AtomicUsize = AtomicUsize::new(0);
    super::take_request();
    if control.end_halt() {
        return;
    }
    let started = SHARED.take().partition.started();
    if HALTED.fetch_add(1, Ordering::Relaxed) + 1 >= started {
        finish("halt");
    }
    cpu::halt()
}

/// One more exit of any level.
pub fn count() {
    EXITS.fetch_add(1, Ordering::Relaxed);
}

pub fn skip(control: Control, bytes: u64) {
    control.put(field::RIP, control.get(field::RIP).wrapping_add(bytes));
}

/// Raises an exception at the instruction that came here.
pub fn inject(control: Control, vector: u64) {
    const VALID: u64 = 1 << 31;
    const EXCEPTION: u64 = 3 << 8;
    const HAS_ERROR_CODE: u64 = 1 << 11;
    let error = if vector == GENERAL_PROTECTION { HAS_ERROR_CODE } else { 0 };
    control.put(field::EVENT_INJECTION, vector | EXCEPTION | VALID | error);
}

fn answer_cpuid(control: Control, registers: &mut Registers) {
    let (leaf, subleaf) = (control.get(field::RAX) as u32, registers.rcx as u32);
    let native = cpu::cpuid(leaf, subleaf);
    let [eax, ebx, ecx, edx] = {
        let mut shared = SHARED.take();
        shared.partition.counts.cpuids += 1;
        cpuid::answer(&shared.partition.config, leaf, subleaf, native, control.get(field::CR4))
    };
    control.put(field::RAX, eax.into());
    (registers.rbx, registers.rcx, registers.rdx) = (ebx.into(), ecx.into(), edx.into());
    skip(control, 2);
}

/// TLFS, "Hypercall Inputs": control in RCX, input and output in RDX and R8, result in RAX.
/// Returns what to go on with below, if it is to go on there.
fn call(vp: u32, control: Control, registers: &mut Registers) -> Option<Entry> {
    // From the most privileged level only.
    if control.get(field::CPL) as u8 != 0 {
        inject(control, INVALID_OPCODE);
        return None;
    }
    let mut parameters = Parameters::new(&[registers.rdx, registers.r8_to_r15[0]]);
    parameters.vtl_control = control.get(field::RAX);
    let outcome = {
        let mut shared = SHARED.take();
        let Shared { partition, board } = &mut *shared;
        hypercall(partition, board, vp, registers.rcx, &mut parameters)
    };
    match outcome {
        Outcome::Result(value) => {
            control.put(field::RAX, value);
            skip(control, 3);
        }
        Outcome::Undefined => inject(control, INVALID_OPCODE),
        Outcome::Lower(entry) => {
            skip(control, 3);
            return Some(entry);
        }
    }
    None
}

fn access_msr(vp: u32, control: Control, registers: &mut Registers) {
    let number = registers.rcx as u32;
    let is_write = control.get(field::EXIT_INFO_1) & 1 != 0;
    let value = registers.rdx << 32 | control.get(field::RAX) & 0xffff_ffff;
    let answer = match (number, is_write) {
        (MSR_EFER, true) => {
            // The guest neither sees nor changes that SVM is on, nor can it set what hardware keeps.
            let kept = control.get(field::EFER) & EFER_LMA;
            control.put(field::EFER, value & !EFER_LMA | kept | EFER_SVME);
            Ok(0)
        }
        (MSR_EFER, false) => Ok(control.get(field::EFER) & !EFER_SVME),
        (msr::FIRST..=msr::LAST, _) => {
            let mut shared = SHARED.take();
            let Shared { partition, board } = &mut *shared;
            match is_write {
                true => msr::write(partition, board, vp, number, value).map(|()| 0),
                false => msr::read(partition, board, vp, number),
            }
        }
        // Neither the registers of SVM nor those that the map can't name are there.
        _ => Err(msr::GeneralProtection),
    };
    match answer {
        Ok(value) => {
            if !is_write {
                control.put(field::RAX, value & 0xffff_ffff);
                registers.rdx = value >> 32;
            }
            skip(control, 2);
        }
        Err(msr::GeneralProtection) => inject(control, GENERAL_PROTECTION),
    }
}

/// EXITINFO1: direction in bit 0, string in 2, size in 6:4, port in 31:16. EXITINFO2: the next instruction.
fn access_port(control: Control) {
    let info = control.get(field::EXIT_INFO_1);
    let (number, size) = ((info >> 16) as u16, (info >> 4 & 7) as u32);
    let is_read = info & 1 != 0;
    if info & 1 << 2 != 0 {
        return inject(control, GENERAL_PROTECTION);
    }
    let value = control.get(field::RAX) as u32;
    let is_own = number == port::REPORT || (port::EXIT..port::EXIT + 4).contains(&number);
    if is_read {
        let read = match number {
            _ if is_own => u32::MAX,
            // No keyboard controller: it looks like an idle one, or the kernel asks for long whether it is busy.
            watched::KEYBOARD => {
                Some(port::read(number, size)).filter(|read| *read as u8 != 0xff).unwrap_or(0)
            }
            _ => port::read(number, size),
        };
        let mask = u64::from(u32::MAX) >> (32 - 8 * size.clamp(1, 4));
        control.put(field::RAX, control.get(field::RAX) & !mask | u64::from(read) & mask);
    } else if !is_own {
        match number {
            watched::KEYBOARD if value as u8 == 0xfe => finish("keyboard-reset"),
            watched::POWER if value & 1 << 13 != 0 => finish("acpi-sleep"),
            _ => port::write(number, size, value),
        }
    }
    control.put(field::RIP, control.get(field::EXIT_INFO_2));
}

fn finish(reason: &str) -> ! {
    let mut shared = SHARED.take();
    let Shared { partition, board } = &mut *shared;
    partition.end(board, reason, EXITS.load(Ordering::Relaxed));
    port::exit()
}
