//! The processor at the lower level: its control block, under nested paging, and its registers as the level above
//! names them.
//!
//! All ports and all MSRs that the block doesn't hold come to the monitor, and so do interrupts: they are the upper
//! level's.

use core::sync::atomic::{AtomicU64, Ordering};

use monitor_core::{
    VPS_MAX,
    hypercall::Segment,
    lower::{Changes, State},
    register,
};

use super::{
    cpu,
    svm::{
        ASID, Control, DR6, DR7, EFER_SVME, GDTR, IDTR, INTERCEPT_1, INTERCEPT_2, MSR_MAP_BASE, MSR_PAT, PAT,
        PORT_MAP_BASE, Page, RFLAGS, RSP, Registers, SEGMENTS, field,
    },
};

static CONTROL: [Page<4096>; VPS_MAX] = [const { Page::filled(0) }; VPS_MAX];
static MSR_MAP: Page<8192> = Page::filled(0xff);
static PORT_MAP: Page<12288> = Page::filled(0xff);
/// Root of the nested page tables; 0 where there is no lower level.
static NESTED_ROOT: AtomicU64 = AtomicU64::new(0);

// Fields of the control block.
const VIRTUAL_INTERRUPT: usize = 0x60;
const INTERRUPT_SHADOW: usize = 0x68;
const EXIT_INTERRUPTION: usize = 0x88;
const NESTED_PAGING: usize = 0x90;
const NESTED_CR3: usize = 0xb0;
const STAR: usize = 0x600;
const KERNEL_GS_BASE: usize = 0x620;
const SYSENTER_CS: usize = 0x628;
const SYSENTER_ESP: usize = 0x630;
const SYSENTER_EIP: usize = 0x638;

// Of VIRTUAL_INTERRUPT.
const IS_PENDING: u64 = 1 << 8;
const HIGHEST_PRIORITY: u64 = 0xf << 16 | 1 << 20;
const MASKS_INTERRUPTS: u64 = 1 << 24;
// Of the first word of intercepts.
const INTERRUPT: u32 = 1 << 0;
const INTERRUPT_WINDOW: u32 = 1 << 4;
/// CPUID, HLT, I/O ports, MSRs, shutdown.
const ALWAYS: u32 = INTERRUPT | 1 << 18 | 1 << 24 | 1 << 27 | 1 << 28 | 1 << 31;

/// Order in the control block of ES, CS, SS, DS, FS, GS, LDTR, TR as the registers count them.
const SEGMENT_PLACES: [usize; 8] = [0, 1, 2, 3, 4, 5, 7, 9];

/// From now on there is a lower level. Before any guest runs.
pub fn prepare(nested_root: u64) {
    // MSRs that the block holds (APM volume 2, appendix B): the kernel may have them.
    for msr in [0x174_u32, 0x175, 0x176, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084]
        .into_iter()
        .chain(0xc000_0100..=0xc000_0102)
    {
        let (range, first) = if msr >= 0xc000_0000 { (0x800, 0xc000_0000) } else { (0, 0) };
        let bit = (msr - first) * 2;
        MSR_MAP.clear_bits(range + (bit / 8) as usize, 0b11 << (bit % 8));
    }
    // The time stamp counter, for reading.
    MSR_MAP.clear_bits(0x10 * 2 / 8, 1 << (0x10 * 2 % 8));
    NESTED_ROOT.store(nested_root, Ordering::Relaxed);
}

/// Makes the block of processor `vp`: the state after reset, and what comes to the monitor.
pub fn reset(vp: u32) {
    let control = block(vp);
    control.put_u32(INTERCEPT_1, ALWAYS);
    control.put_u32(INTERCEPT_2, 0x7f);
    control.put(PORT_MAP_BASE, PORT_MAP.address());
    control.put(MSR_MAP_BASE, MSR_MAP.address());
    control.put_u32(ASID, 2);
    control.put(VIRTUAL_INTERRUPT, MASKS_INTERRUPTS);
    control.put(NESTED_PAGING, 1);
    control.put(NESTED_CR3, NESTED_ROOT.load(Ordering::Relaxed));
    control.put(field::EFER, EFER_SVME);
    control.put(field::CR0, 0x10);
    control.put(field::RIP, 0xfff0);
    control.put(RFLAGS, 2);
    control.put(DR6, 0xffff_0ff0);
    control.put(DR7, 0x400);
    control.put(PAT, cpu::read_msr(MSR_PAT));
    control.segment(1, 0xf000, 0x9b, 0xffff, 0xffff_0000);
    for place in [0, 2, 3, 4, 5] {
        control.segment(place, 0, 0x93, 0xffff, 0);
    }
    control.segment(7, 0, 0x82, 0xffff, 0);
    control.segment(9, 0, 0x8b, 0xffff, 0);
}

/// The block of processor `vp`.
pub fn block(vp: u32) -> Control {
    CONTROL[vp as usize % VPS_MAX].control()
}

/// Takes the state that hardware doesn't load by itself from one block's processor to another's, and what levels share.
pub fn switch(from: Control, to: Control) {
    for shared in [field::RAX, field::CR2] {
        to.put(shared, from.get(shared));
    }
    // SAFETY: saves and loads FS, GS, TR, LDTR and the system call registers, which the monitor doesn't use.
    unsafe {
        core::arch::asm!("vmsave rax", in("rax") from.0, options(nostack));
        core::arch::asm!("vmload rax", in("rax") to.0, options(nostack));
    }
}

/// What an event was doing when it was interrupted is done again, unless the level above has other plans.
pub fn keep_event(control: Control) {
    const VALID: u64 = 1 << 31;
    let event = control.get(EXIT_INTERRUPTION);
    if event & VALID != 0 && control.get(field::EVENT_INJECTION) & VALID == 0 {
        control.put(field::EVENT_INJECTION, event);
    }
}

/// The window for interrupts is there, and won't be told again.
pub fn window_is_open(control: Control) {
    ask_for_window(control, false);
}

fn ask_for_window(control: Control, is_asked: bool) {
    let priority = control.get(VIRTUAL_INTERRUPT) & 0xff | MASKS_INTERRUPTS;
    let (interrupt, intercepts) = match is_asked {
        true => (priority | IS_PENDING | HIGHEST_PRIORITY, ALWAYS | INTERRUPT_WINDOW),
        false => (priority, ALWAYS),
    };
    control.put(VIRTUAL_INTERRUPT, interrupt);
    control.put_u32(INTERCEPT_1, intercepts);
}

/// The state that the level above is told with each intercept.
pub fn state(control: Control, registers: &Registers) -> State {
    let Registers { rbx, rcx, rdx, rsi, rdi, rbp, r8_to_r15, .. } = *registers;
    let mut general = [0; 16];
    general[..8].copy_from_slice(&[control.get(field::RAX), rcx, rdx, rbx, control.get(RSP), rbp, rsi, rdi]);
    general[8..].copy_from_slice(&r8_to_r15);
    State {
        general,
        rip: control.get(field::RIP),
        rflags: control.get(RFLAGS),
        segments: core::array::from_fn(|number| segment(control, number)),
        cr0: control.get(field::CR0),
        cr3: control.get(field::CR3),
        cr4: control.get(field::CR4),
        cr8: control.get(VIRTUAL_INTERRUPT) & 0xf,
        efer: control.get(field::EFER) & !EFER_SVME,
        dr7: control.get(DR7),
        pending_interruption: pending_interruption(control),
        is_in_interrupt_shadow: control.get(INTERRUPT_SHADOW) & 1 != 0,
        privilege: control.get(field::CPL) as u8 & 3,
    }
}

/// Applies what the level above wrote into the register page.
pub fn apply(control: Control, changes: &Changes) {
    let Changes { rip, rsp, rflags, segments } = *changes;
    if rip.is_some() {
        // Behind another instruction interrupts aren't held back any more.
        control.put(INTERRUPT_SHADOW, 0);
    }
    for (place, value) in [(field::RIP, rip), (RSP, rsp), (RFLAGS, rflags.map(|flags| flags | 2))] {
        if let Some(value) = value {
            control.put(place, value);
        }
    }
    for (number, segment) in segments.iter().flatten().enumerate() {
        set_segment(control, number, segment);
    }
}

fn segment(control: Control, number: usize) -> Segment {
    let at = SEGMENTS + SEGMENT_PLACES[number] * 16;
    let (low, base) = (control.get(at), control.get(at + 8));
    let packed = (low >> 16) as u16;
    let attributes = packed & 0xff | (packed & 0xf00) << 4;
    Segment { base, limit: (low >> 32) as u32, selector: low as u16, attributes }
}

fn set_segment(control: Control, number: usize, segment: &Segment) {
    let packed = segment.attributes & 0xff | segment.attributes >> 4 & 0xf00;
    control.segment(SEGMENT_PLACES[number], segment.selector, packed, segment.limit, segment.base);
    if number == 2 {
        // The level of privilege is that of SS.
        let before = control.get(field::CPL) & !0xff;
        control.put(field::CPL, before | u64::from(segment.attributes >> 5 & 3));
    }
}

/// HV_X64_PENDING_INTERRUPTION_REGISTER and the block's event have the same parts in other places.
fn pending_interruption(control: Control) -> u64 {
    let event = control.get(field::EVENT_INJECTION);
    let part = |shift: u32, bits: u64| event >> shift & bits;
    part(31, 1) | part(8, 7) << 1 | part(11, 1) << 4 | part(0, 0xff) << 16 | part(32, 0xffff_ffff) << 32
}

fn set_pending_interruption(control: Control, value: u64) {
    let part = |shift: u32, bits: u64| value >> shift & bits;
    let event =
        part(0, 1) << 31 | part(1, 7) << 8 | part(4, 1) << 11 | part(16, 0xff) | part(32, 0xffff_ffff) << 32;
    control.put(field::EVENT_INJECTION, event);
}

/// Where a register is that is a field as it stands.
fn place(name: u32) -> Option<usize> {
    Some(match name {
        register::RSP => RSP,
        register::RIP => field::RIP,
        register::RFLAGS => RFLAGS,
        register::CR0 => field::CR0,
        register::CR3 => field::CR3,
        register::CR4 => field::CR4,
        register::DR6 => DR6,
        register::DR7 => DR7,
        register::KERNEL_GS_BASE => KERNEL_GS_BASE,
        register::PAT => PAT,
        register::SYSENTER_CS => SYSENTER_CS,
        // SYSENTER_EIP and SYSENTER_ESP, then STAR to SFMASK, which lie side by side in the block.
        0x0008_0006 => SYSENTER_EIP,
        0x0008_0007 => SYSENTER_ESP,
        0x0008_0008..=register::SFMASK => STAR + (name as usize & 0xf) * 8 - 64,
        _ => return None,
    })
}

/// Reads a register of the lower level of processor `vp`, on which the upper one runs.
pub fn get(vp: u32, name: u32) -> Option<[u64; 2]> {
    let control = block(vp);
    Some(match name {
        register::EFER => [control.get(field::EFER) & !EFER_SVME, 0],
        register::CR8 => [control.get(VIRTUAL_INTERRUPT) & 0xf, 0],
        register::PENDING_INTERRUPTION => [pending_interruption(control), 0],
        register::INTERRUPT_STATE => [control.get(INTERRUPT_SHADOW) & 1, 0],
        register::DELIVERABILITY_NOTIFICATIONS => {
            [u64::from(control.get(VIRTUAL_INTERRUPT) & IS_PENDING != 0) << 1, 0]
        }
        register::ES..=register::TR => {
            let Segment { base, limit, selector, attributes } = segment(control, (name & 7) as usize);
            [base, u64::from(limit) | u64::from(selector) << 32 | u64::from(attributes) << 48]
        }
        register::IDTR | register::GDTR => {
            let at = if name == register::IDTR { IDTR } else { GDTR };
            [(control.get(at) >> 32 & 0xffff) << 48, control.get(at + 8)]
        }
        name => [control.get(place(name)?), 0],
    })
}

/// Writes one. A value that no processor has shows when the lower level is entered, and comes back as an intercept.
pub fn set(vp: u32, name: u32, [low, high]: [u64; 2]) -> Option<()> {
    let control = block(vp);
    match name {
        register::EFER => control.put(field::EFER, low | EFER_SVME),
        register::RFLAGS => control.put(RFLAGS, low | 2),
        register::CR8 => {
            control.put(VIRTUAL_INTERRUPT, control.get(VIRTUAL_INTERRUPT) & !0xff | low & 0xf);
        }
        register::PENDING_INTERRUPTION => set_pending_interruption(control, low),
        register::INTERRUPT_STATE => control.put(INTERRUPT_SHADOW, low & 1),
        register::DELIVERABILITY_NOTIFICATIONS => ask_for_window(control, low & 0b10 != 0),
        register::ES..=register::TR => {
            let segment = Segment {
                base: low,
                limit: high as u32,
                selector: (high >> 32) as u16,
                attributes: (high >> 48) as u16,
            };
            set_segment(control, (name & 7) as usize, &segment);
        }
        register::IDTR | register::GDTR => {
            let at = if name == register::IDTR { IDTR } else { GDTR };
            control.put_u32(at + 4, (low >> 48) as u32);
            control.put(at + 8, high);
        }
        name => control.put(place(name)?, low),
    }
    Some(())
}
