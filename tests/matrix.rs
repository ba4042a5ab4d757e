//! The boot matrix: every profile at every level, and without a hypervisor, on one and on four processors. What must
//! boot boots; what must not fails for the reason that it is to fail for.

mod harness;

use harness::{folder, is_exhaustive, run, xtask};
use serde_json::Value;

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

/// One cell: `wanted` is the level that shows (`None` without Hyper-V), or the diagnosis.
fn check(profile: &str, vtl: &str, smp: &str, more: &[&str], wanted: Result<Option<u8>, &str>) -> Value {
    let mut arguments = vec!["--vtl", vtl, "--smp", smp];
    arguments.extend(more);
    let json = boot(profile, &arguments);
    let seen = match json["ok"] == true {
        true => Ok(json["level"].as_u64().map(|level| level as u8)),
        false => Err(json["diagnosis"]["code"].as_str().unwrap_or_default()),
    };
    assert_eq!(seen, wanted, "{profile} --vtl {vtl} --smp {smp} {more:?}: {json:#}");
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

const SMP: [&str; 2] = ["1", "4"];

#[test]
fn x86_64_vtl2_is_what_it_is_built_for_and_nothing_else() {
    const PROFILE: &str = "x86_64-vtl2";
    for smp in SMP {
        let json = check(PROFILE, "2", smp, &[], Ok(Some(2)));
        assert!(
            finding(&json, "wakeup-hook").unwrap().starts_with("hv_vtl_wakeup_secondary_cpu"),
            "{json:#}"
        );
        assert_eq!(finding(&json, "vmbus-connection").as_deref(), Some("0x800074"));
        assert_eq!(finding(&json, "vmbus-version").as_deref(), Some("6.0"));
        assert_eq!(finding(&json, "guest-ended").as_deref(), Some("triple-fault"));
        // Its MSHV driver calls Hyper-V without looking whether it is there.
        check(PROFILE, "none", smp, &[], Err("no-hyper-v"));
    }
    // Told of level 0 it does none of that.
    let json = check(PROFILE, "0", "1", &[], Ok(Some(0)));
    assert_eq!(finding(&json, "wakeup-hook"), None);
    assert_eq!(finding(&json, "vmbus-connection").as_deref(), Some("0x4"));
    assert_ne!(finding(&json, "guest-ended").as_deref(), Some("triple-fault"));
    // Nor can it start processors then: it has given up the way of a PC.
    check(PROFILE, "0", "4", &[], Err("own-processor-start"));
    check(PROFILE, "2", "1", &["--without", "noxsave"], Err("xsave-panic"));
}

#[test]
fn x86_64_vtl0_is_level_0_wherever() {
    const PROFILE: &str = "x86_64-vtl0";
    for smp in SMP {
        check(PROFILE, "0", smp, &[], Ok(Some(0)));
        check(PROFILE, "none", smp, &[], Ok(None));
    }
    check(PROFILE, "2", "1", &[], Err("wrong-vtl"));
    if is_exhaustive() {
        check(PROFILE, "2", "4", &[], Err("wrong-vtl"));
    }
}

/// The same Image at VTL2, at VTL0 and with no hypervisor at all; `aarch64-universal` is the profile that says so.
#[test]
fn one_aarch64_image_is_all_of_them() {
    for (profile, smp) in [("aarch64-vtl2", "1"), ("aarch64-universal", "4"), ("aarch64-vtl2", "4")] {
        for (vtl, connection) in [(2, "0x800074"), (0, "0x4")] {
            let json = check(profile, &vtl.to_string(), smp, &[], Ok(Some(vtl)));
            assert_eq!(finding(&json, "vmbus-connection").as_deref(), Some(connection));
            assert_eq!(finding(&json, "vsm-vp-status"), Some(format!("{vtl:#x}")));
        }
        check(profile, "none", smp, &[], Ok(None));
    }
}

#[test]
fn aarch64_vtl0_is_level_0_wherever() {
    const PROFILE: &str = "aarch64-vtl0";
    for smp in SMP {
        check(PROFILE, "0", smp, &[], Ok(Some(0)));
        check(PROFILE, "none", smp, &[], Ok(None));
    }
    check(PROFILE, "2", "1", &[], Err("wrong-vtl"));
    if is_exhaustive() {
        check(PROFILE, "2", "4", &[], Err("wrong-vtl"));
    }
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
    let slow = boot("x86_64-vtl0", &["--timeout", "1", "--smp", "4"]);
    let code = slow["diagnosis"]["code"].as_str().unwrap_or_default();
    assert!(["hang", "early-silence"].contains(&code), "{slow:#}");
}

#[test]
fn what_cannot_be_is_told_before_anything_runs() {
    let fails = |more: &[&str], wanted: &str| {
        let said = run(xtask().args(["boot", "aarch64-vtl2"]).args(more));
        assert_eq!(said.status, 1, "{more:?}: {}", said.stdout);
        assert!(said.stderr.contains(wanted), "{more:?}: {}", said.stderr);
    };
    fails(&["--accel", "kvm"], "--accel kvm: only tcg works");
    fails(&["--without", "nonsense"], "the command line has no such option");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    fails(&["--gdb", &port.to_string()], "can't be used for the debugger");
    // Two boots can't use one folder.
    let logs = folder("matrix-busy");
    let lock = std::fs::File::create(logs.join(".lock")).unwrap();
    lock.lock().unwrap();
    fails(&["--logs", logs.to_str().unwrap()], "is in use by another boot");
}

/// QEMU missing or too old.
#[test]
fn a_machine_without_qemu_is_told_so() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fake = folder("matrix-fake-qemu");
    let script = "#!/bin/sh\necho QEMU emulator version 5.2.0\n";
    let qemu = fake.join("qemu-system-aarch64");
    std::fs::write(&qemu, script).unwrap();
    std::fs::set_permissions(&qemu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let folders = std::iter::once(fake.clone()).chain(std::env::split_paths(&path));
    let said =
        run(xtask().args(["boot", "aarch64-vtl2"]).env("PATH", std::env::join_paths(folders).unwrap()));
    assert_eq!(said.status, 1);
    assert!(
        said.stderr.contains("qemu-system-aarch64 is 5.2.0, and 7.2 or newer is needed"),
        "{}",
        said.stderr
    );
}
