//! The kinds of kernel sources that a kernel developer has, through the command line: a tarball, a Git revision,
//! a local tree, patches. The sources are tiny, so what can be seen is how far a build gets and what it says.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{Said, folder, judge, run, xtask};

/// A copy of the project's data with another kernel source, and a store of its own.
struct Project {
    root: PathBuf,
}

impl Project {
    fn new(name: &str, source: &str, patches: &[(&str, &str)]) -> Project {
        let root = folder(name).join("project");
        fs::create_dir_all(&root).unwrap();
        harness::copy_project(&root);
        let layer = root.join("profiles/layers/common.yaml");
        let text = fs::read_to_string(&layer).unwrap();
        let mut new_source = format!("  source: {source}\n");
        if !patches.is_empty() {
            fs::create_dir(root.join("patches")).unwrap();
            let names: Vec<_> = patches.iter().map(|(name, _)| format!("patches/{name}")).collect();
            new_source += &format!("  patches: [{}]\n", names.join(", "));
        }
        for (name, content) in patches {
            fs::write(root.join("patches").join(name), content).unwrap();
        }
        let old_source = "  source: {pin: linux-7.3}\n";
        assert!(text.contains(old_source), "the layer has another source by now");
        fs::write(&layer, text.replace(old_source, &new_source)).unwrap();
        Project { root }
    }

    fn xtask(&self, arguments: &[&str]) -> Said {
        let mut command = xtask();
        command.current_dir(&self.root).args(arguments).arg("--store").arg(self.root.join("../store"));
        run(&mut command)
    }
}

/// A tree that is no kernel, but has a Makefile to say so.
fn tiny_tree(at: &Path) {
    fs::create_dir_all(at.join("init")).unwrap();
    fs::write(
        at.join("Makefile"),
        "allnoconfig:\n\t@echo 'init/main.c:7:2: error: this is no kernel'; exit 1\n",
    )
    .unwrap();
    fs::write(at.join("init/main.c"), "one\ntwo\nthree\nfour\nfive\nsix\nseven\n").unwrap();
}

fn tarball(name: &str) -> (PathBuf, String) {
    let folder = folder(name);
    tiny_tree(&folder.join("linux-tiny"));
    let file = folder.join("linux-tiny.tar.gz");
    judge("tar", &["-C", folder.to_str().unwrap(), "-czf", file.to_str().unwrap(), "linux-tiny"]);
    let sum = judge("sha256sum", &[file.to_str().unwrap()]);
    (file, sum[..64].to_string())
}

fn archive_source(file: &Path, sha256: &str) -> String {
    format!("{{archive: {{url: \"file://{}\", sha256: {sha256}}}}}", file.display())
}

#[test]
fn a_tarball_is_fetched_checked_unpacked_and_built() {
    let (file, sha256) = tarball("source-tarball");
    let said = Project::new("archive", &archive_source(&file, &sha256), &[]).xtask(&[
        "config",
        "check",
        "--with-conf",
    ]);
    assert_eq!(said.status, 1, "{}", said.stderr);
    for part in ["done   fetch linux-tiny.tar.gz", "done   unpack linux-tiny.tar.gz", "this is no kernel"] {
        assert!(said.stderr.contains(part), "no {part:?} in\n{}", said.stderr);
    }

    let wrong = sha256.chars().rev().collect::<String>();
    let said = Project::new("archive-wrong", &archive_source(&file, &wrong), &[]).xtask(&[
        "config",
        "check",
        "--with-conf",
    ]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains(&sha256), "the digest found is not named:\n{}", said.stderr);
    assert!(said.stderr.contains(&wrong), "the digest wanted is not named:\n{}", said.stderr);
}

#[test]
fn a_patch_that_does_not_apply_is_named_with_file_and_hunk() {
    let (file, sha256) = tarball("source-patched");
    let good = "--- a/init/main.c\n+++ b/init/main.c\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n";
    let bad = "From 1234567890123456789012345678901234567890 Mon Sep 17 00:00:00 2001\n\
        From: Nobody <nobody@example.org>\nDate: Thu, 1 Jan 1970 00:00:00 +0000\nSubject: [PATCH] Count in German\n\n---\n\
        --- a/init/main.c\n+++ b/init/main.c\n@@ -3,3 +3,3 @@\n three\n-four\n+vier\n five\n@@ -6,2 +6,2 @@\n six\n-eight\n+acht\n-- \n2.0\n";
    let patches = [("0001-good.patch", good), ("0002-bad.patch", bad)];
    let project = Project::new("patched", &archive_source(&file, &sha256), &patches);
    let said = project.xtask(&["config", "check", "--with-conf"]);
    assert_eq!(said.status, 1);
    for part in ["0002-bad.patch", "Count in German", "init/main.c", "hunk 2"] {
        assert!(said.stderr.contains(part), "no {part:?} in\n{}", said.stderr);
    }
    assert!(!said.stderr.contains("0001-good.patch"), "the good patch is blamed:\n{}", said.stderr);
}

#[test]
fn a_git_revision_is_fetched_and_exported() {
    let repository = folder("source-git");
    tiny_tree(&repository);
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(&repository).args(["-c", "user.name=test", "-c", "user.email=test@example.org"]);
        run(git.args(arguments)).expect("git")
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "A tree"]);
    let revision = git(&["rev-parse", "HEAD"]).trim().to_string();
    let source = |revision: &str| {
        format!("{{git: {{url: \"file://{}\", revision: {revision}}}}}", repository.display())
    };
    let said = Project::new("git", &source(&revision), &[]).xtask(&["config", "check", "--with-conf"]);
    let fetched = format!("done   fetch git {}", &revision[..12]);
    assert!(said.stderr.contains(&fetched), "{}", said.stderr);
    assert!(said.stderr.contains("this is no kernel"), "{}", said.stderr);

    let unknown = "0123456789012345678901234567890123456789";
    let said = Project::new("git-unknown", &source(unknown), &[]).xtask(&["config", "check", "--with-conf"]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains(unknown) && said.stderr.contains("hint:"), "{}", said.stderr);
}

#[test]
fn a_local_tree_is_built_where_it_is_and_runs_every_time() {
    let tree = folder("source-local");
    tiny_tree(&tree);
    let project = Project::new("local", &format!("{{path: \"{}\"}}", tree.display()), &[]);
    let plan = project.xtask(&["plan", "--format", "json"]).expect("plan");
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    for step in plan["steps"].as_array().unwrap() {
        let is_local =
            ["resolve-kconfig", "build-kernel"].contains(&step["action"]["kind"].as_str().unwrap());
        assert_eq!(step["status"] == "always", is_local, "{}", step["name"]);
    }
    let said = project.xtask(&["config", "check", "--with-conf"]);
    assert!(said.stderr.contains("reads a local tree"), "{}", said.stderr);
    assert!(said.stderr.contains("this is no kernel"), "{}", said.stderr);
}
