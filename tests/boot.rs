//! Normal guests boot from their disks, by firmware that nobody here wrote, up to the payload's report.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use harness::{Console, built, folder};

/// Firmware, kernel and payload under emulation, with another build beside them.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn x86_64_vtl0_boots_under_ovmf() {
    let code = firmware(&[
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    ]);
    let vars = firmware(&[
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ]);
    let machine = ["-machine", "q35,accel=tcg", "-cpu", "max"];
    check("x86_64-vtl0", "x86_64", "qemu-system-x86_64", &machine, &code, &vars);
}

#[test]
fn aarch64_vtl0_boots_under_aavmf() {
    let code = firmware(&["/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw"]);
    let vars =
        firmware(&["/usr/share/AAVMF/AAVMF_VARS.fd", "/usr/share/edk2/aarch64/vars-template-pflash.raw"]);
    let machine = ["-machine", "virt,gic-version=3,accel=tcg", "-cpu", "cortex-a72"];
    check("aarch64-vtl0", "aarch64", "qemu-system-aarch64", &machine, &code, &vars);
}

/// Boots `disk.raw` of `profile` and compares what the payload reports.
fn check(profile: &str, arch: &str, qemu: &str, machine: &[&str], code: &Path, vars: &Path) {
    let out = built(profile);
    let own_vars = folder(&format!("boot-{profile}")).join("vars.fd");
    fs::copy(vars, &own_vars).unwrap();
    let flash = |unit: u8, options: &str, file: &Path| {
        format!("if=pflash,unit={unit},format=raw{options},file={}", file.display())
    };
    let mut command = Command::new(qemu);
    command.args(machine).args(["-m", "1024", "-smp", "2", "-nodefaults", "-display", "none", "-no-reboot"]);
    command.args(["-serial", "stdio", "-monitor", "none", "-net", "none"]);
    command.arg("-drive").arg(flash(0, ",readonly=on", code)).arg("-drive").arg(flash(1, "", &own_vars));
    // A snapshot: the artifact stays as it is.
    let disk = format!("if=none,id=disk,format=raw,snapshot=on,file={}", out.join("disk.raw").display());
    command.args(["-drive", &disk, "-device", "virtio-blk-pci,drive=disk,bootindex=0"]);

    let mut console = Console::start(command.stdin(Stdio::null()));
    let console = console.wait_for("payload-ready ", Instant::now() + PATIENCE);
    let line = console.lines().last().unwrap();
    let json = line.split_once("payload-ready ").unwrap().1;
    let report: serde_json::Value =
        serde_json::from_str(json.trim()).unwrap_or_else(|e| panic!("{e}: {line}"));
    assert_eq!(report["arch"], arch, "{line}");
    assert_eq!(report["vtl"], 0, "{line}");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let kernel =
        manifest["steps"].as_array().unwrap().iter().find(|step| step["kind"] == "build-kernel").unwrap();
    assert!(kernel["outputs"]["kernel"].is_string());
    assert!(report["kernel"].as_str().is_some_and(|release| release.starts_with("7.3")), "{line}");
    assert!(report["model"].is_string() || report["model"].is_null(), "{line}");
}

fn firmware(places: &[&str]) -> PathBuf {
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("none of {places:?} is here; `cargo xtask doctor --install` brings it"))
}
