//! Building again, perturbed: what is reproducible is called so, and what isn't is found, with where and why.
//!
//! Leaks of single files are planted in `difference/tests/leaks.rs`; here they get into a payload through a real build.
//! No kernel is built again but with `--exhaustive`, which verifies all profiles whole.

mod harness;
#[allow(dead_code, reason = "the tests of the command line use the rest of it")]
#[path = "cli/own_project.rs"]
mod own_project;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use harness::{PROFILES, is_exhaustive, run, xtask};
use own_project::{Edit, OwnProject};
use serde_json::Value;

const CRATE: &str = "[package]\nname = \"leaky\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
const LOCK: &str = "version = 4\n\n[[package]]\nname = \"leaky\"\nversion = \"0.1.0\"\n";
const RECIPE: &str =
    "description: A payload of the tests.\ncargo: {package: leaky, binary: leaky, install: /init}\n";
const PROFILE: &str = "description: A profile of the tests.\ninherit: [mine]\nkernel:\n  fragments: [one, other]\n\
                       payload:\n  recipes: [leaky]\n";

/// Asks the machine for all that it shouldn't.
const LEAKY_BUILD: &str = r#"
use std::{env, fs, os::unix::fs::MetadataExt, time};

fn main() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap().trim().to_string();
    let read = |path: &str| fs::read_to_string(path).unwrap().trim().to_string();
    let order: Vec<_> = fs::read_dir("parts").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut cleared: Vec<_> = env::vars().map(|(name, _)| name).collect();
    cleared.retain(|name| ["NOISE", "KBUILD", "CFLAGS", "LANG", "USER", "TZ_", "SOURCE_DATE"].iter().any(|word| name.starts_with(word)));
    let now = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap().as_secs();
    let leaks = [
        ("CLOCK", now.to_string()),
        ("OWNER", fs::metadata(env::var("OUT_DIR").unwrap()).unwrap().uid().to_string()),
        ("HOST", read("/proc/sys/kernel/hostname")),
        ("UMASK", umask),
        ("JOBS", env::var("NUM_JOBS").unwrap()),
        ("HOME", env::var("HOME").unwrap()),
        ("BEHIND", fs::canonicalize(env::var("HOME").unwrap()).unwrap().to_str().unwrap().to_string()),
        ("RANDOM", read("/proc/sys/kernel/random/uuid")),
        ("ORDER", order.join(" ")),
        ("CLEARED", cleared.join(" ")),
    ];
    for (name, value) in leaks {
        println!("cargo::rustc-env=LEAK_{name}={value}");
    }
    // Cargo would not run this again otherwise; here every build is a first one anyway.
    println!("cargo::rerun-if-changed=parts");
}
"#;

const LEAKY_MAIN: &str = r#"
macro_rules! leaks {
    ($($name:literal),*) => { [$(concat!("leak ", $name, " ", env!(concat!("LEAK_", $name)), "\0")),*] };
}

fn main() {
    for leak in leaks!["CLOCK", "OWNER", "HOST", "UMASK", "JOBS", "HOME", "BEHIND", "RANDOM", "ORDER", "CLEARED"] {
        println!("{leak}");
    }
}
"#;

const TIDY_MAIN: &str = "fn main() {\n    println!(\"{} {}\", file!(), module_path!());\n}\n";

fn project(build: Option<&'static str>, main: &'static str) -> OwnProject {
    let project = OwnProject::new(&[
        Edit::Write("recipes/leaky/recipe.yaml", RECIPE),
        Edit::Write("recipes/leaky/Cargo.toml", CRATE),
        Edit::Write("recipes/leaky/Cargo.lock", LOCK),
        Edit::Write("recipes/leaky/src/main.rs", main),
        Edit::Write("profiles/mine.yaml", PROFILE),
    ]);
    if let Some(build) = build {
        project.write("recipes/leaky/build.rs", build);
        for part in ["delta", "alpha", "charlie", "bravo", "foxtrot", "echo", "golf", "hotel"] {
            project.write(&format!("recipes/leaky/parts/{part}"), part);
        }
    }
    project
}

const INITRAMFS: &str = "initramfs mine";

fn verdict(project: &OwnProject, arguments: &[&str]) -> (i32, Value) {
    let arguments: Vec<&str> =
        ["verify", "mine", "--step", INITRAMFS, "--json"].iter().chain(arguments).copied().collect();
    let said = project.run(&arguments);
    let value = serde_json::from_str(&said.stdout);
    (said.status, value.unwrap_or_else(|error| panic!("{error}: {}\n{}", said.stdout, said.stderr)))
}

fn step<'v>(verdict: &'v Value, name: &str) -> &'v Value {
    let steps = verdict["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name} in {steps:#?}"))
}

#[test]
fn leaks_of_a_build_script_are_found_and_attributed() {
    let project = project(Some(LEAKY_BUILD), LEAKY_MAIN);
    let (status, verdict) = verdict(&project, &["--seed", "7"]);
    assert_eq!((status, &verdict["reproducible"]), (1, &Value::Bool(false)));
    let payload = step(&verdict, "payload leaky x86_64");
    assert_eq!(payload["verdict"], "differs");
    // The archive around it is no leak of its own.
    let initramfs = step(&verdict, INITRAMFS);
    assert_eq!(
        (&initramfs["verdict"], &initramfs["from"][0]),
        (&"follows".into(), &"payload leaky x86_64".into())
    );

    let program =
        payload["outputs"].as_array().unwrap().iter().find(|output| output["output"] == "program").unwrap();
    let findings = program["comparison"]["findings"].as_array().unwrap();
    let cause_of = |leak: &str| {
        let carries = |finding: &&Value| finding["ours"].as_str().unwrap().contains(&format!("leak {leak} "));
        let finding = findings.iter().find(carries)?;
        assert_eq!(finding["place"][0]["section"], ".rodata", "{finding:#}");
        Some(finding["cause"].as_str().unwrap_or("unknown"))
    };
    let left_out: Vec<&str> = verdict["perturbation"]["left-out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left_out| left_out["aspect"].as_str().unwrap())
        .collect();
    for (leak, aspect, cause) in [
        ("CLOCK", "", "clock"),
        ("OWNER", "owner", "owner"),
        ("HOST", "host-name", "host-name"),
        ("UMASK", "", "umask"),
        ("JOBS", "", "jobs"),
        ("HOME", "", "home"),
        ("BEHIND", "", "home"),
        ("RANDOM", "", "random"),
        ("ORDER", "directory-order", "order"),
    ] {
        // What this machine can't perturb is said, and can't be found.
        if !left_out.contains(&aspect) {
            assert_eq!(cause_of(leak), Some(cause), "{leak} among {findings:#?}");
        }
    }
    assert_eq!(cause_of("CLEARED"), None, "variables of the caller reach a build");
    // What is told of places there goes through a link, and what lies behind it is seen as well.
    for (leak, place) in [("HOME", "link"), ("BEHIND", "folder")] {
        let mine = |finding: &&Value| finding["ours"].as_str().unwrap().contains(&format!("leak {leak} "));
        let theirs = findings.iter().find(mine).unwrap()["theirs"].as_str().unwrap();
        let home = format!("{}/home", verdict["perturbation"][place].as_str().unwrap());
        assert!(left_out.contains(&"owner") || theirs.contains(&home), "no {home} in {theirs}");
    }
    let causes: Vec<&str> =
        payload["causes"].as_array().unwrap().iter().map(|cause| cause["cure"].as_str().unwrap()).collect();
    assert!(causes.iter().all(|cure| cure.len() > 10), "{causes:?}");
}

#[test]
fn a_tidy_payload_is_reproducible_and_a_manifest_of_it_is_kept_to() {
    let project = project(None, TIDY_MAIN);
    let (status, first) = verdict(&project, &["--seed", "1"]);
    assert_eq!((status, &first["reproducible"]), (0, &Value::Bool(true)), "{first:#}");

    let release = project.root().parent().unwrap().join("release");
    fs::create_dir_all(&release).unwrap();
    let manifest = manifest(&project, &release);
    let path = release.join("manifest.json");
    fs::write(&path, manifest.to_string()).unwrap();
    let against = ["--seed", "2", "--against", release.to_str().unwrap()];
    let (status, same) = verdict(&project, &against);
    assert_eq!((status, &same["reproducible"]), (0, &Value::Bool(true)), "{same:#}");

    // Another release: the archive holds one byte more.
    let other = project_with_other_mode(&project);
    let (status, differs) = verdict(&other, &against);
    assert_eq!((status, &differs["reproducible"]), (1, &Value::Bool(false)));
    assert_ne!(step(&differs, INITRAMFS)["verdict"], "same");
    // Its recipe is in the crate's folder, and yet it is the same program.
    let payload = step(&differs, "payload leaky x86_64");
    assert_eq!((&payload["verdict"], &payload["outputs"]), (&"other-key".into(), &Value::Array(vec![])));
    let archive = &differs["artifacts"][0];
    assert_eq!((&archive["name"], &archive["verdict"]), (&"initramfs.cpio.zst".into(), &"differs".into()));
    assert!(archive["comparison"].to_string().contains("var"), "{archive:#}");

    // Somebody changed the file beside the manifest.
    let file = release.join("initramfs.cpio.zst");
    let mut bytes = fs::read(&file).unwrap();
    bytes.push(0);
    fs::write(&file, bytes).unwrap();
    let said = other.run(&["verify", "mine", "--step", INITRAMFS, "--against", path.to_str().unwrap()]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("beside the manifest is not what the manifest lists"), "{}", said.stderr);
}

#[test]
fn what_a_manifest_says_of_steps_is_compared_and_told_apart_from_the_bytes() {
    const PAYLOAD: &str = "payload leaky x86_64";
    let project = project(None, TIDY_MAIN);
    let folder = project.root().parent().unwrap().join("release");
    fs::create_dir_all(&folder).unwrap();
    let said = project.run(&["verify", "mine", "--step", INITRAMFS]);
    assert_eq!(said.status, 0, "{}\n{}", said.stdout, said.stderr);
    let manifest = manifest(&project, &folder);
    let path = folder.join("other.json");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = manifest.clone();
        change(&mut changed);
        fs::write(&path, changed.to_string()).unwrap();
        verdict(&project, &["--against", path.to_str().unwrap()])
    };
    fn claim<'v>(manifest: &'v mut Value, name: &str) -> &'v mut Value {
        manifest["steps"].as_array_mut().unwrap().iter_mut().find(|step| step["name"] == name).unwrap()
    }
    let zeros = "0".repeat(64);

    // Made with another compiler, by another vtlforge, of another crate: if that gives the same bytes, it is the same.
    let (status, same) = with(&|manifest| {
        let gcc = &mut manifest["tools"]["gcc"];
        (gcc["version"], gcc["identity"]) = ("gcc 4.7".into(), zeros.as_str().into());
        let payload = claim(manifest, PAYLOAD);
        (payload["key"], payload["version"]) = (zeros.as_str().into(), "older".into());
        payload["inputs"]["crate"]["sha256"] = zeros.as_str().into();
        payload["parameters"]["binary"] = "another".into();
    });
    assert_eq!((status, &same["reproducible"]), (0, &Value::Bool(true)), "{same:#}");
    let payload = step(&same, PAYLOAD);
    assert_eq!((&payload["verdict"], payload["outputs"].as_array().unwrap().len()), (&"other-key".into(), 0));
    let why = payload["why"].as_array().unwrap();
    let why: Vec<&str> = why.iter().map(|phrase| phrase.as_str().unwrap()).collect();
    assert_eq!(why[..2], ["vtlforge's own code for the step", "parameter binary: \"another\" → \"leaky\""]);
    assert!(why[2].starts_with("input crate, recipes/leaky: "), "{why:?}");
    assert!(why[2].ends_with(" here, 000000000000 there"), "{why:?}");
    assert!(why[3].starts_with("tool gcc: gcc"), "{why:?}");
    assert!(why[3].ends_with(" here, gcc 4.7 there") && why.len() == 4, "{why:?}");

    // A key that what stands beside it doesn't account for, and an artifact that no step made.
    let (status, other) = with(&|manifest| {
        claim(manifest, PAYLOAD)["key"] = zeros.as_str().into();
        manifest["outputs"][0]["sha256"] = zeros.as_str().into();
        fs::rename(folder.join("initramfs.cpio.zst"), folder.join("elsewhere")).unwrap();
    });
    assert_eq!((status, &other["reproducible"]), (1, &Value::Bool(false)), "{other:#}");
    assert_eq!(
        (&step(&other, PAYLOAD)["verdict"], &step(&other, PAYLOAD)["why"]),
        (&"other-key".into(), &Value::Array(vec![]))
    );
    assert_eq!(step(&other, INITRAMFS)["verdict"], "same");
    assert_eq!(other["artifacts"][0]["verdict"], "differs");
}

/// A compiler that makes the same programs everywhere, and calls itself otherwise under another umask.
const MOODY_COMPILER: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then
    echo "gcc (mood $(umask | tr 0-7 a-h)) 12.2.0"
    exit
fi
exec REAL "$@"
"#;

#[test]
fn surroundings_that_get_into_keys_are_told_even_if_every_byte_is_the_same() {
    let project = project(None, TIDY_MAIN);
    let tools = project.root().parent().unwrap().join("tools");
    fs::create_dir_all(&tools).unwrap();
    let path = std::env::var("PATH").unwrap();
    let real =
        std::env::split_paths(&path).map(|folder| folder.join("gcc")).find(|path| path.exists()).unwrap();
    fs::write(tools.join("gcc"), MOODY_COMPILER.replace("REAL", real.to_str().unwrap())).unwrap();
    fs::set_permissions(tools.join("gcc"), fs::Permissions::from_mode(0o755)).unwrap();

    // No perturbation has this umask.
    let mut verify = Command::new("sh");
    verify.args(["-c", "umask 022 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_xtask")]);
    verify.args(["verify", "mine", "--json", "--step", INITRAMFS]).current_dir(project.root());
    verify.env("VTLFORGE_STORE", project.store()).env("PATH", format!("{}:{path}", tools.display()));
    let said = run(&mut verify);
    let verdict: Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stderr));
    let payload = step(&verdict, "payload leaky x86_64");
    assert_eq!((&payload["verdict"], &payload["outputs"]), (&"other-key".into(), &Value::Array(vec![])));
    assert!(payload["why"].to_string().contains("tool gcc changed"), "{payload:#}");
    assert_eq!(step(&verdict, INITRAMFS)["verdict"], "same");
    assert_eq!(verdict["artifacts"][0]["verdict"], "same");
    assert_eq!((said.status, &verdict["reproducible"]), (1, &Value::Bool(false)));
}

/// The same project with a file of another mode in the archive.
fn project_with_other_mode(before: &OwnProject) -> OwnProject {
    let other = project(None, TIDY_MAIN);
    other.write(
        "recipes/leaky/recipe.yaml",
        &format!("{RECIPE}directories:\n  - {{path: /var, mode: \"0700\"}}\n"),
    );
    assert!(before.root().exists());
    other
}

/// A manifest of the archive and its steps as the store has them, with the archive beside it.
fn manifest(project: &OwnProject, release: &std::path::Path) -> Value {
    let plan = project.run_in(&project.root(), &["plan", "mine", "--format", "json"]).stdout;
    // Digests are taken out of what is shown, so keys are looked up by the folders that the store has.
    assert!(plan.contains("DIGEST"));
    // What keys were made from.
    let last = fs::read_to_string(project.store().join("v1/memo/last")).unwrap();
    let last: std::collections::BTreeMap<&str, Value> = last
        .lines()
        .skip(1)
        .filter_map(|line| {
            let (name, rest) = line.split_once('\t')?;
            Some((name, serde_json::from_str(rest.split_once(' ')?.1).unwrap()))
        })
        .collect();
    let (mut steps, mut outputs, mut tools) = (Vec::new(), Vec::new(), serde_json::Map::new());
    for entry in fs::read_dir(project.store().join("v1/steps")).unwrap() {
        let folder = entry.unwrap().path();
        let record: Value = serde_json::from_slice(&fs::read(folder.join("outcome.json")).unwrap()).unwrap();
        let made = record["outputs"].as_array().unwrap();
        let names: Vec<&str> = made.iter().map(|output| output["name"].as_str().unwrap()).collect();
        let name = match names[..] {
            ["initramfs.cpio.zst"] => INITRAMFS,
            ["program", ..] => "payload leaky x86_64",
            ["tree"] => "vendor leaky",
            _ => continue,
        };
        let digests: serde_json::Map<String, Value> = made
            .iter()
            .map(|output| (output["name"].as_str().unwrap().to_string(), output["sha256"].clone()))
            .collect();
        let (key, parts) = (folder.file_name().unwrap().to_str().unwrap(), &last[name]);
        let inputs = parts["inputs"].as_object().unwrap().iter().map(|(role, digest)| {
            let from = serde_json::json!({ "folder": "recipes/leaky" });
            (role.clone(), serde_json::json!({ "from": from, "sha256": digest }))
        });
        let identities = parts["tools"].as_object().unwrap();
        tools.extend(identities.iter().map(|(name, identity)| {
            (name.clone(), serde_json::json!({ "version": "", "sha256": identity, "identity": identity }))
        }));
        steps.push(serde_json::json!({
            "name": name, "kind": parts["kind"], "version": parts["version"], "key": key,
            "parameters": parts["parameters"], "inputs": inputs.collect::<serde_json::Map<_, _>>(),
            "tools": identities.keys().collect::<Vec<_>>(), "outputs": digests,
        }));
        if name == INITRAMFS {
            fs::copy(folder.join("out/initramfs.cpio.zst"), release.join("initramfs.cpio.zst")).unwrap();
            let output = &made[0];
            outputs.push(serde_json::json!({ "name": output["name"], "size-bytes": output["size_bytes"], "sha256": output["sha256"] }));
        }
    }
    assert_eq!(outputs.len(), 1);
    let mut manifest = manifest_of("mine");
    (manifest["steps"], manifest["outputs"], manifest["tools"]) =
        (steps.into(), outputs.into(), tools.into());
    manifest
}

/// One that says nothing.
fn manifest_of(profile: &str) -> Value {
    let profile = serde_json::json!({ "name": profile, "description": "", "arch": "x86_64", "vtl": 0 });
    serde_json::json!({
        "format": 1, "profile": profile, "hermetic": true, "command": [], "inputs": [], "tools": {},
        "steps": [], "outputs": [], "measurements": [],
    })
}

#[test]
fn what_cannot_be_verified_is_told_before_anything_is_built() {
    let project = project(None, TIDY_MAIN);
    let empty = project.root().parent().unwrap().join("empty.json");
    fs::write(&empty, manifest_of("mine").to_string()).unwrap();
    let foreign = project.root().parent().unwrap().join("foreign.json");
    fs::write(&foreign, manifest_of("theirs").to_string()).unwrap();
    let garbled = project.root().parent().unwrap().join("garbled.json");
    fs::write(&garbled, "{\"outputs\": [{}]}").unwrap();
    for (arguments, expected) in [
        (&["--step", "nonsense"][..], "mine has no step `nonsense`\nhint: its steps are"),
        (&["--against", "nowhere"], "can't read"),
        (&["--against", empty.to_str().unwrap()], "lists no outputs"),
        (&["--against", garbled.to_str().unwrap()], "is no manifest"),
        (&["--against", foreign.to_str().unwrap()], "is of the profile theirs, not of mine"),
    ] {
        let arguments: Vec<&str> = ["verify", "mine"].iter().chain(arguments).copied().collect();
        let said = project.run(&arguments);
        assert_eq!(said.status, 1, "{arguments:?}");
        assert!(said.stderr.contains(expected), "{arguments:?}: {}", said.stderr);
        assert!(
            !project.store().join("v1/steps").exists()
                || fs::read_dir(project.store().join("v1/steps")).unwrap().next().is_none()
        );
    }
    project.write(
        "recipes/leaky/recipe.yaml",
        &RECIPE.replace("binary: leaky,", "binary: leaky, source: {path: recipes/leaky},"),
    );
    let said = project.run(&["verify", "mine", "--step", INITRAMFS]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("reads a local tree (step `payload leaky x86_64`)"), "{}", said.stderr);
}

/// The project's own: without kernels as a sample, whole with `--exhaustive`.
#[test]
fn profiles_are_reproducible() {
    let sample: (&[&str], &[&str]) =
        (&["x86_64-vtl2"], &["--step", "initramfs x86_64-vtl2", "--step", "device-tree x86_64-vtl2"]);
    let (profiles, steps) = if is_exhaustive() { (&PROFILES[..], &[][..]) } else { sample };
    for profile in profiles {
        run(xtask().args(["verify", profile]).args(steps)).expect(&format!("verify {profile}"));
    }
}
