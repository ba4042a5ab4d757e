//! Started by UEFI from a disk whose profile is for VTL2: brings the monitor, the kernel and what it is told into
//! memory, leaves firmware, and enters the monitor, which stands in for Hyper-V.
//!
//! Everything is read, checked and put in place while firmware still runs, in memory that it gave; what is missing or
//! doesn't fit is said on firmware's console, and firmware goes on with what else it has to boot.

#![no_std]
#![no_main]

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;
mod firmware;

use bare_runtime as _;
use firmware::{Firmware, Problem};
use monitor_core::{
    efi::{
        elf::{self, Piece},
        tree::{self, Facts},
    },
    guest::{MAGIC, MEMORY_MAX, PAGE_BYTES, Region, VERSION},
};
use uefi_raw::{Handle, Status, table::system::SystemTable};

/// The parts of the disk.
pub struct Parts {
    pub kernel: &'static [u8],
    pub initramfs: &'static [u8],
    /// Without the line's end.
    pub command_line: &'static [u8],
    pub device_tree: &'static [u8],
    pub facts: Facts,
}

#[unsafe(no_mangle)]
extern "efiapi" fn loader_start(image: Handle, table: *const SystemTable) -> Status {
    // SAFETY: what firmware hands over.
    let firmware = unsafe { Firmware::new(image, table) };
    let Err(problem) = load(&firmware);
    firmware.say(&["vtlforge: ", problem.what, problem.which, "\r\n"]);
    problem.status
}

/// Comes back only with what is wrong.
fn load(firmware: &Firmware) -> Result<core::convert::Infallible, Problem> {
    arch::check()?;
    let root = firmware.open_volume()?;
    let monitor = firmware.read(root, "vtl2\\monitor")?;
    let Some(piece) = elf::piece(monitor) else { return Err(Problem::new("vtl2/monitor is no monitor", "")) };
    let device_tree = firmware.read(root, "vtl2\\platform.dtb")?;
    let facts = tree::facts(device_tree);
    let parts = Parts {
        kernel: firmware.read(root, "vtl2\\kernel")?,
        initramfs: firmware.read(root, "vtl2\\initramfs.cpio.zst")?,
        command_line: firmware.read(root, "vtl2\\cmdline.txt")?.trim_ascii_end(),
        device_tree,
        facts: facts
            .ok_or(Problem::new("vtl2/platform.dtb has no memory or processors that can be read", ""))?,
    };
    put_monitor(firmware, &piece)?;
    let ready = arch::place(firmware, &parts)?;
    firmware.say(&["vtlforge: VTL2 by the monitor\r\n"]);
    let map = firmware.leave()?;
    let mut description = ready.description;
    arch::describe_memory(&mut description, &map, &parts.facts);
    // SAFETY: the page is in the monitor's memory, which was allocated.
    unsafe {
        core::ptr::copy_nonoverlapping(
            description.0.as_ptr(),
            arch::DESCRIPTION as *mut u64,
            description.0.len(),
        )
    };
    arch::enter(piece.entry, &ready.written)
}

/// The page that describes the guest (`monitor_core::guest`).
pub struct Description([u64; PAGE_BYTES / 8]);

impl Description {
    pub fn new(facts: &Facts) -> Description {
        let mut words = [0; PAGE_BYTES / 8];
        const LINUX: u64 = 1;
        words[..5].copy_from_slice(&[MAGIC, VERSION, 2, facts.cpus.into(), LINUX]);
        Description(words)
    }

    /// Kernel, initramfs, command line, device tree; start and end each.
    pub fn parts(&mut self, parts: [Region; 4]) {
        for (number, part) in parts.into_iter().enumerate() {
            self.0[8 + number * 2] = part.start;
            self.0[9 + number * 2] = part.end;
        }
    }

    #[cfg(target_arch = "aarch64")]
    pub fn report(&mut self, ecam: u64, ports: u64) {
        (self.0[5], self.0[6]) = (ecam, ports);
    }

    #[cfg(target_arch = "aarch64")]
    pub fn base(&mut self, base: u64) {
        self.0[7] = base;
    }

    /// RAM of the guest's.
    pub fn memory(&mut self, start: u64, end: u64) {
        const AVAILABLE: u64 = 1;
        let count = self.0[16] as usize;
        if start < end && count < MEMORY_MAX {
            self.0[17 + count * 3..20 + count * 3].copy_from_slice(&[start, end, AVAILABLE]);
            self.0[16] += 1;
        }
    }
}

/// What is in place when firmware is left.
pub struct Ready {
    pub description: Description,
    /// Memory that was written, for caches.
    pub written: [Region; 2],
}

fn put_monitor(firmware: &Firmware, piece: &Piece) -> Result<(), Problem> {
    let Region { start, end } = arch::MONITOR;
    if piece.address < start || piece.address.checked_add(piece.memory_bytes).is_none_or(|last| last > end) {
        return Err(Problem::new("vtl2/monitor is for another machine", ""));
    }
    firmware.allocate_at(start, end, "the monitor")?;
    // SAFETY: within what was allocated.
    unsafe {
        core::ptr::write_bytes(start as *mut u8, 0, (end - start) as usize);
        core::ptr::copy_nonoverlapping(piece.content.as_ptr(), piece.address as *mut u8, piece.content.len());
    }
    Ok(())
}

/// Ends the machine's run, as far as a program without firmware can.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
