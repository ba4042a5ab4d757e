//! Pairs of profiles: built, booted, released and provisioned as one.

mod harness;

use std::{fs, path::Path};

use harness::{folder, judges::digest, run, xtask};
use serde_json::Value;

fn lines(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn boot(pair: &str) -> Vec<Value> {
    let logs = folder(&format!("pairs-{pair}"));
    let mut command = xtask();
    command.args(["boot", pair, "--json", "--timeout", "600", "--logs"]).arg(&logs);
    let said = run(&mut command);
    lines(&said.expect(pair))
}

/// On x86_64 one machine: VTL2's payload runs the other profile's kernel at VTL0.
#[test]
fn a_pair_boots_as_one_machine_where_the_kernel_can_do_that() {
    let said = boot("coco-x86_64");
    let [.., machine, verdict] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((&machine["event"], &machine["level"]), (&"boot-finished".into(), &2.into()), "{machine:#}");
    assert_eq!(machine["vtl0"]["guest"], "x86_64-vtl0", "{machine:#}");
    assert_eq!(machine["vtl0"]["payload"]["vtl"], 0, "{machine:#}");
    assert_eq!((&verdict["event"], &verdict["ok"]), (&"pair-finished".into(), &true.into()), "{verdict:#}");
    assert_eq!((&verdict["together"], &verdict["why_apart"]), (&true.into(), &Value::Null), "{verdict:#}");
}

/// On 64-bit Arm it can't, and the verdict says so.
#[test]
fn a_pair_boots_each_at_its_level_where_it_can_not() {
    let said = boot("coco-aarch64");
    let machines: Vec<_> = said.iter().filter(|line| line["event"] == "boot-finished").collect();
    let levels: Vec<_> =
        machines.iter().map(|line| (&line["profile"], &line["level"], &line["ok"])).collect();
    let (yes, [two, zero]) = (Value::from(true), [2, 0].map(Value::from));
    assert_eq!(levels, [(&"aarch64-vtl2".into(), &two, &yes), (&"aarch64-vtl0".into(), &zero, &yes)]);
    let verdict = said.last().unwrap();
    assert_eq!(
        (&verdict["event"], &verdict["ok"], &verdict["together"]),
        (&"pair-finished".into(), &yes, &false.into())
    );
    assert!(verdict["why_apart"].as_str().unwrap().contains("CONFIG_MSHV_VTL"), "{verdict:#}");
}

/// A part that doesn't boot fails the pair, wherever it is: here the machine has no room for VTL0's kernel.
#[test]
fn a_part_that_fails_fails_the_pair() {
    let logs = folder("pairs-fails");
    let mut command = xtask();
    command
        .args(["boot", "coco-x86_64", "--json", "--timeout", "20", "--vtl0-memory", "64MiB", "--logs"])
        .arg(&logs);
    let said = run(command.args(["--vtl0-append", "mem=8M"]));
    assert_eq!(said.status, 1, "{}", said.stdout);
    let verdict = lines(&said.stdout).pop().unwrap();
    assert_eq!((&verdict["event"], &verdict["ok"]), (&"pair-finished".into(), &false.into()), "{verdict:#}");
}

#[test]
fn shared_steps_are_planned_once_and_all_builds_no_part_twice() {
    let plan = |arguments: &[&str]| {
        let text = run(xtask().arg("plan").args(arguments).args(["--format", "json"])).expect("plan");
        let plan: Value = serde_json::from_str(&text).unwrap();
        let steps = plan["steps"].as_array().unwrap().iter();
        let mut names: Vec<String> = steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let pair = plan(&["coco-x86_64"]);
    assert_eq!(pair, plan(&["x86_64-vtl2", "x86_64-vtl0"]));
    assert_eq!(pair.iter().filter(|name| name.starts_with("unpack linux")).count(), 1, "{pair:?}");
    let mut once = pair.clone();
    once.dedup();
    assert_eq!(pair, once);
    assert_eq!(plan(&["coco-x86_64", "x86_64-vtl0"]), pair);
    let images = ["aarch64-universal", "aarch64-vtl0", "aarch64-vtl2", "x86_64-vtl0", "x86_64-vtl2"];
    assert_eq!(plan(&["--all"]), plan(&images));
}

#[test]
fn a_release_of_a_pair_is_one_bundle_with_both() {
    let out = folder("pairs-release");
    let release = || {
        let mut command = xtask();
        command
            .args(["release", "coco-x86_64", "--host-tools", "--offline", "--allow-modified", "--out"])
            .arg(&out);
        run(&mut command)
    };
    release().expect("release");
    let bundle = out.join("coco-x86_64");
    harness::judge(
        "sh",
        &["-c", &format!("cd '{}' && sha256sum --quiet --check SHA256SUMS", bundle.display())],
    );
    for (part, artifact) in [("x86_64-vtl2", "vtl2.igvm"), ("x86_64-vtl0", "uki.efi")] {
        assert!(bundle.join(part).join(artifact).is_file(), "{part}");
    }
    assert!(fs::read_to_string(bundle.join("NOTES.md")).unwrap().starts_with("# coco-x86_64 "));
    let check = |folder: &Path| run(xtask().args(["release", "check"]).arg(folder));
    assert!(check(&bundle).expect("check").starts_with("x86_64-vtl2, x86_64-vtl0 "));
    // Each part is a bundle of its own, too.
    check(&bundle.join("x86_64-vtl0")).expect("check of a part");
    let sums = digest(&bundle.join("SHA256SUMS"));
    release().expect("in the last one's place");
    assert_eq!(digest(&bundle.join("SHA256SUMS")), sums);
    fs::write(bundle.join("x86_64-vtl0/uki.efi"), "other").unwrap();
    assert_eq!(check(&bundle).status, 1);
}

/// Of each part a step that takes no time: the whole is what tests of verify do.
#[test]
fn a_pair_is_verified_in_one_second_build() {
    let steps = ["device-tree aarch64-vtl2", "device-tree aarch64-vtl0"];
    let mut command = xtask();
    command.args(["verify", "coco-aarch64", "--step", steps[0], "--step", steps[1], "--json"]);
    let verdict: Value = serde_json::from_str(&run(&mut command).expect("verify")).unwrap();
    let verified = verdict["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap());
    assert_eq!(verified.collect::<Vec<_>>(), steps, "{verdict:#}");
    let said = run(xtask().args(["verify", "coco-aarch64", "--against", "manifest.json"]));
    assert!(said.stderr.contains("coco-aarch64 is a pair"), "{}", said.stderr);
}

#[test]
fn a_pair_is_explained_and_provisioned() {
    let explain = |what: &[&str]| run(xtask().args(["explain", "coco-aarch64"]).args(what)).expect("explain");
    assert!(explain(&[]).contains("vtl2: aarch64-vtl2"), "{}", explain(&[]));
    let both = explain(&["console"]);
    assert_eq!(both.matches("ttyAMA0").count(), 2, "{both}");
    assert!(explain(&["kernel aarch64-vtl0"]).starts_with("kernel aarch64-vtl0: build-kernel"));
    let said = run(xtask().args(["config", "diff", "coco-x86_64", "x86_64-vtl0"]));
    assert!(said.stderr.contains("coco-x86_64 is a pair, and this is about one profile"), "{}", said.stderr);

    let to = folder("pairs-hyperv");
    run(xtask().args(["provision", "hyperv", "coco-x86_64", "--to"]).arg(&to)).expect("provision hyperv");
    for file in ["vtl2.igvm", "disk.vhdx", "provision.ps1", "README.md"] {
        assert!(to.join(file).is_file(), "{file}");
    }
    let to = folder("pairs-qemu");
    run(xtask().args(["provision", "qemu", "coco-x86_64", "--to"]).arg(&to)).expect("provision qemu");
    for file in ["x86_64-vtl2/run-qemu.sh", "x86_64-vtl0/disk.raw"] {
        assert!(to.join(file).is_file(), "{file}");
    }
}
