//! Names of registers of VTL0's processor, as Hyper-V counts them (TLFS 7.9.2, "Register Names").

pub const PENDING_INTERRUPTION: u32 = 0x0001_0002;
pub const DELIVERABILITY_NOTIFICATIONS: u32 = 0x0001_0006;
pub const RSP: u32 = 0x0002_0004;
pub const RIP: u32 = 0x0002_0010;
pub const RFLAGS: u32 = 0x0002_0011;
pub const CR0: u32 = 0x0004_0000;
pub const CR3: u32 = 0x0004_0002;
pub const CR4: u32 = 0x0004_0003;
pub const ES: u32 = 0x0006_0000;
pub const CS: u32 = 0x0006_0001;
pub const SS: u32 = 0x0006_0002;
pub const DS: u32 = 0x0006_0003;
pub const FS: u32 = 0x0006_0004;
pub const GS: u32 = 0x0006_0005;
pub const TR: u32 = 0x0006_0007;
pub const IDTR: u32 = 0x0007_0000;
pub const GDTR: u32 = 0x0007_0001;
pub const EFER: u32 = 0x0008_0001;

/// 128 bits: every register fits.
pub type Value = u128;

/// Base, limit, selector and attributes; those are as in a descriptor.
pub fn segment(base: u64, limit: u32, selector: u16, attributes: u16) -> Value {
    u128::from(base) | u128::from(limit) << 64 | u128::from(selector) << 96 | u128::from(attributes) << 112
}

/// GDTR or IDTR.
pub fn table(base: u64, limit: u16) -> Value {
    u128::from(limit) << 48 | u128::from(base) << 64
}

/// An event to deliver when VTL0 goes on: an interrupt.
pub fn interrupt(vector: u8) -> Value {
    1 | u128::from(vector) << 16
}

/// An event to deliver: an exception with an error code.
pub fn exception(vector: u8, error_code: u32) -> Value {
    const EXCEPTION: u128 = 3;
    const HAS_ERROR_CODE: u128 = 1 << 4;
    1 | EXCEPTION << 1 | HAS_ERROR_CODE | u128::from(vector) << 16 | u128::from(error_code) << 32
}

/// With what a guest begins: registers, and RSI, which the levels share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    pub registers: Vec<(u32, Value)>,
    pub rsi: u64,
}

/// 64-bit mode at `rip`, in flat segments 0x10 and 0x18 of the descriptor table at `gdt`, with page tables at `cr3`
/// (Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
pub fn long_mode(rip: u64, rsp: u64, cr3: u64, gdt: u64) -> Vec<(u32, Value)> {
    const CODE: u16 = 0xa09b;
    const DATA: u16 = 0xc093;
    const PROTECTED_PAGED: u128 = 0x8000_0031;
    const PHYSICAL_ADDRESS_EXTENSION: u128 = 1 << 5;
    const LONG_MODE: u128 = 1 << 8 | 1 << 10;
    let mut registers = vec![
        (RIP, rip.into()),
        (RSP, rsp.into()),
        (RFLAGS, 2),
        (CR0, PROTECTED_PAGED),
        (CR3, cr3.into()),
        (CR4, PHYSICAL_ADDRESS_EXTENSION),
        (EFER, LONG_MODE),
        (CS, segment(0, u32::MAX, 0x10, CODE)),
        (TR, segment(0, 0xffff, 0, 0x8b)),
        (GDTR, table(gdt, 31)),
        (IDTR, table(0, 0)),
    ];
    registers.extend([ES, SS, DS, FS, GS].map(|name| (name, segment(0, u32::MAX, 0x18, DATA))));
    registers
}
