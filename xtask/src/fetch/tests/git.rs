//! Trees from Git repositories on this machine.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use expect_test::{Expect, expect};

use super::{
    QUIET,
    server::{Act, Server, Site},
    tool,
};
use crate::fetch::{
    archive::{Limits, Options},
    git_source::{GitWanted, check_address, export},
};

const OPTIONS: Options =
    Options { strip_top: true, mtime: 7, merge_usr: false, limits: Limits { entries: 100, bytes: 1 << 20 } };

fn git(folder: &Path, arguments: &[&str]) -> String {
    tool("git", "git", arguments, folder).trim().to_owned()
}

/// A repository of two commits whose attributes ask for changes on export.
fn make_repository(folder: &Path) -> (String, String) {
    git(folder, &["init", "--quiet", "--initial-branch=main", "."]);
    let attributes = "*.txt export-ignore\n*.s export-subst ident\n*.c text eol=crlf\n";
    for (name, content) in
        [(".gitattributes", attributes), ("a.txt", "a"), ("b.s", "$Format:%H$ $Id$"), ("c.c", "c\n")]
    {
        fs::write(folder.join(name), content).expect("written");
    }
    fs::set_permissions(folder.join("a.txt"), fs::Permissions::from_mode(0o755)).expect("set");
    std::os::unix::fs::symlink("c.c", folder.join("link")).expect("made");
    git(folder, &["add", "."]);
    git(folder, &["-c", "core.safecrlf=false", "commit", "--quiet", "--message", "one"]);
    let first = git(folder, &["rev-parse", "HEAD"]);
    fs::write(folder.join("b.s"), "second").expect("written");
    git(folder, &["add", "b.s"]);
    git(folder, &["update-index", "--add", "--cacheinfo", &format!("160000,{first},sub/module")]);
    git(folder, &["commit", "--quiet", "--message", "two"]);
    (first, git(folder, &["rev-parse", "HEAD"]))
}

fn check(url: &str, revision: &str, expected: Expect) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    let wanted = GitWanted { url, revision };
    let report = match export(&wanted, folder.path(), &target, &OPTIONS, &QUIET) {
        Ok(exported) => {
            let mut report = format!("submodules {:?}\n", exported.submodules);
            for entry in walkdir::WalkDir::new(&target).min_depth(1).sort_by_file_name() {
                let entry = entry.expect("readable");
                let mode = entry.metadata().expect("readable").permissions().mode();
                let content = fs::read_to_string(entry.path()).unwrap_or_default();
                let path = entry.path().strip_prefix(&target).expect("below").display().to_string();
                report += &format!("{mode:06o} {path} {content:?}\n");
            }
            report
        }
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&report.replace(url, "URL").replace(revision, "REVISION"));
}

#[test]
fn exports_exactly_what_is_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = make_repository(folder.path());
    let path = folder.path().to_str().expect("UTF-8");
    check(
        path,
        &first,
        expect![[r#"
        submodules []
        100644 .gitattributes "*.txt export-ignore\n*.s export-subst ident\n*.c text eol=crlf\n"
        100755 a.txt "a"
        100644 b.s "$Format:%H$ $Id$"
        100644 c.c "c\n"
        120777 link "c\n"
    "#]],
    );
    check(
        &format!("file://{path}"),
        &second,
        expect![[r#"
            submodules ["sub/module"]
            100644 .gitattributes "*.txt export-ignore\n*.s export-subst ident\n*.c text eol=crlf\n"
            100755 a.txt "a"
            100644 b.s "second"
            100644 c.c "c\n"
            120777 link "c\n"
            040755 sub ""
            040755 sub/module ""
        "#]],
    );
}

/// A server of plain files can give no single commit, so all of its branches and tags are fetched.
#[test]
fn fetches_all_where_it_must() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, _) = make_repository(folder.path());
    git(folder.path(), &["update-server-info"]);
    let root = folder.path().join(".git");
    let mut site = Site::new();
    for entry in walkdir::WalkDir::new(&root) {
        let entry = entry.expect("readable");
        if entry.file_type().is_file() {
            let path = format!("/r/{}", entry.path().strip_prefix(&root).expect("below").display());
            let content = fs::read(entry.path()).expect("readable");
            site.push((path.leak(), content, vec![Act::Give]));
        }
    }
    let server = Server::start(site);
    check(
        &format!("{}/r", server.base),
        &first,
        expect![[r#"
        submodules []
        100644 .gitattributes "*.txt export-ignore\n*.s export-subst ident\n*.c text eol=crlf\n"
        100755 a.txt "a"
        100644 b.s "$Format:%H$ $Id$"
        100644 c.c "c\n"
        120777 link "c\n"
    "#]],
    );
}

#[test]
fn says_what_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    make_repository(folder.path());
    let path = folder.path().to_str().expect("UTF-8");
    check(
        path,
        &"12".repeat(20),
        expect![[r#"
        URL has no commit REVISION; its branches and tags have been fetched whole
        hint: is it pushed, and reachable from a branch or tag there?
    "#]],
    );
    check(
        &format!("{path}/nothing"),
        &"12".repeat(20),
        expect![[r#"
            cannot fetch REVISION from URL
              fatal: 'URL' does not appear to be a git repository
              fatal: Could not read from remote repository.
              Please make sure you have the correct access rights
              and the repository exists.
            hint: is the revision pushed, and reachable from a branch or tag there?
        "#]],
    );
    check(
        path,
        "main",
        expect![[r#"
        git revision "REVISION" is not a full commit id (40 or 64 hexadecimal digits); branches and tags move
    "#]],
    );
}

#[test]
fn takes_no_address_that_runs_programs() {
    let check = |url: &str, good: bool| assert_eq!(check_address(url).is_ok(), good, "{url:?}");
    check("https://example.org/linux.git", true);
    check("ssh://git@example.org/linux.git", true);
    check("git@example.org:linux.git", true);
    check("/srv/linux.git", true);
    check("", false);
    check("--upload-pack=touch /tmp/x", false);
    check("ext::sh -c touch% /tmp/x", false);
    check("ssh://-oProxyCommand=x/y", false);
    check("ftp://example.org/linux.git", false);
    check("linux", false);
    check("https://example.org/\nlinux", false);
    let error = check_address("ftp://user:secret@example.org/x").expect_err("not supported");
    assert!(!format!("{error} {error:?}").contains("secret"));
}
