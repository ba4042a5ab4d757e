//! The boot matrix: every profile at every level, and without a hypervisor, on one and on four processors. What must
//! boot boots; what must not fails for the reason that it is to fail for.

mod harness;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use harness::{folder, project, run, xtask};
use serde_json::Value;

const PROFILES: [&str; 5] =
    ["aarch64-universal", "aarch64-vtl0", "aarch64-vtl2", "x86_64-vtl0", "x86_64-vtl2"];
const TOLD: [&str; 3] = ["0", "2", "none"];
const SMP: [&str; 2] = ["1", "4"];

/// What a cell must come to: the level that shows (`None` without Hyper-V), or the diagnosis.
type Outcome<'a> = Result<Option<u8>, &'a str>;

fn wanted(profile: &str, told: &str, smp: &str) -> Outcome<'static> {
    match (profile, told, smp) {
        // Its MSHV driver calls Hyper-V without looking whether it is there.
        ("x86_64-vtl2", "none", _) => Err("no-hyper-v"),
        // It has given up starting processors the way of a PC.
        ("x86_64-vtl2", "0", "4") => Err("own-processor-start"),
        // It never asks.
        ("x86_64-vtl0" | "aarch64-vtl0", "2", _) => Err("wrong-vtl"),
        (_, "none", _) => Ok(None),
        (_, level, _) => Ok(Some(level.parse().unwrap())),
    }
}

/// Every cell of a profile, by what it is told and the number of processors.
fn row(profile: &str) -> BTreeMap<(&'static str, &'static str), Value> {
    let cells = TOLD.iter().flat_map(|told| SMP.map(|smp| (*told, smp)));
    cells
        .map(|(told, smp)| ((told, smp), check(profile, told, smp, &[], wanted(profile, told, smp))))
        .collect()
}

/// What `boot` says of one cell, by its last JSON line.
fn boot(profile: &str, more: &[&str]) -> Value {
    let logs = folder(&format!("matrix-{profile}-{}", more.join("").replace(['/', '=', ' '], "_")));
    let mut command = xtask();
    command.args(["boot", profile, "--json", "--logs"]).arg(&logs).args(more);
    let said = run(&mut command);
    let line = said.stdout.lines().last().unwrap_or_else(|| panic!("{profile} {more:?}: {}", said.stderr));
    let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(said.status == 0, json["ok"] == true, "the exit status tells: {line}");
    json
}

fn check(profile: &str, told: &str, smp: &str, more: &[&str], wanted: Outcome) -> Value {
    let mut arguments = vec!["--vtl", told, "--smp", smp];
    arguments.extend(more);
    let json = boot(profile, &arguments);
    let seen = match json["ok"] == true {
        true => Ok(json["level"].as_u64().map(|level| level as u8)),
        false => Err(json["diagnosis"]["code"].as_str().unwrap_or_default()),
    };
    assert_eq!(seen, wanted, "{profile} --vtl {told} --smp {smp} {more:?}: {json:#}");
    if let Ok(level) = wanted {
        assert_eq!(json["payload"]["vtl"].as_u64(), Some(level.unwrap_or(0).into()), "{json:#}");
        assert_eq!(json["payload"]["cpus_online"].to_string(), smp, "{json:#}");
    }
    json.clone()
}

fn finding(json: &Value, what: &str) -> Option<String> {
    let findings = json["findings"].as_array().into_iter().flatten();
    let found = findings.into_iter().find(|finding| finding["what"] == what)?;
    Some(found["said"].as_str().unwrap_or_default().to_string())
}

#[test]
fn every_profile_has_its_row() {
    // Pins and the builder's files are no profiles; a pair boots what has rows, in tests/pairs.rs.
    const OTHERS: [&str; 3] = ["builder", "builder.lock", "pins"];
    let folder = project().join("profiles");
    let entries = std::fs::read_dir(&folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut profiles: Vec<_> =
        names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_string)).collect();
    profiles.retain(|name| {
        let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
        !OTHERS.contains(&name.as_str()) && !text.lines().any(|line| line.starts_with("pair:"))
    });
    profiles.sort();
    assert_eq!(profiles, PROFILES);
}

#[test]
fn x86_64_vtl2_is_what_it_is_built_for_and_nothing_else() {
    const PROFILE: &str = "x86_64-vtl2";
    let row = row(PROFILE);
    for smp in SMP {
        let json = &row[&("2", smp)];
        let hook = finding(json, "wakeup-hook").unwrap();
        assert!(hook.starts_with("hv_vtl_wakeup_secondary_cpu"), "{json:#}");
        assert_eq!(finding(json, "vmbus-connection").as_deref(), Some("0x800074"));
        assert_eq!(finding(json, "vmbus-version").as_deref(), Some("6.0"));
        assert_eq!(finding(json, "guest-ended").as_deref(), Some("triple-fault"));
    }
    // Told of level 0 it does none of that.
    let json = &row[&("0", "1")];
    assert_eq!(finding(json, "wakeup-hook"), None);
    assert_eq!(finding(json, "vmbus-connection").as_deref(), Some("0x4"));
    assert_ne!(finding(json, "guest-ended").as_deref(), Some("triple-fault"));
    check(PROFILE, "2", "1", &["--without", "noxsave"], Err("xsave-panic"));
}

#[test]
fn x86_64_vtl0_is_level_0_wherever() {
    row("x86_64-vtl0");
}

#[test]
fn aarch64_vtl0_is_level_0_wherever() {
    row("aarch64-vtl0");
}

/// The same Image at VTL2, at VTL0 and with no hypervisor at all; `aarch64-universal` is the profile that says so.
#[test]
fn one_aarch64_image_is_all_of_them() {
    for profile in ["aarch64-vtl2", "aarch64-universal"] {
        let row = row(profile);
        for (told, connection) in [("2", "0x800074"), ("0", "0x4")] {
            for smp in SMP {
                let json = &row[&(told, smp)];
                assert_eq!(finding(json, "vmbus-connection").as_deref(), Some(connection));
                assert_eq!(finding(json, "vsm-vp-status"), Some(format!("0x{told}")));
            }
        }
    }
}

/// Over a channel that the kernel's own driver binds, from the host's wish to the machine's end.
#[test]
fn a_guest_goes_when_it_is_asked_over_vmbus() {
    for (profile, smp, end) in
        [("x86_64-vtl2", "1", "halt"), ("x86_64-vtl2", "4", "halt"), ("aarch64-vtl2", "4", "system-off")]
    {
        let json = check(profile, "2", smp, &["--shutdown"], Ok(Some(2)));
        for (what, said) in [
            ("negotiated", "shutdown service 3.2"),
            ("asked", "power-off"),
            ("answered", "accepted"),
            ("driver", "graceful shutdown initiated"),
            ("payload", "powering off"),
            ("machine-end", end),
        ] {
            assert_eq!(finding(&json, what).as_deref(), Some(said), "{json:#}");
        }
    }
    // The same Image at level 0, over the connection of that level; and a kernel whose driver doesn't get that far.
    check("aarch64-universal", "0", "1", &["--shutdown"], Ok(Some(0)));
    let json = check(
        "aarch64-vtl2",
        "2",
        "1",
        &["--shutdown", "--append", "initcall_blacklist=init_hyperv_utils", "--timeout", "12"],
        Err("no-shutdown"),
    );
    assert!(
        json["diagnosis"]["text"].as_str().is_some_and(|text| text.contains("did not open the channel")),
        "{json:#}"
    );
}

/// A guest that asks for everything at random can't bring the monitor down.
#[test]
fn the_monitor_outlives_a_hostile_guest() {
    for profile in ["x86_64-vtl2", "aarch64-vtl2"] {
        let json = boot(profile, &["--self-test"]);
        assert_eq!(json["ok"], true, "{json:#}");
        let found = |what: &str| json["self_test"][what].as_u64().unwrap_or_default();
        assert!(found("rounds") >= 10_000 && found("good") > 100 && found("bad") > 100, "{json:#}");
    }
}

#[test]
fn silence_and_time_up_are_named() {
    let silent = boot("x86_64-vtl2", &["--without", "console=ttyS0,115200n8", "--append", "console=ttyS3"]);
    assert_eq!(silent["diagnosis"]["code"], "early-silence", "{silent:#}");
    // One that looks for a disk for ever, and at this moment stands still.
    const WAITS: &str = "rdinit=/none root=/dev/none rootwait";
    let logs = folder("matrix-hang");
    let options = ["--vtl", "none", "--timeout", "15", "--append", WAITS, "--logs", logs.to_str().unwrap()];
    let said = run(xtask().args(["boot", "aarch64-vtl0"]).args(options));
    assert_eq!(said.status, 1, "{}", said.stdout);
    assert!(said.stderr.contains("error: no payload-ready line within 15 s"), "{}", said.stderr);
    let lines: Vec<&str> = said.stderr.lines().filter_map(|line| line.strip_prefix("  | ")).collect();
    let log = std::fs::read_to_string(logs.join("console.log")).unwrap();
    let is_qemu = |line: &&str| line.starts_with("qemu-system-");
    let last: Vec<&str> = log.lines().rev().skip_while(is_qemu).take(20).collect();
    assert!(
        lines.iter().rev().map(|line| line.trim_end()).eq(last.iter().map(|line| line.trim_end())),
        "{}",
        said.stderr
    );
    assert!(lines.len() == 20 && last[0].contains("Waiting for root device"), "{}", said.stderr);
}

#[test]
fn what_cannot_be_is_told_before_anything_runs() {
    let fails = |more: &[&str], wanted: &str| {
        let said = run(xtask().args(["boot", "aarch64-vtl2"]).args(more));
        assert_eq!(said.status, 1, "{more:?}: {}", said.stdout);
        assert!(said.stderr.contains(wanted), "{more:?}: {}", said.stderr);
    };
    fails(&["--accel", "kvm"], "--accel kvm: only tcg works");
    fails(&["--shutdown", "--vtl", "none"], "--vtl none boots without a monitor");
    fails(&["--without", "nonsense"], "the command line has no such option");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    fails(&["--gdb", &port.to_string()], "can't be used for the debugger");
    // Two boots can't use one folder.
    let logs = folder("matrix-busy");
    let lock = std::fs::File::create(logs.join(".lock")).unwrap();
    lock.lock().unwrap();
    fails(&["--logs", logs.to_str().unwrap()], "is in use by another boot");
}

/// A QEMU that isn't there at all can't be shown here: the system's folders are searched whatever PATH says.
#[test]
fn a_qemu_that_is_too_old_is_refused() {
    let fake = folder("matrix-fake-qemu");
    let qemu = fake.join("qemu-system-aarch64");
    std::fs::write(&qemu, "#!/bin/sh\necho QEMU emulator version 5.2.0\n").unwrap();
    std::fs::set_permissions(&qemu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(fake).chain(std::env::split_paths(&path))).unwrap();
    let said = run(xtask().args(["boot", "aarch64-vtl2"]).env("PATH", path));
    assert_eq!(said.status, 1);
    let wanted = "qemu-system-aarch64 is 5.2.0, and 7.2 or newer is needed";
    assert!(said.stderr.contains(wanted), "{}", said.stderr);
}

/// Enough for a machine that others use too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A boot beside the test; it and its QEMU end with their owner, whichever way that goes.
struct Beside(Option<Child>);

impl Beside {
    fn start(command: &mut Command) -> Beside {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Beside(Some(command.process_group(0).spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("taken by finish alone")
    }

    /// Whether it went well, and the rest of what it said. It has to come to its end.
    fn finish(mut self) -> (bool, String) {
        let end = Instant::now() + PATIENCE;
        while self.child().try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "it runs and runs");
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = self.0.take().expect("not taken yet").wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        // Asked to end, it ends its QEMU too; one with the console of its own is in the same group.
        let _ = Command::new("kill").args(["-INT", "--", &format!("-{}", child.id())]).status();
        let _ = child.wait();
    }
}

/// Whoever sits at the console sees it, and ends the machine with QEMU's own keys.
#[test]
fn a_console_can_be_used_by_hand() {
    let logs = folder("matrix-interactive");
    let mut boot =
        Beside::start(xtask().args(["boot", "aarch64-vtl2", "--interactive", "--logs"]).arg(&logs));
    let mut console = BufReader::new(boot.child().stdout.take().unwrap()).split(b'\n').map_while(Result::ok);
    let ready = console.any(|line| String::from_utf8_lossy(&line).contains("payload-ready "));
    assert!(ready, "{}", boot.finish().1);
    boot.child().stdin.take().unwrap().write_all(b"\x01x").unwrap();
    let rest = console.map(|line| String::from_utf8_lossy(&line).into_owned()).collect::<Vec<_>>();
    let (ok, said) = boot.finish();
    assert!(ok && rest.iter().any(|line| line.contains("boots at VTL 2")), "{said}{rest:#?}");
}

/// The machine stands still until a debugger lets it go. The debugger is a few packets of GDB's remote protocol.
#[test]
fn a_debugger_finds_the_machine_at_its_start() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let logs = folder("matrix-gdb");
    let boot = Beside::start(
        xtask().args(["boot", "aarch64-vtl2", "--gdb", &port.to_string(), "--json", "--logs"]).arg(&logs),
    );
    let end = Instant::now() + PATIENCE;
    let mut debugger = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < end, "{error}: {}", boot.finish().1),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    debugger.set_read_timeout(Some(PATIENCE)).unwrap();
    // Why does it stand still?
    debugger.write_all(b"+$?#3f").unwrap();
    let mut answer = Vec::new();
    while !answer.contains(&b'#') {
        let mut some = [0; 64];
        let count = debugger.read(&mut some).unwrap();
        assert!(count > 0, "QEMU hung up");
        answer.extend(&some[..count]);
    }
    assert!(answer.starts_with(b"+$T05") || answer.starts_with(b"+$S05"), "{answer:?}");
    let console = std::fs::read_to_string(logs.join("console.log")).unwrap_or_default();
    // Its first line is the command.
    assert_eq!(console.lines().filter(|line| !line.starts_with("$ ")).collect::<String>(), "", "it waits");
    debugger.write_all(b"+$D#44").unwrap();
    let (ok, said) = boot.finish();
    let json: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(ok && json["level"] == 2, "{said}");
}
