//! I/O ports.

use core::arch::asm;

/// QEMU's `isa-debugcon`: the report's channel.
pub const REPORT: u16 = 0xe9;
/// QEMU's `isa-debug-exit`, four ports.
pub const EXIT: u16 = 0xf4;
/// What the machine ends with there; QEMU's exit status is twice that and one.
const EXIT_VALUE: u32 = 0x10;

/// Writes the low `size` bytes (1, 2 or 4) of `value`.
pub fn write(port: u16, size: u32, value: u32) {
    // SAFETY: none of the devices that this is used on writes memory.
    unsafe {
        match size {
            1 => {
                asm!("out dx, al", in("dx") port, in("al") value as u8, options(nomem, nostack, preserves_flags))
            }
            2 => {
                asm!("out dx, ax", in("dx") port, in("ax") value as u16, options(nomem, nostack, preserves_flags))
            }
            _ => {
                asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags))
            }
        }
    }
}

/// Reads `size` bytes (1, 2 or 4).
pub fn read(port: u16, size: u32) -> u32 {
    let value: u32;
    // SAFETY: as in `write`.
    unsafe {
        match size {
            1 => {
                let byte: u8;
                asm!("in al, dx", in("dx") port, out("al") byte, options(nomem, nostack, preserves_flags));
                value = byte.into();
            }
            2 => {
                let word: u16;
                asm!("in ax, dx", in("dx") port, out("ax") word, options(nomem, nostack, preserves_flags));
                value = word.into();
            }
            _ => {
                asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags))
            }
        }
    }
    value
}

/// What came in at the 16550 with this port, if anything did.
pub fn receive(port: u16) -> Option<u8> {
    const LINE_STATUS: u16 = 5;
    const DATA_READY: u32 = 1;
    (read(port + LINE_STATUS, 1) & DATA_READY != 0).then(|| read(port, 1) as u8)
}

/// Ends QEMU.
pub fn exit() -> ! {
    loop {
        write(EXIT, 4, EXIT_VALUE);
    }
}
