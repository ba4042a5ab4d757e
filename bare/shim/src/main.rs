//! The boot shim on the bare machine: the host enters it with the address of its plan. What it decides is in the
//! library; here are entry, memory, the word to the host, and the jump to the kernel.

#![no_std]
#![no_main]

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;

use bare_runtime as _;
use boot_shim::{
    Failure, Given, Prepared, Range, Room, Text,
    plan::{PAGE_BYTES, Plan},
    prepare,
};

/// What the host finds in the first crash parameter: "VTLSHIM", so that it knows whose the others are.
const CRASH: u64 = u64::from_le_bytes(*b"VTLSHIM\0");

/// Value of the crash control register: tell the host, with a message whose address and length are in P3 and P4.
const CRASH_NOTIFY_MESSAGE: u64 = 1 << 63 | 1 << 62;

/// With a stack, and with memory that behaves.
extern "C" fn shim(plan: u64) -> ! {
    // SAFETY: the file's own page, which nothing writes.
    let page = unsafe { &*(plan as *const [u8; PAGE_BYTES]) };
    let plan = Plan::parse(page).unwrap_or_else(|failure| crash(&Text::of(&failure)));
    match run(&plan) {
        Ok(prepared) => arch::start_kernel(prepared.entry, prepared.argument, plan.own),
        Err(failure) => crash(&tell(&plan, failure)),
    }
}

/// The failure in words; one about an option has the option's own.
fn tell(plan: &Plan, failure: Failure) -> Text {
    let mut text = Text::of(&failure);
    if let Failure::HostOption { start, length } = failure {
        let options = bytes(plan.host_options);
        let begin = options.iter().position(|byte| *byte != b' ').unwrap_or(0) + start;
        text.quote(options.get(begin..begin + length).unwrap_or_default());
    }
    text
}

fn run(plan: &Plan) -> Result<Prepared, Failure> {
    let count = bytes(plan.vp_count);
    let given = Given {
        kernel: bytes(plan.kernel),
        initramfs: bytes(plan.initramfs),
        template: bytes(plan.template),
        command_line: bytes(plan.command_line),
        vp_count: u32::from_le_bytes([count[0], count[1], count[2], count[3]]),
        memory_map: bytes(plan.memory_map),
        host_tree: bytes(plan.host_tree),
        host_options: bytes(plan.host_options),
    };
    // SAFETY: memory of the shim (`Plan::parse`) and the page of boot_params, which overlap nothing that is read.
    let room = unsafe {
        &mut Room {
            tree: bytes_mut(plan.tree_room),
            command_line: bytes_mut(plan.command_line_room),
            boot_params: match bytes_mut(plan.boot_params).try_into() {
                Ok(page) => page,
                Err(_) => return Err(Failure::Plan("boot_params")),
            },
        }
    };
    prepare(plan, &given, room)
}

/// Memory of the file, or of its parameter areas.
fn bytes(range: Range) -> &'static [u8] {
    // SAFETY: the plan is the file's own; what it names was loaded, and is mapped at its address.
    unsafe { core::slice::from_raw_parts(range.start as *const u8, (range.end - range.start) as usize) }
}

/// # Safety
/// The range is the caller's alone.
unsafe fn bytes_mut(range: Range) -> &'static mut [u8] {
    // SAFETY: as in `bytes`, and by the caller's word.
    unsafe { core::slice::from_raw_parts_mut(range.start as *mut u8, (range.end - range.start) as usize) }
}

/// Tells the host why, by its own means (TLFS, "Guest Crash Enlightenments"), and ends.
fn crash(text: &Text) -> ! {
    let message = text.as_bytes();
    arch::report([CRASH, 0, 0, message.as_ptr() as u64, message.len() as u64]);
    arch::end()
}

#[cfg(not(test))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let line = info.location().map_or(0, core::panic::Location::line);
    crash(&Text::of(&format_args!("a panic of the shim itself, in line {line}")))
}
