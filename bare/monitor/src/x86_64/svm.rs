//! AMD's Secure Virtual Machine (AMD64 APM volume 2, chapter 15 and appendix B): the control block of a processor,
//! what comes to the monitor, and running the guest until something does.
//!
//! Nested paging is off for the guest itself: its page tables are the processor's, so it reaches all memory. The level
//! below it has nested paging (`lower`).

use core::{arch::global_asm, cell::UnsafeCell};

use monitor_core::{VPS_MAX, hypercall::StartContext};

use super::{cpu, linux::Loaded, port, start};

#[repr(C, align(4096))]
pub struct Page<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: a processor's pages are its own; the permission maps are filled by the first processor before any guest runs.
unsafe impl<const BYTES: usize> Sync for Page<BYTES> {}

impl<const BYTES: usize> Page<BYTES> {
    pub const fn filled(byte: u8) -> Page<BYTES> {
        Page(UnsafeCell::new([byte; BYTES]))
    }

    pub fn address(&self) -> u64 {
        self.0.get() as u64
    }

    /// This page as a control block.
    pub fn control(&self) -> Control {
        const { assert!(BYTES == 4096) };
        Control(self.0.get().cast())
    }

    /// Of a permission map, before any guest runs.
    pub fn clear_bits(&self, at: usize, bits: u8) {
        assert!(at < BYTES);
        // SAFETY: within the page; see `Sync` above.
        unsafe {
            let byte = self.0.get().cast::<u8>().add(at);
            byte.write_volatile(byte.read_volatile() & !bits);
        }
    }
}

static CONTROL: [Page<4096>; VPS_MAX] = [const { Page(UnsafeCell::new([0; 4096])) }; VPS_MAX];
static HOST_SAVE: [Page<4096>; VPS_MAX] = [const { Page(UnsafeCell::new([0; 4096])) }; VPS_MAX];
static MSR_MAP: Page<8192> = Page(UnsafeCell::new([0; 8192]));
static PORT_MAP: Page<12288> = Page(UnsafeCell::new([0; 12288]));

/// Registers that the control block doesn't hold, as the assembly below has them.
#[repr(C, align(16))]
pub struct Registers {
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub r8_to_r15: [u64; 8],
    _pad: [u64; 2],
    fx: [u8; 512],
}

impl Registers {
    pub const fn new() -> Registers {
        let mut fx = [0; 512];
        // Control words after reset: all exceptions masked.
        fx[0] = 0x7f;
        fx[1] = 0x03;
        fx[24] = 0x80;
        fx[25] = 0x1f;
        Registers { rbx: 0, rcx: 0, rdx: 0, rsi: 0, rdi: 0, rbp: 0, r8_to_r15: [0; 8], _pad: [0; 2], fx }
    }

    /// RBP, RSI, R8 to R12; the others are zero.
    pub fn begin(&mut self, general: &[u64; 7]) {
        let [rbp, rsi, upper @ ..] = general;
        (self.rbp, self.rsi) = (*rbp, *rsi);
        self.r8_to_r15[..upper.len()].copy_from_slice(upper);
    }
}

/// Fields of the control block, by offset.
pub mod field {
    pub const EXIT_CODE: usize = 0x70;
    pub const EXIT_INFO_1: usize = 0x78;
    pub const EXIT_INFO_2: usize = 0x80;
    pub const NESTED_PAGING: usize = 0x90;
    pub const EVENT_INJECTION: usize = 0xa8;
    pub const NESTED_CR3: usize = 0xb0;
    /// Privilege level, a byte.
    pub const CPL: usize = 0x4cb;
    pub const EFER: usize = 0x4d0;
    pub const CR4: usize = 0x548;
    pub const CR2: usize = 0x640;
    pub const CR3: usize = 0x550;
    pub const CR0: usize = 0x558;
    pub const RIP: usize = 0x578;
    pub const RAX: usize = 0x5f8;
}

// The rest are used here and for the lower level alone.
pub(super) const INTERCEPT_1: usize = 0x0c;
pub(super) const INTERCEPT_2: usize = 0x10;
pub(super) const PORT_MAP_BASE: usize = 0x40;
pub(super) const MSR_MAP_BASE: usize = 0x48;
pub(super) const ASID: usize = 0x58;
const INTERRUPT_SHADOW: usize = 0x68;
pub(super) const SEGMENTS: usize = 0x400;
pub(super) const GDTR: usize = 0x460;
pub(super) const IDTR: usize = 0x480;
pub(super) const RFLAGS: usize = 0x570;
pub(super) const DR6: usize = 0x568;
pub(super) const DR7: usize = 0x560;
pub(super) const RSP: usize = 0x5d8;
pub(super) const PAT: usize = 0x668;

pub const EFER_SVME: u64 = 1 << 12;
pub const EFER_LMA: u64 = 1 << 10;
const EFER_LONG: u64 = 1 << 8 | EFER_LMA;

const MSR_EFER: u32 = 0xc000_0080;
pub(super) const MSR_PAT: u32 = 0x277;
const MSR_HOST_SAVE: u32 = 0xc001_0117;
const MSR_VM_CR: u32 = 0xc001_0114;

/// Ports whose use the monitor wants to know: its own two devices, and those that end or reset a machine.
pub mod watched {
    pub const KEYBOARD: u16 = 0x64;
    /// ACPI's control register on QEMU's q35.
    pub const POWER: u16 = 0x604;
}

/// A processor's control block.
#[derive(Clone, Copy)]
pub struct Control(pub(super) *mut u8);

impl Control {
    /// That of processor `vp`, with intercepts and nothing of the guest's state. Prepares the processor as well.
    pub fn prepare(vp: usize) -> Control {
        cpu::write_msr(MSR_HOST_SAVE, HOST_SAVE[vp].0.get() as u64);
        let control = Control(CONTROL[vp].0.get().cast());
        // CPUID, I/O ports, MSRs, shutdown; VMRUN and the rest of SVM, VMMCALL among them.
        control.put_u32(INTERCEPT_1, 1 << 18 | 1 << 27 | 1 << 28 | 1 << 31);
        control.put_u32(INTERCEPT_2, 0x7f);
        control.put(PORT_MAP_BASE, PORT_MAP.0.get() as u64);
        control.put(MSR_MAP_BASE, MSR_MAP.0.get() as u64);
        control.put_u32(ASID, 1);
        control.put(DR6, 0xffff_0ff0);
        control.put(DR7, 0x400);
        control.put(PAT, cpu::read_msr(MSR_PAT));
        control
    }

    /// An idle guest comes to the monitor, to see whether anybody wants something of it.
    pub fn intercept_halt(self) {
        const HALT: u32 = 1 << 24;
        self.put_u32(INTERCEPT_1, self.get(INTERCEPT_1) as u32 | HALT);
    }

    /// Lets a guest that came with a halt instruction go on behind it, ready for interrupts; false if it takes none.
    pub fn end_halt(self) -> bool {
        const INTERRUPTS_ENABLED: u64 = 1 << 9;
        // The instruction before kept interrupts out up to the halt.
        self.put(INTERRUPT_SHADOW, 0);
        self.put(field::RIP, self.get(field::RIP).wrapping_add(1));
        self.get(RFLAGS) & INTERRUPTS_ENABLED != 0
    }

    /// State in which Linux begins on the first processor.
    pub fn boot(self, loaded: &Loaded, registers: &mut Registers) {
        self.segment(1, 0x10, 0xa9b, 0xffff_ffff, 0);
        for number in [0, 2, 3, 4, 5] {
            self.segment(number, 0x18, 0xc93, 0xffff_ffff, 0);
        }
        let address = |symbol: &u8| core::ptr::from_ref(symbol) as u64;
        // SAFETY: only the addresses of these symbols are taken.
        let (gdt, tables) = unsafe { (address(&start::monitor_gdt), address(&start::monitor_pml4)) };
        self.put_u32(GDTR + 4, 31);
        self.put(GDTR + 8, gdt);
        self.put(field::EFER, EFER_LONG | EFER_SVME);
        self.put(field::CR0, 0x8000_0031);
        self.put(field::CR3, tables);
        self.put(field::CR4, 0x20);
        self.put(RFLAGS, 2);
        self.put(field::RIP, loaded.entry);
        registers.rsi = loaded.boot_params;
    }

    /// Where exceptions go and where the stack is.
    pub fn set_up(self, idt: (u64, u32), stack: u64) {
        self.put_u32(IDTR + 4, idt.1);
        self.put(IDTR + 8, idt.0);
        self.put(RSP, stack);
    }

    /// State that a processor is to begin with.
    pub fn begin(self, context: &StartContext) {
        let [cs, ds, es, fs, gs, ss, tr, ldtr] = context.segments;
        // The control block's order is ES, CS, SS, DS, FS, GS, GDTR, LDTR, IDTR, TR.
        for (number, from) in [(0, es), (1, cs), (2, ss), (3, ds), (4, fs), (5, gs), (7, ldtr), (9, tr)] {
            // The upper four bits of the attributes come down to the lower eight.
            let attributes = from.attributes & 0xff | from.attributes >> 4 & 0xf00;
            self.segment(number, from.selector, attributes, from.limit, from.base);
        }
        self.put_u32(GDTR + 4, context.gdtr.limit.into());
        self.put(GDTR + 8, context.gdtr.base);
        self.put_u32(IDTR + 4, context.idtr.limit.into());
        self.put(IDTR + 8, context.idtr.base);
        self.put(field::EFER, context.efer | EFER_SVME);
        self.put(field::CR0, context.cr0);
        self.put(field::CR3, context.cr3);
        self.put(field::CR4, context.cr4);
        self.put(PAT, context.pat);
        self.put(RFLAGS, context.rflags | 2);
        self.put(field::RIP, context.rip);
        self.put(RSP, context.rsp);
        // SAFETY: loads FS, GS, TR, LDTR and the system call registers, which the monitor doesn't use.
        unsafe { core::arch::asm!("vmload rax", in("rax") self.0, options(nostack)) };
    }

    /// Runs the guest until something comes to the monitor.
    pub fn run(self, registers: &mut Registers) {
        // SAFETY: the control block is complete; the assembly keeps what Rust expects to be kept.
        unsafe { monitor_run(self.0 as u64, registers) };
        // Hardware leaves what it has injected.
        self.put(field::EVENT_INJECTION, 0);
    }

    pub fn get(self, offset: usize) -> u64 {
        assert!(offset <= 4096 - 8);
        // SAFETY: within the block, which this processor alone uses; not every field is aligned.
        unsafe { self.0.add(offset).cast::<u64>().read_unaligned() }
    }

    pub fn put(self, offset: usize, value: u64) {
        assert!(offset <= 4096 - 8);
        // SAFETY: as in `get`.
        unsafe { self.0.add(offset).cast::<u64>().write_volatile(value) }
    }

    pub(super) fn put_u32(self, offset: usize, value: u32) {
        assert!(offset <= 4096 - 4);
        // SAFETY: as in `get`.
        unsafe { self.0.add(offset).cast::<u32>().write_volatile(value) }
    }

    pub(super) fn segment(self, number: usize, selector: u16, attributes: u16, limit: u32, base: u64) {
        let at = SEGMENTS + number * 16;
        self.put_u32(at, u32::from(selector) | u32::from(attributes) << 16);
        self.put_u32(at + 4, limit);
        self.put(at + 8, base);
    }
}

/// Which MSRs and ports come to the monitor. Once, before any guest runs.
pub fn fill_maps(with_ports: bool) {
    // MSRs outside the three ranges of the map always come: Hyper-V's are among them.
    for msr in [MSR_EFER].into_iter().chain(MSR_VM_CR..=MSR_HOST_SAVE) {
        let (range, first) = if msr >= 0xc001_0000 { (0x1000, 0xc001_0000) } else { (0x800, 0xc000_0000) };
        let bit = (msr - first) * 2;
        set_bits(MSR_MAP.0.get().cast(), range + (bit / 8) as usize, 0b11 << (bit % 8));
    }
    if !with_ports {
        return;
    }
    let own = [port::REPORT, port::EXIT, port::EXIT + 1, port::EXIT + 2, port::EXIT + 3];
    for number in own.into_iter().chain([watched::KEYBOARD, watched::POWER]) {
        set_bits(PORT_MAP.0.get().cast(), usize::from(number / 8), 1 << (number % 8));
    }
}

fn set_bits(map: *mut u8, at: usize, bits: u8) {
    // SAFETY: callers pass a map of this file and an offset that its format bounds.
    unsafe { map.add(at).write_volatile(map.add(at).read_volatile() | bits) };
}

unsafe extern "C" {
    fn monitor_run(control: u64, registers: *mut Registers);
}

global_asm!(
    ".global monitor_run",
    "monitor_run:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rsi",
    "mov rax, rdi",
    "fxrstor64 [rsi + 128]",
    "mov rbx, [rsi]",
    "mov rcx, [rsi + 8]",
    "mov rdx, [rsi + 16]",
    "mov rdi, [rsi + 32]",
    "mov rbp, [rsi + 40]",
    "mov r8, [rsi + 48]",
    "mov r9, [rsi + 56]",
    "mov r10, [rsi + 64]",
    "mov r11, [rsi + 72]",
    "mov r12, [rsi + 80]",
    "mov r13, [rsi + 88]",
    "mov r14, [rsi + 96]",
    "mov r15, [rsi + 104]",
    "mov rsi, [rsi + 24]",
    // With GIF off nothing interrupts here; with IF on what interrupts the lower level comes to the monitor.
    "clgi",
    "sti",
    "vmrun rax",
    "cli",
    "stgi",
    "push rsi",
    "mov rsi, [rsp + 8]",
    "mov [rsi], rbx",
    "mov [rsi + 8], rcx",
    "mov [rsi + 16], rdx",
    "mov [rsi + 32], rdi",
    "mov [rsi + 40], rbp",
    "mov [rsi + 48], r8",
    "mov [rsi + 56], r9",
    "mov [rsi + 64], r10",
    "mov [rsi + 72], r11",
    "mov [rsi + 80], r12",
    "mov [rsi + 88], r13",
    "mov [rsi + 96], r14",
    "mov [rsi + 104], r15",
    "pop rax",
    "mov [rsi + 24], rax",
    "fxsave64 [rsi + 128]",
    "add rsp, 8",
    "cld",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
);
