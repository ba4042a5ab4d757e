//! dtc, which nobody here wrote, reads what we write: our blob without a warning, and our source as the same tree.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "runs dtc on files")]

use std::path::{Path, PathBuf};
use std::process::Command;

use fdt::machine::{
    Chosen, Cpu, MAINLINE, Machine, Platform, PsciConduit, Reservation, hyperv_vtl2_aarch64,
    hyperv_vtl2_x86_64, qemu_virt_aarch64,
};
use fdt::tree::ARM64_SIZE_MAX_BYTES;
use fdt::{Cell, Mapping, Node, Property, Range, Tree, Value, check, to_dtb, to_dts};

const GIB: u64 = 1 << 30;

/// Both judgements on one tree.
fn judge(tree: &Tree) {
    let directory = tempfile::tempdir().unwrap();
    let dtb = file(&directory, "ours.dtb", &to_dtb(tree).unwrap());
    let dts = file(&directory, "ours.dts", to_dts(tree).as_bytes());
    let theirs = directory.path().join("theirs.dtb");

    let from_dtb = dtc(&["-I", "dtb", "-O", "dts", "-s"], &dtb);
    dtc(&["-I", "dts", "-O", "dtb", "-o", theirs.to_str().unwrap()], &dts);
    let from_dts = dtc(&["-I", "dtb", "-O", "dts", "-s"], &theirs);
    assert_eq!(from_dtb, from_dts, "\n{}", to_dts(tree));

    // The order of the tree is kept as well, and both write the same structure, byte for byte.
    assert_eq!(
        structure(&std::fs::read(&dtb).unwrap()).len(),
        structure(&std::fs::read(&theirs).unwrap()).len()
    );
    assert_eq!(dtc(&["-I", "dtb", "-O", "dts"], &dtb), dtc(&["-I", "dtb", "-O", "dts"], &theirs));
}

fn file(directory: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// What dtc says on stdout; it has to be content and to say nothing else.
fn dtc(arguments: &[&str], input: &Path) -> String {
    let output = Command::new("dtc").args(arguments).arg(input).output();
    let output =
        output.unwrap_or_else(|error| panic!("dtc: {error}; install the package device-tree-compiler"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "dtc {arguments:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

/// The structure block of a blob (Devicetree Specification 5.2: offset at 8, size at 36).
fn structure(blob: &[u8]) -> &[u8] {
    let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap()) as usize;
    &blob[word(8)..word(8) + word(36)]
}

fn low_memory() -> Vec<Range> {
    vec![Range::new(0, 0xe000_0000), Range::new(4 * GIB, 4 * GIB)]
}

fn chosen() -> Chosen {
    Chosen {
        bootargs: Some("console=ttyAMA0 quote=\"a\\b\"".to_owned()),
        initrd: Some(Range::new(0x4800_0000, 0x123_4567)),
    }
}

#[test]
fn machines() {
    for cpus in [1, 2, 17, 300] {
        judge(&hyperv_vtl2_x86_64(cpus, low_memory()).tree(&MAINLINE));
        judge(&hyperv_vtl2_aarch64(cpus, low_memory(), chosen()).tree(&MAINLINE));
    }
    for conduit in [PsciConduit::Hvc, PsciConduit::Smc] {
        let memory = vec![Range::new(GIB, 8 * GIB)];
        judge(&qemu_virt_aarch64(4, memory, conduit, chosen()).tree(&MAINLINE));
    }
}

#[test]
fn options() {
    let memory = vec![Range::new(GIB, GIB)];
    let bare = qemu_virt_aarch64(1, memory.clone(), PsciConduit::Hvc, Chosen::default());
    judge(&bare.tree(&MAINLINE));
    let Platform::Aarch64(mut platform) = bare.platform.clone() else { unreachable!() };
    platform.pmu_ppi = None;
    let reservation = |base, size| Reservation { range: Range::new(base, size), comment: None };
    let machine = Machine {
        serial: None,
        cpus: [0x1_0000_0000, 0].map(|id| Cpu { id, ..Cpu::default() }).into(),
        platform: Platform::Aarch64(platform),
        memory_reservations: vec![reservation(GIB, 0x1000), reservation(GIB + 0x2000, 0x10)],
        ..bare
    };
    judge(&machine.tree(&MAINLINE));

    let mut many_windows = hyperv_vtl2_x86_64(2, memory);
    let vmbus = &mut many_windows.vmbus[0];
    vmbus.mmio.push(Range::new(0x10_0000_0000, 0xffff_f000));
    judge(&many_windows.tree(&MAINLINE));
}

/// A tree with every kind of value, phandles given and assigned, and buses that translate.
#[test]
fn every_value() {
    let raw = |name: &str, value| Property { name: name.to_owned(), value };
    let mut values = Node::new("values")
        .flag("vendor,flag")
        .u64("vendor,u64", 0xfedc_ba98_7654_3210)
        .strings("vendor,strings", ["", "a\"\\", "ünï\u{7f}\tcode\n7f"])
        .bytes("vendor,bytes", [0, 1, 0xfe])
        .bytes("vendor,no-bytes", [])
        .cells("vendor,rows", [[0, 15, 16], [u32::MAX, 1, 2]])
        .phandles("vendor,refs", ["later", "given"]);
    let mixed = vec![vec![Cell::Phandle("later".into()), Cell::U32(7)], vec![Cell::U32(8)]];
    values.properties.push(raw("vendor,mixed", Value::Cells(mixed)));
    let device = Node::at("device", 0x10).reg([Range::new(0x10, 4), Range::new(0x20, 4)]).label("given");
    let window = Mapping { child: 0, parent: 0x1_0000_0000, size: 0x1000 };
    let soc = Node::at("soc", 0x1_0000_0000)
        .string("compatible", "simple-bus")
        .cell_counts(1, 1)
        .ranges([window])
        .child(device.u32("phandle", 1));
    let reserved = Node::new("reserved-memory")
        .cell_counts(2, 2)
        .flag("ranges")
        .child(Node::at("buffer", 0x2000).cells("reg", [[0, 0x2000, 0, 0x1000]]));
    let root = Node::new("").string("compatible", "vendor,machine").cell_counts(2, 2).children([
        Node::new("cpus")
            .cell_counts(1, 0)
            .child(Node::at("cpu", 0).string("device_type", "cpu").u32("reg", 0)),
        Node::at("memory", 0).string("device_type", "memory").reg([Range::new(0, GIB)]),
        values,
        reserved,
        soc,
        Node::new("later").label("later"),
    ]);
    let mut tree = Tree::new(root);
    tree.memory_reservations = vec![Range::new(0x8000, 0x1000).into()];
    judge(&tree);
}

/// What the check expects the blob to take is what it takes; as large as a machine gets.
#[test]
fn size_is_foretold() {
    let memory = |count: u64| (0..count).map(|i| Range::new((64 + i) * GIB * 2, GIB)).collect::<Vec<_>>();
    let mut tree = hyperv_vtl2_x86_64(2048, memory(1024)).tree(&MAINLINE);
    let blob = to_dtb(&tree).unwrap();
    tree.size_max_bytes = blob.len();
    assert_eq!(check(&tree), []);
    tree.size_max_bytes -= 1;
    assert_eq!(check(&tree).len(), 1);
    judge(&Tree { size_max_bytes: blob.len(), ..tree });

    let arm = hyperv_vtl2_aarch64(2048, memory(1024), Chosen::default()).tree(&MAINLINE);
    assert!(to_dtb(&arm).unwrap().len() < ARM64_SIZE_MAX_BYTES);
}

/// Nothing but the description decides the bytes.
#[test]
fn equal_descriptions_give_equal_bytes() {
    let build = || to_dtb(&hyperv_vtl2_x86_64(8, low_memory()).tree(&MAINLINE)).unwrap();
    assert_eq!(build(), build());
}
