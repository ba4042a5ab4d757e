//! A guest at VTL0 below VTL2: the payload's own, which tries everything once, and the kernel of x86_64-vtl0.

mod harness;

use harness::{folder, run, xtask};
use serde_json::Value;

/// What `boot` says, by its last JSON line.
fn boot(name: &str, more: &[&str]) -> Value {
    let logs = folder(&format!("vtl0-{name}"));
    let mut command = xtask();
    command.args(["boot", "x86_64-vtl2", "--json", "--logs"]).arg(&logs).args(more);
    let said = run(&mut command);
    let line = said.stdout.lines().last().unwrap_or_else(|| panic!("{more:?}: {}", said.stderr));
    let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(said.status == 0, json["ok"] == true, "the exit status tells: {line}");
    json
}

fn count(json: &Value, kind: &str) -> u64 {
    json["vtl0"]["intercepts"][kind].as_u64().unwrap_or_default()
}

/// Ports, MSRs, CPUID, memory, HLT and interrupts come to VTL2; VTL2 and the monitor can't be reached. On one processor
/// and where VTL2 has four.
#[test]
fn everything_that_comes_to_vtl2_once() {
    for smp in ["1", "4"] {
        let json = boot(&format!("test-guest-{smp}"), &["--vtl0", "test-guest", "--smp", smp]);
        assert_eq!(
            (&json["ok"], json["vtl0"]["ended"].as_str()),
            (&Value::Bool(true), Some("reset")),
            "{json:#}"
        );
        let found = &json["vtl0"]["found"];
        assert_eq!(found["foreign-memory"], 0xffff_ffff_u32, "{json:#}");
        assert_eq!(found["undefined-instructions"], 3, "{json:#}");
        assert_eq!((count(&json, "cpuid"), count(&json, "memory")), (2001, 7), "{json:#}");
        // On a busy machine the interrupt may be there before the guest has got to its HLT.
        assert!(count(&json, "halt") <= 1 && count(&json, "interrupts") == 2, "{json:#}");
        // The monitor counts by itself, and comes to the same.
        for (ours, theirs) in
            [("io", "io-port"), ("msr", "msr"), ("cpuid", "cpuid"), ("memory", "memory"), ("halt", "halt")]
        {
            assert_eq!(json["vtl0"]["counts"][theirs].as_u64(), Some(count(&json, ours)), "{ours}: {json:#}");
        }
        let touched = json["vtl0"]["touched"]["pages"].as_str().unwrap_or_default();
        assert_eq!(touched, "0x0 0x100000 0x1000000 0xfee00000", "the monitor's and VTL2's pages among them");
        assert_eq!(json["payload"]["cpus_online"].to_string(), smp);
    }
}

/// A guest that dies is VTL2's news, and nobody hangs.
#[test]
fn a_guest_that_crashes_is_reported() {
    let check = |name: &str, more: &[&str], code: &str, said: &str| {
        let json = boot(name, more);
        assert_eq!(json["diagnosis"]["code"], code, "{json:#}");
        assert!(json["diagnosis"]["text"].as_str().unwrap().contains(said), "{json:#}");
        // VTL2 itself is well, and ends as it should.
        assert_eq!(
            (json["level"].as_u64(), json["counts"]["reason"].as_str()),
            (Some(2), Some("triple-fault"))
        );
        json
    };
    check("crash", &["--vtl0", "test-guest=crash"], "vtl0-crashed", "triple fault");
    check("halt", &["--vtl0", "test-guest=halt"], "vtl0-crashed", "nothing to wake it");
    // With the driver left out, the payload says which it is.
    let no_driver = ["--vtl0", "test-guest", "--append", "initcall_blacklist=mshv_vtl_init"];
    check("no-driver", &no_driver, "vtl0-failed", "CONFIG_MSHV_VTL");
    let no_init = ["--vtl0", "x86_64-vtl0", "--vtl0-append", "rdinit=/nonexistent"];
    let json = check("panic", &no_init, "vtl0-panic", "VTL0's kernel panicked: VFS: Unable to mount root fs");
    assert_eq!(json["vtl0"]["ended"], "reset", "{json:#}");
}

#[test]
fn a_kernel_at_vtl0_gets_to_its_payload() {
    let json = boot("linux", &["--vtl0", "x86_64-vtl0", "--vtl0-memory", "256MiB"]);
    assert_eq!(json["ok"], true, "{json:#}");
    let vtl0 = &json["vtl0"];
    assert_eq!(
        (vtl0["payload"]["vtl"].as_u64(), json["payload"]["vtl"].as_u64()),
        (Some(0), Some(2)),
        "{json:#}"
    );
    assert_eq!(vtl0["payload"]["hypervisor"], "Microsoft Hyper-V", "{json:#}");
    assert_eq!(vtl0["ended"], "power-off", "{json:#}");
    let memory = vtl0["payload"]["memory_kib"].as_u64().unwrap();
    assert!((180 << 10..256 << 10).contains(&memory), "{memory} KiB");
    // Each milestone of both, in order of time.
    let at = |level: &Value, name: &str| {
        let milestones = level["milestones"].as_array().into_iter().flatten();
        let found = milestones.into_iter().find(|milestone| milestone["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {json:#}"))["seconds"].as_f64().unwrap()
    };
    let steps = [
        at(&json, "first-line"),
        at(&json, "payload-ready"),
        vtl0["started_seconds"].as_f64().unwrap(),
        at(vtl0, "first-line"),
        at(vtl0, "hyper-v-detected"),
        at(vtl0, "payload-ready"),
    ];
    assert!(steps.is_sorted(), "{steps:?}");
    for kind in ["io", "msr", "cpuid", "memory", "interrupts"] {
        assert!(count(&json, kind) > 0, "{kind}: {json:#}");
    }
    let console = std::fs::read_to_string(vtl0["console"].as_str().unwrap()).unwrap();
    assert!(console.contains("Linux version") && console.contains("reboot: Power down"), "{console}");
}

#[test]
fn what_cannot_be_a_guest_is_told_before_anything_runs() {
    let fails = |arguments: &[&str], wanted: &str| {
        let said = run(xtask().arg("boot").args(arguments));
        assert_eq!(said.status, 1, "{arguments:?}: {}", said.stdout);
        assert!(said.stderr.contains(wanted), "{arguments:?}: {}", said.stderr);
    };
    fails(&["--vtl0", "x86_64-vtl2"], "that is a kernel for VTL2 on x86_64");
    fails(&["--vtl0", "aarch64-vtl0"], "that is a kernel for VTL0 on aarch64");
    fails(&["aarch64-vtl2", "--vtl0", "test-guest"], "runs on x86_64 only");
    fails(&["x86_64-vtl0", "--vtl0", "test-guest"], "is not booted at VTL2");
    fails(&["--vtl", "none", "--vtl0", "test-guest"], "is not booted at VTL2");
    fails(&["--vtl0", "test-guest", "--memory", "2GiB", "--vtl0-memory", "2GiB"], "more than 3 GiB");
    fails(&["--vtl0", "nonsense"], "there is no profile `nonsense`");
}
