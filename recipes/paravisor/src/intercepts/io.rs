//! I/O ports: a serial port, a clock, ways to end, and nothing else.

use crate::{
    devices::{rtc, serial},
    events,
    intercepts::Next,
    processor::{End, Processor},
    tables::{RESET_PORT, RESET_VALUE, SLEEP_CONTROL_PORT, SLEEP_ENABLE},
};

const KEYBOARD_CONTROL: u16 = 0x64;
const KEYBOARD_RESET: u8 = 0xfe;

pub fn handle(processor: &mut Processor, port: u16, size: u8, is_write: bool, is_string: bool) -> Next {
    if is_string {
        return Next::End(End::Unhandled(format!("a string instruction for port {port:#x}")));
    }
    processor.note("ports", port.into());
    let mask = u64::MAX >> (64 - 8 * u32::from(size.clamp(1, 4)));
    let rax = processor.mshv.general(0);
    if !is_write {
        let value = read(processor, port) & mask;
        // As hardware does: 32 bits clear the upper half, less leave the rest alone.
        let kept = if size == 4 { 0 } else { rax & !mask };
        processor.mshv.set_general(0, kept | value);
        return Next::Skip;
    }
    write(processor, port, (rax & mask) as u8)
}

fn read(processor: &Processor, port: u16) -> u64 {
    match port {
        serial::FIRST..=serial::LAST => processor.serial.read(port).into(),
        rtc::DATA => processor.rtc.read().into(),
        // Idle, or kernels ask for long whether it is busy.
        KEYBOARD_CONTROL => 0,
        // Nobody drives the bus.
        _ => u64::MAX,
    }
}

fn write(processor: &mut Processor, port: u16, value: u8) -> Next {
    match port {
        serial::FIRST..=serial::LAST => {
            if let Some(line) = processor.serial.write(port, value) {
                events::console(&line);
            }
            Next::Skip
        }
        rtc::INDEX => {
            processor.rtc.select(value);
            Next::Skip
        }
        KEYBOARD_CONTROL if value == KEYBOARD_RESET => Next::End(End::Reset),
        RESET_PORT if value == RESET_VALUE => Next::End(End::Reset),
        SLEEP_CONTROL_PORT if value & SLEEP_ENABLE != 0 => Next::End(End::PowerOff),
        _ => Next::Skip,
    }
}
