//! 64-bit Arm: the monitor at EL2 of QEMU's `virt` machine, the kernel at EL1.

mod cpu;
mod exit;
mod interrupts;
mod self_test;
mod serial;
mod stage_2;
mod vectors;

use core::sync::atomic::{AtomicBool, Ordering};

use monitor_core::{
    Arch, Config, Machine, OutsideRam, Partition, VPS_MAX,
    guest::{self, Aarch64State, Guest, Start},
    hypercall::StartContext,
    json::Line,
};

use crate::{lock::Lock, memory::Ram};
pub use cpu::now_100ns;
pub use self_test::{guest_call, guest_end, guest_exit, guest_nonsense};

/// The page just below the monitor, which describes the guest.
const DESCRIPTION: u64 = 0x401f_f000;

/// Everything that processors share.
pub struct Shared {
    pub partition: Partition,
    pub board: Board,
}

/// The machine as the shared core sees it.
pub struct Board {
    ram: Ram,
}

static SHARED: Lock<Shared> = Lock::new(Shared {
    partition: Partition::new(Config {
        arch: Arch::Aarch64,
        vtl: 0,
        has_lower: false,
        vps: 0,
        tsc_hz: 0,
        apic_hz: 0,
    }),
    board: Board { ram: Ram::new() },
});

static SERIAL: Lock<serial::Serial> = Lock::new(serial::Serial::new());

/// Where redistributors begin and how far they are apart (QEMU, hw/arm/virt.c; GICv3, two frames of 64 KiB each).
const REDISTRIBUTORS: u64 = 0x080a_0000;
const REDISTRIBUTOR_STRIDE: u64 = 0x2_0000;
/// GICR_ISPENDR0 in the second frame.
const SET_PENDING: u64 = 0x1_0000 + 0x200;

impl Machine for Board {
    fn is_ram(&self, address: u64, length: u64) -> bool {
        self.ram.contains(address, length)
    }

    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), OutsideRam> {
        self.ram.read(address, to)
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), OutsideRam> {
        self.ram.write(address, from)
    }

    fn now_100ns(&self) -> u64 {
        cpu::now_100ns()
    }

    /// Private interrupts only: that is what a device tree gives VMBus.
    fn interrupt(&mut self, vp: u32, vector: u32) {
        if (16..32).contains(&vector) && (vp as usize) < VPS_MAX {
            let register = REDISTRIBUTORS + u64::from(vp) * REDISTRIBUTOR_STRIDE + SET_PENDING;
            // SAFETY: the register that sets interrupts of processor `vp` pending, mapped as device memory.
            unsafe { (register as *mut u32).write_volatile(1 << vector) };
        }
    }

    fn start(&mut self, _: u32, _: &StartContext) {}

    fn report(&mut self, line: &str) {
        report(line);
    }
}

pub fn report(line: &str) {
    let mut serial = SERIAL.take();
    serial.write(line.as_bytes());
    serial.write(b"\n");
}

/// Whether somebody may want something of the guest, and where that comes in.
static TAKES_REQUESTS: AtomicBool = AtomicBool::new(false);
static REQUESTS: Lock<serial::Serial> = Lock::new(serial::Serial::new());

fn takes_requests() -> bool {
    TAKES_REQUESTS.load(Ordering::Relaxed)
}

/// Takes a request; false if there is none.
fn take_request() -> bool {
    let Some(byte) = REQUESTS.take().receive() else { return false };
    let mut shared = SHARED.take();
    let Shared { partition, board } = &mut *shared;
    partition.request(board, byte);
    true
}

/// Powers the machine off.
pub fn end() -> ! {
    loop {
        cpu::smc([monitor_core::smccc::PSCI_SYSTEM_OFF, 0, 0, 0]);
    }
}

/// The first processor, with a stack and nothing else.
pub extern "C" fn first() -> ! {
    cpu::map();
    let mut page = [0; guest::PAGE_BYTES];
    // SAFETY: RAM below the monitor that nothing writes any more.
    unsafe { core::ptr::copy_nonoverlapping(DESCRIPTION as *const u8, page.as_mut_ptr(), page.len()) };
    // Without a description the channel for the report isn't known either.
    let Ok(guest) = Guest::parse(&page) else { end() };
    let guest::Report { ecam, ports } = guest.report;
    SERIAL.take().open(ecam, ports, serial::REPORT);
    if (1..32).contains(&guest.requests) {
        REQUESTS.take().open(ecam, ports, guest.requests);
        TAKES_REQUESTS.store(true, Ordering::Relaxed);
    }
    let ram = Ram::of(guest.memory(), &[], guest.base);
    let is_translated = guest.base != 0;
    if is_translated && let Err(what) = stage_2::map(&ram, guest.cpus) {
        report(Line::new("error").text("what", what).end());
        end();
    }
    {
        let mut shared = SHARED.take();
        let Shared { partition, board } = &mut *shared;
        partition.config.vtl = guest.vtl;
        partition.config.vps = guest.cpus;
        board.ram = ram;
    }
    let line = Line::new("start").text("monitor", env!("CARGO_PKG_VERSION")).text("arch", "aarch64");
    let line = line.number("vtl", guest.vtl.into()).number("vps", guest.cpus.into());
    report(line.number("exception_level", cpu::exception_level()).end());
    cpu::allow_floating_point(false);
    let state = match &guest.start {
        Start::SelfTest => self_test::state(),
        Start::Linux(linux) => {
            let (kernel, device_tree) = (linux.kernel.start, linux.device_tree.unwrap_or_default().start);
            if !ram.contains(kernel, 64) || !ram.contains(device_tree, 40) {
                report(Line::new("error").text("what", "kernel or device tree outside RAM").end());
                end();
            }
            let line = Line::new("kernel-entry").hex("kernel", kernel).hex("device_tree", device_tree);
            report(line.number("time_100ns", cpu::now_100ns()).end());
            cpu::boot_state(kernel, device_tree)
        }
        Start::State(state) => {
            let line = Line::new("guest-entry").hex("pc", state.aarch64.pc);
            report(line.number("time_100ns", cpu::now_100ns()).end());
            state.aarch64
        }
    };
    enter(0, &state)
}

/// Another processor, started by the guest through PSCI.
pub extern "C" fn other(vp: u64) -> ! {
    cpu::map();
    let (entry, argument) = exit::starting(vp as usize);
    report(Line::new("vp-start").number("vp", vp).hex("pc", entry).end());
    cpu::allow_floating_point(false);
    enter(vp, &cpu::boot_state(entry, argument))
}

fn enter(vp: u64, state: &Aarch64State) -> ! {
    let extra = if stage_2::use_tables() {
        interrupts::prepare();
        cpu::TRANSLATED
    } else {
        0
    };
    cpu::enter(vp, state, extra)
}
