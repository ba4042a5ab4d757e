//! Killed at any instant, short of disk, twice at once, with a damaged store: nothing is corrupt, nothing is
//! lost, and the next build gives the same bytes.
//!
//! The sample keeps the steps that take minutes (kernels, downloads) in a copy of the user's store and lets the
//! rest run again and again; `--exhaustive` begins with nothing but the downloads.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use harness::{Random, built, folder, is_exhaustive, run, xtask};

const PROFILE: &str = "x86_64-vtl0";
const SEED: u64 = 0x76746c666f726765;

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
    store: PathBuf,
    out: PathBuf,
}

impl OwnStore {
    /// A copy, by hard links, of those steps of `PROFILE` whose kind `keep` accepts.
    fn new(name: &str, keep: impl Fn(&str) -> bool) -> OwnStore {
        let root = folder(name);
        let own = OwnStore { store: root.join("store"), out: root.join("out") };
        built(PROFILE);
        let steps = own.store.join("v1/steps");
        fs::create_dir_all(&steps).unwrap();
        let user_store = user_store();
        for (kind, key) in steps_of_plan(None) {
            if !keep(&kind) {
                continue;
            }
            let (from, to) = (user_store.join("v1/steps").join(&key), steps.join(&key));
            if kind.starts_with("unpack-") {
                // Nothing reads these trees while what is made from them is there, and they have a hundred
                // thousand files.
                fs::create_dir(&to).unwrap();
                fs::copy(from.join("outcome.json"), to.join("outcome.json")).unwrap();
            } else {
                harness::judge("cp", &["-al", from.to_str().unwrap(), to.to_str().unwrap()]);
            }
        }
        own
    }

    fn command(&self) -> Command {
        let mut command = xtask();
        command
            .args(["build-image", PROFILE, "--offline", "--store"])
            .arg(&self.store)
            .arg("--out")
            .arg(&self.out);
        command
    }

    fn sums(&self) -> String {
        fs::read_to_string(self.out.join(PROFILE).join("SHA256SUMS")).unwrap()
    }

    /// Forgets all but what `keep` accepts, so that the next build has something to do.
    fn forget(&self, keep: impl Fn(&str) -> bool) {
        for (kind, key) in steps_of_plan(Some(&self.store)) {
            if !keep(&kind) {
                let _ = fs::remove_dir_all(self.store.join("v1/steps").join(key));
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

/// Kind and key of every step of `PROFILE` that the store has.
fn steps_of_plan(store: Option<&Path>) -> Vec<(String, String)> {
    let mut command = xtask();
    command.args(["plan", PROFILE, "--format", "json"]);
    if let Some(store) = store {
        command.arg("--store").arg(store);
    }
    let plan: serde_json::Value = serde_json::from_str(&run(&mut command).expect("plan")).unwrap();
    let steps = plan["steps"].as_array().unwrap().iter();
    let known = steps.filter_map(|step| {
        let kind = step["action"]["kind"].as_str().unwrap().to_string();
        Some((kind, step["key"].as_str()?.to_string()))
    });
    known.collect()
}

#[test]
fn a_build_killed_at_random_instants_gives_the_same_bytes() {
    match is_exhaustive() {
        true => kill_again_and_again("kill-all", is_download, 25),
        false => {
            kill_again_and_again("kill-packing", is_long_or_payload, 20);
            kill_again_and_again("kill-payload", is_long, 5);
        }
    }
}

/// Kills builds that have to make all but what `keep` accepts, at instants spread over the time that one takes.
fn kill_again_and_again(name: &str, keep: fn(&str) -> bool, kills: u32) {
    let undisturbed = fs::read_to_string(built(PROFILE).join("SHA256SUMS")).unwrap();
    let own = OwnStore::new(name, keep);
    let started = Instant::now();
    run(&mut own.command()).expect("the build that measures how long one takes");
    let mut whole_ms = started.elapsed().as_millis() as u64;
    own.forget(keep);

    let mut random = Random::new(SEED);
    let mut killed = 0;
    let mut is_fresh = true;
    while killed < kills {
        let instant = Duration::from_millis(random.below(whole_ms));
        let mut build = spawn(own.command());
        let started = Instant::now();
        while started.elapsed() < instant && build.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        match build.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success(), "{name}: a build after {killed} kills failed");
                assert_eq!(own.sums(), undisturbed, "{name}: after {killed} kills");
                own.forget(keep);
                // Other tests may have slowed the build that was measured; an instant after the end kills nothing.
                if is_fresh {
                    whole_ms = whole_ms.min(started.elapsed().as_millis() as u64).max(1);
                }
                is_fresh = true;
            }
            None => {
                build.kill().unwrap();
                build.wait().unwrap();
                killed += 1;
                is_fresh = false;
            }
        }
        let folder = own.out.join(PROFILE);
        if folder.join("SHA256SUMS").exists() {
            // The disks are large and come last: they are read again at the end.
            check_sums(&folder, "grep -v disk SHA256SUMS");
        }
    }
    run(&mut own.command()).expect("the build after all kills");
    assert_eq!(own.sums(), undisturbed, "{name}: after {killed} kills");
    check_sums(&own.out.join(PROFILE), "cat SHA256SUMS");
    let left: Vec<_> =
        fs::read_dir(own.store.join("v1/work")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(
        left.iter().all(|path| path.extension().is_some_and(|extension| extension == "lock")),
        "left: {left:?}"
    );
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
    let own = OwnStore::new("damage", is_long);
    run(&mut own.command()).expect("build");
    let before = own.sums();
    let uki = steps_of_plan(Some(&own.store)).into_iter().find(|(kind, _)| kind == "build-uki").unwrap().1;
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
    let folder = own.out.join(PROFILE);
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    fs::write(folder.join("kernel"), "not a kernel").unwrap();
    fs::remove_file(folder.join("uki.efi")).unwrap();
    run(&mut own.command()).expect("build");
    assert_eq!(own.sums(), before);
    check_sums(&folder, "cat SHA256SUMS");
    assert_eq!(fs::read_to_string(folder.join("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let own = OwnStore::new("full", is_long);
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

/// Checks the files of `folder` that `select` prints lines of SHA256SUMS for.
fn check_sums(folder: &Path, select: &str) {
    let script = format!("cd '{}' && {select} | sha256sum --quiet --strict --check -", folder.display());
    harness::judge("sh", &["-c", &script]);
}
