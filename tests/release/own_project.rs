//! Releases of projects in states of their own: versions, what is released only on request, collections, made again from
//! what the bundle says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    PROFILE, Released, check,
    harness::{self, Said, built, run},
    released,
};

const OTHER_PROFILE: &str = "x86_64-vtl0";

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
        command
            .arg("release")
            .args(arguments)
            .args(["--host-tools", "--offline", "--store"])
            .arg(harness::store());
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
