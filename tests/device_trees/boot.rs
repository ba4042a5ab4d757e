//! Kernels of the profiles under emulation, given our blob and no other.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fdt::{
    Cell, Node, Range, Tree, Value,
    machine::{
        Chosen, MAINLINE, Machine, PsciConduit, qemu_microvm_x86_64, qemu_virt_aarch64, qemu_virt_el2_aarch64,
    },
    to_dtb,
};

use crate::{
    harness::{self, built, folder},
    on_two_numa_nodes, write_dtb,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A kernel under emulation, with other work beside it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where QEMU's loader puts what, in the `virt` machine's RAM: the kernel 2 MiB aligned (Documentation/arch/arm64/
/// booting.rst), the others out of its way and
/// that of QEMU's own tree, which it leaves where RAM begins.
const KERNEL: u64 = GIB + 2 * MIB;
const INITRD: u64 = GIB + 128 * MIB;
const BLOB: u64 = GIB + 160 * MIB;
const START: u64 = GIB + 176 * MIB;

const OPTIONS: &str = "console=ttyAMA0 panic=-1 printk.devkmsg=on loglevel=8 vtl2_init.device_tree=log vtl2_init.after=poweroff";

/// One CPU, on one that has no room for more, and eight on two NUMA nodes.
#[test]
fn aarch64_boots_with_our_tree() {
    for (cpus, numa) in [(1, false), (8, true)] {
        let machine = |chosen| qemu_virt_aarch64(cpus, ram(), PsciConduit::Hvc, chosen);
        let log = aarch64("aarch64-vtl0", &format!("virt-{cpus}"), cpus, "virt,gic-version=3", numa, machine);
        let nodes = if numa { 2 } else { 1 };
        online(&log, cpus, nodes);
        if numa {
            for (node, range) in
                [(0, "0x0000000040000000-0x000000005fffffff"), (1, "0x0000000060000000-0x000000007fffffff")]
            {
                assert!(log.contains(&format!("node   {node}: [mem {range}]")), "{log}");
            }
        }
    }
}

/// The kernel begins at EL2 and calls PSCI by SMC.
#[test]
fn aarch64_boots_at_el2_with_our_tree() {
    let machine = |chosen| qemu_virt_el2_aarch64(4, ram(), chosen);
    let log = aarch64("aarch64-vtl0", "virt-el2", 4, "virt,gic-version=3,virtualization=on", false, machine);
    online(&log, 4, 1);
    assert!(log.contains("All CPU(s) started at EL2"), "{log}");
}

/// The kernel that is built for VTL2 boots the same machine: on aarch64 the trust level is found at run time.
#[test]
fn aarch64_vtl2_kernel_boots_with_our_tree() {
    let machine = |chosen| qemu_virt_aarch64(8, ram(), PsciConduit::Hvc, chosen);
    let log = aarch64("aarch64-vtl2", "virt-vtl2", 8, "virt,gic-version=3", false, machine);
    online(&log, 8, 1);
}

/// The VTL2 kernel of x86_64 takes a tree where neither Hyper-V nor the monitor is: it boots as a plain kernel then. What drives VTL0 can't
/// start there, so it is left out.
#[test]
fn x86_64_sees_our_tree() {
    let out = built("x86_64-vtl2");
    let folder = folder("device-tree-microvm");
    let mut machine = qemu_microvm_x86_64(2, vec![Range::new(0, GIB)]);
    machine.cpus[1].comment = Some("not in the blob".to_owned());
    let tree = machine.tree(&MAINLINE);
    x86_64(&out, &write_dtb(&folder, &tree), &tree, "QEMU microvm");
    // The profile's own tree, with VMBus: as Hyper-V's VTL2 gets it.
    let own = out.join("platform.dtb");
    x86_64(&out, &own, &fdt::read_dtb(&fs::read(&own).unwrap()).unwrap(), "Microsoft Hyper-V VTL2");
}

fn x86_64(out: &Path, blob: &Path, tree: &Tree, model: &str) {
    let options = OPTIONS.replace("ttyAMA0", "ttyS0") + " noxsave initcall_blacklist=mshv_vtl_init";
    let mut qemu = Command::new("qemu-system-x86_64");
    // Processors in turn: side by side, one may run code that another is patching, of which kernels die.
    qemu.args(["-accel", "tcg,thread=single", "-smp", "2"]);
    qemu.args(["-machine", "microvm,acpi=off", "-cpu", "max", "-m", "1024"]);
    qemu.arg("-kernel").arg(out.join("kernel")).arg("-initrd").arg(out.join("initramfs.cpio.zst"));
    qemu.arg("-dtb").arg(blob).args(["-append", &options]);
    let log = run(&mut qemu);
    online(&log, 2, 1);
    assert!(log.contains(&format!("\"model\":\"{model}\"")), "{log}");
    same_tree(&log, tree);
}

/// At VTL2 proper, above the monitor that stands in for Hyper-V: what it hands over arrives.
#[test]
fn vtl2_sees_our_tree() {
    for profile in ["x86_64-vtl2", "aarch64-vtl2"] {
        let logs = folder(&format!("device-tree-{profile}"));
        let mut boot = harness::xtask();
        boot.args(["boot", profile, "--smp", "2", "--append", "vtl2_init.device_tree=log", "--logs"])
            .arg(&logs);
        harness::run(&mut boot).expect(profile);
        let console = fs::read_to_string(logs.join("console.log")).unwrap();
        assert!(console.contains("\"vtl\":2,"), "{console}");
        let blob = fs::read(logs.join("device-tree.dtb")).unwrap();
        let tree = fdt::read_dtb(&blob).unwrap();
        assert!(to_dtb(&tree).unwrap() == blob, "{profile}: read and written again, it is another blob");
        same_tree(&console, &tree);
    }
}

fn ram() -> Vec<Range> {
    vec![Range::new(GIB, GIB)]
}

/// Boots `profile`'s kernel and payload on a machine of QEMU, and compares the tree that the payload finds.
fn aarch64(
    profile: &str,
    name: &str,
    cpus: u32,
    qemu_machine: &str,
    numa: bool,
    machine: impl Fn(Chosen) -> Machine,
) -> String {
    let out = built(profile);
    let folder = folder(&format!("device-tree-{name}"));
    let initrd = out.join("initramfs.cpio.zst");
    let initrd_range = Range::new(INITRD, fs::metadata(&initrd).unwrap().len());
    let chosen = Chosen { bootargs: Some(OPTIONS.to_owned()), initrd: Some(initrd_range) };
    let mut machine = machine(chosen);
    if numa {
        on_two_numa_nodes(&mut machine);
    }
    let tree = machine.tree(&MAINLINE);
    let blob = write_dtb(&folder, &tree);
    fs::write(folder.join("start.bin"), start()).unwrap();

    // QEMU's own `-kernel` would write its memory nodes and /chosen into our blob; its loader copies bytes.
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(["-accel", "tcg", "-machine", qemu_machine, "-cpu", "cortex-a72", "-m", "1024"]);
    qemu.args(["-smp", &cpus.to_string()]);
    for (file, address) in
        [(folder.join("start.bin"), START), (out.join("kernel"), KERNEL), (initrd, INITRD), (blob, BLOB)]
    {
        let load = format!("loader,file={},addr={address:#x},force-raw=on", file.display());
        qemu.args(["-device", &load]);
    }
    qemu.args(["-device", &format!("loader,addr={START:#x},cpu-num=0")]);
    let log = run(&mut qemu);
    same_tree(&log, &tree);
    log
}

/// What a boot loader does last: x0 has the tree, x1 to x3 nothing (Documentation/arch/arm64/booting.rst).
fn start() -> Vec<u8> {
    const INSTRUCTIONS: [u32; 6] = [
        0x5800_00c0, // ldr x0, BLOB
        0xaa1f_03e1, // mov x1, xzr
        0xaa1f_03e2, // mov x2, xzr
        0xaa1f_03e3, // mov x3, xzr
        0x5800_0084, // ldr x4, KERNEL
        0xd61f_0080, // br x4
    ];
    let addresses = [BLOB, KERNEL].into_iter().flat_map(u64::to_le_bytes);
    INSTRUCTIONS.into_iter().flat_map(u32::to_le_bytes).chain(addresses).collect()
}

/// Everything on the console up to the payload's report; QEMU is ended then.
fn run(qemu: &mut Command) -> String {
    qemu.args([
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        "stdio",
        "-monitor",
        "none",
        "-net",
        "none",
    ]);
    let mut console = crate::harness::Console::start(qemu.stdin(Stdio::null()));
    console.wait_for("payload-ready ", Instant::now() + PATIENCE)
}

/// The kernel's own count, and the payload's.
fn online(log: &str, cpus: u32, nodes: u32) {
    let plural = |count: u32, one: &str| if count == 1 { one.to_owned() } else { format!("{one}s") };
    let brought =
        format!("smp: Brought up {nodes} {}, {cpus} {}", plural(nodes, "node"), plural(cpus, "CPU"));
    assert!(log.contains(&brought), "no {brought:?} in\n{log}");
    assert!(log.contains(&format!("\"cpus_online\":{cpus},")), "{log}");
}

/// What the payload read back, from the kernel's tree and from the blob that the kernel kept, is ours to the byte.
fn same_tree(log: &str, tree: &Tree) {
    let mut found: BTreeMap<(String, String), Vec<u8>> = BTreeMap::new();
    let mut blob = Vec::new();
    for line in log.lines() {
        let Some((_, record)) = line.split_once("device-tree") else { continue };
        if let Some(digits) = record.strip_prefix("-blob ") {
            blob.extend(bytes(digits));
        } else if let Some((path, rest)) = record.strip_prefix(' ').and_then(|record| record.split_once(' '))
        {
            let (name, digits) = rest.split_once(' ').unwrap_or((rest, ""));
            found.entry((path.to_owned(), name.to_owned())).or_default().extend(bytes(digits));
        }
    }
    // The kernel gives every node a `name`, which blobs have had no more since version 16.
    found.retain(|(_, name), _| name != "name");
    let mut expected = BTreeMap::new();
    let read = fdt::read_dtb(&to_dtb(tree).unwrap()).unwrap();
    properties(&read.root, "/", &mut expected);
    assert!(expected.len() > 10);
    assert_eq!(found, expected);
    assert!(blob == to_dtb(tree).unwrap(), "the kernel's blob is not ours: {} bytes", blob.len());
}

fn properties(node: &Node, path: &str, into: &mut BTreeMap<(String, String), Vec<u8>>) {
    for property in &node.properties {
        into.insert((path.to_owned(), property.name.clone()), plain(&property.value));
    }
    for child in &node.children {
        properties(child, &format!("{}/{}", path.trim_end_matches('/'), child.name), into);
    }
}

/// Values that were read have no references and no counts left in them.
fn plain(value: &Value) -> Vec<u8> {
    match value {
        Value::Empty => Vec::new(),
        Value::Bytes(bytes) => bytes.clone(),
        Value::Strings(strings) => strings.iter().flat_map(|string| string.bytes().chain([0])).collect(),
        Value::Cells(rows) => {
            let number = |cell: &Cell| match cell {
                Cell::U32(number) => number.to_be_bytes(),
                Cell::Phandle(label) => panic!("a reference to {label} in a blob"),
            };
            rows.iter().flatten().flat_map(number).collect()
        }
        Value::U64(_) | Value::Reg(_) | Value::Ranges(_) => panic!("no blob has types: {value:?}"),
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let digits = digits.trim();
    assert!(digits.len().is_multiple_of(2), "{digits}");
    let byte =
        |index| u8::from_str_radix(&digits[index..index + 2], 16).unwrap_or_else(|_| panic!("{digits}"));
    (0..digits.len()).step_by(2).map(byte).collect()
}
