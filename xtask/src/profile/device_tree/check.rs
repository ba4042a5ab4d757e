//! What is wrong with a described machine, at the place in the profile that says it. Two stages: keys that
//! contradict each other or the architecture, and then everything that `fdt` finds in the tree that would be made.

use document::{Origin, Problem, Problems};
use fdt::{ProblemKind, vtl};

use super::{DeviceTree, EnableMethod, Machine, SerialKind, describe};
use crate::profile::{
    rules,
    spec::{DeviceTreeSpec, Spec},
    types::{Arch, Vtl},
};

/// Reports everything; the tree is not made while the keys contradict each other.
pub(in crate::profile) fn check(spec: &Spec, problems: &mut Problems) {
    let Some(tree) = &spec.device_tree else { return };
    let before = problems.0.len();
    for (key, reason, hint) in contradictions(spec, tree) {
        rules::report(spec, problems, &format!("device-tree.{key}"), reason, hint);
    }
    if problems.0.len() == before && machine_is_for(tree.machine, spec.arch) {
        the_tree(spec, tree, problems);
    }
}

/// Whether there is such a machine of this architecture.
pub fn machine_is_for(machine: Machine, arch: Arch) -> bool {
    match machine {
        Machine::HypervVtl2 => true,
        Machine::QemuVirt | Machine::QemuVirtEl2 => arch == Arch::Aarch64,
        Machine::QemuMicrovm => arch == Arch::X86_64,
    }
}

type Contradiction = (&'static str, String, &'static str);

/// Key below `device-tree`, reason, and what to do.
fn contradictions(spec: &Spec, tree: &DeviceTreeSpec) -> Vec<Contradiction> {
    let details = &tree.details;
    let mut found = Vec::new();
    let set = |key: &str| spec.origin(&format!("device-tree.{key}")).is_some();
    let pairs = [
        ("cpu-list", "cpus", "processors one by one, and their number"),
        ("memory-ranges", "memory", "RAM range by range, and its size"),
        ("cpu-list", "numa-nodes", "processors one by one, and how to deal them out"),
        ("memory-ranges", "numa-nodes", "RAM range by range, and how to deal it out"),
    ];
    for (key, other, what) in pairs.into_iter().filter(|(key, other, _)| set(key) && set(other)) {
        found.push((
            key,
            format!("this and `{other}` give {what}: only one can count"),
            "remove one of them",
        ));
    }
    let foreign: &[&str] = match spec.arch {
        Arch::X86_64 => {
            &["cpu-compatible", "enable-method", "release-address", "psci", "gic", "timer", "pmu", "initrd"]
        }
        Arch::Aarch64 => &["local-apic", "wakeup-mailbox"],
    };
    for key in foreign.iter().filter(|key| set(key)) {
        found.push((key, format!("no {} machine has this", spec.arch.name()), "remove it"));
    }
    spin_table(details, &mut found);
    serial(spec.arch, details, &mut found);
    if let (Some(nodes), Some(cpus)) = (details.numa_nodes, tree.cpus)
        && nodes > cpus
    {
        let reason = format!("{nodes} NUMA nodes for {cpus} processors leave some without any");
        found.push(("numa-nodes", reason, "as many as there are processors, or fewer"));
    }
    if details.cpu_list.as_ref().is_some_and(Vec::is_empty) {
        found.push(("cpu-list", "a machine without processors runs nothing".to_owned(), "list one"));
    }
    found
}

fn spin_table(details: &DeviceTree, found: &mut Vec<Contradiction>) {
    match (details.enable_method, details.release_address) {
        (Some(EnableMethod::SpinTable), None) => {
            let reason = "processors that spin wait for an address, and nothing says where".to_owned();
            found.push(("enable-method", reason, "add `release-address`"));
        }
        (Some(EnableMethod::Psci) | None, Some(_)) => {
            let reason = "PSCI starts processors without an address to wait at".to_owned();
            found.push(("release-address", reason, "remove it, or set `enable-method: spin-table`"));
        }
        _ => {}
    }
}

fn serial(arch: Arch, details: &DeviceTree, found: &mut Vec<Contradiction>) {
    let Some(serial) = &details.serial else { return };
    let is_port = serial.kind == SerialKind::Ns16550Port;
    if is_port != (arch == Arch::X86_64) {
        let hint = "x86_64 has `ns16550-port`; aarch64 has `pl011`, `sbsa-uart` and `ns16550`";
        found.push(("serial.type", format!("no {} machine has such a serial port", arch.name()), hint));
    } else if is_port && serial.base.0 > 0xfff8 {
        let reason = format!("{:#x} is no I/O port with seven behind it: there are 0x10000", serial.base.0);
        found.push(("serial.base", reason, "the ports of a PC are 0x3f8, 0x2f8, 0x3e8 and 0x2e8"));
    }
}

/// Everything that is wrong with the tree itself.
fn the_tree(spec: &Spec, tree: &DeviceTreeSpec, problems: &mut Problems) {
    let dialect = tree.dialect.data();
    let made = describe(spec.arch, spec.vtl, tree, &spec.kernel.command_line).tree(dialect);
    let found = fdt::check(&made);
    for problem in &found {
        problems.push(placed(spec, problem));
    }
    // Machines of QEMU have no VMBus, at whatever trust level the kernel believes to be.
    if found.is_empty() && spec.vtl == Vtl::Vtl2 && tree.machine == Machine::HypervVtl2 {
        let arch = match spec.arch {
            Arch::X86_64 => vtl::Arch::X86_64,
            Arch::Aarch64 => vtl::Arch::Aarch64,
        };
        for violation in vtl::check(&made, &vtl::Target { arch, vtl: spec.vtl.number(), dialect }) {
            let reason = format!("{}: {}", violation.path, violation.message);
            let problem = Problem::new(origin(spec, Some("vmbus")), reason).hint(violation.why);
            problems.push(rules::in_profile(spec, problem));
        }
    }
}

fn placed(spec: &Spec, found: &fdt::Problem) -> Problem {
    let what = match &found.property {
        Some(property) => format!("{}, {property}: {}", found.path, found.kind),
        None => format!("{}: {}", found.path, found.kind),
    };
    let problem = Problem::new(origin(spec, found.subject.as_deref()), what);
    let problem = match &found.other_subject {
        Some(other) => problem.related(origin(spec, Some(other)), "the other one"),
        None => problem,
    };
    let problem = match hint(&found.kind) {
        Some(hint) => problem.hint(hint),
        None => problem,
    };
    rules::in_profile(spec, problem)
}

/// Where the subject of a problem was written: itself, what it was made of, or the machine that brought it.
fn origin(spec: &Spec, subject: Option<&str>) -> Origin {
    let subject = subject.unwrap_or_default();
    let family = subject.split('.').next().unwrap_or_default();
    let made_of: &[&str] = match family {
        "cpu-list" => &["cpus"],
        "memory-ranges" => &["memory"],
        "chosen" => &["initrd"],
        _ => &[],
    };
    let keys = [subject, family].into_iter().chain(made_of.iter().copied()).chain(["machine"]);
    let mut origins = keys.filter_map(|key| spec.origin(&format!("device-tree.{key}")));
    origins.next().or(spec.origin("device-tree")).cloned().unwrap_or_else(|| Origin::new(&spec.file, 1, 1))
}

fn hint(kind: &ProblemKind) -> Option<&'static str> {
    Some(match kind {
        ProblemKind::Overlap { .. } => {
            "move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is"
        }
        ProblemKind::TooFewRedistributors { .. } => {
            "describe fewer processors, or add a region to `gic.redistributors`"
        }
        ProblemKind::TooLarge { .. } => "describe fewer processors or memory ranges",
        ProblemKind::DoesNotFit { .. } => {
            "a smaller number; a VMBus window of 4 GiB or more is given in parts, or in the dialect `openhcl`"
        }
        ProblemKind::Misaligned { unit: 0x1000, .. } => "use whole pages",
        ProblemKind::Misaligned { .. } => "use whole frames of 64 KiB",
        ProblemKind::CpuIdTwice { .. } => "give each processor an id of its own",
        ProblemKind::NoMpidr { .. } => "use Aff3 in bits 39:32 and Aff2, Aff1, Aff0 in bits 23:0",
        ProblemKind::NoNumaNode { .. } => "set `numa-node` everywhere or nowhere",
        ProblemKind::InterruptNumber { .. } => {
            "numbers are counted from 0: INTID less 32 for an SPI, less 16 for a PPI"
        }
        ProblemKind::DuplicateNode => "what has the same name and address is one thing: remove one",
        ProblemKind::EmptyRange { .. } => "give it a size, or remove it",
        ProblemKind::RangeWraps { .. } => "addresses have 64 bits",
        ProblemKind::OutsideRam { .. } => "put it into one of the memory ranges",
        ProblemKind::RangesNotIdentity => "give the VMBus a window: `mmio: [{base: …, size: …}]`",
        ProblemKind::NodeNameTooLong { .. } | ProblemKind::PropertyNameTooLong { .. } => "use a shorter name",
        ProblemKind::NoStrings => "list one at least",
        _ => return None,
    })
}
