//! The guest that is part of the monitor, in 64-bit mode under SVM: how it asks, and how it ends.

use core::{
    arch::{asm, global_asm},
    cell::UnsafeCell,
};

use monitor_core::msr;

use super::{
    SHARED, Shared, cpu, end,
    linux::Loaded,
    svm::{Control, Registers},
};
use crate::self_test::run;

const STACK_BYTES: usize = 16 * 1024;

#[repr(C, align(16))]
struct Memory<T>(UnsafeCell<T>);

// SAFETY: one processor prepares them, and one guest uses them afterwards.
unsafe impl<T> Sync for Memory<T> {}

static STACK: Memory<[u8; STACK_BYTES]> = Memory(UnsafeCell::new([0; STACK_BYTES]));
static IDT: Memory<[[u64; 2]; 32]> = Memory(UnsafeCell::new([[0; 2]; 32]));

unsafe extern "C" {
    fn monitor_guest_undefined();
    fn monitor_guest_protection();
}

global_asm!(
    // Skipped: VMMCALL has three bytes, RDMSR and WRMSR two; the latter's exception has an error code.
    "monitor_guest_undefined:",
    "add qword ptr [rsp], 3",
    "iretq",
    "monitor_guest_protection:",
    "add rsp, 8",
    "add qword ptr [rsp], 2",
    "iretq",
);

/// The state in which the guest begins.
pub fn prepare(control: Control, registers: &mut Registers) {
    const UNDEFINED: usize = 6;
    const PROTECTION: usize = 13;
    for (vector, handler) in [
        (UNDEFINED, monitor_guest_undefined as *const () as u64),
        (PROTECTION, monitor_guest_protection as *const () as u64),
    ] {
        // Interrupt gate, present, 64-bit code segment.
        let low = handler & 0xffff | 0x10 << 16 | 0x8e00 << 32 | (handler >> 16 & 0xffff) << 48;
        // SAFETY: within the table; see `Sync` above.
        unsafe { (*IDT.0.get())[vector] = [low, handler >> 32] };
    }
    let loaded = Loaded { entry: guest as *const () as u64, boot_params: 0 };
    control.boot(&loaded, registers);
    // The stack looks as it does behind a call.
    control.set_up((IDT.0.get() as u64, 511), STACK.0.get() as u64 + STACK_BYTES as u64 - 8);
}

extern "C" fn guest() -> ! {
    // SAFETY: the guest's own CR4; the compiled code uses SSE.
    unsafe { asm!("mov {0}, cr4", "or {0}, 0x600", "mov cr4, {0}", out(reg) _, options(nostack)) };
    // The largest range: the first lies below 1 MiB.
    let region = {
        let shared = SHARED.take();
        let regions = shared.board.ram.regions().iter().copied();
        regions.max_by_key(|region| region.end - region.start).unwrap_or_default()
    };
    run((region.start, region.end))
}

/// RCX, RDX and R8 in; RAX comes back.
pub fn guest_call(control: u64, words: &mut [u64; 16]) -> u64 {
    let result;
    // SAFETY: the monitor changes RAX alone.
    unsafe {
        asm!("vmmcall", inout("rax") 0_u64 => result, in("rcx") control, in("rdx") words[0], in("r8") words[1]);
    }
    result
}

/// An MSR of Hyper-V's, read and written with a random value.
pub fn guest_nonsense(random: u64) {
    let number = msr::FIRST + (random % 0x120) as u32;
    // The hypercall page and the like are written where they are told, so they are told of nothing in use.
    let value = random >> 9;
    let _ = cpu::read_msr(number);
    cpu::write_msr(number, value);
}

/// The path that every kernel takes most.
pub fn guest_exit() {
    cpu::cpuid(0x4000_0001, 0);
}

pub fn guest_end() -> ! {
    {
        let mut shared = SHARED.take();
        let Shared { partition, board } = &mut *shared;
        partition.end(board, "self-test", 0);
    }
    end()
}
