//! Patches that fit and patches that don't, on trees inside and outside of repositories.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use expect_test::{Expect, expect};

use super::{QUIET, noise, tool};
use crate::fetch::patches::apply;

const FILE: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";

/// Applies patches, given as texts, to a tree of one file; compares the answer and the tree.
fn check(patches: &[&[u8]], expected: Expect) {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = make_tree(folder.path());
    check_in(&tree, patches, expected);
}

fn make_tree(folder: &Path) -> std::path::PathBuf {
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("dir")).expect("made");
    fs::write(tree.join("dir/file"), FILE).expect("written");
    tree
}

fn check_in(tree: &Path, patches: &[&[u8]], expected: Expect) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (number, patch) in patches.iter().enumerate() {
        files.push(folder.path().join(format!("{}.patch", number + 1)));
        fs::write(&files[number], patch).expect("written");
    }
    let mut report = match apply(tree, &files, &QUIET) {
        Ok(applied) => {
            let subjects = applied.iter().map(|patch| patch.subject.as_deref().unwrap_or("-"));
            format!("applied: {}\n", subjects.collect::<Vec<_>>().join(", "))
        }
        Err(error) => format!("{error}\n").replace(&folder.path().display().to_string(), "DIR"),
    };
    for entry in walkdir::WalkDir::new(tree).min_depth(1).sort_by_file_name() {
        let entry = entry.expect("readable");
        if entry.file_type().is_file() && !entry.path().components().any(|part| part.as_os_str() == ".git") {
            let content =
                fs::read_to_string(entry.path()).expect("UTF-8").replace('\n', " ").replace('\r', "<CR>");
            let content = content.trim_end();
            let executable = entry.metadata().expect("readable").permissions().mode() & 0o111 != 0;
            let path = entry.path().strip_prefix(tree).expect("below").display().to_string();
            report += &format!("{path}{}: {content}\n", if executable { "*" } else { "" });
        }
    }
    expected.assert_eq(&report);
}

const SECOND: &str = "\
Subject: Say it in
 capitals

--- a/dir/file
+++ b/dir/file
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
@@ -7,4 +7,4 @@ six
 seven
-eight
+EIGHT
 nine
 ten
";

const ADD: &str = "\
diff --git a/new/script b/new/script
new file mode 100755
--- /dev/null
+++ b/new/script
@@ -0,0 +1 @@
+run
";

#[test]
fn applies_in_order() {
    check(
        &[SECOND.as_bytes(), ADD.as_bytes()],
        expect![[r#"
            applied: Say it in capitals, -
            dir/file: one TWO three four five six seven EIGHT nine ten
            new/script*: run
        "#]],
    );
    let again = ADD.replace("new file mode 100755\n", "deleted file mode 100755\n");
    let again = again.replace(
        "--- /dev/null\n+++ b/new/script\n@@ -0,0 +1 @@\n+",
        "--- a/new/script\n+++ /dev/null\n@@ -1 +0,0 @@\n-",
    );
    check(
        &[ADD.as_bytes(), again.as_bytes()],
        expect![[r#"
            applied: -, -
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    let shifted = SECOND.replace("-1,3 +1,3", "-3,3 +3,3").replace("-7,4 +7,4", "-5,4 +5,4");
    check(
        &[shifted.as_bytes()],
        expect![[r#"
            applied: Say it in capitals
            dir/file: one TWO three four five six seven EIGHT nine ten
        "#]],
    );
}

#[test]
fn works_inside_a_repository() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = make_tree(folder.path());
    tool("git", "git", &["init", "--quiet", "."], folder.path());
    check_in(
        &tree,
        &[SECOND.as_bytes()],
        expect![[r#"
            applied: Say it in capitals
            dir/file: one TWO three four five six seven EIGHT nine ten
        "#]],
    );
    tool("git", "git", &["init", "--quiet", "."], &tree);
    check_in(
        &tree,
        &[ADD.as_bytes()],
        expect![[r#"
            applied: -
            dir/file: one TWO three four five six seven EIGHT nine ten
            new/script*: run
        "#]],
    );
}

#[test]
fn names_file_and_hunk() {
    let other = SECOND.replace("-eight", "-ACHT");
    check(
        &[ADD.as_bytes(), other.as_bytes()],
        expect![[r#"
            cannot apply DIR/2.patch (Say it in capitals)
              dir/file: hunk 2 `@@ -7,4 +7,4 @@ six` does not fit: at line 8 it expects "ACHT", but the file has "eight"
            dir/file: one two three four five six seven eight nine ten
            new/script*: run
        "#]],
    );
    check(
        &[SECOND.replace(" ten", " ten\n eleven").replace("-7,4 +7,4", "-7,5 +7,5").as_bytes()],
        expect![[r#"
            cannot apply DIR/1.patch (Say it in capitals)
              dir/file: hunk 2 `@@ -7,5 +7,5 @@ six` does not fit: at line 11 it expects "eleven", but the file ends before
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[SECOND.replace("dir/file", "dir/none").as_bytes()],
        expect![[r#"
            cannot apply DIR/1.patch (Say it in capitals)
              dir/none: the tree has no such file
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[SECOND.as_bytes(), SECOND.as_bytes()],
        expect![[r#"
            cannot apply DIR/2.patch (Say it in capitals)
              dir/file: hunk 1 `@@ -1,3 +1,3 @@` does not fit: at line 2 it expects "two", but the file has "TWO"
            hint: the tree already has this change; leave the patch out
            dir/file: one TWO three four five six seven EIGHT nine ten
        "#]],
    );
    check(
        &[ADD.as_bytes(), ADD.as_bytes()],
        expect![[r#"
            cannot apply DIR/2.patch
              new/script: the patch makes a new file, but the tree has it already
            hint: the tree already has this change; leave the patch out
            dir/file: one two three four five six seven eight nine ten
            new/script*: run
        "#]],
    );
}

#[test]
fn refuses_what_is_no_patch() {
    check(
        &[b""],
        expect![[r#"
            cannot apply DIR/1.patch
              the file is empty
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[&noise(1000)],
        expect![[r#"
            cannot apply DIR/1.patch
              it is no patch: it has neither `diff --git` nor `---` and `+++` lines
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[b"Subject: nothing\n\nhello\n"],
        expect![[r#"
            cannot apply DIR/1.patch
              it is no patch: it has neither `diff --git` nor `---` and `+++` lines
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[&SECOND.as_bytes()[..SECOND.len() - 8]],
        expect![[r#"
            cannot apply DIR/1.patch (Say it in capitals)
              the patch is cut off or damaged at its line 15; its last hunk is 2 `@@ -7,4 +7,4 @@ six` of dir/file
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[b"diff --git a/dir/file b/dir/file\n"],
        expect![[r#"
            cannot apply DIR/1.patch
              it has no change that could be applied
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[b"From nobody\n"],
        expect![[r#"
            cannot apply DIR/1.patch
              corrupt mailbox
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
}

#[test]
fn refuses_paths_that_lead_out() {
    check(
        &[ADD.replace("new/script", "../out").as_bytes()],
        expect![[r#"
            cannot apply DIR/1.patch
              '../out': the path leads outside the tree or into .git
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[ADD.replace("b/new/script", "/tmp/out").as_bytes()],
        expect![[r#"
            applied: -
            dir/file: one two three four five six seven eight nine ten
            tmp/out*: run
        "#]],
    );
    check(
        &[ADD.replace("new/script", ".git/config").as_bytes()],
        expect![[r#"
            cannot apply DIR/1.patch
              '.git/config': the path leads outside the tree or into .git
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    let link = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/tmp\n\\ No newline at end of file\n";
    check(
        &[format!("{link}{}", ADD.replace("new/script", "l/out")).as_bytes()],
        expect![[r#"
            cannot apply DIR/1.patch
              'l/out': the path leads through a symbolic link
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
}

/// A repository with three commits, as mbox series with a cover letter.
fn make_series(folder: &Path) -> Vec<u8> {
    let tree = make_tree(folder);
    let git = |arguments: &[&str]| tool("git", "git", arguments, &tree);
    git(&["init", "--quiet", "--initial-branch=main", "."]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "base"]);
    for (from, to, message) in
        [("two", "ZWEI", "Zwei"), ("five", "FÜNF\r", "Fünf größer"), ("ten", "ZEHN", "Zehn")]
    {
        let text = fs::read_to_string(tree.join("dir/file")).expect("UTF-8").replace(from, to);
        fs::write(tree.join("dir/file"), text).expect("written");
        git(&["commit", "--quiet", "--all", "--message", message]);
    }
    let series = git(&["format-patch", "--stdout", "--cover-letter", "HEAD~3"]);
    git(&["checkout", "--quiet", "HEAD~3"]);
    series.into_bytes()
}

#[test]
fn takes_mbox_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let series = make_series(folder.path());
    check(
        &[&series],
        expect![[r#"
            applied: Zwei, Fünf größer, Zehn
            dir/file: one ZWEI three four FÜNF<CR> six seven eight nine ZEHN
        "#]],
    );
    let text = String::from_utf8(series).expect("UTF-8");
    check(
        &[text.replace("-ten", "-TEN").as_bytes()],
        expect![[r#"
            cannot apply DIR/1.patch, 4 of 4 (Zehn)
              dir/file: hunk 1 `@@ -7,4 +7,4 @@ six` does not fit: at line 10 it expects "TEN", but the file has "ten"
            dir/file: one ZWEI three four FÜNF<CR> six seven eight nine ten
        "#]],
    );
    let end = text.find("diff --git").expect("a patch");
    let second = text[end..].find("\nFrom ").expect("a second") + end;
    check(
        &[format!("{}{}", &text[..end], &text[second..]).as_bytes()],
        expect![[r#"
            cannot apply DIR/1.patch, 2 of 4 (Zwei)
              the mail has no patch
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
    check(
        &[&text.as_bytes()[..text.find("\nFrom ").expect("a second")]],
        expect![[r#"
            cannot apply DIR/1.patch
              it has no mail with a patch
            dir/file: one two three four five six seven eight nine ten
        "#]],
    );
}
