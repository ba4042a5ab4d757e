//! `provision qemu`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::harness::{Console, built, folder, judge, judges::digest, run, xtask};

/// Firmware, kernel and payload under emulation, with another build beside them.
const PATIENCE: Duration = Duration::from_secs(600);
const SCRIPT: &str = "run-qemu.sh";

/// Script and disk of a profile, in a folder of a name that shells trip over.
fn provisioned(profile: &str, test: &str) -> PathBuf {
    let to = folder(&format!("provision-{test}-{profile}")).join("it's \"here\", $HOME");
    let mut command = xtask();
    command.args(["provision", "qemu", profile, "--ssh-port", "0", "--to"]).arg(&to);
    // A port is a number that isn't 0; the tests need none.
    assert_eq!(run(&mut command).status, 2);
    let mut command = xtask();
    command.args(["provision", "qemu", profile, "--to"]).arg(&to);
    let said = run(&mut command).expect(&format!("provision qemu {profile}"));
    assert_eq!(Path::new(said.trim_end()), to.canonicalize().unwrap().join(SCRIPT));
    to
}

/// A machine of the script's, with this process at its keyboard.
struct Typed {
    console: Console,
    keyboard: std::process::ChildStdin,
}

fn start(to: &Path, options: &[&str]) -> Typed {
    let mut command = Command::new(to.join(SCRIPT));
    command.args(options).stdin(Stdio::piped());
    let (console, keyboard) = Console::start_typed(&mut command);
    Typed { console, keyboard }
}

impl Typed {
    fn wait_for(&mut self, wanted: &str) -> String {
        self.console.wait_for(wanted, Instant::now() + PATIENCE)
    }

    /// Ctrl-A C is QEMU's way to its own monitor.
    fn tell_qemu(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }
}

impl Drop for Typed {
    /// A test that fails leaves no machine behind: what the console kills is the script.
    fn drop(&mut self) {
        let _ = self.keyboard.write_all(b"\x01x");
    }
}

const TO_QEMU: &str = "\u{1}c";
/// Behind everything that a build has put on the disk.
const WRITE: &str = "qemu-io disk \"write -P 0x5a 200M 1M\"";
const WRITTEN: &str = "wrote 1048576/1048576 bytes";

#[test]
fn disks_of_all_profiles_boot_by_the_script_and_stay_as_they_are() {
    for (profile, vtl) in [("x86_64-vtl0", 0), ("x86_64-vtl2", 2), ("aarch64-vtl0", 0), ("aarch64-vtl2", 2)] {
        let to = provisioned(profile, "boot");
        let artifact = digest(&built(profile).join("disk.raw"));
        assert_eq!(digest(&to.join("disk.raw")), artifact, "{profile}");
        let logs = to.join("logs");
        let mut options = vec!["--ssh-port", "none", "--logs", logs.to_str().unwrap()];
        let seed = seed(&to.with_file_name("a seed, here"));
        if vtl == 0 {
            options.extend(["--seed", seed.to_str().unwrap()]);
        }
        let mut machine = start(&to, &options);
        let console = machine.wait_for("payload-ready ");
        let report = console.lines().last().unwrap().split_once("payload-ready ").unwrap().1;
        let report: serde_json::Value = serde_json::from_str(report.trim()).expect(report);
        assert_eq!(report["vtl"], vtl, "{report}");
        assert_eq!(report["cpus_online"], 2, "{report}");
        if vtl == 0 {
            // What stands on the second disk has come to whom it is for.
            machine.wait_for("\"instance_id\":\"i-of-the-script\"");
        }
        machine.tell_qemu(&format!("{TO_QEMU}{WRITE}"));
        machine.wait_for(WRITTEN);
        machine.tell_qemu("quit");
        assert_eq!(machine.console.ended(), 0, "{profile}");
        assert_eq!(digest(&to.join("disk.raw")), artifact, "{profile}");
        assert!(
            fs::read_to_string(logs.join("console.log")).unwrap().contains("payload-ready "),
            "{profile}"
        );
        let left: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}

#[test]
fn what_is_kept_is_kept_beside_the_artifact() {
    let to = provisioned("x86_64-vtl2", "kept");
    let artifact = digest(&to.join("disk.raw"));
    let run_once = |options: &[&str]| {
        let mut machine = start(&to, &[&["--persistent", "--ssh-port", "none"], options].concat());
        // Before firmware has begun: the machine needn't boot for that.
        machine.tell_qemu(TO_QEMU);
        machine
    };
    let mut machine = run_once(&["--", "-S"]);
    machine.tell_qemu(WRITE);
    machine.wait_for(WRITTEN);
    machine.tell_qemu("quit");
    assert_eq!(machine.console.ended(), 0);
    assert_eq!(digest(&to.join("disk.raw")), artifact);

    // Moved as a whole, it goes on.
    let moved = to.with_file_name("moved");
    fs::rename(&to, &moved).unwrap();
    let read = "read -P 0x5a 200M 1M";
    let overlay = moved.join("machine/disk.qcow2");
    judge("qemu-io", &["-r", "-c", read, overlay.to_str().unwrap()]);
    let has = |path: &Path| {
        let mut command = Command::new("qemu-io");
        command.args(["-r", "-f", "raw", "-c", read]).arg(path);
        !run(&mut command).stdout.contains("Pattern verification failed")
    };
    assert!(!has(&moved.join("disk.raw")));
    judge("qemu-img", &["check", overlay.to_str().unwrap()]);

    // Over another build's disk it would be nonsense.
    fs::OpenOptions::new().write(true).open(moved.join("disk.raw")).unwrap().write_all(b"other").unwrap();
    let mut other = Command::new(moved.join(SCRIPT));
    let said = run(other.args(["--persistent", "--ssh-port", "none"]).stdin(Stdio::null()));
    assert_eq!(said.status, 1, "{}", said.stderr);
    assert!(said.stderr.contains("was written over another disk.raw"), "{}", said.stderr);
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts() {
    for profile in ["x86_64-vtl0", "aarch64-vtl2"] {
        let to = provisioned(profile, "shellcheck");
        judge("shellcheck", &["--enable=quote-safe-variables", to.join(SCRIPT).to_str().unwrap()]);
    }
}

/// Whoever ends the script ends the machine, and nothing stays behind: neither early nor when the machine runs.
#[test]
fn a_script_that_is_ended_takes_its_machine_along() {
    let to = provisioned("x86_64-vtl2", "ended");
    let temporary = folder("provision-ended-temporary");
    let mut command = Command::new(to.join(SCRIPT));
    command.args(["--ssh-port", "none", "--", "-S"]).env("TMPDIR", &temporary);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for instant in (0..60).step_by(3) {
        let script = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(instant));
        ended(script, &temporary);
    }
    let script = command.spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while child(&script).is_none() {
        assert!(Instant::now() < end, "no QEMU in time");
        std::thread::sleep(Duration::from_millis(1));
    }
    ended(script, &temporary);
}

/// Ends the script and looks for what it has started and made.
fn ended(mut script: Child, temporary: &Path) {
    judge("kill", &[&script.id().to_string()]);
    script.wait().unwrap();
    // The machine's folder is its working directory, even when it has been removed.
    for process in fs::read_dir("/proc").unwrap() {
        let process = process.unwrap().path();
        let at = fs::read_link(process.join("cwd")).unwrap_or_default();
        assert!(!at.starts_with(temporary), "{} runs on", process.display());
    }
    let left: Vec<_> = fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A floppy with what first boot takes.
fn seed(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let image = folder.join("seed.img");
    let _ = fs::remove_file(&image);
    judge("mformat", &["-C", "-f", "1440", "-v", "cidata", "-i", image.to_str().unwrap(), "::"]);
    for (name, text) in [("meta-data", "instance-id: i-of-the-script\n"), ("user-data", "#cloud-config\n")] {
        fs::write(folder.join(name), text).unwrap();
        judge("mcopy", &["-i", image.to_str().unwrap(), folder.join(name).to_str().unwrap(), "::"]);
    }
    image
}

/// The QEMU that a script has started.
fn child(script: &Child) -> Option<u32> {
    let children = format!("/proc/{0}/task/{0}/children", script.id());
    let children = fs::read_to_string(children).unwrap_or_default();
    let mut children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    children.find(|pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("qemu-system"))
    })
}
