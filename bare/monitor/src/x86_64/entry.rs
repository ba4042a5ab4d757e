//! x86-64: the monitor as a thin hypervisor under SVM, started by a multiboot loader; also the loader
//! that puts a Linux kernel in place.

mod below;
mod cpu;
mod exit;
mod linux;
mod lower;
mod moved;
mod multiboot;
mod nested;
mod port;
mod self_test;
mod start;
mod svm;

use core::sync::atomic::{AtomicU16, Ordering};

use monitor_core::{
    Arch, Config, Machine, OutsideRam, Partition, VPS_MAX,
    guest::{self, Guest, MEMORY_MAX, Memory, Region, Start},
    hypercall::StartContext,
    json::Line,
};

use crate::{lock::Lock, memory::Ram};
pub use cpu::now_100ns;
pub use self_test::{guest_call, guest_end, guest_exit, guest_nonsense};
use svm::{Control, Registers};

/// The monitor's memory (link/x86_64.ld); its last page describes the guest.
const MONITOR: core::ops::Range<u64> = 0x10_0000..0x80_0000;
const DESCRIPTION: u64 = MONITOR.end - guest::PAGE_BYTES as u64;

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
        arch: Arch::X86_64,
        vtl: 0,
        has_lower: false,
        vps: 0,
        tsc_hz: 0,
        apic_hz: cpu::APIC_HZ,
    }),
    board: Board { ram: Ram::new() },
});

/// What each processor begins with, for those that the guest has started.
static CONTEXTS: Lock<[Option<StartContext>; VPS_MAX]> = Lock::new([None; VPS_MAX]);

static REPORT: Lock<()> = Lock::new(());

/// Port of the 16550 where requests come in; 0: nobody asks for anything.
static REQUESTS: AtomicU16 = AtomicU16::new(0);

fn start_idle_watch(control: Control) -> Control {
    if REQUESTS.load(Ordering::Relaxed) != 0 {
        control.intercept_halt();
    }
    control
}

/// Takes a request, if there is one.
fn take_request() {
    if let Some(byte) = port::receive(REQUESTS.load(Ordering::Relaxed)) {
        let mut shared = SHARED.take();
        let Shared { partition, board } = &mut *shared;
        partition.request(board, byte);
    }
}

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

    fn interrupt(&mut self, vp: u32, vector: u32) {
        // Vectors below 16 are not the local APIC's to send.
        if (16..256).contains(&vector) {
            cpu::send_interrupt(vp, vector as u8);
        }
    }

    fn start(&mut self, vp: u32, context: &StartContext) {
        CONTEXTS.take()[vp as usize] = Some(*context);
        cpu::start(vp, start::TRAMPOLINE);
    }

    fn lower_register(&self, vp: u32, name: u32) -> Option<[u64; 2]> {
        lower::get(vp, name)
    }

    fn set_lower_register(&mut self, vp: u32, name: u32, value: [u64; 2]) -> Option<()> {
        lower::set(vp, name, value)
    }

    fn report(&mut self, line: &str) {
        report(line);
    }
}

pub fn report(line: &str) {
    let _held = REPORT.take();
    for byte in line.bytes().chain([b'\n']) {
        port::write(port::REPORT, 1, byte.into());
    }
}

pub fn end() -> ! {
    port::exit()
}

fn fail(what: &str) -> ! {
    report(Line::new("error").text("what", what).end());
    end()
}

/// The first processor, with a stack and what the loader left.
extern "C" fn first(information: u64) -> ! {
    let mut registers = Registers::new();
    let control = prepare(information, &mut registers);
    exit::serve(0, control, &mut registers)
}

/// Puts the guest in place. On its own, so that its stack is free again when the guest runs.
#[inline(never)]
fn prepare(information: u64, registers: &mut Registers) -> Control {
    // A VTL2 kernel never programs the old interrupt controllers: without this, their timer arrives as an exception.
    port::write(0x21, 1, 0xff);
    port::write(0xa1, 1, 0xff);
    cpu::measure_tsc();
    let guest = Guest::parse(&description()).unwrap_or_else(|what| fail(what));
    let mut entries = [Memory::default(); MEMORY_MAX];
    let map = memory_map(&guest, information, &mut entries);
    // Nothing of the machine is left out of what is moved: all of it lies behind the monitor.
    let reserved = reserved();
    let ram = Ram::of(map, if guest.base == 0 { &reserved } else { &[] }, guest.base);
    let line = Line::new("start").text("monitor", env!("CARGO_PKG_VERSION")).text("arch", "x86_64");
    let line = line.number("vtl", guest.vtl.into());
    report(line.number("vps", guest.cpus.into()).number("tsc_hz", cpu::tsc_hz()).end());
    if !cpu::has_svm() {
        fail("the processor has no SVM: -cpu max is needed");
    }
    let has_lower = prepare_lower(&guest, map, &reserved);
    {
        let mut shared = SHARED.take();
        shared.board.ram = ram;
        shared.partition.config.vtl = guest.vtl;
        shared.partition.config.has_lower = has_lower;
        shared.partition.config.vps = guest.cpus.clamp(1, VPS_MAX as u32);
        shared.partition.config.tsc_hz = cpu::tsc_hz();
    }
    copy_trampoline();
    // The monitor's own guest reports and ends by itself.
    svm::fill_maps(guest.start != Start::SelfTest);
    REQUESTS.store(guest.requests as u16, Ordering::Relaxed);
    let control = start_idle_watch(Control::prepare(0));
    lower::reset(0);
    match &guest.start {
        Start::SelfTest => self_test::prepare(control, registers),
        Start::Linux(linux) => {
            let loaded = linux::load(linux, map, &ram).unwrap_or_else(|what| fail(what));
            let line = Line::new("kernel-entry").hex("kernel", loaded.entry);
            let line = line.hex("boot_params", loaded.boot_params);
            report(line.number("time_100ns", cpu::now_100ns()).end());
            control.boot(&loaded, registers);
        }
        Start::State(state) => {
            let line = Line::new("guest-entry").hex("rip", state.x86_64.rip);
            report(line.number("time_100ns", cpu::now_100ns()).end());
            if guest.base != 0 {
                moved::map(&ram).unwrap_or_else(|what| fail(what));
                moved::translate(control);
            }
            control.begin(&state.x86_64);
            registers.begin(&state.x86_64_general);
        }
    }
    control
}

/// The page that describes the guest.
fn description() -> [u8; guest::PAGE_BYTES] {
    let mut page = [0; guest::PAGE_BYTES];
    // SAFETY: RAM behind the monitor, where no Rust object lies and nothing writes any more.
    unsafe { core::ptr::copy_nonoverlapping(DESCRIPTION as *const u8, page.as_mut_ptr(), page.len()) };
    page
}

/// The guest's description has it, or the loader.
fn memory_map<'a>(guest: &Guest, information: u64, entries: &'a mut [Memory; MEMORY_MAX]) -> &'a [Memory] {
    let mut count = guest.memory().len();
    entries[..count].copy_from_slice(guest.memory());
    if count == 0 {
        for memory in multiboot::memory(information).take(MEMORY_MAX) {
            entries[count] = memory;
            count += 1;
        }
    }
    &entries[..count]
}

/// Another processor, started because the guest asked for it.
extern "C" fn other(vp: u64) -> ! {
    let context = CONTEXTS.take().get_mut(vp as usize).and_then(Option::take);
    let Some(context) = context else { fail("the guest started a processor by itself, not through Hyper-V") };
    let mut registers = Registers::new();
    let control = start_idle_watch(Control::prepare(vp as usize));
    moved::translate(control);
    lower::reset(vp as u32);
    control.begin(&context);
    exit::serve(vp as u32, control, &mut registers)
}

/// Makes the level below, if the memory map has memory for one: RAM that is nobody else's.
fn prepare_lower(guest: &Guest, map: &[Memory], reserved: &[Region]) -> bool {
    let mut regions = [Region::default(); MEMORY_MAX];
    let mut count = 0;
    for memory in map.iter().filter(|memory| memory.kind == guest::LOWER) {
        regions[count] = memory.region;
        count += 1;
    }
    if count == 0 {
        return false;
    }
    if guest.vtl != 2 || guest.base != 0 {
        fail("only below level 2, at its own addresses, is another level");
    }
    let regions = &regions[..count];
    let overlap = |a: &Region, b: &Region| a.start < b.end && b.start < a.end;
    let others = map.iter().filter(|memory| memory.kind != guest::LOWER).map(|memory| &memory.region);
    if others.chain(reserved).any(|other| regions.iter().any(|region| overlap(region, other))) {
        fail("memory of the lower level is also somebody else's");
    }
    let root = nested::build(regions).unwrap_or_else(|what| fail(what));
    lower::prepare(root);
    let mut line = regions.iter().fold(Line::new("lower-level-memory"), |line, region| {
        line.hex("start", region.start).hex("end", region.end)
    });
    report(line.end());
    true
}

/// What is not the guest's: the first page, the trampoline and the monitor's memory.
fn reserved() -> [Region; 3] {
    let trampoline =
        Region { start: start::TRAMPOLINE, end: start::TRAMPOLINE + start::TRAMPOLINE_BYTES as u64 };
    [Region { start: 0, end: 4096 }, trampoline, Region { start: MONITOR.start, end: MONITOR.end }]
}

fn copy_trampoline() {
    // A kernel that has given up real mode starts processors at address 0; from there they come here as well.
    // SAFETY: the first page is not the guest's.
    unsafe {
        core::arch::asm!(
            "mov dword ptr [{zero}], 0x008000ea",
            "mov byte ptr [{zero} + 4], 0",
            zero = in(reg) 0_u64,
            options(nostack)
        );
    }
    // SAFETY: the code between the two symbols is shorter than a page, and the page is not the guest's.
    unsafe {
        let from = &raw const start::monitor_trampoline;
        let length = (&raw const start::monitor_trampoline_end).offset_from(from) as usize;
        core::ptr::copy_nonoverlapping(
            from,
            start::TRAMPOLINE as *mut u8,
            length.min(start::TRAMPOLINE_BYTES),
        );
    }
}
