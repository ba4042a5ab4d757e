//! Who vouches for a release: signatures, what tampering and other keys give, kills in the middle.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    PROFILE, Released, check, digests,
    harness::{self, Random, folder, is_exhaustive, project, run, xtask},
    release, released,
};

const SEED: u64 = 0x72656c65617365;

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
        .args(["release", PROFILE, "--host-tools", "--offline", "--allow-modified", "--jobs", "1", "--out"])
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
