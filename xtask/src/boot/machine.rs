//! QEMU's command line and the files that it reads, as a value. Paths are relative to the boot's own folder, where
//! kernel, initramfs and monitor are linked to, so no path needs quoting in QEMU's ways.

use anyhow::{Context as _, Result, bail, ensure};
use fdt::{
    Range,
    machine::{self, Chosen, MAINLINE, PsciConduit, VmBus, VmBusInterrupt},
};

use super::{Below, Question};
use crate::{
    profile::{Arch, types::Vtl},
    report::bytes,
};

// Names in the boot's folder.
pub const KERNEL: &str = "kernel";
pub const INITRAMFS: &str = "initramfs";
pub const MONITOR: &str = "monitor";
pub const CONSOLE: &str = "console.log";
pub const REPORT: &str = "report.jsonl";
const COMMAND_LINE: &str = "command-line";
const DEVICE_TREE: &str = "device-tree.dtb";
const PARAMETERS: &str = "parameters";

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What the machine is made from.
pub struct Parts<'a> {
    pub question: Question,
    pub memory_bytes: u64,
    /// Of the profile, without what this boot adds.
    pub command_line: &'a str,
    /// The first bytes of the kernel's image.
    pub kernel_head: &'a [u8],
    pub initramfs_bytes: u64,
    /// QEMU waits on this port for a debugger.
    pub gdb_port: Option<u16>,
}

#[derive(Debug)]
pub struct Machine {
    pub arguments: Vec<String>,
    /// Name and content of what is written beside the links.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// First bytes of a kernel's image that are looked at.
pub const HEAD_BYTES: usize = 0x280;

pub fn describe(parts: &Parts) -> Result<Machine> {
    let question = parts.question;
    check_image(question.arch, parts.kernel_head)?;
    let mut machine = match (question.arch, question.below) {
        (Arch::Aarch64, Below::Monitor { vtl }) => aarch64_with_monitor(parts, vtl)?,
        (Arch::Aarch64, Below::Nothing) => {
            let virt = ["-M", "virt,gic-version=3", "-cpu", "cortex-a72"];
            plain(&virt, parts)
        }
        (Arch::X86_64, Below::Monitor { vtl }) => x86_64_with_monitor(parts, vtl)?,
        (Arch::X86_64, Below::Nothing) => plain(&["-M", "q35", "-cpu", "max"], parts),
    };
    add_common(&mut machine.arguments, parts);
    Ok(machine)
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_string()).collect()
}

/// QEMU's own loader and its own description of the machine.
fn plain(machine: &[&str], parts: &Parts) -> Machine {
    let mut arguments = strings(machine);
    arguments.extend(strings(&["-kernel", KERNEL, "-initrd", INITRAMFS, "-append"]));
    arguments.push(command_line(parts));
    Machine { arguments, files: Vec::new() }
}

/// The profile's command line, and what the payload is to do once it has reported.
fn command_line(parts: &Parts) -> String {
    let Question { arch, kernel, is_interactive, .. } = parts.question;
    let after = match (arch, kernel) {
        _ if is_interactive => return parts.command_line.to_string(),
        // How it restarts is evidence of the level that it runs at.
        (Arch::X86_64, Vtl::Vtl2) => "reboot",
        (Arch::X86_64, Vtl::Vtl0) | (Arch::Aarch64, _) => "poweroff",
    };
    format!("{} vtl2_init.after={after}", parts.command_line)
}

fn add_common(arguments: &mut Vec<String>, parts: &Parts) {
    let accel = match parts.question.arch {
        // With a thread a processor, QEMU lets one run code while another patches it: kernels die of that now and then.
        Arch::X86_64 => "tcg,thread=single",
        Arch::Aarch64 => "tcg",
    };
    arguments.extend(strings(&["-accel", accel, "-nodefaults", "-display", "none", "-no-reboot"]));
    arguments.extend(["-m".to_string(), format!("{}M", parts.memory_bytes / MIB)]);
    arguments.extend(["-smp".to_string(), parts.question.cpus.to_string()]);
    if parts.question.is_interactive {
        let chardev = format!("stdio,id=console,mux=on,signal=off,logfile={CONSOLE}");
        arguments.extend(["-chardev".to_string(), chardev]);
        arguments.extend(strings(&["-serial", "chardev:console", "-mon", "chardev=console,mode=readline"]));
    } else {
        arguments.extend(strings(&["-serial", "stdio", "-monitor", "none"]));
    }
    if let Some(port) = parts.gdb_port {
        arguments.extend(["-S".to_string(), "-gdb".to_string(), format!("tcp:127.0.0.1:{port}")]);
    }
}

/// The monitor is started by QEMU's multiboot loader. A VTL2 kernel gets a machine that has nothing of a PC but a
/// serial port, described by a device tree as Hyper-V does; a normal one a PC, described by ACPI.
fn x86_64_with_monitor(parts: &Parts, vtl: u8) -> Result<Machine> {
    let Question { kernel, cpus, .. } = parts.question;
    let mut files = vec![(COMMAND_LINE, command_line(parts).into_bytes())];
    let mut modules = format!("{KERNEL},{INITRAMFS},{COMMAND_LINE}");
    let board = match kernel {
        Vtl::Vtl2 => {
            let tree = machine::hyperv_vtl2_x86_64(cpus, pc_memory(parts.memory_bytes)).tree(&MAINLINE);
            files.push((DEVICE_TREE, fdt::to_dtb(&tree).context("the machine's device tree")?));
            modules += &format!(",{DEVICE_TREE}");
            "microvm,acpi=off,rtc=off,pit=off,pic=off"
        }
        Vtl::Vtl0 => "q35",
    };
    let self_test = if parts.question.is_self_test { " self-test" } else { "" };
    let mut arguments = strings(&["-M", board, "-cpu", "max", "-kernel", MONITOR, "-initrd"]);
    arguments.extend([modules, "-append".to_string(), format!("vtl={vtl} cpus={cpus}{self_test}")]);
    arguments.extend(["-chardev".to_string(), format!("file,id=report,path={REPORT}")]);
    arguments.extend(strings(&["-device", "isa-debugcon,iobase=0xe9,chardev=report"]));
    arguments.extend(strings(&["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]));
    Ok(Machine { arguments, files })
}

/// A PC leaves the last GiB below 4 GiB to devices.
fn pc_memory(memory_bytes: u64) -> Vec<Range> {
    let low = memory_bytes.min(3 * GIB);
    let high = Range::new(4 * GIB, memory_bytes - low);
    [Range::new(0, low), high].into_iter().filter(|range| range.size > 0).collect()
}

// Where things are on QEMU's `virt` (hw/arm/virt.c): RAM, PCI configuration space, PCI's I/O ports.
const RAM: u64 = GIB;
const ECAM: u64 = 0x40_1000_0000;
const PORTS: u64 = 0x3eff_0000;
// monitor/src/aarch64: the page that is read, and where the monitor's memory ends.
const PARAMETERS_PAGE: u64 = RAM + 2 * MIB - 0x1000;
const GUEST_RAM: u64 = RAM + 4 * MIB;

fn aarch64_with_monitor(parts: &Parts, vtl: u8) -> Result<Machine> {
    let end = RAM + parts.memory_bytes;
    let kernel = GUEST_RAM;
    let initramfs = (kernel + arm64_image_bytes(parts.kernel_head)).next_multiple_of(2 * MIB);
    let device_tree = (initramfs + parts.initramfs_bytes).next_multiple_of(2 * MIB);
    ensure!(
        device_tree + 2 * MIB <= end,
        "kernel and initramfs need more than the {} of memory that the machine has\n  hint: give it more with --memory",
        bytes(parts.memory_bytes)
    );
    let chosen = Chosen {
        bootargs: Some(command_line(parts)),
        initrd: Some(Range::new(initramfs, parts.initramfs_bytes)),
    };
    let memory = vec![Range::new(GUEST_RAM, end - GUEST_RAM)];
    let mut virt = machine::qemu_virt_aarch64(parts.question.cpus, memory, PsciConduit::Hvc, chosen);
    virt.vtl = vtl;
    // As in the ready machine for Hyper-V itself.
    virt.vmbus = vec![VmBus {
        vtl,
        mmio: vec![Range::new(0xf_f000_0000, 0x1000_0000)],
        interrupt: VmBusInterrupt::Ppi(2),
        connection_id: if vtl == 2 { 0x80_0074 } else { 4 },
        comment: None,
    }];
    let dtb = fdt::to_dtb(&virt.tree(&MAINLINE)).context("the machine's device tree")?;

    let cpus = u64::from(parts.question.cpus);
    // The monitor takes no kernel for its own guest.
    let entry = if parts.question.is_self_test { 0 } else { kernel };
    let words = [u64::from(vtl), cpus, entry, device_tree, GUEST_RAM, end, ECAM, PORTS];
    let mut parameters = b"VTLFORGE".to_vec();
    words.iter().for_each(|word| parameters.extend(word.to_le_bytes()));

    let mut arguments =
        strings(&["-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72", "-kernel", MONITOR]);
    let loaded =
        [(PARAMETERS, PARAMETERS_PAGE), (KERNEL, kernel), (INITRAMFS, initramfs), (DEVICE_TREE, device_tree)];
    for (file, address) in loaded {
        let loader = format!("loader,file={file},addr={address:#x},force-raw=on");
        arguments.extend(["-device".to_string(), loader]);
    }
    arguments.extend(["-chardev".to_string(), format!("file,id=report,path={REPORT}")]);
    arguments.extend(strings(&["-device", "pci-serial,chardev=report,addr=1"]));
    let files = vec![(PARAMETERS, parameters), (DEVICE_TREE, dtb)];
    Ok(Machine { arguments, files })
}

// Linux, Documentation/arch/arm64/booting.rst and arch/x86/boot.rst.
const ARM64_MAGIC: (usize, &[u8]) = (0x38, b"ARM\x64");
const X86_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");

fn check_image(arch: Arch, head: &[u8]) -> Result<()> {
    let has = |(at, magic): (usize, &[u8])| head.get(at..at + magic.len()) == Some(magic);
    let found = match (has(ARM64_MAGIC), has(X86_MAGIC)) {
        (true, _) => Some(Arch::Aarch64),
        (_, true) => Some(Arch::X86_64),
        (false, false) => None,
    };
    match found {
        Some(found) if found == arch => Ok(()),
        Some(found) => bail!(
            "the kernel is an image for {}, and the profile is for {}\n  \
             hint: `cargo xtask explain PROFILE kernel.source` says where it comes from",
            found.name(),
            arch.name()
        ),
        None => bail!("the kernel is neither an x86_64 bzImage nor an aarch64 Image"),
    }
}

/// Memory that an arm64 kernel takes from its first byte on: `image_size` of its header.
fn arm64_image_bytes(head: &[u8]) -> u64 {
    head.get(16..24).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(magic: (usize, &[u8])) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        head[magic.0..magic.0 + magic.1.len()].copy_from_slice(magic.1);
        head[16..24].copy_from_slice(&(3 * MIB).to_le_bytes());
        head
    }

    fn check(arch: Arch, kernel: Vtl, below: Below, head: &[u8], memory_bytes: u64) -> Result<String> {
        let question = Question { arch, kernel, below, cpus: 4, is_interactive: false, is_self_test: false };
        let command_line = "console=ttyX";
        let parts = Parts {
            question,
            memory_bytes,
            command_line,
            kernel_head: head,
            initramfs_bytes: MIB,
            gdb_port: None,
        };
        describe(&parts).map(|machine| machine.arguments.join(" "))
    }

    #[test]
    fn machines() {
        let at_2 = Below::Monitor { vtl: 2 };
        let (arm, x86) = (head(ARM64_MAGIC), head(X86_MAGIC));
        let has = |text: String, parts: &[&str]| {
            parts.iter().for_each(|part| assert!(text.contains(part), "{part} in {text}"));
        };
        has(
            check(Arch::Aarch64, Vtl::Vtl2, at_2, &arm, 512 * MIB).unwrap(),
            &[
                "-M virt,virtualization=on,gic-version=3",
                "loader,file=kernel,addr=0x40400000",
                "loader,file=initramfs,addr=0x40800000",
                "loader,file=device-tree.dtb,addr=0x40a00000",
                "-m 512M -smp 4",
            ],
        );
        has(
            check(Arch::X86_64, Vtl::Vtl2, at_2, &x86, 512 * MIB).unwrap(),
            &["microvm", "-initrd kernel,initramfs,command-line,device-tree.dtb -append vtl=2 cpus=4"],
        );
        has(
            check(Arch::X86_64, Vtl::Vtl0, at_2, &x86, 512 * MIB).unwrap(),
            &["q35", "kernel,initramfs,command-line "],
        );
        has(
            check(Arch::X86_64, Vtl::Vtl0, Below::Nothing, &x86, 512 * MIB).unwrap(),
            &["-append console=ttyX vtl2_init.after=poweroff"],
        );
    }

    #[test]
    fn what_cannot_be_booted() {
        let at_2 = Below::Monitor { vtl: 2 };
        let error = |result: Result<String>| result.unwrap_err().to_string();
        let (arm, x86) = (head(ARM64_MAGIC), head(X86_MAGIC));
        let other = error(check(Arch::Aarch64, Vtl::Vtl2, at_2, &x86, 512 * MIB));
        assert!(
            other.starts_with("the kernel is an image for x86_64, and the profile is for aarch64"),
            "{other}"
        );
        let none = error(check(Arch::X86_64, Vtl::Vtl2, at_2, &[], 512 * MIB));
        assert_eq!(none, "the kernel is neither an x86_64 bzImage nor an aarch64 Image");
        let small = error(check(Arch::Aarch64, Vtl::Vtl2, at_2, &arm, 8 * MIB));
        assert!(small.contains("--memory"), "{small}");
    }
}
