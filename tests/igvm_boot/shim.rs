//! Files that the boot shim starts: on both architectures the kernel runs on the machine that the host describes, and only
//! the kernel that the file was built with.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde_json::Value;

use crate::{
    boot,
    harness::{self, folder, run, xtask},
};

/// VTL2's memory lies within the machine's: the rest is not its own.
const SHIM: &str = "\
device-tree:
  memory-ranges: [{base: 0x4000000, size: 256MiB}]
igvm:
  entry: shim
  host-options: [loglevel, vtl2-init.after]
disk:
  size: 64MiB
";

/// The files of a copy of the project with a profile for each architecture: kernels and payloads are in the store already.
static FILES: LazyLock<PathBuf> = LazyLock::new(|| {
    // Not below the target directory: from there the real project would be found.
    let copy = tempfile::Builder::new().prefix("igvm-boot-shim").tempdir().unwrap();
    let root = copy.path();
    harness::copy_project(root);
    for arch in ["x86_64", "aarch64"] {
        let base = fs::read_to_string(root.join(format!("profiles/{arch}-vtl2.yaml"))).unwrap();
        fs::write(root.join(format!("profiles/{arch}-shim.yaml")), base + SHIM).unwrap();
    }
    let files = folder("shim-files");
    let mut build = xtask();
    build.current_dir(root).args(["build-image", "x86_64-shim", "aarch64-shim", "--out"]).arg(&files);
    run(&mut build).expect("build-image of profiles with the boot shim");
    files
});

fn file(arch: &str) -> PathBuf {
    FILES.join(format!("{arch}-shim/vtl2.igvm"))
}

fn boots(arch: &str, cpus: u64, options: &str) -> (Value, String) {
    let name = format!("shim-{arch}-{cpus}");
    let arguments = ["--smp", &cpus.to_string(), "--append", options];
    let (verdict, logs, said) = boot(&file(arch), &name, &arguments);
    assert_eq!(verdict["ok"], true, "{verdict:#}\n{}", said.stderr);
    assert_eq!(verdict["level"], 2, "{verdict:#}");
    let payload = &verdict["payload"];
    // As many as the host has, though the profile says two.
    assert_eq!(payload["cpus_online"], cpus, "{payload}");
    let memory = payload["memory_kib"].as_u64().unwrap();
    assert!((200 << 10..256 << 10).contains(&memory), "{payload}");
    assert!(payload["cmdline"].as_str().unwrap().ends_with(options), "{payload}");
    assert_eq!(payload["model"], "Microsoft Hyper-V VTL2", "{payload}");
    assert_eq!(payload["device_tree"]["vmbus"], serde_json::json!(["/bus/vmbus@ff0000000"]));
    (verdict, fs::read_to_string(logs.join("console.log")).unwrap())
}

#[test]
fn x86_64_through_the_shim() {
    let (verdict, console) = boots("x86_64", 4, "loglevel=7 vtl2_init.after=reboot");
    let ended =
        verdict["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "guest-ended");
    assert_eq!(ended.unwrap()["said"], "triple-fault", "{verdict:#}");
    let map = "BIOS-e820: [mem 0x0000000004000000-0x0000000013ffffff]";
    assert!(console.contains(map), "no {map:?} in\n{console}");
    assert_eq!(console.matches("BIOS-e820: [mem").count(), 1, "{console}");
}

#[test]
fn aarch64_through_the_shim() {
    boots("aarch64", 1, "");
    let (verdict, console) = boots("aarch64", 4, "vtl2_init.after=poweroff");
    let ended =
        verdict["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "guest-ended");
    assert_eq!(ended.unwrap()["said"], "system-off", "{verdict:#}");
    let node = "node   0: [mem 0x0000000004000000-0x0000000013ffffff]";
    assert!(console.contains(node), "no {node:?} in\n{console}");
}

#[test]
fn what_the_shim_does_not_start() {
    for arch in ["x86_64", "aarch64"] {
        let good = file(arch);
        let refuses = |file: &Path, options: &[&str], reason: &str| {
            let (verdict, logs, _) = boot(file, &format!("shim-refuses-{arch}"), options);
            assert_eq!(verdict["diagnosis"]["code"], "shim-refused", "{verdict:#}");
            let text = verdict["diagnosis"]["text"].as_str().unwrap();
            assert_eq!(text, format!("the boot shim did not start the kernel: {reason}"));
            let console = fs::read_to_string(logs.join("console.log")).unwrap();
            assert!(!console.contains("Linux version"), "{console}");
        };
        let option = "the host adds an option to the command line that it may not";
        refuses(&good, &["--append", "loglevel=3 init=/bin/sh"], &format!("{option}: init=/bin/sh"));
        // The file's checksum is one of its headers alone.
        let bytes = fs::read(&good).unwrap();
        let changed = |artifact: &str| {
            let part = fs::read(good.with_file_name(artifact)).unwrap();
            let sample = &part[part.len() / 2..part.len() / 2 + 24];
            let offset = bytes.windows(sample.len()).position(|window| window == sample).unwrap();
            let mut bytes = bytes.clone();
            bytes[offset] ^= 1;
            let path = folder(&format!("igvm-boot-changed-{arch}-{artifact}")).join("vtl2.igvm");
            fs::write(&path, bytes).unwrap();
            path
        };
        refuses(&changed("kernel"), &[], "the kernel is not the one that the file was built with");
        refuses(
            &changed("initramfs.cpio.zst"),
            &[],
            "the initramfs is not the one that the file was built with",
        );
    }
}
