//! Machines as profiles describe them, down to what the tree says.

use super::{PARA, Tree, arm, good};
use crate::profile::device_tree::describe;

const GIB: u64 = 1 << 30;

/// The paravisor's machine with these lines in place of its own.
fn machine(tree: Tree, lines: &str) -> fdt::machine::Machine {
    let spec = tree.edit(PARA, "  machine: hyperv-vtl2\n  cpus: 4\n  memory: 1GiB\n", lines).spec("para");
    let described = spec.device_tree.as_ref().expect("VTL2 has a device tree");
    describe(spec.arch, spec.vtl, described, &spec.kernel.command_line)
}

/// RAM of a PC has a hole below 4 GiB, and nodes get equal parts all the same.
#[test]
fn numa_nodes_around_the_hole() {
    let machine = machine(good(), "  machine: hyperv-vtl2\n  cpus: 5\n  memory: 4GiB\n  numa-nodes: 2\n");
    let cpus: Vec<_> = machine.cpus.iter().map(|cpu| cpu.numa_node).collect();
    assert_eq!(cpus, [0, 0, 0, 1, 1].map(Some));
    let memory: Vec<_> = machine
        .memory
        .iter()
        .map(|memory| (memory.numa_node, memory.range.base / GIB, memory.range.size / GIB))
        .collect();
    assert_eq!(memory, [(Some(0), 0, 2), (Some(1), 2, 1), (Some(1), 4, 1)]);
}

/// What isn't written keeps the ready machine's value, and lists take the place of its lists.
#[test]
fn one_thing_changed() {
    let plain = machine(arm(), "  machine: qemu-virt\n");
    let lines = "  machine: qemu-virt\n  gic: {maintenance: 9}\n  timer: {hypervisor-virtual: 12}\n";
    let changed = machine(arm(), lines);
    let (fdt::machine::Platform::Aarch64(plain), fdt::machine::Platform::Aarch64(changed)) =
        (&plain.platform, &changed.platform)
    else {
        panic!("another architecture")
    };
    assert_eq!(changed.gic.maintenance_ppi, Some(9));
    assert_eq!(changed.gic.redistributors, plain.gic.redistributors);
    assert_eq!(changed.timer.hypervisor_virtual, Some(12));
    assert_eq!(changed.timer.physical, plain.timer.physical);
}

/// What is explained can be written: a list and the number that it takes the place of are not both there.
#[test]
fn explained_as_it_can_be_written() {
    let lines = "  machine: hyperv-vtl2\n  cpu-list: [{id: 0x10}]\n  memory-ranges: [{base: 0x100000000, size: 1GiB}]\n";
    let spec = good().edit(PARA, "  machine: hyperv-vtl2\n  cpus: 4\n  memory: 1GiB\n", lines).spec("para");
    let written = serde_yaml::to_string(&spec.device_tree).expect("specs can be printed");
    let indented: String = written.lines().map(|line| format!("  {line}\n")).collect();
    let again =
        good().edit(PARA, "  machine: hyperv-vtl2\n  cpus: 4\n  memory: 1GiB\n", &indented).spec("para");
    assert_eq!(serde_yaml::to_string(&again.device_tree).expect("specs can be printed"), written);
    assert!(written.contains("0x100000000") && !written.contains("cpus:"), "{written}");
}

/// The kernel's command line is the boot arguments where the kernel reads them from the tree.
#[test]
fn command_line() {
    let on_arm = machine(arm(), "  machine: hyperv-vtl2\n");
    assert_eq!(on_arm.chosen.bootargs.as_deref(), Some("console=ttyAMA0 noxsave"));
    let on_x86 = machine(good(), "  machine: hyperv-vtl2\n");
    let text = fdt::to_dts(&on_x86.tree(&fdt::machine::MAINLINE));
    assert!(!text.contains("bootargs"), "{text}");
}
