//! QEMU's command line and the files that it reads, as a value. Paths are relative to the boot's own folder, where
//! kernel, initramfs and monitor are linked to, so no path needs quoting in QEMU's ways.

mod aarch64;
pub mod disk;
mod x86_64;

use anyhow::{Context as _, Result, bail};
use fdt::{
    Range,
    machine::{Chosen, OPENHCL_HOST},
};
use image::igvm::start::{Guest, Host};

use super::{Below, Question, guest::Part, lower::Layout};
use crate::profile::Arch;

// Names in the boot's folder.
pub const KERNEL: &str = "kernel";
pub const INITRAMFS: &str = "initramfs";
pub const MONITOR: &str = "monitor";
pub const CONSOLE: &str = "console.log";
/// The disk, and firmware's variables.
pub const DISK: &str = "disk.raw";
pub const VARIABLES: &str = "variables.fd";
pub const REPORT: &str = "report.jsonl";
/// A pipe into the monitor.
pub const REQUESTS: &str = "requests";
const COMMAND_LINE: &str = "command-line";
const DEVICE_TREE: &str = "device-tree.dtb";
const GUEST: &str = "guest";

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
    pub kernel_bytes: u64,
    pub initramfs_bytes: u64,
    /// Where memory is, with a guest at VTL0 below.
    pub lower: Option<Layout>,
    /// QEMU waits on this port for a debugger.
    pub gdb_port: Option<u16>,
}

#[derive(Debug)]
pub struct Machine {
    pub arguments: Vec<String>,
    /// Name and content of what is written beside the links.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// With what the monitor takes for itself.
    memory_bytes: u64,
}

/// First bytes of a kernel's image that are looked at.
pub const HEAD_BYTES: usize = 0x280;

pub fn describe(parts: &Parts) -> Result<Machine> {
    let question = parts.question;
    check_image(question.arch, parts.kernel_head)?;
    let mut machine = match (question.arch, question.below) {
        (Arch::Aarch64, Below::Monitor { vtl }) => aarch64::with_monitor(parts, vtl)?,
        (Arch::Aarch64, Below::Nothing) => {
            let virt = ["-M", "virt,gic-version=3", "-cpu", "cortex-a72"];
            plain(&virt, parts)
        }
        (Arch::X86_64, Below::Monitor { vtl }) => x86_64::with_monitor(parts, vtl)?,
        (Arch::X86_64, Below::Nothing) => plain(&["-M", "q35", "-cpu", "max"], parts),
    };
    if question.is_shutdown {
        // Before the device that refers to it.
        let pipe = ["-chardev".to_string(), format!("pipe,id={REQUESTS},path={REQUESTS}")];
        machine.arguments.splice(0..0, pipe);
    }
    machine.arguments.extend(accelerate(question.arch, Acceleration::Tcg));
    add_common(&mut machine, question, parts.gdb_port);
    Ok(machine)
}

pub use disk::describe as describe_disk;

/// The machine for a guest that a host has loaded; `memory_bytes` is the guest's RAM.
pub fn describe_loaded(
    question: Question,
    memory_bytes: u64,
    guest: &Guest,
    gdb_port: Option<u16>,
) -> Machine {
    let (cpus, runs) = (question.cpus, &guest.runs);
    let mut machine = match question.arch {
        Arch::X86_64 => x86_64::loaded(cpus, memory_bytes, runs, guest.registers),
        Arch::Aarch64 => aarch64::loaded(cpus, memory_bytes, runs, guest.registers),
    };
    machine.arguments.extend(accelerate(question.arch, Acceleration::Tcg));
    add_common(&mut machine, question, gdb_port);
    machine
}

/// What the monitor, as a host, says of its machine, so far as it is the same on every boot.
pub fn host(arch: Arch, cpus: u32, memory_bytes: u64, command_line: &str) -> Result<Host> {
    let memory = vec![Range::new(0, memory_bytes)];
    let machine = match arch {
        Arch::X86_64 => fdt::machine::hyperv_vtl2_x86_64(cpus, memory),
        Arch::Aarch64 => fdt::machine::hyperv_vtl2_aarch64(cpus, memory, Chosen::default()),
    };
    let mmio = machine.vmbus.iter().flat_map(|vmbus| &vmbus.mmio);
    Ok(Host {
        arch: arch.into(),
        memory: std::iter::once(0..memory_bytes).collect(),
        mmio: mmio.map(|range| range.base..range.base + range.size).collect(),
        vps: cpus,
        device_tree: fdt::to_dtb(&machine.tree(&OPENHCL_HOST)).context("the host's device tree")?,
        command_line: command_line.to_string(),
    })
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_string()).collect()
}

/// QEMU's own loader and its own description of the machine.
fn plain(machine: &[&str], parts: &Parts) -> Machine {
    let mut arguments = strings(machine);
    arguments.extend(strings(&["-kernel", KERNEL, "-initrd", INITRAMFS, "-append"]));
    arguments.push(command_line(parts));
    Machine { arguments, files: Vec::new(), memory_bytes: parts.memory_bytes }
}

/// The profile's command line, and what the payload is to do once it has reported.
fn command_line(parts: &Parts) -> String {
    let Question { arch, is_interactive, is_shutdown, .. } = parts.question;
    let after = match arch {
        _ if is_interactive => return parts.command_line.to_string(),
        // It waits for what it will be asked.
        _ if is_shutdown => "idle",
        // The payload ends the machine's run when its guest has ended.
        _ if parts.lower.is_some() => "supervise",
        // How it restarts is evidence of the level that it runs at; and switching off takes ACPI.
        Arch::X86_64 => "reboot",
        Arch::Aarch64 => "poweroff",
    };
    format!("{} vtl2_init.after={after}", parts.command_line)
}

/// What runs the guest's processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceleration {
    /// QEMU's emulation, which lets a monitor in below the kernel.
    Tcg,
    /// The machine's own processors, for guests of their architecture.
    Kvm,
}

fn accelerate(arch: Arch, acceleration: Acceleration) -> Vec<String> {
    strings(match (acceleration, arch) {
        (Acceleration::Kvm, _) => &["-accel", "kvm"],
        // With a thread a processor, QEMU lets one run code while another patches it: kernels die of that now and then.
        (Acceleration::Tcg, Arch::X86_64) => &["-accel", "tcg,thread=single"],
        (Acceleration::Tcg, Arch::Aarch64) => &["-accel", "tcg"],
    })
}

fn add_common(machine: &mut Machine, question: Question, gdb_port: Option<u16>) {
    let arguments = &mut machine.arguments;
    arguments.extend(headless());
    arguments.extend(["-m".to_string(), format!("{}M", machine.memory_bytes / MIB)]);
    arguments.extend(["-smp".to_string(), question.cpus.to_string()]);
    match question.is_interactive {
        true => arguments.extend(terminal()),
        false => arguments.extend(strings(&["-serial", "stdio", "-monitor", "none"])),
    }
    if let Some(port) = gdb_port {
        arguments.extend(["-S".to_string(), "-gdb".to_string(), format!("tcp:127.0.0.1:{port}")]);
    }
}

/// Only what is asked for, and no screen; restarting ends the run.
pub fn headless() -> Vec<String> {
    strings(&["-nodefaults", "-display", "none", "-no-reboot"])
}

/// The serial console on this terminal, with QEMU's monitor behind Ctrl-A C, and a copy in [`CONSOLE`].
pub fn terminal() -> Vec<String> {
    let chardev = format!("stdio,id=console,mux=on,signal=off,logfile={CONSOLE}");
    let mut arguments = vec!["-chardev".to_string(), chardev];
    arguments.extend(strings(&["-serial", "chardev:console", "-mon", "chardev=console,mode=readline"]));
    arguments
}

/// Has QEMU put files of the folder into memory.
fn place(arguments: &mut Vec<String>, parts: &[Part]) {
    for Part { file, address } in parts {
        let loader = format!("loader,file={file},addr={address:#x},force-raw=on");
        arguments.extend(["-device".to_string(), loader]);
    }
}

// Linux, Documentation/arch/arm64/booting.rst and arch/x86/boot.rst.
const ARM64_MAGIC: (usize, &[u8]) = (0x38, b"ARM\x64");
const X86_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");

pub fn check_image(arch: Arch, head: &[u8]) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::types::Vtl;

    fn head(magic: (usize, &[u8])) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        head[magic.0..magic.0 + magic.1.len()].copy_from_slice(magic.1);
        head[16..24].copy_from_slice(&(3 * MIB).to_le_bytes());
        head
    }

    fn check(arch: Arch, kernel: Vtl, below: Below, head: &[u8], memory_bytes: u64) -> Result<String> {
        let question = Question {
            arch,
            kernel,
            below,
            cpus: 4,
            is_interactive: false,
            is_self_test: false,
            is_shutdown: false,
        };
        let command_line = "console=ttyX";
        let parts = Parts {
            question,
            memory_bytes,
            command_line,
            kernel_head: head,
            kernel_bytes: MIB,
            initramfs_bytes: MIB,
            lower: None,
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
            &[
                "microvm",
                "-kernel monitor",
                "loader,file=guest,addr=0x7ff000",
                "loader,file=kernel,addr=0x800000",
                "loader,file=initramfs,addr=0x900000",
                "loader,file=command-line,addr=0xa00000",
                "loader,file=device-tree.dtb,addr=0xa01000",
            ],
        );
        has(
            check(Arch::X86_64, Vtl::Vtl0, at_2, &x86, 512 * MIB).unwrap(),
            &["q35", "-kernel monitor", "loader,file=command-line,addr=0xa00000"],
        );
        has(
            check(Arch::X86_64, Vtl::Vtl0, Below::Nothing, &x86, 512 * MIB).unwrap(),
            &["-append console=ttyX vtl2_init.after=reboot"],
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
