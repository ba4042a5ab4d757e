//! What a kernel at a trust level looks for in its tree: rules for trees that anybody made, beside the general ones of
//! [`crate::check`](mod@crate::check). Each says which code reads it.

use std::fmt;

use crate::decode;
use crate::machine::Dialect;
use crate::regions;
use crate::tree::{ARM64_SIZE_MAX_BYTES, Node, Tree, Value, X86_SIZE_MAX_BYTES};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// What the tree looks like it is for: only aarch64 has a GIC, PSCI, or CPUs with a way to enable them.
    pub fn of(tree: &Tree) -> Arch {
        let is_arm = |node: &Node| {
            ["arm,gic-v3", "arm,psci-0.2", "arm,armv8-timer"].iter().any(|name| node.is_compatible(name))
        };
        let cpus =
            tree.root.children.iter().filter(|node| node.name == "cpus").flat_map(|node| &node.children);
        let arm = tree.root.children.iter().any(is_arm)
            || cpus.into_iter().any(|cpu| cpu.get("enable-method").is_some());
        if arm { Arch::Aarch64 } else { Arch::X86_64 }
    }

    /// The largest blob its kernels take, in bytes.
    pub fn size_max_bytes(self) -> usize {
        match self {
            Arch::X86_64 => X86_SIZE_MAX_BYTES,
            Arch::Aarch64 => ARM64_SIZE_MAX_BYTES,
        }
    }
}

/// What the tree has to serve.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub arch: Arch,
    /// 0 or 2.
    pub vtl: u8,
    pub dialect: &'a Dialect,
}

/// One rule that a tree breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The node, or the one that lacks something.
    pub path: String,
    pub message: String,
    /// Which code reads it, and what it does without.
    pub why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.message, self.why)
    }
}

/// Every rule for the target that the tree breaks.
pub fn check(tree: &Tree, target: &Target) -> Vec<Violation> {
    let mut violations = Vec::new();
    let buses = vmbuses(&tree.root);
    if target.vtl == 2 {
        vmbus(&buses, target, &mut violations);
    }
    if target.arch == Arch::Aarch64 && target.dialect.name != "openhcl-host" {
        aarch64(tree, &mut violations);
    }
    if target.arch == Arch::X86_64 {
        x86_64(tree, &mut violations);
    }
    violations
}

fn violation(path: &str, message: impl Into<String>, why: &'static str) -> Violation {
    Violation { path: path.to_owned(), message: message.into(), why }
}

/// A VMBus node, with its path and what it lies under.
struct Found<'a> {
    path: String,
    node: &'a Node,
    parent: &'a Node,
}

fn vmbuses(root: &Node) -> Vec<Found<'_>> {
    fn visit<'a>(node: &'a Node, path: &str, depth: usize, found: &mut Vec<Found<'a>>) {
        if depth > crate::check::DEPTH_MAX {
            return;
        }
        for child in &node.children {
            let path = format!("{path}/{}", child.name);
            if child.is_compatible("microsoft,vmbus") {
                found.push(Found { path: path.clone(), node: child, parent: node });
            }
            visit(child, &path, depth + 1, found);
        }
    }
    let mut found = Vec::new();
    visit(root, "", 0, &mut found);
    found
}

fn vmbus(buses: &[Found], target: &Target, violations: &mut Vec<Violation>) {
    let dialect = target.dialect;
    if buses.is_empty() {
        violations.push(violation(
            "/",
            "there is no node with compatible \"microsoft,vmbus\"",
            "drivers/hv/vmbus_drv.c: without ACPI VMBus is found by its node alone, and every Hyper-V device through it",
        ));
    }
    if buses.len() > 1 && !dialect.levels_together {
        let message = format!("a second VMBus, beside {}", buses[0].path);
        let why = "drivers/hv/vmbus_drv.c keeps one device for its bus: the later node replaces the first";
        violations.push(violation(&buses[1].path, message, why));
    }
    for bus in buses {
        let mut report = |message: String, why| violations.push(violation(&bus.path, message, why));
        if !bus.parent.is_compatible("simple-bus") {
            let why =
                "drivers/of/platform.c makes devices of a simple-bus' children; elsewhere none comes to be";
            report("the node above is no simple-bus".to_owned(), why);
        }
        let counts = bus.node.counts();
        if counts.address != 2 || counts.size != dialect.vmbus_size_cells {
            let wanted = dialect.vmbus_size_cells;
            let message = format!(
                "#address-cells is {} and #size-cells {}; {} wants 2 and {wanted}",
                counts.address, counts.size, dialect.name
            );
            report(message, "bus/microsoft,vmbus.yaml for Linux as released, host_fdt_parser for OpenHCL");
        }
        if decode::ranges(bus.node, bus.parent.counts()).is_none_or(|mappings| mappings.is_empty()) {
            let why = "drivers/hv/vmbus_drv.c, vmbus_device_add: devices get their address space from ranges";
            report("no window in ranges".to_owned(), why);
        }
        let interrupt = bus.node.get("interrupts").is_some();
        if target.arch == Arch::Aarch64 && !interrupt && dialect.name != "openhcl-host" {
            let why = "drivers/hv/vmbus_drv.c, vmbus_set_irq: without one the probe fails";
            report("no interrupts".to_owned(), why);
        }
        identity(bus, target, &mut report);
    }
}

/// `microsoft,vtl` and the connection: required by one dialect, forbidden by the other.
fn identity(bus: &Found, target: &Target, report: &mut impl FnMut(String, &'static str)) {
    let names = ["microsoft,vtl", "microsoft,message-connection-id"];
    for name in names {
        match (target.dialect.vmbus_identity, bus.node.get(name)) {
            (false, Some(_)) => {
                report(
                    format!("{name} is not allowed"),
                    "bus/microsoft,vmbus.yaml: additionalProperties: false",
                );
            }
            (true, None) => report(format!("{name} is missing"), "host_fdt_parser of OpenHCL requires it"),
            (true, Some(_)) | (false, None) => {}
        }
    }
    let vtl = bus.node.get("microsoft,vtl").and_then(Value::as_u32);
    if let Some(vtl) = vtl.filter(|vtl| ![0, 2].contains(vtl)) {
        report(format!("trust level {vtl} has no VMBus"), "host_fdt_parser of OpenHCL knows 0 and 2");
    }
}

fn aarch64(tree: &Tree, violations: &mut Vec<Violation>) {
    let root = &tree.root;
    let has = |name: &str| root.children.iter().any(|node| node.is_compatible(name));
    if !has("arm,gic-v3") {
        let why = "Hyper-V gives aarch64 guests a GICv3, and no interrupt arrives without a controller";
        violations.push(violation("/", "there is no GICv3", why));
    }
    if !has("arm,armv8-timer") {
        let why = "drivers/clocksource/arm_arch_timer.c: without a timer the kernel panics";
        violations.push(violation("/", "there is no timer", why));
    }
    let cpus = root.children.iter().find(|node| node.name == "cpus").map_or(&[][..], |node| &node.children);
    let method = |cpu: &Node, name: &str| matches!(cpu.get("enable-method"), Some(Value::Strings(strings)) if strings == &[name]);
    let psci = has("arm,psci-0.2") || has("arm,psci-1.0") || has("arm,psci");
    for cpu in cpus.iter().filter(|cpu| cpu.name.starts_with("cpu@")) {
        let path = format!("/cpus/{}", cpu.name);
        if cpus.len() > 1 && cpu.get("enable-method").is_none() {
            let why = "arch/arm64/kernel/cpu_ops.c: a CPU without one is never started";
            violations.push(violation(&path, "no enable-method", why));
        } else if method(cpu, "psci") && !psci {
            let why = "drivers/firmware/psci: the method is found by the node /psci";
            violations.push(violation(&path, "is enabled by PSCI, and there is no node for it", why));
        }
    }
}

fn x86_64(tree: &Tree, violations: &mut Vec<Violation>) {
    let ram = tree.root.children.iter().filter(|node| regions::is_memory(node)).count();
    let cpus = tree.root.children.iter().find(|node| node.name == "cpus");
    let typed = cpus.is_some_and(|cpus| {
        let is_cpu =
            |node: &Node| matches!(node.get("device_type"), Some(Value::Strings(s)) if s == &["cpu"]);
        cpus.children.iter().filter(|node| node.name.starts_with("cpu@")).all(is_cpu)
    });
    if !typed {
        let why =
            "arch/x86/kernel/devicetree.c, dtb_cpu_setup: others are not counted, and with none it hangs";
        violations.push(violation("/cpus", "a CPU without device_type \"cpu\"", why));
    }
    if ram == 0 {
        let why = "the loader's memory map has to come from somewhere";
        violations.push(violation("/", "there is no memory", why));
    }
}
