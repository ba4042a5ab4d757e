//! A disk under UEFI firmware: a PC or QEMU's `virt`, as one would start it by hand.

use super::{DISK, MIB, Machine, REPORT, VARIABLES, add_common, strings};
use crate::{
    boot::{Below, Question},
    host::firmware::{Firmware, FlashFormat},
    profile::Arch,
};

/// `memory_bytes` is the machine's; the guest of a monitor has less.
pub fn describe(question: Question, memory_bytes: u64, firmware: &Firmware, gdb: Option<u16>) -> Machine {
    let has_monitor = question.below != Below::Nothing;
    let mut arguments = strings(match (question.arch, has_monitor) {
        (Arch::X86_64, _) => &["-M", "q35", "-cpu", "max"],
        (Arch::Aarch64, true) => &["-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72"],
        (Arch::Aarch64, false) => &["-M", "virt,gic-version=3", "-cpu", "cortex-a72"],
    });
    let format = match firmware.format {
        FlashFormat::Raw => "raw",
        FlashFormat::Qcow2 => "qcow2",
    };
    let code = firmware.code.display();
    let drives = [
        format!("if=pflash,unit=0,format={format},readonly=on,file={code}"),
        format!("if=pflash,unit=1,format={format},file={VARIABLES}"),
        // What the guest writes is gone afterwards.
        format!("if=none,id=disk,format=raw,snapshot=on,file={DISK}"),
    ];
    drives.into_iter().for_each(|drive| arguments.extend(["-drive".to_string(), drive]));
    arguments.extend(strings(&["-device", "virtio-blk-pci,drive=disk,addr=3,bootindex=0", "-net", "none"]));
    if has_monitor {
        arguments.extend(["-chardev".to_string(), format!("file,id=report,path={REPORT}")]);
        arguments.extend(strings(match question.arch {
            Arch::X86_64 => &[
                "-device",
                "isa-debugcon,iobase=0xe9,chardev=report",
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4",
            ],
            Arch::Aarch64 => &["-device", "pci-serial,chardev=report,addr=1"],
        }));
    }
    let mut machine =
        Machine { arguments, files: Vec::new(), memory_bytes: memory_bytes.next_multiple_of(MIB) };
    add_common(&mut machine, question, gdb);
    machine
}
