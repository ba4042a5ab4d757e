//! Disks boot by themselves, by firmware that nobody here wrote, up to the payload's report: normal guests, and VTL2 on
//! the monitor that its disk brings. What firmware can't boot is said on its console.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use harness::{Console, built, folder, run, xtask};

/// Firmware, kernel and payload under emulation, with another build beside them.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn x86_64_vtl0_boots_under_ovmf() {
    let arguments = ["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max"];
    let machine = Machine { profile: "x86_64-vtl0", qemu: "qemu-system-x86_64", firmware: OVMF };
    check(&machine, "x86_64", &arguments);
}

#[test]
fn aarch64_vtl0_boots_under_aavmf() {
    let arguments = ["-machine", "virt,gic-version=3,accel=tcg", "-cpu", "cortex-a72"];
    let machine = Machine { profile: "aarch64-vtl0", qemu: "qemu-system-aarch64", firmware: AAVMF };
    check(&machine, "aarch64", &arguments);
}

/// VTL2's disks, with the verdict that kernels get when they are booted directly. The device trees on them are the
/// profiles': Hyper-V's machine, which the monitor shows, or QEMU's.
#[test]
fn vtl2_boots_from_its_disk() {
    for (profile, model) in [
        ("x86_64-vtl2", "Microsoft Hyper-V VTL2"),
        ("aarch64-vtl2", "Microsoft Hyper-V VTL2"),
        ("aarch64-universal", "linux,dummy-virt"),
    ] {
        let logs = folder(&format!("boot-disk-{profile}"));
        let mut command = xtask();
        command.args(["boot", profile, "--disk", "--json", "--timeout", "600", "--logs"]).arg(&logs);
        let said = run(&mut command);
        let line = said.stdout.lines().last().unwrap_or_default();
        let json: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}: {}", said.stderr));
        assert_eq!(
            (&json["ok"], &json["level"], &json["smp"]),
            (&true.into(), &2.into(), &2.into()),
            "{json:#}"
        );
        assert_eq!(json["payload"]["model"], model, "{json:#}");
        assert_eq!(json["payload"]["cpus_online"], 2, "{json:#}");
    }
}

/// Machines that lack what the monitor runs on, or memory that the disk's device tree has.
#[test]
fn a_machine_without_svm_or_el2_is_told_so() {
    let said = |machine: &Machine, arguments: &[&str], memory: &str, wanted: &str| {
        let mut console = start(machine, arguments, memory, "wrong");
        console.wait_for(wanted, Instant::now() + PATIENCE);
    };
    said(
        &X86_64_VTL2,
        &["-machine", "q35,accel=tcg", "-cpu", "max,svm=off"],
        "1024",
        "vtlforge: the processor shows no SVM",
    );
    said(
        &X86_64_VTL2,
        &["-machine", "q35,accel=tcg", "-cpu", "max"],
        "400",
        "vtlforge: the machine has less memory",
    );
    let arm = ["-machine", "virt,gic-version=3,accel=tcg", "-cpu", "cortex-a72"];
    said(&AARCH64_VTL2, &arm, "1024", "vtlforge: firmware runs below EL2");
}

const X86_64_VTL2: Machine = Machine { profile: "x86_64-vtl2", qemu: "qemu-system-x86_64", firmware: OVMF };
const AARCH64_VTL2: Machine =
    Machine { profile: "aarch64-vtl2", qemu: "qemu-system-aarch64", firmware: AAVMF };

/// Boots `disk.raw` of the machine's profile and compares what the payload reports.
fn check(machine: &Machine, arch: &str, arguments: &[&str]) {
    let out = built(machine.profile);
    let mut console = start(machine, arguments, "1024", "good");
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

struct Machine {
    profile: &'static str,
    qemu: &'static str,
    /// Where distributions put code and variables.
    firmware: [&'static [&'static str]; 2],
}

const OVMF: [&[&str]; 2] = [
    &[
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    ],
    &[
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ],
];
const AAVMF: [&[&str]; 2] = [
    &["/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw"],
    &["/usr/share/AAVMF/AAVMF_VARS.fd", "/usr/share/edk2/aarch64/vars-template-pflash.raw"],
];

fn start(machine: &Machine, arguments: &[&str], memory: &str, name: &str) -> Console {
    let out = built(machine.profile);
    let [code, vars] = machine.firmware.map(firmware);
    let own_vars = folder(&format!("boot-{}-{name}", machine.profile)).join("vars.fd");
    fs::copy(vars, &own_vars).unwrap();
    let flash = |unit: u8, options: &str, file: &Path| {
        format!("if=pflash,unit={unit},format=raw{options},file={}", file.display())
    };
    let mut command = Command::new(machine.qemu);
    command.args(arguments).args([
        "-m",
        memory,
        "-smp",
        "2",
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
    ]);
    command.args(["-serial", "stdio", "-monitor", "none", "-net", "none"]);
    command.arg("-drive").arg(flash(0, ",readonly=on", &code)).arg("-drive").arg(flash(1, "", &own_vars));
    // A snapshot: the artifact stays as it is.
    let disk = format!("if=none,id=disk,format=raw,snapshot=on,file={}", out.join("disk.raw").display());
    command.args(["-drive", &disk, "-device", "virtio-blk-pci,drive=disk,bootindex=0"]);
    Console::start(command.stdin(Stdio::null()))
}

fn firmware(places: &[&str]) -> PathBuf {
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("none of {places:?} is here; `cargo xtask doctor --install` brings it"))
}
