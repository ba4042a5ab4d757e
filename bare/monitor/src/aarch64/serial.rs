//! Serial ports on PCI (16550), which the guest's device tree doesn't mention: one for the report, another for requests.

/// The report's device on bus 0.
pub const REPORT: u64 = 1;
/// Where registers of devices are put among the I/O ports.
const PORTS: u64 = 0x1000;
const PORTS_EACH: u64 = 16;

// Configuration space of PCI, and registers of a 16550.
const COMMAND: u64 = 0x04;
const BAR0: u64 = 0x10;
const IO_ENABLE: u16 = 1;
const LINE_STATUS: u64 = 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// QEMU always takes a byte at once; a channel that doesn't loses some of the report and stops nothing.
const PATIENCE: usize = 100_000;

pub struct Serial {
    /// Address of the registers; 0 while there are none.
    registers: u64,
}

impl Serial {
    pub const fn new() -> Serial {
        Serial { registers: 0 }
    }

    /// Takes the device with this number into use, if it is there.
    pub fn open(&mut self, ecam: u64, ports: u64, device: u64) {
        let configuration = ecam + (device << 15);
        let port = PORTS + device * PORTS_EACH;
        // SAFETY: configuration space of a device that only the monitor knows of, mapped as device memory.
        let vendor = unsafe { (configuration as *const u16).read_volatile() };
        if vendor == u16::MAX {
            return;
        }
        // SAFETY: as above.
        unsafe {
            ((configuration + BAR0) as *mut u32).write_volatile(port as u32);
            ((configuration + COMMAND) as *mut u16).write_volatile(IO_ENABLE);
        }
        self.registers = ports + port;
    }

    /// What came in, if anything did.
    pub fn receive(&mut self) -> Option<u8> {
        const DATA_READY: u8 = 1;
        if self.registers == 0 {
            return None;
        }
        // SAFETY: registers of the device opened above.
        unsafe {
            let status = ((self.registers + LINE_STATUS) as *const u8).read_volatile();
            (status & DATA_READY != 0).then(|| (self.registers as *const u8).read_volatile())
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        if self.registers == 0 {
            return;
        }
        for byte in bytes {
            for _ in 0..PATIENCE {
                // SAFETY: a register of the device opened above.
                let status = unsafe { ((self.registers + LINE_STATUS) as *const u8).read_volatile() };
                if status & TRANSMITTER_EMPTY != 0 {
                    break;
                }
            }
            // SAFETY: as above.
            unsafe { (self.registers as *mut u8).write_volatile(*byte) };
        }
    }
}
