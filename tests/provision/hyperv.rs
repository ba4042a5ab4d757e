//! `provision hyperv`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::harness::{
    Said, built, folder,
    judges::{Judges, digest},
    project, run, xtask,
};

fn provision(arguments: &[&str], to: &Path) -> Said {
    let mut command = xtask();
    command.args(["provision", "hyperv"]).args(arguments).arg("--to").arg(to);
    run(&mut command)
}

/// VTL2 alone: what a script says of a disk is another file name.
fn alone(test: &str, name: &str) -> PathBuf {
    let to = folder(&format!("provision-hyperv-{test}"));
    provision(&["x86_64-vtl2", "--name", name], &to).expect("provision hyperv");
    to
}

/// What the grammar and the documentation say of a script: literals by the variables that hold them, or what is wrong.
fn judged(script: &[u8]) -> Result<serde_json::Value, String> {
    let judges = Judges::install("powershell", "tests/provision/judges.txt");
    let mut judge = judges.python();
    judge.arg(project().join("tests/provision/judge.py"));
    let mut judge =
        judge.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    judge.stdin.take().unwrap().write_all(script).unwrap();
    let said = judge.wait_with_output().unwrap();
    match said.status.success() {
        true => Ok(serde_json::from_slice(&said.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
    }
}

fn script(to: &Path) -> Vec<u8> {
    fs::read(to.join("provision.ps1")).unwrap()
}

#[test]
fn a_pair_has_everything_that_a_windows_machine_needs() {
    let to = folder("provision-hyperv-pair");
    let arguments = ["x86_64-vtl2", "--vtl0", "x86_64-vtl0", "--name", "a machine"];
    provision(&arguments, &to).expect("provision hyperv");
    let (igvm, disk) = (digest(&to.join("vtl2.igvm")), digest(&to.join("disk.vhdx")));
    assert_eq!(igvm, digest(&built("x86_64-vtl2").join("vtl2.igvm")));
    assert_eq!(disk, digest(&built("x86_64-vtl0").join("disk.vhdx")));
    let script = script(&to);
    let literals = judged(&script).unwrap();
    assert_eq!(literals["Name"], "a machine");
    assert_eq!(literals["Architecture"], "AMD64");
    let text = String::from_utf8(script.clone()).unwrap();
    for wanted in [format!("'vtl2.igvm'; Sha256 = '{igvm}'"), format!("'disk.vhdx'; Sha256 = '{disk}'")] {
        assert!(text.contains(&wanted), "{wanted}");
    }
    let readme = fs::read_to_string(to.join("README.md")).unwrap();
    assert!([&igvm, &disk].iter().all(|digest| readme.contains(*digest)), "{readme}");

    let left = fs::read_dir(&to).unwrap().count();
    // Written again, it is the same.
    provision(&arguments, &to).expect("again");
    assert_eq!(
        (fs::read(to.join("provision.ps1")).unwrap(), fs::read_dir(&to).unwrap().count()),
        (script, left)
    );
}

#[test]
fn names_of_machines_are_taken_for_what_they_are() {
    let names = [
        "it's",
        "'; Remove-Item C:\\ -Recurse; '",
        "$env:USERNAME `n $(Get-Date) \"x\"",
        "{{igvm}} @{} # <# ",
        "Grüße ‘so’ “und” ‚so‛ 机器 🖥",
    ];
    for (index, name) in names.into_iter().enumerate() {
        let to = alone(&format!("name-{index}"), name);
        assert_eq!(judged(&script(&to)).unwrap()["Name"], name);
    }
}

/// The judge isn't asleep.
#[test]
fn mistakes_in_a_script_are_found() {
    let good = String::from_utf8(script(&alone("mistakes", "x"))).unwrap();
    for (what, instead, wanted) in [
        ("Set-StrictMode", "Set-StrikMode", "Set-StrikMode is no command"),
        (
            "-GuestStateIsolationType OpenHCL -NoVHD",
            "-IsolationType OpenHCL -NoVHD",
            "New-VM has no parameter -IsolationType",
        ),
        (
            "$record = Get-Record $machine\n    if ([version]",
            "$recrod = Get-Record $machine\n    if ([version]",
            "$recrod is set and never used",
        ),
        ("$Name, 'Start')", "$Nmae, 'Start')", "$Nmae is nowhere set"),
        (
            "if ($Start -and $PSCmdlet.ShouldProcess($Name, 'Start'))",
            "if ($Start)",
            "Start-VM changes something",
        ),
        ("    return $found[0]\n}", "    return $found[0]\n", "not by the grammar"),
        ("'a machine'", "'a machine", "not by the grammar"),
    ] {
        let good = good.replace("$Name = 'x'", "$Name = 'a machine'");
        assert!(good.contains(what), "{what}");
        let wrong = judged(good.replacen(what, instead, 1).as_bytes()).expect_err(wanted);
        assert!(wrong.to_lowercase().contains(&wanted.to_lowercase()), "{wanted}: {wrong}");
    }
}

#[test]
fn what_is_no_pair_is_refused_before_anything_is_written() {
    let to = folder("provision-hyperv-refused").join("to");
    for (arguments, wanted) in [
        (&["x86_64-vtl0"][..], "x86_64-vtl0 is for VTL0, and Hyper-V's firmware file is VTL2's"),
        (&["x86_64-vtl2", "--vtl0", "aarch64-vtl0"], "one machine has one architecture"),
        (&["x86_64-vtl2", "--vtl0", "x86_64-vtl2"], "one profile is for one level"),
        (
            &["aarch64-vtl2", "--vtl0", "aarch64-universal"],
            "aarch64-universal is for VTL2, and the disk below is VTL0's",
        ),
    ] {
        let said = provision(arguments, &to);
        assert_eq!(said.status, 1, "{arguments:?}");
        assert!(said.stderr.contains(wanted), "{arguments:?}: {}", said.stderr);
    }
    for name in ["", "a\nb", &"x".repeat(101)] {
        assert_eq!(provision(&["--name", name], &to).status, 2, "{name:?}");
    }
    assert!(!to.exists());
}
