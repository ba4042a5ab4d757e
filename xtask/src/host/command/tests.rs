use std::process::Command as Std;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;

fn sh(script: &str) -> Command {
    Command::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin")
}

fn run(script: &str) -> (Result<(), CommandError>, Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut lines = Vec::new();
    let result = sh(script).run(&log, Limits::default(), Some(&mut |line| lines.push(line.to_owned())));
    (result, lines, std::fs::read_to_string(log).unwrap())
}

#[test]
fn lines_and_log_hold_both_streams_in_order() {
    let (result, lines, log) = run("echo a; echo b >&2; printf 'c\\r\\n\\nlast'");
    result.unwrap();
    assert_eq!(lines, ["a", "b", "c", "", "last"]);
    assert!(log.ends_with("a\nb\nc\r\n\nlast"), "{log:?}");
    assert!(log.starts_with("$ cd / && env -i PATH=/usr/bin:/bin /bin/sh -c 'echo a; "), "{log:?}");
}

#[test]
fn nothing_is_inherited() {
    let output = Command::new("/usr/bin/env").env("ONLY", "this").output(Limits::default()).unwrap();
    assert_eq!(output.stdout, "ONLY=this\n");
    assert_eq!(sh("cat; pwd").directory("/usr").read(Limits::default()).unwrap(), "/usr");
}

#[test]
fn commands_are_shown_ready_to_paste_without_secrets() {
    let command = Command::new("/bin/echo")
        .args(["plain", "two words", "it's", "", "-j2"])
        .envs([("KCFLAGS", "-a -b"), ("https_proxy", "http://me:secret@proxy:3128")])
        .directory("/a b");
    let expected =
        r"cd '/a b' && env -i KCFLAGS='-a -b' https_proxy=... /bin/echo plain 'two words' 'it'\''s' '' -j2";
    assert_eq!(command.to_string(), expected);
}

#[test]
fn errors_name_command_status_log_and_last_lines() {
    let cases = [
        (
            "echo one; echo two >&2; exit 3",
            "sh failed with exit status 3\n  | one\n  | two\n  command: cd / &&",
        ),
        ("kill -9 $$", "sh was killed by signal 9\n  command: "),
    ];
    for (script, expected) in cases {
        let (result, ..) = run(script);
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\n  log: /"), "{text}");
    }
    let missing = Command::new("/nonexistent/make").read(Limits::default()).unwrap_err().to_string();
    assert!(missing.starts_with("make could not be started: No such file"), "{missing}");
}

#[test]
fn only_the_last_lines_are_quoted() {
    let (result, ..) = run("seq 1 100000; exit 1");
    let text = result.unwrap_err().to_string();
    assert!(
        !text.contains("| 99980\n") && text.contains("| 99981\n") && text.contains("| 100000\n"),
        "{text}"
    );
}

#[test]
fn much_output_on_both_pipes_does_not_block() {
    let output =
        sh("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2").output(Limits::default()).unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_000, 1_000_000));
}

#[test]
fn cancelling_stops_the_whole_group_quickly() {
    let flag = Arc::new(AtomicBool::new(false));
    let setter = flag.clone();
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("grandchild");
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        setter.store(true, Ordering::Relaxed);
    });
    let script = format!("sh -c 'echo $$ > {}; sleep 77.5' & wait", mark.display());
    let started = Instant::now();
    let limits = Limits { cancel: Some(&flag), timeout: None };
    let error = sh(&script).run(&folder.path().join("log"), limits, None).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    thread.join().unwrap();
    assert_gone(&mark);
}

#[test]
fn deaf_programs_are_killed_and_time_outs_told() {
    let started = Instant::now();
    let limits = Limits { timeout: Some(Duration::from_millis(100)), cancel: None };
    let error = sh("trap '' TERM; while :; do sleep 1; done").read(limits).unwrap_err();
    assert!(error.to_string().starts_with("sh was stopped after 0 s without an end"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_daemon_that_keeps_the_pipe_does_not_hold_us() {
    let started = Instant::now();
    let text = sh("setsid sleep 5 & echo done").read(Limits::default()).unwrap();
    assert_eq!(text, "done");
    assert!(started.elapsed() < Duration::from_secs(3));
}

/// `kill -9` of the process that runs a make must end make and the makes below it.
#[test]
fn nothing_goes_on_after_kill_9_of_this_process() {
    let folder = tempfile::tempdir().unwrap();
    let makefile = "all:\n\t$(MAKE) -f $(firstword $(MAKEFILE_LIST)) inner\ninner:\n\techo $$$$ > mark; sleep 88.5; true\n";
    std::fs::write(folder.path().join("Makefile"), makefile).unwrap();
    let test = "host::command::tests::victim";
    let mut victim = Std::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env("VTLFORGE_TEST_FOLDER", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mark = folder.path().join("mark");
    wait_until("make to start", || std::fs::read_to_string(&mark).is_ok_and(|text| text.ends_with('\n')));
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_gone(&mark);
}

/// Started by the test above as a process of its own; does nothing in an ordinary run.
#[test]
fn victim() {
    let Some(folder) = std::env::var_os("VTLFORGE_TEST_FOLDER") else { return };
    let log = Path::new(&folder).join("log");
    let make = Command::new("make").env("PATH", "/usr/bin:/bin").arg("-f").arg("Makefile");
    make.directory(folder).run(&log, Limits::default(), None).unwrap();
}

/// The process whose number is in the file has ended.
fn assert_gone(mark: &Path) {
    let pid = std::fs::read_to_string(mark).unwrap();
    let process = format!("/proc/{}/stat", pid.trim());
    // Gone, or a zombie whose new parent has not looked yet.
    let gone = || std::fs::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
    wait_until("the process to end", gone);
}

fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
