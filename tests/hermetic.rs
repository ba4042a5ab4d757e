//! Builds with pinned programs: what they make is the same on machines that have nothing else in common.
//!
//! The other machines are releases of Debian, unpacked by mmdebstrap and entered as a whole. One of them, chosen by a seed,
//! builds a payload; with `--exhaustive` each builds all of a profile.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use harness::{Random, Said, folder, is_exhaustive, project, run, store, xtask};
use serde_json::Value;

const PROFILE: &str = "x86_64-vtl2";
/// Small, and all of compiler, linker, C library and cargo take part.
const STEP: &str = "payload vtl2-init x86_64";
/// Kinds of steps that bring bytes from outside.
const DOWNLOADS: [&str; 4] = ["fetch-deb", "fetch-git", "fetch-url", "vendor-crates"];

/// Another machine: a release of Debian in a folder.
struct Machine {
    root: PathBuf,
    store: PathBuf,
}

impl Machine {
    /// The release is unpacked once and kept in the store; what is built there begins with nothing.
    fn new(suite: &str) -> Machine {
        let root = store().join("machines").join(suite);
        if !root.is_dir() {
            let fresh = tempfile::tempdir_in(make(&store().join("machines"))).unwrap();
            let mut command = Command::new("mmdebstrap");
            // A mirror that stands still will do.
            command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
            command.args(["--quiet", "--variant=minbase", "--include=bubblewrap", suite]);
            run(command.arg(fresh.path().join("root")).arg(mirror())).expect(&format!("mmdebstrap {suite}"));
            // Another test may have been faster; its root is as good.
            let _ = fs::rename(fresh.path().join("root"), &root);
        }
        Machine { root, store: folder(&format!("hermetic-{suite}")) }
    }

    /// Runs this tool there, and the Rust that it was built with. There is no network, no other compiler, and nothing of
    /// this machine but what is named here.
    fn xtask(&self, arguments: &[&str]) -> Said {
        let rustc = run(Command::new("rustc").args(["--print", "sysroot"])).expect("rustc");
        let (rust, program) = (PathBuf::from(rustc.trim()), PathBuf::from(env!("CARGO_BIN_EXE_xtask")));
        let target = program.parent().and_then(Path::parent).unwrap();
        let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo = cargo.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cargo"));
        let mut command = Command::new("bwrap");
        // The process file system is this machine's: the kernel lets nobody mount one where a part of it is hidden.
        command.args([
            "--unshare-user",
            "--unshare-net",
            "--unshare-ipc",
            "--unshare-uts",
            "--die-with-parent",
        ]);
        command.args([
            "--hostname",
            "elsewhere",
            "--uid",
            "4321",
            "--gid",
            "4321",
            "--bind",
            "/proc",
            "/proc",
        ]);
        for folder in ["usr", "etc"] {
            command.arg("--ro-bind").arg(self.root.join(folder)).arg(Path::new("/").join(folder));
        }
        for link in ["bin", "lib", "lib64", "sbin"] {
            command.args(["--symlink", &format!("usr/{link}"), &format!("/{link}")]);
        }
        command.args(["--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/media", "--dir", "/home"]);
        for shown in [&rust, &cargo, &project()] {
            command.arg("--ro-bind").args([shown, shown]);
        }
        // Where the program for IGVM files is, and cargo's lock on it.
        command.arg("--bind").args([target, target]);
        command.arg("--bind").arg(&self.store).arg("/store").arg("--chdir").arg(project());
        command.args(["--clearenv", "--setenv", "HOME", "/home", "--setenv", "VTLFORGE_STORE", "/store"]);
        command.args(["--setenv", "PATH", &format!("{}:/usr/bin:/usr/sbin", rust.join("bin").display())]);
        command.args(["--setenv", "CARGO_HOME"]).arg(&cargo);
        run(command.arg(program).args(arguments))
    }

    /// Gives it the downloads that this machine has, as a mirror would.
    fn adopt(&self, plan: &Value) {
        for step in steps(plan) {
            let is_download = DOWNLOADS.contains(&step["action"]["kind"].as_str().unwrap());
            // What that machine needs and this one lacks, it misses itself.
            let Some(key) = step["key"].as_str().filter(|_| is_download) else { continue };
            let from = store().join("v1/steps").join(key);
            if from.is_dir() {
                let to = make(&self.store.join("v1/steps")).join(key);
                let copy = Command::new("cp")
                    .args(["--archive", "--reflink=auto"])
                    .args([from, to])
                    .output()
                    .unwrap();
                assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));
            }
        }
    }
}

/// Debian's mirror that this machine installs from.
fn mirror() -> String {
    let said =
        run(Command::new("apt-get").args(["indextargets", "--format", "$(LABEL)|$(SITE)"])).expect("apt-get");
    let mirror = said.lines().find_map(|line| line.strip_prefix("Debian|"));
    mirror.expect("a mirror of Debian in apt's configuration").to_owned()
}

fn make(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    folder.to_path_buf()
}

/// What a build would do, with the keys that are known.
fn plan(said: Said) -> Value {
    serde_json::from_str(&said.expect("plan")).unwrap()
}

fn steps(plan: &Value) -> &[Value] {
    plan["steps"].as_array().unwrap()
}

/// Key and record of a step that a store has.
fn made(plan: &Value, store: &Path, name: &str) -> (String, Value) {
    let step = steps(plan).iter().find(|step| step["name"] == name).unwrap();
    let key = step["key"].as_str().unwrap_or_else(|| panic!("{name} has not been made: {step:#}")).to_owned();
    let record = fs::read(store.join("v1/steps").join(&key).join("outcome.json")).unwrap();
    (key, serde_json::from_slice(&record).unwrap())
}

const SUITES: [&str; 2] = ["trixie", "sid"];
const BUILD: [&str; 5] = ["build-image", PROFILE, "--hermetic", "--step", STEP];
const PLAN: [&str; 5] = ["plan", PROFILE, "--hermetic", "--format", "json"];

#[test]
fn other_machines_make_the_same() {
    run(xtask().args(BUILD)).expect("built here");
    if is_exhaustive() {
        SUITES.iter().for_each(|suite| a_payload_is_the_same(suite));
        run(xtask().args(["verify", PROFILE, "--hermetic", "--step", STEP]))
            .expect("built again here, perturbed");
        return a_whole_profile_is_the_same(&SUITES);
    }
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    a_payload_is_the_same(SUITES[Random::new(seed).below(SUITES.len() as u64) as usize]);
}

fn a_payload_is_the_same(suite: &str) {
    let here = plan(run(xtask().args(PLAN)));
    let machine = Machine::new(suite);
    machine.adopt(&here);
    machine.xtask(&[BUILD.as_slice(), &["--offline"]].concat()).expect(&format!("built in {suite}"));
    let there = plan(machine.xtask(&PLAN));
    for step in ["builder's root", STEP] {
        assert_eq!(made(&here, &store(), step), made(&there, &machine.store, step), "{step} in {suite}");
    }
}

fn a_whole_profile_is_the_same(suites: &[&str]) {
    let out = folder("hermetic-out");
    run(xtask().args(["build-image", PROFILE, "--hermetic", "--out"]).arg(&out)).expect("built here");
    let sums = |out: &Path| fs::read_to_string(out.join(PROFILE).join("SHA256SUMS")).unwrap();
    let here = plan(run(xtask().args(PLAN)));
    for suite in suites {
        let machine = Machine::new(suite);
        machine.adopt(&here);
        let build = ["build-image", PROFILE, "--hermetic", "--offline", "--out", "/store/out"];
        machine.xtask(&build).expect(&format!("built in {suite}"));
        assert_eq!(sums(&machine.store.join("out")), sums(&out), "{suite}");
    }
}
