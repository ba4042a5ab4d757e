//! A script that runs a profile's disk under QEMU: firmware, acceleration and ports are chosen when it runs, on whatever
//! machine that is; what the machine is made of is decided here, by the same code as for a boot of ours.

use super::{shell, template};
use crate::{
    boot::{
        Below, Question,
        machine::{
            Acceleration,
            disk::{self, MONITOR_ENDED, Writes},
            headless, terminal,
        },
    },
    host::{
        distribution::Family,
        firmware::{self, FlashFormat},
        tools::{self, Tool},
    },
    profile::{Arch, types::Vtl},
};

/// Beside the disk.
pub const SCRIPT: &str = "run-qemu.sh";

pub struct Given<'a> {
    pub profile: &'a str,
    pub arch: Arch,
    pub vtl: Vtl,
    pub cpus: u32,
    /// The machine's; a whole number of MiB.
    pub memory_bytes: u64,
    /// The kernel drives virtio's network adapter.
    pub has_network: bool,
    /// Port of the host that leads to the guest's ssh.
    pub ssh_port: u16,
}

pub fn script(given: &Given) -> String {
    let Given { profile, arch, vtl, .. } = *given;
    let question = Question {
        arch,
        kernel: vtl,
        below: below(vtl),
        cpus: given.cpus,
        is_interactive: true,
        is_self_test: false,
        is_shutdown: false,
    };
    // The monitor is at EL2 or under SVM, and emulation alone gives it that.
    let accelerates = vtl == Vtl::Vtl0;
    let ended = match (arch, vtl) {
        (Arch::X86_64, Vtl::Vtl2) => MONITOR_ENDED,
        _ => 0,
    };
    let mut machine = headless();
    machine.extend(["-m".to_string(), format!("{}M", given.memory_bytes >> 20)]);
    machine.extend(["-smp".to_string(), given.cpus.to_string()]);
    machine.extend(terminal());
    machine.extend(disk::report(question));
    let firmware = firmware::places(arch).iter();
    let firmware = firmware
        .map(|(code, variables)| format!("firmware {} {}", shell::quote(code), shell::quote(variables)));
    template::fill(
        include_str!("qemu.sh"),
        &[
            ("profile", shell::quote(profile)),
            ("arch", arch.name().to_string()),
            ("qemu", format!("qemu-system-{}", arch.name())),
            ("network", yes(given.has_network)),
            ("accelerates", yes(accelerates)),
            ("ssh-port", given.ssh_port.to_string()),
            ("ended", ended.to_string()),
            ("usage", usage(given, accelerates)),
            ("qemu-hint", hint(arch, Tool::QemuSystem(arch))),
            ("qemu-img-hint", hint(arch, Tool::QemuImg)),
            ("firmware-hint", hint(arch, Tool::Firmware(arch))),
            ("firmware", firmware.collect::<Vec<_>>().join("\n")),
            ("machine", shell::words(&machine)),
            ("boards", boards(question, accelerates)),
            (
                "flash",
                cases(&[("*.qcow2", disk::flash(FlashFormat::Qcow2)), ("*", disk::flash(FlashFormat::Raw))]),
            ),
            ("disks", cases(&[("yes", disk::disk(Writes::Kept)), ("no", disk::disk(Writes::Forgotten))])),
            ("seed", shell::words(&SEED.map(str::to_string))),
        ],
    )
}

/// A second disk that the guest reads.
const SEED: [&str; 4] = [
    "-drive",
    "if=none,id=seed,format=raw,readonly=on,file=seed.img",
    "-device",
    "virtio-blk-pci,drive=seed,addr=4",
];

fn below(vtl: Vtl) -> Below {
    match vtl {
        Vtl::Vtl0 => Below::Nothing,
        Vtl::Vtl2 => Below::Monitor { vtl: 2 },
    }
}

fn yes(it: bool) -> String {
    if it { "yes" } else { "no" }.to_string()
}

fn boards(question: Question, accelerates: bool) -> String {
    let kvm = accelerates.then(|| ("kvm", disk::board(question, Acceleration::Kvm)));
    let tcg = ("tcg", disk::board(question, Acceleration::Tcg));
    cases(&kvm.into_iter().chain([tcg]).collect::<Vec<_>>())
}

/// Branches of a `case` that add words to the command.
fn cases(cases: &[(&str, Vec<String>)]) -> String {
    let lines = cases
        .iter()
        .map(|(pattern, words)| format!("    {pattern}) set -- \"$@\" {} ;;", shell::words(words)));
    lines.collect::<Vec<_>>().join("\n")
}

/// How a tool is installed, in one word of the shell.
fn hint(arch: Arch, tool: Tool) -> String {
    let source = tools::facts(arch, tool).source;
    let families = [
        (Family::Debian, "apt-get install", "Debian, Ubuntu"),
        (Family::Fedora, "dnf install", "Fedora"),
        (Family::Arch, "pacman -S", "Arch"),
    ];
    let ways = families.iter().filter_map(|(family, command, name)| {
        Some(format!("{command} {} ({name})", source.package(*family)?))
    });
    shell::quote(&ways.collect::<Vec<_>>().join(", or "))
}

fn usage(given: &Given, accelerates: bool) -> String {
    let mut text = format!(
        "Runs {} under QEMU: its console on this terminal, Ctrl-A X to end it, Ctrl-A C for QEMU's monitor.\n\
         What the guest writes is gone afterwards, and disk.raw is never written to.\n\n\
         Usage: {SCRIPT} [OPTION]... [-- QEMU'S OWN OPTIONS]\n\n  \
         --persistent               keep what the guest writes, in the folder `machine` beside this script\n  \
         --fresh                    with --persistent: forget what was kept\n",
        given.profile
    );
    if accelerates {
        text += "  --accel auto|kvm|tcg       KVM or emulation [default: auto, KVM where it works]\n";
    }
    if given.has_network {
        let port = given.ssh_port;
        text += &format!(
            "  --ssh-port PORT|none       port of 127.0.0.1 that leads to the guest's port 22 [default: {port}]\n"
        );
    }
    text += "  --seed FILE                a second disk, which the guest can read\n  \
             --logs DIR                 where a copy of the console goes, console.log";
    if given.vtl == Vtl::Vtl2 {
        text += ", and the monitor's report.jsonl";
    }
    text + "\n  --firmware CODE VARIABLES  UEFI firmware, if it isn't where distributions put it\n  -h, --help                 this text"
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        path::Path,
        process::{Command, Output},
    };

    use super::*;

    fn given(arch: Arch, vtl: Vtl) -> Given<'static> {
        let has_network = vtl == Vtl::Vtl0;
        Given { profile: "a-profile", arch, vtl, cpus: 2, memory_bytes: 1 << 30, has_network, ssh_port: 2222 }
    }

    /// A folder with a script, a disk, firmware, and a QEMU that says what it was given, and where.
    struct Machine {
        folder: tempfile::TempDir,
    }

    impl Machine {
        fn new(given: &Given, name: &str) -> Machine {
            let folder = tempfile::tempdir().unwrap();
            let machine = Machine { folder };
            machine.executable(&format!("{name}/{SCRIPT}"), &script(given));
            for file in [&format!("{name}/disk.raw"), "CODE.fd", "VARS.fd"] {
                fs::write(machine.path(file), file).unwrap();
            }
            let says = "#!/bin/sh\nPATH=/usr/bin:/bin\nprintf '[%s]' \"$@\"; echo; for f in *.*; do echo \"$f $(cat \"$f\")\"; done; exit ${QEMU_STATUS:-0}\n";
            machine.executable(&format!("bin/qemu-system-{}", given.arch.name()), says);
            for tool in ["sh", "cat", "dirname", "grep", "ln", "mkdir", "mktemp", "rm", "sha256sum", "uname"]
            {
                let mut found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool)).into_iter();
                let found = found.find(|path| path.exists()).expect(tool);
                std::os::unix::fs::symlink(found, machine.path("bin").join(tool)).unwrap();
            }
            machine
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.folder.path().join(name)
        }

        fn executable(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn run(&self, name: &str, arguments: &[&str], status: &str) -> Output {
            let temporary = self.path("tmp");
            fs::create_dir_all(&temporary).unwrap();
            let mut command = Command::new(self.path(&format!("{name}/{SCRIPT}")));
            command.args(arguments).current_dir(self.folder.path()).env("PATH", self.path("bin"));
            command.env("TMPDIR", &temporary).env("QEMU_STATUS", status).output().unwrap()
        }
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    const FIRMWARE: [&str; 3] = ["--firmware", "CODE.fd", "VARS.fd"];

    #[test]
    fn it_runs_wherever_it_lies_and_leaves_nothing() {
        for name in ["plain", "two words, 'quotes' and $HOME", "-n", "ü\n*"] {
            let machine = Machine::new(&given(Arch::X86_64, Vtl::Vtl0), name);
            let said =
                machine.run(name, &[&FIRMWARE[..], &["--accel", "tcg", "--", "-name", "a b"]].concat(), "7");
            let out = text(&said.stdout);
            assert_eq!(said.status.code(), Some(7), "{name}: {}", text(&said.stderr));
            assert!(out.starts_with("[-name][a b][-nodefaults]"), "{out}");
            assert!(out.contains("[-m][1024M][-smp][2]"), "{out}");
            assert!(out.contains("hostfwd=tcp:127.0.0.1:2222-:22"), "{out}");
            for file in
                [format!("disk.raw {name}/disk.raw"), "code.fd CODE.fd".into(), "variables.fd VARS.fd".into()]
            {
                assert!(out.contains(&file), "no {file} in {out}");
            }
            assert_eq!(fs::read_dir(machine.path("tmp")).unwrap().count(), 0, "{name}");
        }
    }

    #[test]
    fn the_monitors_own_end_is_a_good_end() {
        let machine = Machine::new(&given(Arch::X86_64, Vtl::Vtl2), "x");
        assert_eq!(machine.run("x", &FIRMWARE, &MONITOR_ENDED.to_string()).status.code(), Some(0));
        assert_eq!(machine.run("x", &FIRMWARE, "1").status.code(), Some(1));
        let said = machine.run("x", &[&FIRMWARE[..], &["--accel", "kvm"]].concat(), "0");
        assert!(text(&said.stderr).contains("it can't run on KVM"), "{}", text(&said.stderr));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let machine = Machine::new(&given(Arch::Aarch64, Vtl::Vtl0), "x");
        let check = |arguments: &[&str], status: i32, wanted: &str| {
            let said = machine.run("x", arguments, "0");
            assert_eq!(said.status.code(), Some(status), "{arguments:?}");
            assert!(text(&said.stderr).contains(wanted), "{arguments:?}: {}", text(&said.stderr));
            assert_eq!(text(&said.stdout), "", "{arguments:?}");
        };
        check(&["--sssh"], 2, "there is no option --sssh");
        check(&["--ssh-port"], 2, "--ssh-port needs a value");
        for port in ["", "0", "65536", "99999999999999999999", "2 2", "x"] {
            check(&["--ssh-port", port], 2, "port");
        }
        check(&["--accel", "hvf"], 2, "--accel is auto, kvm or tcg, and not hvf");
        check(&["--fresh"], 2, "--fresh is about what --persistent keeps");
        check(&["--firmware", "CODE.fd", "none"], 1, "there is no file none");
        check(&[&FIRMWARE[..], &["--seed", "none"]].concat(), 1, "there is no file none");
        check(
            &[&FIRMWARE[..], &["--persistent"]].concat(),
            1,
            "qemu-img is not installed\n  hint: apt-get install qemu-utils",
        );
        fs::remove_file(machine.path("x/disk.raw")).unwrap();
        check(&FIRMWARE, 1, "there is no disk.raw beside this script");
        fs::write(machine.path("x/disk.raw"), "").unwrap();
        fs::remove_file(machine.path("bin/qemu-system-aarch64")).unwrap();
        check(&FIRMWARE, 1, "qemu-system-aarch64 is not installed\n  hint: apt-get install qemu-system-arm");
    }

    #[test]
    fn a_name_with_everything_in_it_is_a_name() {
        let odd = Given { profile: "it's $HOME `id` \"x\" \\", ..given(Arch::X86_64, Vtl::Vtl0) };
        let said = Machine::new(&odd, "x").run("x", &FIRMWARE, "0");
        assert!(
            text(&said.stderr).starts_with("it's $HOME `id` \"x\" \\ under QEMU"),
            "{}",
            text(&said.stderr)
        );
    }
}
