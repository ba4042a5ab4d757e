//! The monitor: runs below the kernel on the bare machine and answers as Hyper-V would.
//!
//! What is answered is decided in the library; here is what touches the machine: entry, exits, memory, interrupts,
//! the report's channel. It keeps the kernel from nothing: the guest's memory is not protected from the guest, nor is
//! the monitor's, since all it is for is booting kernels that one wants to see boot.

#![no_std]
#![no_main]

#[cfg(target_arch = "aarch64")]
#[path = "aarch64/entry.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64/entry.rs"]
mod arch;
mod lock;
mod memory;
mod self_test;

use bare_runtime as _;

/// Ends the machine: there is nobody to return to.
#[cfg(not(test))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let line = info.location().map_or(0, core::panic::Location::line);
    let file = info.location().map_or("", core::panic::Location::file);
    let mut report =
        monitor_core::json::Line::new("monitor-panic").text("file", file).number("line", line.into());
    arch::report(report.end());
    arch::end()
}
