use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("temporary directory");
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("directory");
        fs::write(path, content).expect("file");
    }
    root
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("to memory");
    encoder.finish().expect("to memory")
}

#[test]
fn nothing_there() {
    assert_eq!(gather(tree(&[]).path()), Facts::default());
}

#[test]
fn a_vtl2_machine() {
    let config = gzip("CONFIG_HYPERV=y\nCONFIG_HYPERV_VTL_MODE=y\n");
    let root = tree(&[
        ("proc/sys/kernel/osrelease", b"7.3.4\n"),
        ("proc/cmdline", b"noxsave console=ttyS0\n"),
        ("proc/meminfo", b"MemTotal:         243712 kB\nMemFree: 1 kB\n"),
        ("proc/config.gz", &config),
        ("proc/cpuinfo", b"processor\t: 0\nflags\t\t: fpu hypervisor lm\n"),
        ("sys/devices/system/cpu/online", b"0-3,8\n"),
        ("sys/class/dmi/id/sys_vendor", b"Maker\n"),
        ("sys/bus/vmbus/uevent", b""),
        ("sys/firmware/devicetree/base/model", b"a board\0"),
        ("sys/firmware/devicetree/base/compatible", b"microsoft,openvmm\0second\0"),
        ("sys/firmware/devicetree/base/bus/vmbus@0/compatible", b"microsoft,vmbus\0"),
        ("sys/firmware/devicetree/base/bus/uart@1/compatible", b"microsoft,vmbus-not\0"),
        ("dev/mshv", b""),
    ]);
    let tree = DeviceTree {
        model: Some("a board".to_owned()),
        compatible: vec!["microsoft,openvmm".to_owned(), "second".to_owned()],
        vmbus: vec!["/bus/vmbus@0".to_owned()],
    };
    let wanted = Facts {
        kernel: Some("7.3.4".to_owned()),
        cmdline: "noxsave console=ttyS0".to_owned(),
        cpus_online: Some(5),
        memory_kib: Some(243_712),
        dmi_model: Some("Maker".to_owned()),
        device_tree: Some(tree),
        built_with_vtl_mode: Some(true),
        hypervisor_flag: true,
        vmbus: true,
        mshv: true,
        mshv_vtl_low: false,
    };
    assert_eq!(gather(root.path()), wanted);
}

#[test]
fn kernel_configurations() {
    let check = |content: &[u8], wanted| {
        let root = tree(&[("proc/config.gz", content)]);
        assert_eq!(gather(root.path()).built_with_vtl_mode, wanted);
    };
    check(&gzip("# CONFIG_HYPERV_VTL_MODE is not set\n"), Some(false));
    check(&gzip("CONFIG_X=\"CONFIG_HYPERV_VTL_MODE=y\"\n"), Some(false));
    check(b"not gzip", None);
    check(&gzip("CONFIG_HYPERV_VTL_MODE=y\n")[..20], None);
}

#[test]
fn odd_device_trees() {
    // What an ACPI kernel with OF shows: a root node with the cell counts alone.
    let root = tree(&[("sys/firmware/devicetree/base/#address-cells", &[0, 0, 0, 2])]);
    assert_eq!(gather(root.path()).device_tree, None);
    let root = tree(&[("proc/device-tree/model", b"old place\0")]);
    assert_eq!(gather(root.path()).device_tree.and_then(|tree| tree.model).as_deref(), Some("old place"));
}

#[test]
fn cpu_lists() {
    let check = |list, wanted| assert_eq!(count_cpus(list), wanted, "{list}");
    check("0", Some(1));
    check("0-1", Some(2));
    check("0,2-3", Some(3));
    check("3-1", None);
    check("0-4294967295", None);
    check("", None);
}
