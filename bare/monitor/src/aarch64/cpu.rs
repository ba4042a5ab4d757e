//! The processor at EL2: translation, the guest's first state, calls to firmware.

use core::{arch::asm, cell::UnsafeCell};

use monitor_core::guest::Aarch64State;

/// One level of translation, 1 GiB an entry: 512 GiB, each address its own.
#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: every processor writes the same values before it uses the table; afterwards it is only read by hardware.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([0; 512]));

// Arm ARM, VMSAv8-64 block descriptor and MAIR_EL2: attribute 0 is device memory, attribute 1 write-back memory.
const BLOCK: u64 = 0b01;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const NEVER_EXECUTED: u64 = 1 << 54;
const ATTRIBUTES: u64 = 0xff00;
/// QEMU's `virt` has devices in its first GiB and from 256 GiB on, RAM between.
const DEVICES: [core::ops::Range<usize>; 2] = [0..1, 256..512];

/// Switches translation on: with it off, unaligned accesses and locks don't work on memory.
pub fn map() {
    for number in 0..512 {
        let is_device = DEVICES.iter().any(|range| range.contains(&number));
        let attributes = if is_device { NEVER_EXECUTED } else { INNER_SHAREABLE | 1 << 2 };
        let entry = (number as u64) << 30 | attributes | ACCESSED | BLOCK;
        // SAFETY: within the table; see `Sync` above.
        unsafe { TABLE.0.get().cast::<u64>().add(number).write_volatile(entry) };
    }
    // 39 bits of address, 4 KiB granule, walks through write-back memory, 40 bits of physical address.
    const TCR: u64 = 25 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 0b010 << 16 | 1 << 31 | 1 << 23;
    // Reserved bits that are one, then caches and translation.
    const SCTLR: u64 = 0x30c5_0830 | 1 << 12 | 1 << 2 | 1;
    // SAFETY: the table maps all that the monitor uses at the address where it is.
    unsafe {
        asm!(
            "msr mair_el2, {mair}",
            "msr tcr_el2, {tcr}",
            "msr ttbr0_el2, {table}",
            "dsb ish",
            "isb",
            "tlbi alle2",
            "dsb ish",
            "isb",
            "msr sctlr_el2, {sctlr}",
            "isb",
            mair = in(reg) ATTRIBUTES,
            tcr = in(reg) TCR,
            table = in(reg) TABLE.0.get(),
            sctlr = in(reg) SCTLR,
            options(nostack)
        );
    }
}

/// State in which Linux begins at `entry`, with `argument` in X0: translation off, interrupts masked
/// (Documentation/arch/arm64/booting.rst).
pub fn boot_state(entry: u64, argument: u64) -> Aarch64State {
    // Reserved bits that are one.
    const SCTLR: u64 = 0x30d0_0800;
    Aarch64State {
        pc: entry,
        x0_to_x7: [argument, 0, 0, 0, 0, 0, 0, 0],
        cpsr: EL1H_MASKED,
        sctlr: SCTLR,
        ..Aarch64State::default()
    }
}

/// State of the guest that is part of the monitor: with the monitor's own translation.
pub fn own_guest_state(entry: u64) -> Aarch64State {
    let vectors: u64;
    // SAFETY: an address is formed.
    unsafe {
        asm!("adrp {0}, monitor_guest_vectors", "add {0}, {0}, :lo12:monitor_guest_vectors", out(reg) vectors, options(nomem, nostack));
    }
    // As in `map`, with the layout of TCR_EL1: 40 bits of physical address, no walks through TTBR1.
    const TCR: u64 = 25 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 1 << 23 | 0b010 << 32;
    const SCTLR: u64 = 0x30d0_0800 | 1 << 12 | 1 << 2 | 1;
    Aarch64State {
        pc: entry,
        cpsr: EL1H_MASKED,
        sctlr: SCTLR,
        tcr: TCR,
        mair: ATTRIBUTES,
        vbar: vectors,
        ttbr: [TABLE.0.get() as u64, 0],
        ..Aarch64State::default()
    }
}

const EL1H_MASKED: u64 = 0x3c5;

/// Whether floating point is the guest's from the start; kernels expect it trapped.
pub fn allow_floating_point(is_allowed: bool) {
    let value: u64 = if is_allowed { 0b11 << 20 } else { 0 };
    // SAFETY: a register of EL1, where nothing runs yet.
    unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) value, options(nostack)) };
}

/// What HCR_EL2 has beside the rest where the guest's addresses are translated, and its interrupts with them: stage 2,
/// and interrupts that come to the monitor first (VM, IMO).
pub const TRANSLATED: u64 = 1 << 0 | 1 << 4;

/// Lets the guest run at EL1 on this processor; `extra` is for HCR_EL2.
pub fn enter(vp: u64, state: &Aarch64State, extra: u64) -> ! {
    // EL1 is 64-bit; SMC comes to the monitor; keys of pointer authentication are the guest's.
    const HCR: u64 = 1 << 31 | 1 << 19 | 1 << 41 | 1 << 40;
    // An idle guest comes here, to see whether anybody wants something of it.
    const TRAP_WFI: u64 = 1 << 13;
    let hcr = if super::takes_requests() { HCR | TRAP_WFI } else { HCR };
    // The guest reads the physical counter and timer.
    const CNTHCTL: u64 = 3;
    // Reserved bits that are one.
    const CPTR: u64 = 0x33ff;
    // SAFETY: registers of EL1, where nothing runs yet.
    unsafe {
        asm!(
            "msr sctlr_el1, {sctlr}",
            "msr tcr_el1, {tcr}",
            "msr mair_el1, {mair}",
            "msr vbar_el1, {vbar}",
            "msr ttbr0_el1, {low}",
            "msr ttbr1_el1, {high}",
            sctlr = in(reg) state.sctlr,
            tcr = in(reg) state.tcr,
            mair = in(reg) state.mair,
            vbar = in(reg) state.vbar,
            low = in(reg) state.ttbr[0],
            high = in(reg) state.ttbr[1],
            options(nostack)
        );
    }
    // SAFETY: ends in the guest; registers written are the guest's or say what comes back here.
    unsafe {
        asm!(
            "adrp x9, monitor_vectors",
            "add x9, x9, :lo12:monitor_vectors",
            "msr vbar_el2, x9",
            "msr tpidr_el2, x10",
            "msr hcr_el2, x11",
            "msr cnthctl_el2, x12",
            "msr cntvoff_el2, xzr",
            "msr cptr_el2, x13",
            "msr hstr_el2, xzr",
            // ICC_SRE_EL2: system registers for the interrupt controller, for EL1 too.
            "mov x9, #0xf",
            "msr S3_4_C12_C9_5, x9",
            "isb",
            "mrs x9, midr_el1",
            "msr vpidr_el2, x9",
            "mrs x9, mpidr_el1",
            "msr vmpidr_el2, x9",
            "msr spsr_el2, x15",
            "msr elr_el2, x16",
            // Whatever brought the processor here needs its stack no more.
            "mov sp, x14",
            "isb",
            "ldp x0, x1, [x17]",
            "ldp x2, x3, [x17, #16]",
            "ldp x4, x5, [x17, #32]",
            "ldp x6, x7, [x17, #48]",
            "eret",
            in("x10") vp,
            in("x11") hcr | extra,
            in("x12") CNTHCTL,
            in("x13") CPTR,
            in("x14") super::vectors::stack_end(vp),
            in("x15") state.cpsr,
            in("x16") state.pc,
            in("x17") state.x0_to_x7.as_ptr(),
            options(noreturn)
        );
    }
}

/// Calls firmware; X0 to X3 in and out.
pub fn smc(words: [u64; 4]) -> [u64; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = words;
    // SAFETY: firmware keeps to the calling convention (SMCCC 1.1), by which it changes no register beyond X17.
    unsafe {
        asm!(
            "smc #0",
            inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
            out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
            out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            options(nostack)
        );
    }
    [x0, x1, x2, x3]
}

pub fn now_100ns() -> u64 {
    let (count, frequency): (u64, u64);
    // SAFETY: two counters are read.
    unsafe {
        asm!("isb", "mrs {0}, cntpct_el0", "mrs {1}, cntfrq_el0", out(reg) count, out(reg) frequency, options(nostack));
    }
    (u128::from(count) * 10_000_000 / u128::from(frequency.max(1))) as u64
}

pub fn exception_level() -> u64 {
    let level: u64;
    // SAFETY: a register is read.
    unsafe { asm!("mrs {}, CurrentEL", out(reg) level, options(nomem, nostack)) };
    level >> 2
}

/// Why the guest came here: the syndrome, and the address of the instruction.
pub fn syndrome() -> (u64, u64) {
    let (syndrome, address): (u64, u64);
    // SAFETY: two registers are read.
    unsafe {
        asm!("mrs {}, esr_el2", "mrs {}, elr_el2", out(reg) syndrome, out(reg) address, options(nomem, nostack))
    };
    (syndrome, address)
}

/// Whether WFI comes to the monitor (HCR_EL2, TWI).
pub fn trap_sleep(is_trapped: bool) {
    const TWI: u64 = 1 << 13;
    let value: u64;
    // SAFETY: a register is read.
    unsafe { asm!("mrs {}, hcr_el2", out(reg) value, options(nomem, nostack)) };
    let value = if is_trapped { value | TWI } else { value & !TWI };
    // SAFETY: a register of this processor's that only matters to the guest.
    unsafe { asm!("msr hcr_el2, {}", "isb", in(reg) value, options(nomem, nostack)) };
}

/// Page of the guest's physical address space that an access to memory failed on, and the offset in it.
pub fn fault_address() -> u64 {
    let (page, address): (u64, u64);
    // SAFETY: two registers are read.
    unsafe {
        asm!("mrs {}, hpfar_el2", "mrs {}, far_el2", out(reg) page, out(reg) address, options(nomem, nostack))
    };
    (page >> 4) << 12 | address & 0xfff
}

/// The processor's number, as `enter` noted it.
pub fn current() -> u64 {
    let vp: u64;
    // SAFETY: a register is read.
    unsafe { asm!("mrs {}, tpidr_el2", out(reg) vp, options(nomem, nostack)) };
    vp
}

/// Whether an interrupt waits for the guest.
pub fn is_interrupt_pending() -> bool {
    let pending: u64;
    // SAFETY: a register is read: ISR_EL1.
    unsafe { asm!("mrs {}, S3_0_C12_C1_0", out(reg) pending, options(nomem, nostack)) };
    pending != 0
}

/// Lets the guest go on behind the instruction that came here.
pub fn skip_instruction() {
    // SAFETY: only the guest's program counter changes.
    unsafe { asm!("mrs {0}, elr_el2", "add {0}, {0}, #4", "msr elr_el2, {0}", out(reg) _, options(nostack)) };
}

/// Raises an undefined instruction exception at EL1, for the instruction behind `address - 4`.
pub fn undefined(address: u64) {
    // Vector of synchronous exceptions from the current level with its own stack pointer (Arm ARM, VBAR_EL2).
    const FROM_SAME_LEVEL: u64 = 0x200;
    const FROM_USER: u64 = 0x400;
    // 32-bit instruction, reason unknown.
    const SYNDROME: u64 = 1 << 25;
    // SAFETY: registers of the guest take what hardware would put there.
    unsafe {
        let (state, vectors): (u64, u64);
        asm!("mrs {}, spsr_el2", "mrs {}, vbar_el1", out(reg) state, out(reg) vectors, options(nomem, nostack));
        let offset = if state & 0xf == 0 { FROM_USER } else { FROM_SAME_LEVEL };
        asm!(
            "msr esr_el1, {syndrome}",
            "msr elr_el1, {address}",
            "msr spsr_el1, {state}",
            "msr elr_el2, {vector}",
            "msr spsr_el2, {new}",
            syndrome = in(reg) SYNDROME,
            address = in(reg) address,
            state = in(reg) state,
            vector = in(reg) vectors + offset,
            new = in(reg) 0x3c5_u64,
            options(nostack)
        );
    }
}
