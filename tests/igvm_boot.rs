//! IGVM files, loaded as a host loads them for VTL2, boot on the monitor; and what a host refuses is refused.

mod harness;

#[path = "igvm_boot/shim.rs"]
mod shim;

use std::{
    fs,
    path::{Path, PathBuf},
};

use harness::{Said, built, folder, run, xtask};
use serde_json::Value;

/// Boots a file; gives the verdict's JSON and the folder with console and report.
pub fn boot(file: &Path, name: &str, arguments: &[&str]) -> (Value, PathBuf, Said) {
    let logs = folder(&format!("igvm-boot-{name}"));
    let mut command = xtask();
    command.args(["boot", "--json", "--igvm"]).arg(file).args(arguments).arg("--logs").arg(&logs);
    let said = run(&mut command);
    let mut events = said.stdout.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let verdict = events.find(|line| line["event"] == "boot-finished").unwrap_or_default();
    (verdict, logs, said)
}

fn boots(file: &Path, name: &str, cpus: u64) -> (Value, PathBuf) {
    let (verdict, logs, said) = boot(file, name, &["--smp", &cpus.to_string()]);
    assert_eq!(verdict["ok"], true, "{verdict:#}\n{}", said.stderr);
    assert_eq!(verdict["level"], 2, "{verdict:#}");
    assert_eq!(verdict["payload"]["cpus_online"], cpus, "{verdict:#}");
    // What Hyper-V has, not QEMU: the tree that is in the file.
    assert_eq!(verdict["payload"]["model"], "Microsoft Hyper-V VTL2", "{verdict:#}");
    (verdict, logs)
}

#[test]
fn x86_64_direct() {
    let file = built("x86_64-vtl2").join("vtl2.igvm");
    boots(&file, "x86_64", 1);
}

/// On aarch64 the machine has Hyper-V's addresses and interrupt numbers, which QEMU's has not.
#[test]
fn aarch64_direct() {
    let file = built("aarch64-vtl2").join("vtl2.igvm");
    let (_, logs) = boots(&file, "aarch64", 2);
    let console = fs::read_to_string(logs.join("console.log")).unwrap();
    let has = |text: &str| assert!(console.contains(text), "no {text:?} in\n{console}");
    has("effec000.serial: ttyAMA0");
    has("GICv3: CPU0: found redistributor 0 region 0:0x00000000effee000");
    has("GICv3: CPU1: found redistributor 1 region 0:0x00000000f000e000");
}

#[test]
fn what_a_host_refuses() {
    let file = built("x86_64-vtl2").join("vtl2.igvm");
    let folder = folder("igvm-boot-refused");
    let bytes = fs::read(&file).unwrap();
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let refuses = |file: &Path, arguments: &[&str], reason: &str| {
        let (_, logs, said) = boot(file, "refused-run", arguments);
        assert_ne!(said.status, 0);
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(text.contains(reason), "no {reason:?} in\n{text}");
        // Nothing was started.
        assert!(!logs.join("console.log").exists());
    };
    refuses(&file, &["--memory", "256MiB"], "the file needs memory at 0x0 to 0x20000000");
    refuses(&file, &["--memory", "511MiB"], "a multiple of 2MiB below 3GiB");
    refuses(&file, &["--append", "quiet"], "has no place for what the host says of the command line");
    refuses(&folder.join("none.igvm"), &[], "none.igvm: No such file");
    refuses(&changed("no.igvm", &|bytes| bytes[0] = b'M'), &[], "is no IGVM file");
    refuses(&changed("version.igvm", &|bytes| bytes[4] = 9), &[], "of a format, that isn't known here");
    refuses(&changed("short.igvm", &|bytes| bytes.truncate(100_000)), &[], "and the file has 100000");
    refuses(&changed("flipped.igvm", &|bytes| bytes[100] ^= 1), &[], "the checksum of the headers is");
}
