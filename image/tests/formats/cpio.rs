use std::fs;
use std::io::Cursor;

use expect_test::{Expect, expect};
use image::cpio::{Archive, Entry, Kind, Meta, add_missing_parents};
use tempfile::tempdir;

use crate::support::{Broken, chain, content, contents};

fn entry(path: &str, kind: Kind, permissions: u32) -> Entry {
    let meta = Meta { permissions, ..Meta::default() };
    Entry { path: path.into(), kind, meta }
}

fn directory(path: &str) -> Entry {
    entry(path, Kind::Directory, 0o755)
}

fn file(path: &str, length_bytes: u64) -> Entry {
    let source = path.to_owned();
    let kind = Kind::File { source, length_bytes };
    entry(path, kind, 0o644)
}

fn symlink(path: &str, target: &str) -> Entry {
    let target = target.to_owned();
    entry(path, Kind::Symlink { target }, 0o777)
}

fn write(archive: &Archive) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = |source: &str| {
        let found = archive.entries().iter().find(|entry| entry.path == source);
        match found.map(|entry| &entry.kind) {
            Some(Kind::File { length_bytes, .. }) => *length_bytes,
            _ => panic!("{source} is no file"),
        }
    };
    archive.write(|source| Ok(Cursor::new(contents(source, length(source)))), &mut bytes).unwrap();
    bytes
}

fn sample() -> Vec<Entry> {
    let console = Kind::CharDevice { major: 5, minor: 1 };
    let disk = Kind::BlockDevice { major: 259, minor: 300 };
    let mut owned = file("init", 70_001);
    owned.meta = Meta { permissions: 0o4755, uid: 1000, gid: 65534, mtime: 1_000_000_000 };
    vec![
        file("usr/lib/long-name", 1),
        entry("dev/console", console, 0o600),
        owned,
        symlink("lib", "usr/lib"),
        directory("usr"),
        file("usr/empty", 0),
        entry("dev/disk", disk, 0o660),
        directory("dev"),
        file("usr-local", 512),
        directory("usr/lib"),
        directory("tmp"),
    ]
}

#[test]
fn cpio_lists_every_entry() {
    let temporary = tempdir().unwrap();
    let archive = Archive::new(sample()).unwrap();
    let bytes = write(&archive);
    assert_eq!(bytes.len() % 512, 0);
    fs::write(temporary.path().join("archive"), &bytes).unwrap();
    let listing = ["cpio", "-itvn", "--quiet", "-F", "archive"];
    expect![[r#"
        drwxr-xr-x   2 0        0               0 Jan  1  1970 dev
        crw-------   1 0        0          5,   1 Jan  1  1970 dev/console
        brw-rw----   1 0        0        259, 300 Jan  1  1970 dev/disk
        -rwsr-xr-x   1 1000     65534       70001 Sep  9  2001 init
        lrwxrwxrwx   1 0        0               7 Jan  1  1970 lib -> usr/lib
        drwxr-xr-x   2 0        0               0 Jan  1  1970 tmp
        drwxr-xr-x   2 0        0               0 Jan  1  1970 usr
        -rw-r--r--   1 0        0               0 Jan  1  1970 usr/empty
        drwxr-xr-x   2 0        0               0 Jan  1  1970 usr/lib
        -rw-r--r--   1 0        0               1 Jan  1  1970 usr/lib/long-name
        -rw-r--r--   1 0        0             512 Jan  1  1970 usr-local
    "#]]
    .assert_eq(&content(temporary.path(), "cpio", &listing));
}

#[test]
fn cpio_unpacks_what_was_packed() {
    let temporary = tempdir().unwrap();
    let needs_no_root =
        |entry: &Entry| !matches!(entry.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. });
    let entries = sample().into_iter().filter(needs_no_root).collect();
    let archive = Archive::new(entries).unwrap();
    fs::write(temporary.path().join("archive"), write(&archive)).unwrap();
    let unpack = ["cpio", "-i", "--quiet", "--no-preserve-owner", "-D", "out", "-F", "archive"];
    fs::create_dir(temporary.path().join("out")).unwrap();
    content(temporary.path(), "cpio", &unpack);

    for entry in archive.entries() {
        let path = temporary.path().join("out").join(&entry.path);
        match &entry.kind {
            Kind::Directory => assert!(path.is_dir()),
            Kind::File { source, length_bytes } => {
                assert!(fs::read(&path).unwrap() == contents(source, *length_bytes), "{path:?}");
            }
            Kind::Symlink { target } => {
                assert_eq!(fs::read_link(&path).unwrap().to_str(), Some(target.as_str()));
            }
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => unreachable!("left out"),
        }
    }
}

#[test]
fn order_given_makes_no_difference() {
    let mut reversed = sample();
    reversed.reverse();
    let [forward, backward] = [sample(), reversed].map(|entries| write(&Archive::new(entries).unwrap()));
    assert!(forward == backward);
}

#[test]
fn missing_parents_are_added_once() {
    let meta = Meta { permissions: 0o711, ..Meta::default() };
    let mut entries = vec![file("a/b/c/d", 1), file("a/b/e", 1), directory("a"), file("f", 0)];
    add_missing_parents(&mut entries, meta);
    let archive = Archive::new(entries).unwrap();
    let paths: Vec<_> = archive
        .entries()
        .iter()
        .map(|entry| format!("{} {:o}", entry.path, entry.meta.permissions))
        .collect();
    assert_eq!(paths, ["a 755", "a/b 711", "a/b/c 711", "a/b/c/d 644", "a/b/e 644", "f 644"]);
}

#[test]
fn bad_entries_are_refused() {
    let check = |entries: Vec<Entry>, expected: Expect| {
        expected.assert_eq(&chain(&Archive::new(entries).unwrap_err()));
    };
    check(vec![file("", 0)], expect![[r#"path "" in an archive: it is empty"#]]);
    check(
        vec![file("/init", 0)],
        expect![[r#"path "/init" in an archive: it is absolute; paths are relative to the root"#]],
    );
    check(vec![file("a\0b", 0)], expect![[r#"path "a\0b" in an archive: it has a NUL"#]]);
    check(
        vec![file("a/../b", 0)],
        expect![[r#"path "a/../b" in an archive: it has an empty name, `.` or `..` in it"#]],
    );
    check(
        vec![file("./a", 0)],
        expect![[r#"path "./a" in an archive: it has an empty name, `.` or `..` in it"#]],
    );
    check(
        vec![directory("a/")],
        expect![[r#"path "a/" in an archive: it has an empty name, `.` or `..` in it"#]],
    );
    check(
        vec![directory("a"), file("a//b", 0)],
        expect![[r#"path "a//b" in an archive: it has an empty name, `.` or `..` in it"#]],
    );
    check(
        vec![file("TRAILER!!!", 0)],
        expect![[r#"path "TRAILER!!!" in an archive: this name ends an archive"#]],
    );
    check(vec![file("a", 0), directory("a")], expect!["a is in the archive twice"]);
    check(vec![file("a/b", 0)], expect!["a/b needs the directory a, which is not in the archive"]);
    check(vec![file("a", 0), file("a/b", 0)], expect!["a/b lies in a, which is not a directory"]);
    check(vec![symlink("a", "/b"), file("a/b", 0)], expect!["a/b lies in a, which is not a directory"]);
    check(
        vec![symlink("a", "")],
        expect![[r#"target "" of the symbolic link a is empty, has a NUL or is too long"#]],
    );
    check(
        vec![entry("a", Kind::Directory, 0o40755)],
        expect!["permissions 40755 of a have more than twelve bits"],
    );
    check(
        vec![file("a", 1 << 32)],
        expect!["a has 4294967296 bytes, but an archive holds files of at most 4294967295"],
    );
}

#[test]
fn paths_end_at_the_kernels_limit() {
    let check = |length: usize| Archive::new(vec![file(&"n".repeat(length), 0)]);
    assert!(check(4095).is_ok());
    let error = chain(&check(4096).unwrap_err());
    assert!(error.ends_with("in an archive: it is longer than 4095 bytes"), "{error}");
}

#[test]
fn sources_must_be_as_long_as_planned() {
    let archive = Archive::new(vec![file("a", 65_536)]).unwrap();
    let check = |actual: u64, expected: Expect| {
        let result = archive.write(|_| Ok(Cursor::new(contents("a", actual))), &mut Vec::new());
        expected.assert_eq(&result.err().map_or("fits".into(), |error| chain(&error)));
    };
    check(65_536, expect![[r#"fits"#]]);
    check(65_535, expect!["a for a does not have the 65536 bytes that the archive was laid out for"]);
    check(65_537, expect!["a for a does not have the 65536 bytes that the archive was laid out for"]);
    check(0, expect!["a for a does not have the 65536 bytes that the archive was laid out for"]);
    let error = archive.write(|_| Ok(Broken), &mut Vec::new()).unwrap_err();
    expect!["cannot read a for a: the medium is gone"].assert_eq(&chain(&error));
}
