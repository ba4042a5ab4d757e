//! A serial port, a 16550 at 0x3f8 (PC16550D data sheet): what is written becomes lines, and nothing ever comes in. It
//! raises no interrupts; drivers poll it.

pub const FIRST: u16 = 0x3f8;
pub const LAST: u16 = 0x3ff;

/// Longer lines are cut.
const LINE_BYTES_MAX: usize = 800;

// Offsets of registers.
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const INTERRUPT_IDENTITY: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const MODEM_STATUS: u16 = 6;

const DIVISOR_LATCH: u8 = 1 << 7;
const LOOPBACK: u8 = 1 << 4;

#[derive(Default)]
pub struct Serial {
    interrupt_enable: u8,
    fifo_control: u8,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: [u8; 2],
    line: Vec<u8>,
}

impl Serial {
    pub fn read(&self, port: u16) -> u8 {
        let is_latch = self.line_control & DIVISOR_LATCH != 0;
        match port - FIRST {
            number @ (DATA | INTERRUPT_ENABLE) if is_latch => self.divisor[usize::from(number)],
            DATA => 0,
            INTERRUPT_ENABLE => self.interrupt_enable,
            // No interrupt waits; the upper bits say whether there are queues.
            INTERRUPT_IDENTITY => 1 | if self.fifo_control & 1 != 0 { 0xc0 } else { 0 },
            LINE_CONTROL => self.line_control,
            MODEM_CONTROL => self.modem_control,
            // All is sent.
            LINE_STATUS => 0x60,
            // In loopback the outputs are the inputs; else somebody listens.
            MODEM_STATUS if self.modem_control & LOOPBACK != 0 => {
                let [dtr, rts, out1, out2] = [0, 1, 2, 3].map(|bit| self.modem_control >> bit & 1);
                rts << 4 | dtr << 5 | out1 << 6 | out2 << 7
            }
            MODEM_STATUS => 0xb0,
            _ => self.scratch,
        }
    }

    /// Returns a line when it is complete.
    pub fn write(&mut self, port: u16, value: u8) -> Option<String> {
        let is_latch = self.line_control & DIVISOR_LATCH != 0;
        match port - FIRST {
            number @ (DATA | INTERRUPT_ENABLE) if is_latch => self.divisor[usize::from(number)] = value,
            DATA if self.modem_control & LOOPBACK != 0 => {}
            DATA => return self.put(value),
            INTERRUPT_ENABLE => self.interrupt_enable = value & 0x0f,
            INTERRUPT_IDENTITY => self.fifo_control = value,
            LINE_CONTROL => self.line_control = value,
            MODEM_CONTROL => self.modem_control = value & 0x1f,
            LINE_STATUS | MODEM_STATUS => {}
            _ => self.scratch = value,
        }
        None
    }

    fn put(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\n' => return Some(self.take()),
            b'\r' | 0 => {}
            byte => self.line.push(byte),
        }
        (self.line.len() == LINE_BYTES_MAX).then(|| self.take())
    }

    /// What has been written of a line that isn't complete.
    pub fn rest(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_string();
        self.line.clear();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut serial = Serial::default();
        let lines: Vec<String> =
            b"one\r\ntwo\nth".iter().filter_map(|byte| serial.write(FIRST, *byte)).collect();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!((serial.rest().as_deref(), serial.rest()), (Some("th"), None));
        assert_eq!((0..LINE_BYTES_MAX + 1).filter_map(|_| serial.write(FIRST, b'x')).count(), 1);
    }

    #[test]
    fn what_drivers_probe() {
        let mut serial = Serial::default();
        serial.write(FIRST + LINE_CONTROL, DIVISOR_LATCH | 3);
        assert_eq!(serial.write(FIRST, b'\n'), None, "the divisor is no text");
        assert_eq!(serial.read(FIRST), b'\n');
        serial.write(FIRST + LINE_CONTROL, 3);
        assert_eq!(serial.read(FIRST + LINE_STATUS), 0x60);
        serial.write(FIRST + MODEM_CONTROL, LOOPBACK | 0x0a);
        assert_eq!(serial.read(FIRST + MODEM_STATUS), 0x90);
        serial.write(FIRST + 7, 0x5a);
        assert_eq!(serial.read(FIRST + 7), 0x5a);
    }
}
