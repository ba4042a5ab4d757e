//! QEMU's own description of its `virt` machine beside ours: where both describe the same thing they say the same, and
//! what only one of them says is listed here, with the reason.

use std::{fs, path::Path, process::Command};

use fdt::{
    Node, Range, Tree, differences,
    machine::{Chosen, MAINLINE, PsciConduit, qemu_virt_aarch64, qemu_virt_el2_aarch64},
    read_dtb,
};

use crate::{
    harness::{folder, judge},
    on_two_numa_nodes,
};

const GIB: u64 = 1 << 30;

/// What is different: how a difference begins (its sides are QEMU's, `-`, and ours, `+`), and why it is right.
const DIFFERENCES: &[(&str, &str)] = &[
    ("- /: dma-coherent", "newer QEMU; our devices that do DMA say so themselves"),
    ("- /aliases", "for people who name devices on a command line"),
    ("- /chosen", "QEMU's seeds are new at each start"),
    ("+ /chosen", "where the console is: the path below has our name for it"),
    ("- /cpus: #address-cells", "one cell does for QEMU's affinities; two hold every MPIDR"),
    ("+ /cpus: #address-cells", "see above"),
    ("- /cpus/cpu-map", "topology, which the kernel also has from MPIDR_EL1"),
    ("- /cpus/cpu@", "the model that QEMU was started with, and one cell in reg"),
    ("+ /cpus/cpu@", "any ARMv8 model, two cells in reg, and PSCI for one CPU as well"),
    ("- /flash@", "firmware's, not the kernel's"),
    ("- /fw-cfg@", "of QEMU's configuration interface no kernel of ours has the driver"),
    ("- /gpio-keys", "a power button"),
    ("- /pcie@", "a bus that no profile's machine has"),
    ("- /pl031@", "a clock that no profile's machine has"),
    ("- /pl061@", "the power button's controller"),
    ("- /platform-bus@", "for devices added on QEMU's command line"),
    ("- /virtio_mmio@", "empty slots for devices"),
    ("- /psci: compatible", "\"arm,psci\" of version 0.1, whose function numbers are listed beside it"),
    ("+ /psci: compatible", "see above"),
    ("- /psci: cpu_", "numbers of version 0.1; fixed since 0.2"),
    ("- /psci: migrate", "a number of version 0.1"),
    ("- /timer: compatible", "\"arm,armv7-timer\" as a second; the first decides"),
    ("+ /timer: compatible", "see above"),
    ("+ /timer: interrupt-names", "optional: QEMU relies on the order"),
    ("- /timer: interrupts", "QEMU puts CPU masks of the GICv2 into the flags; the GICv3 has none"),
    ("+ /timer: interrupts", "see above"),
    ("- /uart-clock: clock-output-names", "a name for people"),
    ("- /interrupt-controller@8000000/msi-controller@8080000: translator", "newer QEMU"),
    ("- /distance-map", "newer QEMU fills in what kernels assume"),
];

#[test]
fn says_the_same_as_qemu() {
    let ram = || vec![Range::new(GIB, GIB)];
    let plain = qemu_virt_aarch64(2, ram(), PsciConduit::Hvc, Chosen::default());
    compare("virt", "virt,gic-version=3", &[], &plain.tree(&MAINLINE));
    let el2 = qemu_virt_el2_aarch64(2, ram(), Chosen::default());
    compare("el2", "virt,gic-version=3,virtualization=on", &[], &el2.tree(&MAINLINE));
    let mut numa = plain;
    on_two_numa_nodes(&mut numa);
    let nodes = [
        "-object",
        "memory-backend-ram,id=m0,size=512M",
        "-object",
        "memory-backend-ram,id=m1,size=512M",
        "-numa",
        "node,nodeid=0,cpus=0,memdev=m0",
        "-numa",
        "node,nodeid=1,cpus=1,memdev=m1",
    ];
    compare("numa", "virt,gic-version=3", &nodes, &numa.tree(&MAINLINE));
}

fn compare(name: &str, machine: &str, more: &[&str], ours: &Tree) {
    let dump = folder(&format!("dumpdtb-{name}")).join("qemu.dtb");
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(["-machine", &format!("{machine},dumpdtb={}", dump.display()), "-cpu", "cortex-a72"]);
    qemu.args(["-smp", "2", "-m", "1024"]).args(more);
    crate::harness::run(&mut qemu).expect("QEMU writes its tree");
    let mut theirs = read_dtb(&fs::read(&dump).unwrap()).unwrap();
    by_our_names(&mut theirs.root);
    let found: Vec<String> = differences(&theirs, ours)
        .iter()
        .flat_map(|d| d.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let is_listed = |line: &&String| DIFFERENCES.iter().any(|(start, _)| line.starts_with(start));
    let unlisted: Vec<_> = found.iter().filter(|line| !is_listed(line)).collect();
    assert!(unlisted.is_empty(), "{name}: {unlisted:#?}");
    // RAM, interrupt controller and serial port: both describe them, and no line about them is listed.
    for path in ["memory@40000000", "interrupt-controller@8000000", "serial@9000000", "pmu"] {
        assert!(
            theirs.root.children.iter().any(|node| node.name == path),
            "{name}: QEMU describes no {path}"
        );
    }
}

/// Names are free: QEMU's are older than the bindings that ask for ours.
fn by_our_names(root: &mut Node) {
    for node in &mut root.children {
        if node.name == "apb-pclk" {
            node.name = "uart-clock".to_owned();
        }
        for (theirs, ours) in [("intc@", "interrupt-controller@"), ("pl011@", "serial@")] {
            if let Some(address) = node.name.strip_prefix(theirs) {
                node.name = format!("{ours}{address}");
            }
        }
        for child in &mut node.children {
            if let Some(address) = child.name.strip_prefix("its@") {
                child.name = format!("msi-controller@{address}");
            }
        }
    }
}

/// dtc has nothing to say about any tree of QEMU that we read and write again, but for what QEMU itself did.
#[test]
fn reads_and_writes_qemu_s_tree() {
    let folder = folder("dumpdtb-again");
    let (dump, again) = (folder.join("qemu.dtb"), folder.join("again.dts"));
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(["-machine", &format!("virt,gic-version=3,dumpdtb={}", dump.display()), "-cpu", "cortex-a72"]);
    crate::harness::run(&mut qemu).expect("QEMU writes its tree");
    let tree = read_dtb(&fs::read(&dump).unwrap()).unwrap();
    fs::write(&again, fdt::to_dts(&tree)).unwrap();
    let dts =
        |path: &Path| judge("dtc", &["-q", "-q", "-s", "-I", "dtb", "-O", "dts", path.to_str().unwrap()]);
    // Only of text does dtc know which bytes were strings: both ways end in a tree read back from bytes.
    let compiled = folder.join("again.dtb");
    let arguments =
        ["-q", "-q", "-I", "dts", "-O", "dtb", "-o", compiled.to_str().unwrap(), again.to_str().unwrap()];
    judge("dtc", &arguments);
    assert!(dts(&dump) == dts(&compiled), "dtc sees another tree");
}
