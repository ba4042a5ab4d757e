//! Runs `vtl2-init` as PID 1 of a namespace and looks at what it does.

mod machine;

use std::process::Command;
use std::time::{Duration, Instant};

use machine::{Machine, POWERED_OFF, RESTARTED, Setup};
use serde_json::{Value, json};

/// A configuration of shell services: name, restart, script.
fn services(list: &[(&str, &str, &str)]) -> String {
    let services: Vec<Value> = list
        .iter()
        .map(|(name, restart, script)| json!({"name": name, "restart": restart, "argv": ["/bin/sh", "-c", script]}))
        .collect();
    json!({"services": services, "stop_grace_ms": 500}).to_string()
}

/// The JSON of the one ready line there must be.
fn ready(log: &str) -> Value {
    let lines: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("payload-ready ")).map(|(_, json)| json).collect();
    assert_eq!(lines.len(), 1, "{log}");
    serde_json::from_str(lines[0]).expect("JSON")
}

#[test]
fn reports_once_and_ends_as_the_command_line_says() {
    let check = |cmdline: &str, ending: i32| {
        let mut machine = Machine::start(&Setup { cmdline, ..Setup::default() });
        assert_eq!(machine.end(), ending, "{cmdline}: {}", machine.log());
        let log = machine.log();
        assert!(log.contains("\n<6>payload-ready {"), "{log}");
        let report = ready(&log);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
        assert_eq!(report["arch"], std::env::consts::ARCH);
        assert_eq!(report["kernel"], kernel.trim());
        assert_eq!(report["vtl"], 0);
        assert_eq!(report["vtl_evidence"], json!(["no-hyper-v"]));
        assert_eq!(report["cmdline"], cmdline);
        assert!(report["memory_kib"].as_u64().is_some_and(|size| size > 0), "{report}");
        assert!(report["model"].is_string(), "{report}");
        // What a user namespace may not mount is said and lived with.
        assert!(log.contains("<4>vtl2-init: /dev: no devtmpfs: "), "{log}");
    };
    check("vtl2_init.after=poweroff", POWERED_OFF);
    check("vtl2_init.after=halt", POWERED_OFF);
    check("vtl2_init.after=reboot", RESTARTED);
}

#[test]
fn reports_the_level_the_kernel_log_bears_out() {
    let check = |kernel_log: &str, level: Value| {
        let cmdline = "vtl2_init.after=poweroff";
        let mut machine =
            Machine::start(&Setup { cmdline, kernel_log: Some(kernel_log), ..Setup::default() });
        machine.end();
        assert_eq!(ready(&machine.log())["vtl"], level, "{kernel_log}");
    };
    check("6,0,0,-;Linux runs in Hyper-V Virtual Trust Level 2\n", json!(2));
    // Said by user space; and a log that has lost its beginning.
    check("6,0,0,-;Linux version\n14,1,0,-;Linux runs in Hyper-V Virtual Trust Level 2\n", json!(0));
    check("6,7,0,-;Hyper-V: privilege flags low 0x1\n", Value::Null);
}

#[test]
fn without_kernel_log_the_console_gets_the_line() {
    let cmdline = "vtl2_init.after=poweroff";
    let mut machine = Machine::start(&Setup { cmdline, kernel_log: None, ..Setup::default() });
    assert_eq!(machine.end(), POWERED_OFF);
    let console = machine.log();
    assert!(console.lines().any(|line| line.starts_with("payload-ready {")), "{console}");
    assert_eq!(ready(&console)["vtl_evidence"], json!(["log-unreadable"]));
}

#[test]
fn lives_without_standard_streams() {
    let cmdline = "vtl2_init.after=poweroff";
    let mut machine = Machine::start(&Setup { cmdline, streams: "<&- >&- 2>&-", ..Setup::default() });
    assert_eq!(machine.end(), POWERED_OFF);
    ready(&machine.log());
}

#[test]
fn signals_end_the_machine() {
    let check = |signal: &str, ending: i32| {
        let mut machine = Machine::start(&Setup::default());
        machine.wait_for("payload-ready", 1);
        machine.signal(signal);
        assert_eq!(machine.end(), ending, "{signal}: {}", machine.log());
    };
    check("USR2", POWERED_OFF);
    check("USR1", POWERED_OFF);
    check("TERM", RESTARTED);
    check("INT", RESTARTED);
}

#[test]
fn commands_pass_wishes_on() {
    let check = |command: &str, ending: i32, said: &str| {
        let config = services(&[("service", "never", command)]);
        let mut machine = Machine::start(&Setup { config: Some(&config), ..Setup::default() });
        assert_eq!(machine.end(), ending, "{command}: {}", machine.log());
        assert!(machine.log().contains(said), "{}", machine.log());
    };
    check("/poweroff", POWERED_OFF, "<6>vtl2-init: powering off");
    check("/halt", POWERED_OFF, "<6>vtl2-init: halting");
    check("/reboot", RESTARTED, "<6>vtl2-init: restarting");
}

#[test]
fn restarts_with_growing_delays_and_forwards_output() {
    let config = services(&[
        ("crash", "on-failure", "echo run $PWD $PATH; echo trouble >&2; exit 3"),
        ("suicide", "always", "kill -KILL $$"),
        ("once", "on-failure", "echo done"),
        ("never", "never", "exit 1"),
    ]);
    let mut machine = Machine::start(&Setup { config: Some(&config), ..Setup::default() });
    machine.wait_for("crash failed with exit status 3, starting again in 400 ms", 1);
    machine.wait_for("suicide was killed by SIGKILL, starting again in 400 ms", 1);
    let log = machine.log();
    for delay in [100, 200] {
        assert!(log.contains(&format!("exit status 3, starting again in {delay} ms")), "{log}");
    }
    let counted = |text: &str| log.matches(text).count();
    assert_eq!(counted("\n<6>crash: run / /bin:/sbin:/usr/bin:/usr/sbin\n"), 3, "{log}");
    assert_eq!(counted("\n<6>crash: trouble\n"), 3, "{log}");
    assert_eq!(counted("\n<6>once: done\n"), 1, "{log}");
    assert_eq!(counted("once ended\n"), 1, "{log}");
    assert_eq!(counted("never failed with exit status 1\n"), 1, "{log}");
}

#[test]
fn a_service_that_is_not_there_is_tried_again() {
    let config = r#"{"services": [{"name": "gone", "argv": ["/no/such"]}]}"#;
    let mut machine = Machine::start(&Setup { config: Some(config), ..Setup::default() });
    machine.wait_for("gone could not be started, starting again in 200 ms", 1);
    assert!(
        machine.log().contains("<3>vtl2-init: gone: /no/such: No such file or directory"),
        "{}",
        machine.log()
    );
}

#[test]
fn reaps_orphans() {
    // The inner processes lose their parent and end as children of PID 1; a zombie shows as Z in the third field.
    let script = "for i in 1 2 3 4 5; do (sleep 0.1 &); done; sleep 0.6; echo zombies $(grep -l ') Z ' /proc/[0-9]*/stat | wc -l); \
                  echo processes $(ls -d /proc/[0-9]* | wc -l)";
    let config = services(&[("orphans", "never", script)]);
    let mut machine = Machine::start(&Setup { config: Some(&config), ..Setup::default() });
    machine.wait_for("orphans: processes ", 1);
    let log = machine.log();
    assert!(log.contains("orphans: zombies 0\n"), "{log}");
    // Init, the shell, its subshell, ls and wc.
    assert!(log.contains("orphans: processes 5\n") || log.contains("orphans: processes 4\n"), "{log}");
}

#[test]
fn stopping_asks_first_and_kills_then() {
    let config = services(&[
        ("polite", "always", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
        ("stubborn", "always", "trap '' TERM; echo up; while :; do sleep 0.05; done"),
    ]);
    let mut machine = Machine::start(&Setup { config: Some(&config), ..Setup::default() });
    machine.wait_for(": up", 2);
    let told = Instant::now();
    machine.signal("USR2");
    assert_eq!(machine.end(), POWERED_OFF);
    let took = told.elapsed();
    let log = machine.log();
    assert!(log.contains("polite: bye"), "{log}");
    assert!(log.contains("stubborn was killed by SIGKILL"), "{log}");
    assert_eq!(log.matches(": up").count(), 2, "nothing starts again on the way down: {log}");
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_bad_configuration_leaves_a_machine_that_listens() {
    let check = |config: &str, cmdline: &str, wanted: &str| {
        let mut machine = Machine::start(&Setup { config: Some(config), cmdline, ..Setup::default() });
        machine.wait_for(wanted, 1);
        machine.signal("USR2");
        assert_eq!(machine.end(), POWERED_OFF);
        ready(&machine.log());
    };
    check("{", "quiet", "<3>vtl2-init: /etc/vtl2-init.json: JSON: ");
    check(r#"{"services": [{"name": "a", "argv": ["a"]}]}"#, "quiet", "absolute path");
    check("{}", "vtl2_init.after=sometime", "<3>vtl2-init: vtl2_init.after=sometime: not one of");
}

#[test]
fn idle_starts_no_service() {
    let config = services(&[("a", "always", "echo up")]);
    let mut machine =
        Machine::start(&Setup { config: Some(&config), cmdline: "vtl2_init.after=idle", ..Setup::default() });
    machine.wait_for("payload-ready", 1);
    std::thread::sleep(Duration::from_millis(200));
    machine.signal("USR2");
    assert_eq!(machine.end(), POWERED_OFF);
    assert!(!machine.log().contains("a: up"), "{}", machine.log());
}

#[test]
fn refuses_to_be_anything_but_pid_1() {
    let output = Command::new(env!("CARGO_BIN_EXE_vtl2-init")).output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("runs as PID 1, or by the name of"));
}

#[test]
fn the_shipped_configuration_is_taken() {
    let config =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/vtl2-init.json")).expect("file");
    assert_eq!(vtl2_init::config::parse(&config).expect("good"), vtl2_init::config::Config::default());
}

#[test]
fn the_machine_has_a_run_and_a_tmp_of_its_own() {
    let config = services(&[(
        "writer",
        "never",
        "echo x > /run/x; echo y > /tmp/y; cat /run/x /tmp/y; stat -f -c %T /run /tmp",
    )]);
    let mut machine = Machine::start(&Setup { config: Some(&config), ..Setup::default() });
    machine.wait_for("writer: tmpfs", 2);
    assert!(!machine.path("run/x").exists() && !machine.path("tmp/y").exists());
}
