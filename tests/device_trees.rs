//! Device trees before judges that nobody here wrote: QEMU's own tree of the same machine, and kernels that boot with
//! ours and say what they found.

#[path = "device_trees/bindings.rs"]
mod bindings;
#[path = "device_trees/boot.rs"]
mod boot;
mod harness;
#[path = "device_trees/qemu.rs"]
mod qemu;

use std::path::{Path, PathBuf};

use fdt::{Range, Tree, machine::Machine, to_dtb};

/// A machine with what a boot test says of it beside.
fn write_dtb(folder: &Path, tree: &Tree) -> PathBuf {
    let path = folder.join("ours.dtb");
    std::fs::write(&path, to_dtb(tree).unwrap_or_else(|error| panic!("{error}"))).unwrap();
    path
}

/// CPUs and RAM dealt out to two NUMA nodes, neighbours together.
fn on_two_numa_nodes(machine: &mut Machine) {
    let half = machine.cpus.len().div_ceil(2);
    for (index, cpu) in machine.cpus.iter_mut().enumerate() {
        cpu.numa_node = Some(u32::from(index >= half));
    }
    let [memory] = &machine.memory[..] else { panic!("one range of RAM") };
    let Range { base, size } = memory.range;
    let part = |number: u32| {
        let mut part = memory.clone();
        part.range = Range::new(base + u64::from(number) * (size / 2), size / 2);
        part.numa_node = Some(number);
        part
    };
    machine.memory = vec![part(0), part(1)];
}
