//! Builds with pinned programs: what they make is the same on machines that have nothing else in common.
//!
//! The other machines are releases of Debian, unpacked by mmdebstrap and entered as a whole. One of them, chosen by a seed,
//! builds a payload; with `--exhaustive` each builds all of a profile.

mod harness;
#[allow(dead_code, reason = "the tests of the command line use the rest of it")]
#[path = "cli/own_project.rs"]
mod own_project;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use harness::{Random, Said, folder, is_exhaustive, judge, project, run, store, xtask};
use own_project::{Edit, OwnProject};
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
    run(xtask().args(["boot", PROFILE, "--hermetic", "--offline", "--logs"]).arg(out.join("boot")))
        .expect("boots here");
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

const BUILDER: &str = "\
suites: [bookworm]
architecture: ARCH
packages:
  library: what the compiler needs
  compiler: compiles
alone: {}
links:
  usr/bin/cc: compiler
";
const BUILDER_FILE: &str = "profiles/builder.yaml";
const LOCK_FILE: &str = "profiles/builder.lock.yaml";

/// A project whose builder has two packages, and a mirror that has both.
struct Locked {
    project: OwnProject,
    /// As dpkg calls it.
    arch: &'static str,
}

impl Locked {
    fn new() -> Locked {
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let locked = Locked { project: OwnProject::new(&[]), arch };
        locked.project.write(BUILDER_FILE, &BUILDER.replace("ARCH", arch));
        fs::create_dir(locked.mirror()).unwrap();
        for (package, file) in [("compiler", "usr/bin/compiler"), ("library", "usr/lib/library.so")] {
            let tree = locked.mirror().join(package);
            let control = format!("Package: {package}\nVersion: 1.0-1\nArchitecture: {arch}\n");
            let control = control + "Maintainer: nobody <nobody@example.org>\nDescription: of the tests\n";
            for (path, content) in [("DEBIAN/control", control.as_str()), (file, package)] {
                make(tree.join(path).parent().unwrap());
                fs::write(tree.join(path), content).unwrap();
            }
            fs::set_permissions(tree.join("DEBIAN"), fs::Permissions::from_mode(0o755)).unwrap();
            let arguments = ["--root-owner-group", "--build", tree.to_str().unwrap()];
            judge("dpkg-deb", &[&arguments[..], &[locked.package(package).to_str().unwrap()]].concat());
        }
        locked.lock();
        locked
    }

    fn mirror(&self) -> PathBuf {
        self.project.root().parent().unwrap().join("mirror")
    }

    fn package(&self, name: &str) -> PathBuf {
        self.mirror().join(format!("{name}_1.0-1_{}.deb", self.arch))
    }

    /// Locks what the mirror has.
    fn lock(&self) {
        let pin = |name: &str| {
            let (path, arch) = (self.package(name), self.arch);
            let sum = judge("sha256sum", &[path.to_str().unwrap()]);
            let (size, sum) = (fs::metadata(&path).unwrap().len(), &sum[..64]);
            let file = path.file_name().unwrap().to_str().unwrap();
            format!(
                "  - {{package: {name}, version: 1.0-1, architecture: {arch}, suite: bookworm, size: {size}, \
                 sha256: \"{sum}\", snapshot: 20261122T000000Z, pool: pool/main/x/{file}}}\n"
            )
        };
        let head = format!("suites: [bookworm]\narchitecture: {}\n", self.arch);
        let wanted = "packages: [compiler, library]\nalone: []\nlocked:\n";
        self.project.write(LOCK_FILE, &(head + wanted + &pin("compiler") + &pin("library")));
    }

    fn build(&self) -> Said {
        let mirror = self.mirror();
        let build =
            ["build-image", "mine", "--hermetic", "--offline", "--step", "builder's root", "--mirror"];
        self.project.run(&[&build[..], &[mirror.to_str().unwrap()]].concat())
    }

    /// Names of the files and folders in a folder of the store that are not locks.
    fn in_store(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.project.store().join("v1").join(folder)) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".lock")).collect()
    }
}

#[test]
fn packages_that_are_not_those_of_the_lock_are_refused() {
    type Damage = fn(&Locked);
    let cases: [(&str, Damage, &[&str]); 4] = [
        (
            "another content",
            |locked| {
                let mut bytes = fs::read(locked.package("compiler")).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(locked.package("compiler"), bytes).unwrap();
            },
            &["compiler 1.0-1", "pins lock"],
        ),
        (
            "a byte more",
            |locked| {
                let bytes = [fs::read(locked.package("compiler")).unwrap(), vec![0]].concat();
                fs::write(locked.package("compiler"), bytes).unwrap();
            },
            &["compiler 1.0-1", "pins lock"],
        ),
        (
            "none",
            |locked| fs::remove_file(locked.package("compiler")).unwrap(),
            &["--offline forbids", "compiler 1.0-1", "--mirror DIR"],
        ),
        (
            "locked, and no package",
            |locked| {
                fs::write(locked.package("compiler"), "not a package").unwrap();
                locked.lock();
            },
            &["compiler 1.0-1 can't be unpacked", "not a Debian package"],
        ),
    ];
    for (name, damage, expected) in cases {
        let locked = Locked::new();
        let (package, lock) = (locked.package("compiler"), locked.project.root().join(LOCK_FILE));
        let honest = (fs::read(&package).unwrap(), fs::read_to_string(&lock).unwrap());
        damage(&locked);
        let said = locked.build();
        assert_eq!(said.status, 1, "{name}: {}", said.stderr);
        for part in expected {
            assert!(said.stderr.contains(part), "{name}: no {part:?} in\n{}", said.stderr);
        }
        assert_eq!(said.stderr.matches("error").count(), 1, "{name}:\n{}", said.stderr);
        assert_eq!((locked.in_store("partial"), locked.in_store("work")), (vec![], vec![]), "{name}");
        let plan = plan(locked.project.run(&["plan", "mine", "--hermetic", "--format", "json"]));
        let root = steps(&plan).iter().find(|step| step["name"] == "builder's root").unwrap();
        assert_ne!(root["state"], "reuse", "{name}: {root:#}");

        fs::write(&package, honest.0).unwrap();
        fs::write(&lock, honest.1).unwrap();
        let said = locked.build();
        assert_eq!(said.status, 0, "{name}: {}", said.stderr);
        let roots = locked.in_store("steps").into_iter();
        let roots =
            roots.map(|key| locked.project.store().join("v1/steps").join(key).join("out/tree/usr/bin/cc"));
        let made: Vec<String> = roots.filter_map(|cc| fs::read_to_string(cc).ok()).collect();
        assert_eq!(made, ["compiler"], "{name}");
    }
}

#[test]
fn a_lock_that_does_not_decide_everything_is_refused_before_anything_is_fetched() {
    let locked = Locked::new();
    let lock = fs::read_to_string(locked.project.root().join(LOCK_FILE)).unwrap();
    let line = lock.lines().find(|line| line.contains("{package: library")).unwrap();
    let without = |part: &str| {
        let from = line.find(part).unwrap();
        let to = from + line[from..].find(", ").unwrap() + 2;
        lock.replace(line, &format!("{}{}", &line[..from], &line[to..]))
    };
    for (wrong, expected) in [
        (lock.replace(&format!("{line}\n"), ""), "the lock has no version of `library`"),
        (without("sha256: "), "the key `sha256` is missing"),
        (without("size: "), "the key `size` is missing"),
        (without("version: "), "the key `version` is missing"),
        (lock.replace("[compiler, library]", "[compiler]"), "`library` is not in the lock"),
    ] {
        locked.project.edit(&Edit::Remove(LOCK_FILE));
        locked.project.write(LOCK_FILE, &wrong);
        let said = locked.build();
        assert_eq!(said.status, 1, "{expected}: {}", said.stderr);
        assert!(said.stderr.contains(expected) && said.stderr.contains("1 problem"), "{}", said.stderr);
        assert_eq!(locked.in_store("steps"), [""; 0], "{expected}");
    }
}
