//! What brings the guest to EL2: hypercalls, calls to firmware, and what nobody expects.

use core::sync::atomic::{AtomicU64, Ordering};

use monitor_core::{
    VPS_MAX,
    hypercall::{Outcome, Parameters, hypercall},
    json::Line,
    partition::Unimplemented,
    smccc::{self, Call},
};

use super::{SHARED, Shared, cpu, end, report, vectors::monitor_other};

/// The guest's registers X0 to X19, X29 and X30, as the entry in assembly lays them out.
#[repr(C)]
pub struct Frame {
    x: [u64; 20],
    _x29_x30: [u64; 2],
}

// Arm ARM, ESR_EL2, field EC: exception classes.
const HVC: u64 = 0x16;
const SMC: u64 = 0x17;

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
    let (syndrome, address) = cpu::syndrome();
    match syndrome >> 26 & 0x3f {
        HVC => call(frame, address),
        SMC => {
            // The instruction was trapped, not carried out, so the address is still its own.
            cpu::skip_instruction();
            call(frame, address + 4);
        }
        class => {
            let line = Line::new("unexpected-exit").hex("class", class).hex("syndrome", syndrome);
            report(line.hex("address", address).end());
            finish("unexpected-exit");
        }
    }
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
                Outcome::Undefined => cpu::undefined(next - 4),
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
