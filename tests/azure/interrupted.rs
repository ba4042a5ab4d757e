//! Uploads that are stopped, killed, or not alone.

use std::{
    fs,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    account::{Account, Disk, KEY, uploaded},
    harness::{Said, judge, run},
};

const MIB: u64 = 1 << 20;

/// An upload that has begun to send, over a slow line.
fn begun(account: &Account, disk: &Disk) -> Child {
    // Built before the clock runs.
    uploaded(run(&mut account.upload(&account.disk("small", MIB, &[]).path, "small.vhd")));
    account.proxy.slow_down(50);
    let mut command = account.upload(&disk.path, "disk.vhd");
    command.args(["--parallel", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let before = account.proxy.up_bytes();
    let process = command.spawn().unwrap();
    let started = Instant::now();
    while account.proxy.up_bytes() < before + 9 * MIB {
        assert!(started.elapsed() < Duration::from_secs(120), "it doesn't begin");
        sleep(Duration::from_millis(20));
    }
    process
}

fn end(process: Child) -> Said {
    let output = process.wait_with_output().unwrap();
    Said {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What anybody on this machine sees of the processes whose command line has this in it.
fn command_lines(part: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(part)).collect()
}

#[test]
fn ctrl_c_says_what_is_there_and_lets_the_lease_go() {
    let account = Account::new("stopped");
    let disk = account.disk("disk", 64 * MIB, &[4 * MIB..48 * MIB]);
    let process = begun(&account, &disk);
    let seen = command_lines("vtlforge-azure");
    assert!(
        !seen.is_empty() && !seen.iter().chain(&command_lines("xtask")).any(|line| line.contains(KEY)),
        "{seen:?}"
    );
    judge("kill", &["-INT", &process.id().to_string()]);
    account.proxy.slow_down(0);
    let said = end(process);
    assert_eq!(said.status, 1, "{}", said.stderr);
    for wanted in
        ["the upload was stopped", "is incomplete, and marked so", "the same command goes on from there"]
    {
        assert!(said.stderr.contains(wanted), "{}", said.stderr);
    }
    let there = account.show("disk.vhd");
    assert_eq!(
        (&there["metadata"]["vtlforge_state"], &there["lease"]),
        (&"uploading".into(), &"available".into())
    );
    let said = uploaded(run(&mut account.upload(&disk.path, "disk.vhd")));
    assert!(said["found-bytes"].as_u64().unwrap() >= 4 * MIB, "{said}");
    disk.check(&account.show("disk.vhd"));
}

#[test]
fn one_that_is_killed_is_taken_up_when_its_lease_has_ended() {
    let account = Account::new("killed");
    let disk = account.disk("disk", 64 * MIB, &[4 * MIB..48 * MIB]);
    let mut process = begun(&account, &disk);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.id())).unwrap();
    let children: Vec<&str> = children.split_whitespace().collect();
    assert_eq!(children.len(), 1, "{children:?}");
    judge("kill", &["-KILL", children[0], &process.id().to_string()]);
    process.wait().unwrap();
    account.proxy.slow_down(0);
    let said = run(&mut account.upload(&disk.path, "disk.vhd"));
    assert!(said.stdout.contains("waiting for its lease to end"), "{}", said.stdout);
    let said = uploaded(said);
    assert!(said["found-bytes"].as_u64().unwrap() > 0, "{said}");
    disk.check(&account.show("disk.vhd"));
}

#[test]
fn of_two_at_once_the_second_waits_and_finds_it_done() {
    let account = Account::new("two");
    let disk = account.disk("disk", 64 * MIB, &[4 * MIB..48 * MIB]);
    let first = begun(&account, &disk);
    let mut second = account.upload(&disk.path, "disk.vhd");
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(1500));
    account.proxy.slow_down(0);
    let first = uploaded(end(first));
    assert_eq!(first["sent-bytes"], disk.data_bytes());
    let second = end(second);
    assert!(second.stdout.contains("waiting for its lease to end"), "{}", second.stdout);
    assert_eq!(uploaded(second)["found-bytes"], disk.data_bytes());
    disk.check(&account.show("disk.vhd"));
}
