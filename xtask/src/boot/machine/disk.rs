//! A disk under UEFI firmware: a PC or QEMU's `virt`, as one would start it by hand. [`describe`] is the machine of a boot
//! here; scripts that choose firmware and acceleration when they run are written from the same parts.

use super::{Acceleration, DISK, MIB, Machine, REPORT, VARIABLES, accelerate, add_common, strings};
use crate::{
    boot::{Below, Question},
    host::firmware::FlashFormat,
    profile::{Arch, Spec, Vtl, device_tree},
};

/// Firmware's code, in the machine's folder.
pub const CODE: &str = "code.fd";
/// What the guest writes, where that is kept: a layer over [`DISK`].
pub const OVERLAY: &str = "disk.qcow2";

/// Exit status of a PC that the monitor has ended: what it writes to the exit port (bare/monitor/src/x86_64/port.rs), twice and one more.
pub const MONITOR_ENDED: i32 = 0x10 << 1 | 1;

/// What becomes of what the guest writes to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Gone afterwards.
    Forgotten,
    /// Kept in [`OVERLAY`].
    Kept,
}

/// `memory_bytes` is the machine's; the guest of a monitor has less.
pub fn describe(question: Question, memory_bytes: u64, format: FlashFormat, gdb: Option<u16>) -> Machine {
    let mut arguments = board(question, Acceleration::Tcg);
    arguments.extend(flash(format));
    arguments.extend(disk(Writes::Forgotten));
    arguments.extend(strings(&["-net", "none"]));
    arguments.extend(report(question));
    let mut machine =
        Machine { arguments, files: Vec::new(), memory_bytes: memory_bytes.next_multiple_of(MIB) };
    add_common(&mut machine, question, gdb);
    machine
}

/// What firmware and the monitor need beside the memory that the disk's device tree names.
const BESIDE: u64 = 512 << 20;

/// Processors, and memory in bytes: as the disk's device tree has them, where it has one, else as they are asked for.
pub fn size(spec: &Spec, cpus: u32, memory_bytes: u64) -> (u32, u64) {
    let Some(tree) = spec.device_tree.as_ref().filter(|_| spec.vtl == Vtl::Vtl2) else {
        return (cpus, memory_bytes.max(BESIDE));
    };
    let machine = device_tree::describe(spec.arch, spec.vtl, tree, &spec.kernel.command_line);
    let memory: u64 = machine.memory.iter().map(|memory| memory.range.size).sum();
    (machine.cpus.len() as u32, memory_bytes.max(memory + BESIDE))
}

/// The machine as such, and what runs its processors.
pub fn board(question: Question, acceleration: Acceleration) -> Vec<String> {
    let has_monitor = question.below != Below::Nothing;
    let mut arguments = strings(match (question.arch, has_monitor, acceleration) {
        (Arch::X86_64, _, Acceleration::Tcg) => &["-M", "q35", "-cpu", "max"],
        (Arch::X86_64, _, Acceleration::Kvm) => &["-M", "q35", "-cpu", "host"],
        (Arch::Aarch64, true, _) => &["-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72"],
        (Arch::Aarch64, false, Acceleration::Tcg) => &["-M", "virt,gic-version=3", "-cpu", "cortex-a72"],
        // Processors of KVM have the interrupt controller that the host has.
        (Arch::Aarch64, false, Acceleration::Kvm) => &["-M", "virt,gic-version=host", "-cpu", "host"],
    });
    arguments.extend(accelerate(question.arch, acceleration));
    arguments
}

/// Firmware: its code, which nobody writes to, and the machine's own copy of its variables.
pub fn flash(format: FlashFormat) -> Vec<String> {
    let format = format.name();
    let drives = [
        format!("if=pflash,unit=0,format={format},readonly=on,file={CODE}"),
        format!("if=pflash,unit=1,format={format},file={VARIABLES}"),
    ];
    drives.into_iter().flat_map(|drive| ["-drive".to_string(), drive]).collect()
}

pub fn disk(writes: Writes) -> Vec<String> {
    let drive = match writes {
        Writes::Forgotten => format!("if=none,id=disk,format=raw,snapshot=on,file={DISK}"),
        Writes::Kept => format!("if=none,id=disk,format=qcow2,file={OVERLAY}"),
    };
    let device = "virtio-blk-pci,drive=disk,addr=3,bootindex=0".to_string();
    vec!["-drive".to_string(), drive, "-device".to_string(), device]
}

/// What the monitor reports on, and on a PC how it ends the machine.
pub fn report(question: Question) -> Vec<String> {
    if question.below == Below::Nothing {
        return Vec::new();
    }
    let mut arguments = vec!["-chardev".to_string(), format!("file,id=report,path={REPORT}")];
    arguments.extend(strings(match question.arch {
        Arch::X86_64 => &[
            "-device",
            "isa-debugcon,iobase=0xe9,chardev=report",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4",
        ],
        Arch::Aarch64 => &["-device", "pci-serial,chardev=report,addr=1"],
    }));
    arguments
}
