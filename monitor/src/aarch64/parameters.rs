//! What the tool tells the monitor: a page just below it, in little-endian words of 64 bits.

/// Fields in the order of the page, behind the magic word.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// The Virtual Trust Level that the guest is told.
    pub vtl: u64,
    pub cpus: u64,
    /// Entry point of the kernel's Image; 0: the monitor's own guest runs in its place.
    pub kernel: u64,
    pub device_tree: u64,
    /// The guest's RAM.
    pub ram_start: u64,
    pub ram_end: u64,
    /// PCI configuration space and the window of its I/O ports.
    pub ecam: u64,
    pub ports: u64,
}

const PAGE: u64 = 0x401f_f000;
/// "VTLFORGE"
const MAGIC: u64 = u64::from_le_bytes(*b"VTLFORGE");

impl Parameters {
    pub fn read() -> Result<Parameters, ()> {
        let word = |number: u64| {
            // SAFETY: a word of RAM below the monitor that nothing writes any more.
            unsafe { ((PAGE + number * 8) as *const u64).read_volatile() }
        };
        if word(0) != MAGIC {
            return Err(());
        }
        let [vtl, cpus, kernel, device_tree, ram_start, ram_end, ecam, ports] =
            core::array::from_fn(|number| word(number as u64 + 1));
        Ok(Parameters { vtl, cpus, kernel, device_tree, ram_start, ram_end, ecam, ports })
    }
}
