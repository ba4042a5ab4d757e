//! What can't work, though every single value is fine: combinations first, as a table, then quantities, the
//! command line, and sources. Each rule says why, so that it can be argued with. What a kernel needs at its trust level
//! is not here but in configs/rules.yaml.

use document::{Origin, Problem, Problems, list};

use super::{
    device_tree::{self, Dialect, Machine},
    spec::{IgvmSpec, Spec},
    types::{Arch, Console, DebArch, Firmware, IgvmEntry, IgvmPlatform, KernelSource, Vtl},
};
use crate::kernel::lint::{CommandLine, Got, Series, Severity, Subject, Symbols, judge};

const MIB: u64 = 1 << 20;
/// The fewest clusters of FAT32 (65525, of one sector), its tables, and the GPT's 1 MiB at each end.
const DISK_MIN_BYTES: u64 = 36 * MIB;
/// The VHD format ends here: 2040 GiB.
const DISK_MAX_BYTES: u64 = 2040 << 30;
/// Kernel, its page tables, and the initramfs packed and unpacked.
const MEMORY_MIN_BYTES: u64 = 64 * MIB;
/// QEMU's virt machine has its first region of GICv3 redistributors at a fixed place; what doesn't fit moves.
const QEMU_VIRT_CPUS_MAX: u32 = 123;
/// COMMAND_LINE_SIZE of x86 and arm64, with the NUL behind it.
const COMMAND_LINE_MAX_BYTES: usize = 2048;

/// Reports every rule that the spec breaks.
pub(super) fn check(spec: &Spec, problems: &mut Problems) {
    for combination in COMBINATIONS.iter().filter(|combination| (combination.broken)(spec)) {
        problems.push(combination.problem(spec));
    }
    let rules = [disk, options, command_line_length, kernel, kernel_source, efi_stub, device_tree, igvm];
    for rule in rules {
        rule(spec, problems);
    }
}

/// Values of several keys that exclude each other.
struct Combination {
    broken: fn(&Spec) -> bool,
    /// The key most likely to be wrong, and the others in it.
    at: &'static str,
    with: &'static [&'static str],
    reason: &'static str,
    hint: &'static str,
}

const COMBINATIONS: &[Combination] = &[
    Combination {
        broken: |spec| spec.arch == Arch::X86_64 && spec.console == Console::TtyAma0,
        at: "console",
        with: &["arch"],
        reason: "ttyAMA0 is a PL011, an Arm serial port: no x86_64 machine has one",
        hint: "use `ttyS0`, or at VTL2 `ttyS2`",
    },
    Combination {
        broken: |spec| spec.arch == Arch::Aarch64 && spec.console != Console::TtyAma0,
        at: "console",
        with: &["arch"],
        reason: "ttyS0 and ttyS2 are 16550s at PC addresses: Hyper-V and QEMU give aarch64 machines a PL011",
        hint: "use `ttyAMA0`",
    },
    Combination {
        broken: |spec| spec.vtl == Vtl::Vtl0 && spec.console == Console::TtyS2,
        at: "console",
        with: &["vtl"],
        reason: "ttyS2 is the third serial port, and Hyper-V gives a VTL0 guest two",
        hint: "use `ttyS0`",
    },
    Combination {
        broken: |spec| spec.vtl == Vtl::Vtl2 && spec.firmware == Firmware::Uefi,
        at: "firmware",
        with: &["vtl"],
        reason: "VTL2 is started by the host from an IGVM file, before any UEFI runs",
        hint: "use `igvm`",
    },
    Combination {
        broken: |spec| spec.vtl == Vtl::Vtl0 && spec.firmware == Firmware::Igvm,
        at: "firmware",
        with: &["vtl"],
        reason: "a VTL0 guest of generation 2 boots by UEFI only; an IGVM file would be started at VTL2",
        hint: "use `uefi`",
    },
    Combination {
        broken: |spec| {
            spec.arch == Arch::X86_64
                && matches!(machine(spec), Some(Machine::QemuVirt | Machine::QemuVirtEl2))
        },
        at: "device-tree.machine",
        with: &["arch"],
        reason: "QEMU's `virt` machine is aarch64",
        hint: "at VTL2 use `hyperv-vtl2`; at VTL0 remove `device-tree`: x86_64 machines bring ACPI tables",
    },
    Combination {
        broken: |spec| spec.arch == Arch::Aarch64 && machine(spec) == Some(Machine::QemuMicrovm),
        at: "device-tree.machine",
        with: &["arch"],
        reason: "QEMU's `microvm` machine is x86_64",
        hint: "use `qemu-virt`",
    },
    Combination {
        broken: |spec| spec.vtl == Vtl::Vtl0 && machine(spec) == Some(Machine::HypervVtl2),
        at: "device-tree.machine",
        with: &["vtl"],
        reason: "hyperv-vtl2 describes what VTL2 sees; a VTL0 guest would be told of devices it doesn't have",
        hint: "use `qemu-virt`, or remove `device-tree`: Hyper-V describes VTL0 by ACPI tables",
    },
];

impl Combination {
    fn problem(&self, spec: &Spec) -> Problem {
        let problem = Problem::new(origin(spec, self.at), self.reason).hint(self.hint);
        let problem = self.with.iter().fold(problem, |problem, key| match spec.origin(key) {
            Some(origin) => problem.related(origin.clone(), format!("`{key}` is set here")),
            None => problem,
        });
        in_profile(spec, problem)
    }
}

fn machine(spec: &Spec) -> Option<Machine> {
    spec.device_tree.as_ref().map(|tree| tree.machine)
}

fn disk(spec: &Spec, problems: &mut Problems) {
    let size = spec.disk.size_bytes;
    let reason = match size {
        size if size < DISK_MIN_BYTES => {
            format!(
                "a disk of {size} bytes can't hold a FAT32 file system, as an EFI system partition is: 36 MiB"
            )
        }
        size if size > DISK_MAX_BYTES => {
            format!("the VHD format ends at 2040 GiB, and {size} bytes are more")
        }
        size if !size.is_multiple_of(MIB) => {
            format!("Azure takes disks of whole MiB only, and {size} bytes are {} too many", size % MIB)
        }
        _ => return,
    };
    let close = size.clamp(DISK_MIN_BYTES, DISK_MAX_BYTES).div_ceil(MIB);
    report(spec, problems, "disk.size", reason, format!("the nearest size that works is `{close}MiB`"));
}

/// Quantities first: a tree of them would only repeat what is wrong.
fn device_tree(spec: &Spec, problems: &mut Problems) {
    let before = problems.0.len();
    memory(spec, problems);
    cpus(spec, problems);
    if problems.0.len() == before {
        device_tree::check(spec, problems);
    }
}

fn memory(spec: &Spec, problems: &mut Problems) {
    let Some(tree) = &spec.device_tree else { return };
    // Ranges are checked one by one.
    let Some(memory) = tree.memory else { return };
    let reason = match memory.0 {
        size if size < MEMORY_MIN_BYTES => {
            format!("{size} bytes of memory can't hold a kernel with its initramfs")
        }
        size if !size.is_multiple_of(MIB) => {
            format!("memory comes in whole MiB, and {size} bytes are {} too many", size % MIB)
        }
        _ => return,
    };
    let hint = "64MiB is the least, 512MiB leaves room for a payload";
    report(spec, problems, "device-tree.memory", reason, hint);
}

fn cpus(spec: &Spec, problems: &mut Problems) {
    let Some(tree) = &spec.device_tree else { return };
    let is_virt = matches!(tree.machine, Machine::QemuVirt | Machine::QemuVirtEl2);
    let has_own_gic = tree.details.gic.as_ref().is_some_and(|gic| gic.redistributors.is_some());
    if is_virt && !has_own_gic && tree.cpus.is_some_and(|cpus| cpus > QEMU_VIRT_CPUS_MAX) {
        let reason = format!(
            "QEMU's `virt` machine has interrupt redistributors for {QEMU_VIRT_CPUS_MAX} processors at their usual \
             place; those of more lie where a device tree made in advance can't know"
        );
        report(spec, problems, "device-tree.cpus", reason, format!("at most {QEMU_VIRT_CPUS_MAX}"));
    }
}

/// Options of the kernel command line, one by one.
fn options(spec: &Spec, problems: &mut Problems) {
    let options: Vec<_> = spec.kernel.command_line.split(' ').collect();
    for (index, option) in options.iter().enumerate().skip(1) {
        if let Some((reason, hint)) = wrong_option(spec, option) {
            report(spec, problems, &format!("kernel.command-line.{index}"), reason, hint);
        }
    }
}

/// Why an option of the command line can't be there, and what to do.
fn wrong_option(spec: &Spec, option: &str) -> Option<(String, &'static str)> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let (reason, hint) = match (name, value) {
        ("console", device) => return wrong_console(spec, device),
        ("initrd", _) => (
            "`initrd=` names a file on the EFI system partition; the payload is inside the kernel's image",
            "remove it",
        ),
        ("noinitrd", "") => {
            ("the payload is an initramfs: with `noinitrd` nothing would be process 1", "remove it")
        }
        ("printk.devkmsg", "off") => (
            "with `printk.devkmsg=off` the payload can't write to the kernel log, where it says that it is ready",
            "use `printk.devkmsg=on`",
        ),
        _ => return None,
    };
    Some((reason.to_owned(), hint))
}

/// The key `console` decides on the serial port. A virtual terminal beside it is for screens, which VTL0 has.
fn wrong_console(spec: &Spec, device: &str) -> Option<(String, &'static str)> {
    let device = device.split(',').next().unwrap_or_default();
    let number = device.strip_prefix("tty").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let own = spec.console.name();
    match number {
        Some(_) if spec.vtl == Vtl::Vtl0 => None,
        Some(_) => Some((format!("`{device}` is a screen, and VTL2 has none"), "remove it")),
        None if device == own => Some((
            format!("`console={device}` is there already: it follows from the key `console`"),
            "remove this option",
        )),
        None => Some((
            format!("`console={device}` contradicts the key `console`, which is `{own}`"),
            "change the key `console`, and remove this option",
        )),
    }
}

fn command_line_length(spec: &Spec, problems: &mut Problems) {
    let length = spec.kernel.command_line.len() + 1;
    if length > COMMAND_LINE_MAX_BYTES {
        let reason = format!(
            "the command line takes {length} bytes with its final NUL; kernels cut it at {COMMAND_LINE_MAX_BYTES}"
        );
        report(spec, problems, "kernel.command-line", reason, "remove some options");
    }
}

fn kernel_source(spec: &Spec, problems: &mut Problems) {
    match &spec.kernel.source {
        KernelSource::Pin(name) if spec.kernel.pin.as_ref().is_some_and(|pin| pin.linux.is_none()) => {
            let reason = format!("the pin `{name}` is no kernel source: it has no key `linux`");
            let hint = "name a pin of a Linux source package";
            report(spec, problems, "kernel.source.pin", reason, hint);
        }
        KernelSource::Archive(archive) => {
            let extensions = [".tar.xz", ".tar.gz", ".tgz", ".tar.zst"];
            let path = archive.url.as_str().split(['?', '#']).next().unwrap_or_default();
            if !extensions.iter().any(|extension| path.ends_with(extension)) {
                let reason =
                    format!("can't tell the archive's format: it ends in none of {}", list(extensions, "or"));
                report(
                    spec,
                    problems,
                    "kernel.source.archive.url",
                    reason,
                    "give the address of a source tarball",
                );
            }
        }
        KernelSource::Path(_) if !spec.kernel.patches.is_empty() => {
            let reason = "a local tree is built as it is: patches would change your files";
            report(spec, problems, "kernel.patches", reason, "apply them there, or use a `git` source");
        }
        KernelSource::Pin(_) | KernelSource::Git(_) | KernelSource::Path(_) => {}
    }
}

/// What the rules over kernels say that can be said before there is a configuration.
fn kernel(spec: &Spec, problems: &mut Problems) {
    let version = spec.kernel.pin.as_ref().and_then(|pin| pin.linux.as_ref());
    let subject = Subject {
        arch: spec.arch,
        vtl: spec.vtl,
        linux: version.and_then(|version| Series::parse(version.as_str())),
        symbols: Symbols::Unknown,
        command_line: CommandLine::whole(&spec.kernel.command_line),
    };
    for finding in judge(&spec.kernel.rules, &subject).of(Severity::Error) {
        let place = match &finding.got {
            Got::Option { index, .. } => origin(spec, &format!("kernel.command-line.{index}")),
            Got::Linux(_) => origin(spec, "kernel.source.pin"),
            // The place of what isn't there is the profile's own file.
            Got::NoOption | Got::Symbol(_) => origin(spec, ""),
        };
        problems.push(in_profile(spec, finding.problem(place)));
    }
}

fn efi_stub(spec: &Spec, problems: &mut Problems) {
    let pin = &spec.disk.efi_stub_pin;
    let name = &spec.disk.efi_stub;
    let (deb_arch, file) = match spec.arch {
        Arch::X86_64 => (DebArch::Amd64, "linuxx64.efi.stub"),
        Arch::Aarch64 => (DebArch::Arm64, "linuxaa64.efi.stub"),
    };
    let reason = match &pin.member {
        Some(member) if member.as_str().rsplit('/').next() != Some(file) => {
            format!("the pin `{name}` gives {member}, and the EFI stub for {} is {file}", spec.arch.name())
        }
        None => {
            format!("the pin `{name}` doesn't say which file of the package is the EFI stub (key `member`)")
        }
        Some(_) if pin.deb.architecture != deb_arch => {
            let found = pin.deb.architecture.name();
            format!(
                "the pin `{name}` is for {found}, and firmware of {} runs no such program",
                spec.arch.name()
            )
        }
        Some(_) => return,
    };
    report(spec, problems, "disk.efi-stub", reason, format!("name a pin for {}", spec.arch.name()));
}

fn igvm(spec: &Spec, problems: &mut Problems) {
    let Some(igvm) = &spec.igvm else { return };
    for (index, platform) in igvm.platforms.iter().enumerate() {
        let key = format!("igvm.platforms.{index}");
        if spec.arch == Arch::Aarch64 && *platform != IgvmPlatform::VsmIsolation {
            let reason = "hosts of aarch64 load IGVM files for `vsm-isolation` alone";
            report(spec, problems, &key, reason, "remove it");
        } else if igvm.platforms[..index].contains(platform) {
            report(spec, problems, &key, "the platform is in the list already", "remove it");
        }
    }
    if igvm.platforms.is_empty() {
        report(
            spec,
            problems,
            "igvm.platforms",
            "a file for no platform can't be loaded",
            "name one, or remove the key",
        );
    }
    boot_shim(spec, igvm, problems);
    let Some(boundary) = igvm.shared_gpa_boundary else { return };
    let shares = |platform: &IgvmPlatform| matches!(platform, IgvmPlatform::SevSnp | IgvmPlatform::Tdx);
    let key = "igvm.shared-gpa-boundary";
    if !igvm.platforms.iter().any(shares) {
        let reason = "only confidential guests share memory with the host from an address on";
        report(spec, problems, key, reason, "remove it, or add `sev-snp` or `tdx` to the platforms");
    } else if !boundary.0.is_power_of_two() || !(32..52).contains(&boundary.0.trailing_zeros()) {
        let reason = "the border of shared memory is one bit of an address, from bit 32 to bit 51";
        report(spec, problems, key, reason, "use 0x400000000000 (bit 46), or leave it out");
    }
}

/// What holds for files that the boot shim starts, and for those that it doesn't.
fn boot_shim(spec: &Spec, igvm: &IgvmSpec, problems: &mut Problems) {
    if igvm.entry == IgvmEntry::Direct {
        if !igvm.host_options.is_empty() {
            let reason = "a kernel that the host starts takes no options from it";
            report(
                spec,
                problems,
                "igvm.host-options",
                reason,
                "remove it, or start the boot shim with `entry: shim`",
            );
        }
        return;
    }
    if igvm.platforms != [IgvmPlatform::VsmIsolation] {
        let reason = "the boot shim is for Hyper-V's own isolation alone";
        report(
            spec,
            problems,
            "igvm.entry",
            reason,
            "use `direct`, or leave `vsm-isolation` as the only platform",
        );
    }
    if spec.device_tree.as_ref().is_some_and(|tree| tree.dialect != Dialect::Mainline) {
        let reason = "the boot shim writes device trees of dialect `mainline`";
        report(spec, problems, "device-tree.dialect", reason, "use `mainline`, or `igvm.entry: direct`");
    }
    for (index, option) in igvm.host_options.iter().enumerate() {
        if option.contains('=') || option == "--" {
            let reason = "the host may add an option or not, whatever its value; what stands here is the option's name";
            report(spec, problems, &format!("igvm.host-options.{index}"), reason, "write the name alone");
        }
    }
    let bytes: usize = igvm.host_options.iter().map(|option| option.len() + 1).sum();
    if bytes > image::igvm::shim::HOST_OPTIONS_MAX {
        let reason = "the boot shim has room for 2048 bytes of names";
        report(spec, problems, "igvm.host-options", reason, "name fewer");
    }
}

pub(super) fn report(
    spec: &Spec,
    problems: &mut Problems,
    key: &str,
    reason: impl Into<String>,
    hint: impl Into<String>,
) {
    let problem = Problem::new(origin(spec, key), reason).hint(hint);
    problems.push(in_profile(spec, problem));
}

/// A rule may be broken by a value in a layer that is right for other profiles.
pub(super) fn in_profile(spec: &Spec, problem: Problem) -> Problem {
    if problem.origin.file == spec.file {
        return problem;
    }
    problem.related(Origin::file(&spec.file), "in this profile")
}

/// The place of a key, or of what it is part of.
fn origin(spec: &Spec, key: &str) -> Origin {
    let mut keys = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(parent, _)| parent));
    keys.find_map(|key| spec.origin(key)).cloned().unwrap_or_else(|| Origin::new(&spec.file, 1, 1))
}
