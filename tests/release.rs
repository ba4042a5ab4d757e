//! Releases of a real profile: judged by the projects whose formats they have, signed, tampered with, made twice, killed.

mod harness;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use harness::{
    PROFILES, Random, Said, built, folder, is_exhaustive,
    judges::{Judges, digest},
    project, run, xtask,
};

const PROFILE: &str = "x86_64-vtl2";
const OTHER_PROFILE: &str = "x86_64-vtl0";
const SEED: u64 = 0x72656c65617365;

/// A release that all tests look at, and the keys of somebody who may sign and of somebody who may not.
struct Released {
    bundle: PathBuf,
    key: PathBuf,
    other_key: PathBuf,
}

fn released() -> &'static Released {
    static RELEASED: OnceLock<Released> = OnceLock::new();
    RELEASED.get_or_init(|| {
        let folder = folder("release");
        let (key, other_key) = (folder.join("key"), folder.join("other-key"));
        for key in [&key, &other_key] {
            harness::judge("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
        }
        run(&mut release(&folder.join("out"), Some(&key))).expect("release");
        Released { bundle: folder.join("out").join(PROFILE), key, other_key }
    })
}

/// The project is as it is while it is worked on.
fn release(out: &Path, key: Option<&Path>) -> Command {
    let mut command = xtask();
    command.args(["release", PROFILE, "--offline", "--allow-modified", "--out"]).arg(out);
    if let Some(key) = key {
        command.arg("--key").arg(key);
    }
    command
}

fn check(bundle: &Path, key: Option<&Path>) -> Said {
    let mut command = xtask();
    command.args(["release", "check"]).arg(bundle);
    if let Some(key) = key {
        command.arg("--public-key").arg(key.with_extension("pub"));
    }
    run(&mut command)
}

/// Path below `folder` → digest.
fn digests(folder: &Path) -> BTreeMap<String, String> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files.map(|entry| (name(entry.path()), digest(entry.path()))).collect()
}

#[test]
fn documents_satisfy_the_projects_that_made_their_formats() {
    let bundle = &released().bundle;
    let judges = Judges::install("release", "tests/release/judges.txt");
    let judge = |arguments: &[&Path]| {
        let mut command = judges.python();
        command.arg(project().join("tests/release/judge.py")).args(arguments);
        run(&mut command)
    };
    let is_content = |arguments: &[&Path]| {
        let said = judge(arguments);
        assert_eq!((said.status, said.stdout.trim()), (0, ""), "{arguments:?}: {}", said.stderr);
    };
    let schema = project().join("docs/manifest.schema.json");
    let mut manifests: Vec<PathBuf> =
        PROFILES.iter().map(|profile| built(profile).join("manifest.json")).collect();
    manifests.push(bundle.join("manifest.json"));
    let mut arguments: Vec<&Path> = vec![Path::new("schema"), &schema];
    arguments.extend(manifests.iter().map(PathBuf::as_path));
    is_content(&arguments);
    // A judge that is content with everything would be none: each also gets its document with a part renamed.
    let cases = [
        ("schema", "manifest.json", "\"hermetic\"", "\"hermetical\""),
        ("spdx", "sbom.spdx.json", "\"BUILD_TOOL_OF\"", "\"TOOL_OF\""),
        ("cyclonedx", "sbom.cdx.json", "\"excluded\"", "\"left out\""),
        ("provenance", "provenance.intoto.json", "\"buildType\"", "\"kind\""),
    ];
    let folder = folder("release-judges");
    for (kind, name, from, to) in cases {
        let (good, bad) = (bundle.join(name), folder.join(name));
        let text = fs::read_to_string(&good).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(&bad, text.replacen(from, to, 1)).unwrap();
        let with_schema = |file| match kind {
            "schema" => vec![Path::new(kind), &schema, file],
            _ => vec![Path::new(kind), file],
        };
        if kind != "schema" {
            is_content(&with_schema(good.as_path()));
        }
        assert_ne!(judge(&with_schema(bad.as_path())).status, 0, "{name} with {to}");
    }
}

#[test]
fn bills_list_kernel_crates_tools_and_downloads() {
    let text = fs::read(released().bundle.join("sbom.cdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let components = bill["components"].as_array().unwrap();
    let find = |name: &str| {
        let mut found = components.iter().filter(|component| component["name"] == name);
        found.next().unwrap_or_else(|| panic!("no {name} in {bill:#}"))
    };
    let kernel = fs::read_to_string(released().bundle.join("kernel.config")).unwrap();
    let version = find("linux")["version"].as_str().unwrap();
    assert!(kernel.contains(&format!("{version} Kernel Configuration")), "{version}");
    let source = find("linux-source-7.3");
    let pins = fs::read_to_string(project().join("profiles/pins.yaml")).unwrap();
    assert!(pins.contains(source["hashes"][0]["content"].as_str().unwrap()), "{source}");
    assert_eq!(find("gcc")["scope"], "excluded");
    // What cargo itself says of the payload: crates of tests are not among them.
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--manifest-path",
    ]);
    let tree = run(tree.arg(project().join("recipes/vtl2-init/Cargo.toml"))).expect("cargo tree");
    let linked = tree.lines().filter_map(|line| line.split_whitespace().next());
    for name in linked {
        assert_eq!(find(name)["scope"], "required", "{name}");
    }
    assert!(components.iter().all(|component| component["name"] != "tempfile"), "{bill:#}");
    let lock = fs::read_to_string(project().join("recipes/vtl2-init/Cargo.lock")).unwrap();
    assert!(lock.contains(find("nix")["hashes"][0]["content"].as_str().unwrap()));
}

#[test]
fn a_signed_release_is_known_by_its_key_alone() {
    let Released { bundle, key, other_key } = released();
    let said = check(bundle, Some(key)).expect("check");
    let fingerprint = harness::judge("ssh-keygen", &["-l", "-f", key.to_str().unwrap()]);
    let fingerprint = fingerprint.split_whitespace().nth(1).unwrap();
    assert!(said.contains(&format!("signed by {fingerprint}\n")), "{said}");
    // The key itself does as well as its file, and nothing of the project is needed.
    let text = fs::read_to_string(key.with_extension("pub")).unwrap();
    let mut elsewhere = xtask();
    elsewhere.args(["release", "check", "--unpack", ".", "--public-key", text.trim()]).current_dir(bundle);
    run(&mut elsewhere).expect("check with the key as text");
    let said = check(bundle, None).expect("check without a key");
    assert!(said.contains("whether that is the right key, --public-key finds out"), "{said}");
    // By hand, as the guide says.
    let script = "cd \"$1\" && sha256sum --quiet --strict --check SHA256SUMS && \
        ssh-keygen -Y check-novalidate -n vtlforge-release -s SHA256SUMS.sig < SHA256SUMS";
    harness::judge("sh", &["-c", script, "sh", bundle.to_str().unwrap()]);
    let wrong = check(bundle, Some(other_key));
    assert_eq!(wrong.status, 1);
    let told =
        format!("error: it was signed by another key than --public-key, {fingerprint}: don't trust it\n");
    assert_eq!(wrong.stderr, told);
}

/// A copy of the release for a case to spoil.
fn copy(name: &str) -> PathBuf {
    let to = folder(&format!("release-{name}")).join(PROFILE);
    harness::copy_tree(&released().bundle, &to);
    to
}

#[test]
fn what_was_tampered_with_is_told_in_one_error() {
    let flip = |path: &Path| {
        let mut content = fs::read(path).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(path, content).unwrap();
    };
    type Tamper<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Tamper, &str); 9] = [
        ("artifact", &|dir| flip(&dir.join("kernel")), "kernel was changed"),
        ("disk", &|dir| flip(&dir.join("disk.raw.zst")), "disk.raw.zst was changed"),
        ("manifest", &|dir| flip(&dir.join("manifest.json")), "manifest.json was changed"),
        ("SBOM", &|dir| flip(&dir.join("sbom.spdx.json")), "sbom.spdx.json was changed"),
        ("missing", &|dir| fs::remove_file(dir.join("vmlinux.zst")).unwrap(), "vmlinux.zst is missing"),
        (
            "extra",
            &|dir| fs::write(dir.join("kernel.bak"), "").unwrap(),
            "kernel.bak is no part of the release",
        ),
        (
            "unsigned",
            &|dir| fs::remove_file(dir.join("SHA256SUMS.sig")).unwrap(),
            "nobody has signed this release",
        ),
        (
            "signature",
            &|dir| fs::write(dir.join("SHA256SUMS.sig"), "no signature").unwrap(),
            "SHA256SUMS.sig is no signature over this SHA256SUMS: one of the two was changed",
        ),
        (
            "empty",
            &|dir| {
                fs::remove_dir_all(dir).unwrap();
                fs::create_dir(dir).unwrap();
            },
            "DIR is no release: it has no SHA256SUMS",
        ),
    ];
    for (name, tamper, wanted) in cases {
        let dir = copy("tampered");
        tamper(&dir);
        let said = check(&dir, Some(&released().key));
        let stderr = said.stderr.replace(dir.to_str().unwrap(), "DIR");
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{name}");
        // Without a signature, its absence contradicts the lack of UNSIGNED as well.
        let first = stderr.lines().find(|line| line.contains(wanted));
        assert!(first.is_some() && stderr.matches("error:").count() == 1, "{name}: {stderr}");
        if name != "unsigned" {
            assert!(stderr.starts_with(&format!("error: {wanted}")), "{name}: {stderr}");
        }
    }
}

/// Whoever tampers and writes the sums anew has no key.
#[test]
fn sums_written_anew_are_not_signed() {
    let dir = copy("resigned");
    fs::write(dir.join("kernel"), "mine").unwrap();
    let script = "cd \"$1\" && rm SHA256SUMS.sig && sha256sum * > sums && mv sums SHA256SUMS && sed -i '/sums$/d' SHA256SUMS";
    harness::judge("sh", &["-c", script, "sh", dir.to_str().unwrap()]);
    let other = released().other_key.to_str().unwrap().to_owned();
    let sums = dir.join("SHA256SUMS");
    harness::judge(
        "ssh-keygen",
        &["-q", "-Y", "sign", "-n", "vtlforge-release", "-f", &other, sums.to_str().unwrap()],
    );
    let said = check(&dir, Some(&released().key));
    assert!(said.stderr.contains("it was signed by another key"), "{}", said.stderr);
}

#[test]
fn equal_releases_have_equal_bytes_whoever_signs_with_the_key() {
    let Released { bundle, key, .. } = released();
    let here = folder("release-again");
    // From another folder, at another umask, in another time zone and language.
    let mut again = Command::new("sh");
    let script = "umask 077; cd \"$1\"; shift; exec \"$@\"";
    again.args(["-c", script, "sh"]).arg(project().join("profiles")).arg(env!("CARGO_BIN_EXE_xtask"));
    again
        .args(["release", PROFILE, "--offline", "--allow-modified", "--jobs", "1", "--out"])
        .arg(here.join("out"));
    again.arg("--key").arg(key).env("TZ", "Asia/Tokyo").env("LC_ALL", "C.UTF-8");
    run(&mut again).expect("release again");
    assert_eq!(digests(&here.join("out").join(PROFILE)), digests(bundle));
    // In its own place: the notes don't begin to say that nothing has changed.
    run(&mut again).expect("release in place");
    assert_eq!(digests(&here.join("out").join(PROFILE)), digests(bundle));

    let agent = Agent::with(key);
    let mut by_agent = release(&here.join("agent"), None);
    by_agent.args(["--key", "agent"]).env("SSH_AUTH_SOCK", &agent.socket);
    run(&mut by_agent).expect("release by the agent");
    assert_eq!(digests(&here.join("agent").join(PROFILE)), digests(bundle));
}

/// An ssh-agent of the test's own.
struct Agent {
    socket: PathBuf,
    process: std::process::Child,
}

impl Agent {
    fn with(key: &Path) -> Agent {
        // Paths of sockets are short.
        let socket = std::env::temp_dir().join(format!("vtlforge-agent-{}", std::process::id()));
        let _ = fs::remove_file(&socket);
        let mut agent = Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Agent { process: agent.spawn().expect("ssh-agent"), socket };
        let started = Instant::now();
        while !agent.socket.exists() && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut add = Command::new("ssh-add");
        run(add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket)).expect("ssh-add");
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

#[test]
fn without_a_key_it_says_so_everywhere() {
    let out = folder("release-unsigned").join("out");
    let said = run(&mut release(&out, None)).expect("release");
    assert!(said.contains("UNSIGNED"), "{said}");
    let bundle = out.join(PROFILE);
    assert!(bundle.join("UNSIGNED").exists() && !bundle.join("SHA256SUMS.sig").exists());
    let said = check(&bundle, None).expect("check");
    assert!(said.contains("UNSIGNED: whole, but nobody vouches for it"), "{said}");
    let said = check(&bundle, Some(&released().key));
    assert_eq!(
        (said.status, said.stderr.as_str()),
        (1, "error: nobody has signed this release: there is no SHA256SUMS.sig\n")
    );
}

#[test]
fn what_a_release_would_overwrite_or_can_t_be_signed_is_told_first() {
    let Released { key, .. } = released();
    let root = folder("release-refused");
    let out = root.join("out");
    harness::copy_tree(&released().bundle, &out.join(PROFILE));
    fs::write(out.join(PROFILE).join("notes.txt"), "mine").unwrap();
    fs::create_dir_all(root.join("mine").join(PROFILE)).unwrap();
    fs::write(root.join("public"), "no key").unwrap();
    let broken = root.join("broken");
    fs::write(&broken, "no key").unwrap();
    let none = root.join("none");
    let cases = [
        ("a file of the user's", release(&out, Some(key)), "notes.txt is of no release, and would be lost"),
        (
            "a folder of the user's",
            release(&root.join("mine"), Some(key)),
            "is no release: it has no SHA256SUMS",
        ),
        ("no key", release(&root.join("a"), Some(&none)), "can't read the key"),
        ("broken key", release(&root.join("a"), Some(&broken)), "is no key that ssh-keygen can read"),
        (
            "no agent",
            {
                let mut command = release(&root.join("a"), None);
                command.args(["--key", "agent"]).env("SSH_AUTH_SOCK", &none);
                command
            },
            "no key is to be had from the agent",
        ),
        (
            "since nothing",
            {
                let mut command = release(&root.join("a"), None);
                command.arg("--since").arg(&root);
                command
            },
            "is no release: it has no release.json",
        ),
        (
            "no public key",
            {
                let mut command = xtask();
                command.args(["release", "check", "."]).arg("--public-key").arg(root.join("public"));
                command
            },
            "holds no public key of OpenSSH",
        ),
    ];
    for (name, mut command, wanted) in cases {
        let said = run(&mut command);
        assert_eq!(said.status, 1, "{name}");
        assert!(
            said.stderr.starts_with("error: ") && said.stderr.contains(wanted),
            "{name}: {}",
            said.stderr
        );
    }
    assert!(!root.join("a").exists());
    assert_eq!(fs::read_to_string(out.join(PROFILE).join("notes.txt")).unwrap(), "mine");
}

/// Killed at any instant: at every moment there is a whole, signed release, the last one or the next.
#[test]
fn killed_releases_leave_the_last_one_whole() {
    let Released { bundle, key, other_key } = released();
    let out = folder("release-killed").join("out");
    let place = out.join(PROFILE);
    harness::copy_tree(bundle, &place);
    let mut random = Random::new(SEED);
    let started = Instant::now();
    run(&mut release(&folder("release-timed"), Some(other_key))).expect("release");
    let whole_ms = started.elapsed().as_millis() as u64;
    for number in 0..if is_exhaustive() { 100 } else { 6 } {
        // The signature tells whose it is: keys take turns.
        let signer = if number % 2 == 0 { other_key } else { key };
        let mut child =
            release(&out, Some(signer)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.below(whole_ms)));
        let _ = child.kill();
        child.wait().unwrap();
        let (one, other) = (check(&place, Some(key)), check(&place, Some(other_key)));
        assert!(one.status == 0 || other.status == 0, "{number}: {}{}", one.stderr, other.stderr);
    }
    run(&mut release(&out, Some(key))).expect("release after all kills");
    assert_eq!(digests(&place), digests(bundle));
    let mut left: Vec<String> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [format!(".{PROFILE}.lock"), PROFILE.to_owned()]);
}

/// A copy of the project with a repository of its own, and profiles of one architecture.
struct OwnProject {
    folder: tempfile::TempDir,
}

impl OwnProject {
    fn new() -> OwnProject {
        let own = OwnProject { folder: tempfile::tempdir().unwrap() };
        harness::copy_project(&own.root());
        for profile in fs::read_dir(own.root().join("profiles")).unwrap() {
            let path = profile.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path.is_file() && ![PROFILE, OTHER_PROFILE, "pins"].contains(&name) {
                fs::remove_file(path).unwrap();
            }
        }
        built(PROFILE);
        own
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn release(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("release").args(arguments).args(["--offline", "--store"]).arg(harness::store());
        command.arg("--out").arg(self.out()).current_dir(self.root());
        run(command.env("GIT_CEILING_DIRECTORIES", self.folder.path()))
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Tests", "-c", "user.email=tests@example.org"]).args(arguments);
        git.current_dir(self.root()).env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05+0600");
        run(&mut git).expect("git")
    }

    fn commit(&self) -> String {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", "Commit"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

#[test]
fn versions_are_those_of_the_repository() {
    let own = OwnProject::new();
    let release = || own.release(&[PROFILE]);
    let said = release();
    assert!(said.stderr.contains("is in no git repository with a commit"), "{}", said.stderr);
    own.git(&["init", "--quiet"]);
    let commit = own.commit();
    let version = |said: Said| {
        let text = said.expect("release");
        text.split_whitespace().nth(1).unwrap().trim_end_matches(':').to_owned()
    };
    assert!(version(release()).ends_with(&format!("-g{}", &commit[..12])));
    own.git(&["tag", "v1.2.0"]);
    assert_eq!(version(release()), "1.2.0");
    let text = fs::read(own.out().join(PROFILE).join("release.json")).unwrap();
    let described: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(described["source"]["date"], "2026-01-01T21:04:05Z");
    fs::write(own.root().join("new"), "").unwrap();
    let said = release();
    assert!(said.stderr.contains("files of the project differ from the revision"), "{}", said.stderr);
    let commit = own.commit();
    assert_eq!(version(release()), format!("1.2.0-1-g{}", &commit[..12]));
    let notes = fs::read_to_string(own.out().join(PROFILE).join("NOTES.md")).unwrap();
    assert!(notes.contains("Changes since 1.2.0.\n"), "{notes}");
}

#[test]
fn whoever_has_a_bundle_and_the_project_can_make_it_again() {
    let own = OwnProject::new();
    own.git(&["init", "--quiet"]);
    let commit = own.commit().trim().to_owned();
    own.release(&[PROFILE]).expect("release");
    let bundle = own.out().join(PROFILE);
    let read = |name: &str| fs::read_to_string(bundle.join(name)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let command: Vec<&str> =
        manifest["command"].as_array().unwrap().iter().flat_map(|word| word.as_str()).collect();
    let provenance: serde_json::Value = serde_json::from_str(&read("provenance.intoto.json")).unwrap();
    let definition = &provenance["predicate"]["buildDefinition"];
    assert_eq!(definition["internalParameters"]["reproduce"], manifest["command"]);
    let told = format!(
        "    git checkout {commit}\n    {}\n",
        command.join(" ").replace("manifest.json", "path/of/this/folder")
    );
    assert!(read("NOTES.md").contains(&told), "{}", read("NOTES.md"));

    // As it stands there, but for the place of the file, and of one step: a kernel takes long.
    assert_eq!(command[..2], ["cargo", "xtask"]);
    let step = format!("device-tree {PROFILE}");
    let reproduce = |reference: &Path| {
        let mut verify = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let words = command[2..].iter().filter(|word| **word != "manifest.json");
        verify
            .args(words)
            .arg(reference)
            .args(["--step", &step, "--offline", "--store"])
            .arg(harness::store());
        run(verify.current_dir(own.root()))
    };
    let same = reproduce(&bundle.join("manifest.json"));
    assert!(same.stdout.contains("2 of 2 artifacts are the same"), "{}\n{}", same.stdout, same.stderr);
    assert_eq!(same.status, 0);

    // In another state of the project it says what is different, and where the release came from.
    let profile = own.root().join(format!("profiles/{PROFILE}.yaml"));
    let text = fs::read_to_string(&profile).unwrap();
    fs::write(&profile, text + "device-tree:\n  cpus: 3\n").unwrap();
    own.commit();
    let other = reproduce(&bundle);
    assert_eq!(other.status, 1, "{}\n{}", other.stdout, other.stderr);
    for told in [
        "    parameter described.",
        &format!("step `{step}` has another key, and made other bytes\n"),
        "artifact platform.dtb differs\n    node /cpus/cpu@2",
        &format!("git checkout {commit}\n"),
        "others: platform.dtb, platform.dts\n",
    ] {
        assert!(other.stdout.contains(told), "{told}\n{}", other.stdout);
    }
}

#[test]
fn a_guest_that_the_host_can_look_into_is_released_only_on_request() {
    let own = OwnProject::new();
    let profile = own.root().join(format!("profiles/{PROFILE}.yaml"));
    let text = fs::read_to_string(&profile).unwrap();
    fs::write(&profile, text + "igvm: {policy: debug}\n").unwrap();
    own.git(&["init", "--quiet"]);
    own.commit();
    let said = own.release(&[PROFILE]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains(&format!("{PROFILE} lets the host look into its guest")), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("error: profiles/{PROFILE}.yaml:")), "{}", said.stderr);
    own.release(&[PROFILE, "--allow-debug"]).expect("release");
    assert!(own.out().join(PROFILE).join("vtl2-debug.igvm").exists());
}

/// One folder with all profiles, each part of which is a release by itself. One of them isn't packed.
#[test]
fn a_collection_is_checked_as_a_whole_and_in_parts() {
    let Released { key, .. } = released();
    let own = OwnProject::new();
    built(OTHER_PROFILE);
    let raw = own.root().join(format!("profiles/{PROFILE}.yaml"));
    let text = fs::read_to_string(&raw).unwrap();
    fs::write(&raw, text + "release: {packing: none}\n").unwrap();
    own.git(&["init", "--quiet"]);
    own.commit();
    own.release(&["--all", "--key", key.to_str().unwrap()]).expect("release --all");
    let all = own.out().join("all");
    check(&all, Some(key)).expect("the collection");
    for profile in [PROFILE, OTHER_PROFILE] {
        check(&all.join(profile), Some(key)).expect(profile);
    }
    assert!(
        all.join(PROFILE).join("disk.raw").exists() && all.join(OTHER_PROFILE).join("disk.raw.zst").exists()
    );
    fs::write(all.join(PROFILE).join("kernel"), "mine").unwrap();
    let said = check(&all, Some(key));
    assert!(said.stderr.starts_with(&format!("error: {PROFILE}/kernel was changed")), "{}", said.stderr);
}
