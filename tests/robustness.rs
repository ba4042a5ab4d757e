//! Killed at any instant, short of disk, twice at once, with a damaged store: nothing is corrupt, nothing is
//! lost, and the next build gives the same bytes.
//!
//! The sample keeps the steps that take minutes (kernels, downloads) in a copy of the user's store and lets the
//! rest run again and again; `--exhaustive` begins with nothing but the downloads.

mod harness;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use harness::{Random, built, folder, is_exhaustive, project, run, xtask};

const PROFILE: &str = "x86_64-vtl0";
const SEED: u64 = 0x76746c666f726765;

/// A profile of the tests: `PROFILE` without what it is provisioned by, on a small disk in one more format.
const SMALL: &str = "small";
const PROVISIONING: &str = ", provisioning]";
const SMALL_DISK: &str = "disk: {size: 64MiB, formats: [vhdx]}\n";

/// A recipe of the tests: what it includes is written in pieces, with time between them to be killed in.
const SLOW: &str = "payload: {recipes: [slow]}\n";
const SLOW_FILES: [(&str, &str); 5] = [
    ("recipe.yaml", "description: Of the tests.\ncargo: {package: slow, binary: slow, install: /bin/slow}\n"),
    ("Cargo.toml", "[package]\nname = \"slow\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n"),
    ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"slow\"\nversion = \"0.1.0\"\n"),
    ("build.rs", SLOW_BUILD),
    (
        "src/main.rs",
        "fn main() {\n    print!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/pieces\")));\n}\n",
    ),
];
const SLOW_BUILD: &str = r#"
use std::{env, fs::File, io::Write as _, path::Path, thread, time::Duration};

fn main() {
    let mut file = File::create(Path::new(&env::var("OUT_DIR").unwrap()).join("pieces")).unwrap();
    for piece in 0..20 {
        thread::sleep(Duration::from_millis(40));
        writeln!(file, "piece {piece}").unwrap();
    }
}
"#;

/// Kinds of steps that bring something from outside: every test takes them as given.
const DOWNLOADS: [&str; 4] = ["fetch-deb", "fetch-url", "fetch-git", "vendor-crates"];
/// Kinds that take minutes.
const LONG: [&str; 4] = ["unpack-source", "unpack-debs", "resolve-kconfig", "build-kernel"];

fn is_download(kind: &str) -> bool {
    DOWNLOADS.contains(&kind)
}

fn is_long(kind: &str) -> bool {
    is_download(kind) || LONG.contains(&kind)
}

fn is_long_or_payload(kind: &str) -> bool {
    is_long(kind) || kind == "build-payload"
}

/// A store of the test's own.
struct OwnStore {
    project: PathBuf,
    profile: &'static str,
    store: PathBuf,
    out: PathBuf,
    /// Keys of the steps that it was given.
    kept: BTreeSet<String>,
    /// Holds a project of the test's own.
    _folder: Option<tempfile::TempDir>,
}

impl OwnStore {
    /// A copy, by hard links, of those steps of `PROFILE` whose kind `keep` accepts.
    fn new(name: &str, keep: impl Fn(&str) -> bool) -> OwnStore {
        let mut own = OwnStore::empty(name, project(), PROFILE);
        own.keep(keep);
        own
    }

    /// The same of `SMALL`, as far as the steps are those of `PROFILE` too; `more` is written behind its profile.
    fn small(name: &str, more: &str, keep: impl Fn(&str) -> bool) -> OwnStore {
        // Not below the target directory: from there the real project would be found.
        let folder = tempfile::tempdir().unwrap();
        harness::copy_project(folder.path());
        let profiles = folder.path().join("profiles");
        let whole = fs::read_to_string(profiles.join(format!("{PROFILE}.yaml"))).unwrap();
        assert!(whole.contains(PROVISIONING), "{whole}");
        let small = whole.replace(PROVISIONING, "]") + SMALL_DISK + more;
        for (path, text) in SLOW_FILES {
            let path = folder.path().join("recipes/slow").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(profiles.join(format!("{SMALL}.yaml")), small).unwrap();
        let mut own = OwnStore::empty(name, folder.path().to_path_buf(), SMALL);
        own._folder = Some(folder);
        own.keep(keep);
        own
    }

    fn empty(name: &str, project: PathBuf, profile: &'static str) -> OwnStore {
        let root = folder(name);
        let (store, out) = (root.join("store"), root.join("out"));
        OwnStore { project, profile, store, out, kept: BTreeSet::new(), _folder: None }
    }

    fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        built(PROFILE);
        fs::create_dir_all(self.steps()).unwrap();
        let user_store = user_store();
        for (kind, key) in self.steps_of_plan(&user_store) {
            let (from, to) = (user_store.join("v1/steps").join(&key), self.steps().join(&key));
            if !keep(&kind) || !from.exists() {
                continue;
            }
            if kind.starts_with("unpack-") {
                // Nothing reads these trees while what is made from them is there, and they have a hundred
                // thousand files.
                fs::create_dir(&to).unwrap();
                fs::copy(from.join("outcome.json"), to.join("outcome.json")).unwrap();
            } else {
                harness::judge("cp", &["-al", from.to_str().unwrap(), to.to_str().unwrap()]);
            }
            self.kept.insert(key);
        }
    }

    fn command(&self) -> Command {
        let mut command = xtask();
        command.current_dir(&self.project);
        command.args(["build-image", self.profile, "--offline", "--store"]).arg(&self.store);
        command.arg("--out").arg(&self.out);
        command
    }

    fn steps(&self) -> PathBuf {
        self.store.join("v1/steps")
    }

    /// Where the artifacts are.
    fn folder(&self) -> PathBuf {
        self.out.join(self.profile)
    }

    fn sums(&self) -> String {
        fs::read_to_string(self.folder().join("SHA256SUMS")).unwrap()
    }

    /// Kind and key of every step whose key `store` knows.
    fn steps_of_plan(&self, store: &Path) -> Vec<(String, String)> {
        let mut command = xtask();
        command.current_dir(&self.project).args(["plan", self.profile, "--format", "json", "--store"]);
        let said = run(command.arg(store)).expect("plan");
        let plan: serde_json::Value = serde_json::from_str(&said).unwrap();
        let steps = plan["steps"].as_array().unwrap().iter();
        let known = steps.filter_map(|step| {
            let kind = step["action"]["kind"].as_str().unwrap().to_string();
            Some((kind, step["key"].as_str()?.to_string()))
        });
        known.collect()
    }

    /// Forgets all but what it was given, so that the next build has something to do.
    fn forget(&self) {
        for entry in fs::read_dir(self.steps()).unwrap() {
            let entry = entry.unwrap();
            if !self.kept.contains(entry.file_name().to_str().unwrap()) {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }
}

/// Where builds without --store keep their steps.
fn user_store() -> PathBuf {
    let info = fs::read(built(PROFILE).join("build-info.json")).unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    Path::new(info["store"].as_str().unwrap()).parent().unwrap().to_path_buf()
}

#[test]
fn a_build_killed_at_random_instants_gives_the_same_bytes() {
    if is_exhaustive() {
        // A kernel, too, begins anew whenever it is killed.
        kill_again_and_again(&OwnStore::new("kill-all", is_download), 8);
    }
    kill_again_and_again(&OwnStore::small("kill-packing", "", is_long_or_payload), 18);
    kill_again_and_again(&OwnStore::small("kill-payload", SLOW, is_long_or_payload), 8);
    kill_again_and_again(&OwnStore::new("kill-formats", is_long_or_payload), 3);
}

/// Kills builds that have to make all but what the store was given. A build goes on where a killed one was and is killed in
/// what that one left to do, until that is next to nothing; then one is let through, and the next begins anew.
fn kill_again_and_again(own: &OwnStore, kills: u32) {
    let started = Instant::now();
    run(&mut own.command()).expect("the build that measures how long one takes");
    let mut whole = started.elapsed();
    let undisturbed = own.sums();
    if own.profile == PROFILE {
        assert_eq!(undisturbed, fs::read_to_string(built(PROFILE).join("SHA256SUMS")).unwrap());
    }
    fs::write(own.folder().join("notes.txt"), "mine").unwrap();
    let mut artifacts = Artifacts::of(own);

    let mut random = Random::new(SEED);
    let mut killed = 0;
    while killed < kills {
        own.forget();
        artifacts.change_one();
        let mut left = whole;
        let done = loop {
            let instant = Duration::from_millis(random.below(left.as_millis() as u64));
            let started = Instant::now();
            if !is_killed(own, instant) {
                // Other tests may have slowed the build that was measured; an instant after the end kills nothing.
                break (left == whole).then(|| started.elapsed());
            }
            killed += 1;
            artifacts.check();
            left -= instant;
            if killed == kills || left < whole / 8 {
                run(&mut own.command()).expect("the build after a killed one");
                break None;
            }
        };
        whole = done.map_or(whole, |took| whole.min(took));
        assert_eq!(own.sums(), undisturbed, "{}: after {killed} kills", own.profile);
        artifacts.check();
        assert!(!artifacts.is_changed(), "{}: after {killed} kills", own.profile);
    }
    check_sums(&own.folder());
    assert_eq!(fs::read_to_string(own.folder().join("notes.txt")).unwrap(), "mine");
    let left: Vec<_> =
        fs::read_dir(own.store.join("v1/work")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(
        left.iter().all(|path| path.extension().is_some_and(|extension| extension == "lock")),
        "left: {left:?}"
    );
}

/// Builds, and kills the build at `instant` unless it has ended before, which it has to do well.
fn is_killed(own: &OwnStore, instant: Duration) -> bool {
    let mut build = spawn(own.command());
    let started = Instant::now();
    while started.elapsed() < instant && build.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    if build.try_wait().unwrap().is_none() {
        build.kill().unwrap();
        build.wait().unwrap();
        return true;
    }
    let output = build.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// What there is for a user, whenever a build is killed: the whole set of before, or a whole new one.
struct Artifacts<'a> {
    own: &'a OwnStore,
    /// Files of the set that was there last, by name.
    seen: BTreeMap<String, Seen>,
}

/// What changes with any change of a file.
#[derive(Debug, PartialEq)]
struct Seen {
    inode: u64,
    size_bytes: u64,
    changed: (i64, i64),
}

/// Instead of the kernel: the next build has to put a new folder in place of the old one.
const CHANGED: &str = "not a kernel";

impl<'a> Artifacts<'a> {
    fn of(own: &'a OwnStore) -> Artifacts<'a> {
        let mut artifacts = Artifacts { own, seen: BTreeMap::new() };
        artifacts.seen = artifacts.now();
        artifacts
    }

    fn now(&self) -> BTreeMap<String, Seen> {
        let sums = self.own.sums();
        let names = sums.lines().map(|line| line.split_once("  ").unwrap().1.to_string());
        let seen = names.map(|name| {
            let facts = fs::metadata(self.own.folder().join(&name)).unwrap();
            let changed = (facts.ctime(), facts.ctime_nsec());
            (name, Seen { inode: facts.ino(), size_bytes: facts.len(), changed })
        });
        seen.collect()
    }

    fn change_one(&mut self) {
        fs::write(self.own.folder().join("kernel"), CHANGED).unwrap();
        self.seen = self.now();
    }

    fn is_changed(&self) -> bool {
        self.seen["kernel"].size_bytes == CHANGED.len() as u64
    }

    /// A set that nobody touched was read before: the sums are of the bytes that are still there.
    fn check(&mut self) {
        let now = self.now();
        let same = now.iter().filter(|(name, seen)| self.seen.get(*name) == Some(seen)).count();
        assert!(same == 0 || same == now.len(), "a mixture: {:?} and {now:?}", self.seen);
        if same == 0 {
            check_sums(&self.own.folder());
            self.seen = now;
        }
    }
}

#[test]
fn two_builds_at_once_share_the_work() {
    let undisturbed = fs::read_to_string(built(PROFILE).join("SHA256SUMS")).unwrap();
    let own = OwnStore::new("twice", is_long);
    let builds = [spawn(own.command()), spawn(own.command())];
    for build in builds {
        let output = build.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(own.sums(), undisturbed);
}

#[test]
fn a_damaged_entry_is_found_and_made_again() {
    let own = OwnStore::new("damage", is_long_or_payload);
    run(&mut own.command()).expect("build");
    let before = own.sums();
    let uki = own.steps_of_plan(&own.store).into_iter().find(|(kind, _)| kind == "build-uki").unwrap().1;
    let path = own.store.join("v1/steps").join(uki).join("out/uki.efi");
    let mut content = fs::read(&path).unwrap();
    content[4096] ^= 1;
    // The file is read-only for whoever means well.
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    fs::remove_dir_all(&own.out).unwrap();
    let said = run(&mut own.command());
    assert!(said.stderr.contains("damage"), "{}", said.stderr);
    said.expect("build over a damaged store");
    assert_eq!(own.sums(), before);
}

#[test]
fn artifacts_that_were_changed_or_removed_come_back_and_own_files_stay() {
    let own = OwnStore::new("out", |_| true);
    run(&mut own.command()).expect("build");
    let before = own.sums();
    let folder = own.folder();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    fs::write(folder.join("kernel"), "not a kernel").unwrap();
    fs::remove_file(folder.join("uki.efi")).unwrap();
    run(&mut own.command()).expect("build");
    assert_eq!(own.sums(), before);
    check_sums(&folder);
    assert_eq!(fs::read_to_string(folder.join("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let own = OwnStore::new("full", is_long_or_payload);
    let undisturbed = fs::read_to_string(built(PROFILE).join("SHA256SUMS")).unwrap();
    // The output goes to a file system of 4 MiB, mounted in a namespace of the test's own.
    let small = folder("small");
    let mut build = Command::new("unshare");
    let script = "mount -t tmpfs -o size=4m none \"$1\" && shift && exec \"$@\"";
    build.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&small);
    build
        .arg(env!("CARGO_BIN_EXE_xtask"))
        .args(["build-image", PROFILE, "--offline", "--store"])
        .arg(&own.store);
    build.arg("--out").arg(small.join("out")).current_dir(harness::project());
    let said = run(&mut build);
    assert_ne!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("No space left on device"), "{}", said.stderr);
    assert!(said.stderr.contains("hint:"), "{}", said.stderr);
    run(&mut own.command()).expect("the build after the full disk");
    assert_eq!(own.sums(), undisturbed);
}

#[test]
fn offline_says_everything_that_is_missing_at_once() {
    let own = OwnStore::new("offline", |_| false);
    let said = run(&mut own.command());
    assert_ne!(said.status, 0);
    for missing in ["linux-source-7.3", "systemd-boot-efi", "--mirror DIR"] {
        assert!(said.stderr.contains(missing), "no {missing} in {}", said.stderr);
    }
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn check_sums(folder: &Path) {
    let script = format!("cd '{}' && sha256sum --quiet --strict --check SHA256SUMS", folder.display());
    harness::judge("sh", &["-c", &script]);
}
