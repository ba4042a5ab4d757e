//! What brings the guest to EL2: hypercalls, calls to firmware, and what nobody expects.

use core::sync::atomic::{AtomicU64, Ordering};

use monitor_core::{
    VPS_MAX,
    hypercall::{Outcome, Parameters, hypercall},
    json::Line,
    partition::Unimplemented,
    smccc::{self, Call},
};

use super::{SHARED, Shared, cpu, end, interrupts, report, vectors::monitor_other};

/// The guest's registers, as the entry in assembly lays them out.
#[repr(C)]
pub struct Frame {
    x: [u64; 20],
    x29_x30: [u64; 2],
    _fpcr_fpsr: [u64; 2],
    x20_to_x27: [u64; 8],
    _q: [u64; 64],
    x28: u64,
}

impl Frame {
    /// A general register by its number in an instruction; 31 reads as zero.
    pub fn general(&self, number: u64) -> u64 {
        match number as usize {
            number @ 0..20 => self.x[number],
            number @ 20..28 => self.x20_to_x27[number - 20],
            28 => self.x28,
            number @ 29..31 => self.x29_x30[number - 29],
            _ => 0,
        }
    }

    /// As [`Frame::general`]; what is written to 31 goes nowhere.
    pub fn set_general(&mut self, number: u64, value: u64) {
        match number as usize {
            number @ 0..20 => self.x[number] = value,
            number @ 20..28 => self.x20_to_x27[number - 20] = value,
            28 => self.x28 = value,
            number @ 29..31 => self.x29_x30[number - 29] = value,
            _ => {}
        }
    }
}

// Arm ARM, ESR_EL2, field EC: exception classes.
const WFI: u64 = 0x01;
const HVC: u64 = 0x16;
const SMC: u64 = 0x17;
const SLEEP: u64 = 0x01;
const SYSTEM_REGISTER: u64 = 0x18;
const DATA_ABORT: u64 = 0x24;

/// PSCI: the processor runs already, or there is no such processor.
const INVALID_PARAMETERS: u64 = -2_i64 as u64;

/// Where each processor begins and with what, for those that the guest has started.
static ENTRIES: [AtomicU64; VPS_MAX] = [const { AtomicU64::new(0) }; VPS_MAX];
static ARGUMENTS: [AtomicU64; VPS_MAX] = [const { AtomicU64::new(0) }; VPS_MAX];
static EXITS: AtomicU64 = AtomicU64::new(0);

/// What the guest asked firmware for this processor to begin with.
pub fn starting(vp: usize) -> (u64, u64) {
    (ENTRIES[vp].load(Ordering::Acquire), ARGUMENTS[vp].load(Ordering::Acquire))
}

/// A synchronous exception from EL1.
pub extern "C" fn handle(frame: &mut Frame) {
    EXITS.fetch_add(1, Ordering::Relaxed);
    interrupts::deliver();
    let (syndrome, address) = cpu::syndrome();
    match syndrome >> 26 & 0x3f {
        WFI => idle(),
        HVC => call(frame, address),
        SMC => {
            // The instruction was trapped, not carried out, so the address is still its own.
            cpu::skip_instruction();
            call(frame, address + 4);
        }
        // It would sleep while an interrupt waited for this: now there is one to wake it, or it asks again.
        SLEEP => cpu::skip_instruction(),
        SYSTEM_REGISTER if interrupts::send(syndrome, frame) => cpu::skip_instruction(),
        DATA_ABORT if interrupts::redistributor(syndrome, frame) => cpu::skip_instruction(),
        class => {
            let line = Line::new("unexpected-exit").hex("class", class).hex("syndrome", syndrome);
            report(line.hex("address", address).hex("fault", cpu::fault_address()).end());
            finish("unexpected-exit");
        }
    }
}

/// The guest waits for an interrupt, and the monitor with it, for requests as well.
fn idle() {
    while !cpu::is_interrupt_pending() {
        if super::take_request() {
            break;
        }
    }
    cpu::skip_instruction();
}

/// An exception of the monitor's own, or an interrupt that isn't routed here.
pub extern "C" fn fault() -> ! {
    let (syndrome, address) = cpu::syndrome();
    report(Line::new("monitor-fault").hex("syndrome", syndrome).hex("address", address).end());
    end()
}

/// `next` is the address behind the instruction.
fn call(frame: &mut Frame, next: u64) {
    match smccc::sort(frame.x[0], frame.x[1]) {
        Call::Hypercall => {
            let mut parameters = Parameters::new(&frame.x[2..18]);
            let outcome = {
                let mut shared = SHARED.take();
                let Shared { partition, board } = &mut *shared;
                hypercall(partition, board, cpu::current() as u32, frame.x[1], &mut parameters)
            };
            match outcome {
                Outcome::Result(value) => {
                    frame.x[0] = value;
                    frame.x[2..18].copy_from_slice(&parameters.words);
                }
                // No level is below on 64-bit Arm.
                Outcome::Undefined | Outcome::Lower(_) => cpu::undefined(next - 4),
            }
        }
        Call::Answer(words) => frame.x[..4].copy_from_slice(&words),
        Call::Forward => forward(frame),
        Call::CpuOn => frame.x[0] = cpu_on(frame.x[1], frame.x[2], frame.x[3]),
        Call::End(reason) => {
            finish_with(reason, frame);
        }
        Call::Unknown => {
            let mut shared = SHARED.take();
            let Shared { partition, board } = &mut *shared;
            partition.unimplemented(board, Unimplemented::Smccc, frame.x[0], smccc::NOT_SUPPORTED);
            frame.x[0] = smccc::NOT_SUPPORTED;
        }
    }
}

/// PSCI CPU_ON: the new processor comes to the monitor first, which then lets it go where the guest wants.
fn cpu_on(affinity: u64, entry: u64, argument: u64) -> u64 {
    // Sixteen processors to an Aff0 (QEMU with a GICv3).
    let vp = (affinity >> 8 & 0xff) * 16 + (affinity & 0xff);
    let vps = u64::from(SHARED.take().partition.config.vps);
    if affinity & 0xff > 15 || affinity >> 16 != 0 || vp >= vps.min(VPS_MAX as u64) {
        return INVALID_PARAMETERS;
    }
    ENTRIES[vp as usize].store(entry, Ordering::Release);
    ARGUMENTS[vp as usize].store(argument, Ordering::Release);
    let start = monitor_other as *const () as u64;
    cpu::smc([smccc::PSCI_CPU_ON, affinity, start, vp])[0]
}

fn finish(reason: &str) -> ! {
    {
        let mut shared = SHARED.take();
        let Shared { partition, board } = &mut *shared;
        partition.end(board, reason, EXITS.load(Ordering::Relaxed));
    }
    end()
}

fn finish_with(reason: &str, frame: &mut Frame) {
    {
        let mut shared = SHARED.take();
        let Shared { partition, board } = &mut *shared;
        partition.end(board, reason, EXITS.load(Ordering::Relaxed));
    }
    forward(frame);
}

/// Hands a call on to firmware.
fn forward(frame: &mut Frame) {
    let [x0, x1, x2, x3, ..] = frame.x;
    frame.x[..4].copy_from_slice(&cpu::smc([x0, x1, x2, x3]));
}
