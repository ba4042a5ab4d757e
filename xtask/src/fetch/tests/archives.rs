//! Unpacking archives: honest ones compared with what tar and dpkg-deb make of them, broken ones, and
//! those that try to get out.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use expect_test::{Expect, expect};
use tar::EntryType;

use super::{QUIET, noise, tool};
use crate::fetch::{
    Control,
    archive::{Archive, Limits, Options, extract_member, unpack},
};

const OPTIONS: Options = Options {
    strip_top: false,
    mtime: 1_700_000_000,
    merge_usr: false,
    limits: Limits { entries: 100, bytes: 1 << 20 },
};

/// An entry: kind, mode, path, link target or content.
type Entry<'a> = (EntryType, u32, &'a str, &'a str);

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const HARDLINK: EntryType = EntryType::Link;

/// A tar archive with names as given, however bad.
fn tarball(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (kind, mode, path, data) in entries {
        let is_link = matches!(*kind, SYMLINK | HARDLINK);
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if is_link {
            header.as_old_mut().linkname[..data.len()].copy_from_slice(data.as_bytes());
        }
        let content = if is_link { "" } else { data };
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        header.set_mtime(12345);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// What is below a folder: mode, path, content or target; times only where they are not as they should be.
fn listing(root: &Path) -> String {
    let mut lines = String::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.expect("readable");
        let (path, metadata) = (entry.path(), entry.path().symlink_metadata().expect("readable"));
        let content = match metadata.file_type() {
            kind if kind.is_symlink() => format!(" -> {}", fs::read_link(path).expect("a link").display()),
            kind if kind.is_dir() => "/".to_owned(),
            _ => format!(" {:?}", String::from_utf8_lossy(&fs::read(path).expect("a file"))),
        };
        let time = if metadata.mtime() == OPTIONS.mtime as i64 { "" } else { " AT ANOTHER TIME" };
        let name = path.strip_prefix(root).expect("below");
        lines += &format!("{:06o} {}{content}{time}\n", metadata.mode(), name.display());
    }
    lines
}

/// Unpacks a tarball, and compares the tree or the error with what is expected.
fn check_bytes(bytes: &[u8], options: &Options, expected: Expect) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, root) = (folder.path().join("a.tar"), folder.path().join("inner/root"));
    fs::write(&file, bytes).expect("written");
    let report = match unpack(Archive::Tarball(&file), &root, options, &QUIET) {
        Ok(_) => listing(&root),
        Err(error) => format!("{error}\n").replace(&folder.path().display().to_string(), "DIR"),
    };
    expected.assert_eq(&report);
    let mut outside: Vec<PathBuf> = walkdir::WalkDir::new(folder.path())
        .into_iter()
        .map(|entry| entry.expect("readable").into_path())
        .filter(|path| !path.starts_with(&root))
        .collect();
    outside.retain(|path| *path != folder.path() && *path != file && *path != folder.path().join("inner"));
    assert!(outside.is_empty(), "got out: {outside:?}");
}

fn check(entries: &[Entry], expected: Expect) {
    check_bytes(&tarball(entries), &OPTIONS, expected);
}

fn check_stripped(entries: &[Entry], expected: Expect) {
    check_bytes(&tarball(entries), &Options { strip_top: true, ..OPTIONS }, expected);
}

#[test]
fn normalises_modes_and_times() {
    let entries = [
        (FOLDER, 0o7777, "./d/", ""),
        (FILE, 0o6755, "./d/run", "1"),
        (FILE, 0o000, "d/secret", "2"),
        (FILE, 0o666, "deep/without/folders", "3"),
        (SYMLINK, 0o777, "d/link", "../deep/./without"),
        (HARDLINK, 0o644, "hard", "d/run"),
        (FOLDER, 0o755, "d", ""),
    ];
    check(
        &entries,
        expect![[r#"
        040755 d/
        120777 d/link -> ../deep/without
        100755 d/run "1"
        100644 d/secret "2"
        040755 deep/
        040755 deep/without/
        100644 deep/without/folders "3"
        100755 hard "1"
    "#]],
    );
}

#[test]
fn strips_the_top_folder() {
    check_stripped(
        &[
            (FOLDER, 0o755, "top-1.0/", ""),
            (FILE, 0o644, "top-1.0/a", ""),
            (HARDLINK, 0o644, "./top-1.0/b", "top-1.0/a"),
        ],
        expect![[r#"
            100644 a ""
            100644 b ""
        "#]],
    );
    check_stripped(
        &[(FILE, 0o644, "one/a", ""), (FILE, 0o644, "two/b", "")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "two/b" is not below the top folder "one" like those before it
    "#]],
    );
}

#[test]
fn nothing_gets_out() {
    check(
        &[(FILE, 0o644, "../out", "x")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "../out" leads outside the archive ("../out")
    "#]],
    );
    check(
        &[(FILE, 0o644, "a/../../out", "x")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "a/../../out" leads outside the archive ("a/../../out")
    "#]],
    );
    check(
        &[(FILE, 0o644, "/tmp/out", "x")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "/tmp/out" leads outside the archive ("/tmp/out")
    "#]],
    );
    check(
        &[(FOLDER, 0o755, "..", "")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry ".." leads outside the archive ("..")
    "#]],
    );
    check(
        &[(SYMLINK, 0o777, "l", "/etc")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "l" is a symbolic link to "/etc", outside the archive
    "#]],
    );
    check(
        &[(SYMLINK, 0o777, "a/l", "../../out")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "a/l" is a symbolic link to "../../out", outside the archive
    "#]],
    );
    check(
        &[(SYMLINK, 0o777, "a/b", ".."), (SYMLINK, 0o777, "l", "a/b/../../out")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "l" is a symbolic link to "a/b/../../out", outside the archive
    "#]],
    );
    check(
        &[(SYMLINK, 0o777, "l", ".."), (FILE, 0o644, "l/out", "x")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "l" is a symbolic link to "..", outside the archive
    "#]],
    );
    check(
        &[(SYMLINK, 0o777, "d/l", ".."), (FILE, 0o644, "d/l/out", "x")],
        expect![[r#"
            refusing to unpack DIR/a.tar: entry "d/l" is there twice, or both a folder and something else
        "#]],
    );
    check(
        &[(SYMLINK, 0o777, "l", "d"), (SYMLINK, 0o777, "l/m", "x")],
        expect![[r#"
            refusing to unpack DIR/a.tar: entry "l" is there twice, or both a folder and something else
        "#]],
    );
    check(
        &[(HARDLINK, 0o644, "l", "/etc/passwd")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "l" leads outside the archive ("/etc/passwd")
    "#]],
    );
    check(
        &[(HARDLINK, 0o644, "l", "../a.tar")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "l" leads outside the archive ("../a.tar")
    "#]],
    );
    check(
        &[(SYMLINK, 0o777, "s", "."), (HARDLINK, 0o644, "l", "s")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "l" is a hard link to "s", which is no file before it
    "#]],
    );
}

#[test]
fn takes_only_what_a_source_tree_has() {
    check(
        &[(EntryType::Char, 0o666, "null", "")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "null" is a character device, which no source tree needs
    "#]],
    );
    check(
        &[(EntryType::Block, 0o666, "sda", "")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "sda" is a block device, which no source tree needs
    "#]],
    );
    check(
        &[(EntryType::Fifo, 0o666, "pipe", "")],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "pipe" is a named pipe, which no source tree needs
    "#]],
    );
    check(
        &[(FILE, 0o644, "a", "1"), (FILE, 0o644, "a", "2")],
        expect![[r#"
            refusing to unpack DIR/a.tar: entry "a" is there twice, or both a folder and something else
        "#]],
    );
    check(
        &[(FILE, 0o644, "a", "1"), (SYMLINK, 0o644, "a", "b")],
        expect![[r#"
            refusing to unpack DIR/a.tar: entry "a" is there twice, or both a folder and something else
        "#]],
    );
}

#[test]
fn stops_at_bombs() {
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let many: Vec<Entry> = names.iter().map(|name| (FILE, 0o644, name.as_str(), "")).collect();
    check(
        &many,
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "100" is one more than the limit of 100
    "#]],
    );
    let large = "0".repeat(2 << 20);
    check(
        &[(FILE, 0o644, "large", &large)],
        expect![[r#"
        refusing to unpack DIR/a.tar: entry "large" exceeds the limit of 1048576 bytes unpacked
    "#]],
    );
}

#[test]
fn notices_truncation() {
    let tar = tarball(&[(FILE, 0o644, "a", "content"), (FILE, 0o644, "b", "more")]);
    check_bytes(
        &tar[..512 * 3 + 2],
        &OPTIONS,
        expect![[r#"
        cannot unpack DIR/a.tar: it is truncated within b
    "#]],
    );
    check_bytes(
        &tar[..512 * 4 - 1],
        &OPTIONS,
        expect![[r#"
            cannot unpack DIR/a.tar: it is truncated
        "#]],
    );
    check_bytes(
        &tar[..512 * 3 - 500],
        &OPTIONS,
        expect![[r#"
            cannot unpack DIR/a.tar: it is truncated
        "#]],
    );
    check_bytes(
        &tar[..100],
        &OPTIONS,
        expect![[r#"
            cannot unpack DIR/a.tar: it is truncated
        "#]],
    );
    check_bytes(
        b"",
        &OPTIONS,
        expect![[r#"
        cannot unpack DIR/a.tar: it has no end marker, so it is truncated or not a tar archive
    "#]],
    );
    check_bytes(
        &noise(2048),
        &OPTIONS,
        expect![[r#"
        cannot unpack DIR/a.tar: it is not a tar archive, or damaged
    "#]],
    );
    for compressed in [xz(&tar), gzip(&tar), zstandard(&tar)] {
        for end in [7, compressed.len() / 2, compressed.len() - 9, compressed.len() - 1] {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("cut.tar");
            fs::write(&file, &compressed[..end]).expect("written");
            let error = unpack(Archive::Tarball(&file), &folder.path().join("root"), &OPTIONS, &QUIET)
                .expect_err("it is cut off")
                .to_string();
            assert!(error.starts_with(&format!("cannot unpack {}: ", file.display())), "{error}");
        }
    }
}

#[test]
fn stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.tar");
    fs::write(&file, tarball(&[(FILE, 0o644, "a", "content")])).expect("written");
    let told = Control { cancel: &AtomicBool::new(true), progress: &|_, _| {} };
    let error = unpack(Archive::Tarball(&file), &folder.path().join("root"), &OPTIONS, &told);
    assert_eq!(error.expect_err("stopped").to_string(), format!("unpacking {} was stopped", file.display()));
}

#[test]
fn refuses_a_folder_that_is_not_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.tar");
    fs::write(&file, tarball(&[])).expect("written");
    let error = unpack(Archive::Tarball(&file), folder.path(), &OPTIONS, &QUIET).expect_err("not empty");
    assert!(error.to_string().contains("directory not empty"), "{error}");
}

#[test]
fn knows_compression_by_content() {
    let tar = tarball(&[(FILE, 0o644, "a", "content")]);
    let expected = "100644 a \"content\"\n";
    let (first, second) = tar.split_at(700);
    let two_streams = [xz(first), vec![0; 8], xz(second)].concat();
    let two_members = [gzip(first), gzip(second)].concat();
    let two_frames = [zstandard(first), zstandard(second)].concat();
    for compressed in
        [tar.clone(), xz(&tar), gzip(&tar), zstandard(&tar), two_streams, two_members, two_frames]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, root) = (folder.path().join("a.tar"), folder.path().join("root"));
        fs::write(&file, compressed).expect("written");
        unpack(Archive::Tarball(&file), &root, &OPTIONS, &QUIET).expect("unpacked");
        assert_eq!(listing(&root), expected);
    }
}

/// A tree with a program, a nested tarball, long names and links, as a package and as dpkg-deb sees it.
#[test]
fn unpacks_packages_as_dpkg_does() {
    for compression in ["xz", "gzip", "zstd", "none"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (tree, package) = (folder.path().join("tree"), folder.path().join("p.deb"));
        make_tree(&tree);
        let option = format!("-Z{compression}");
        tool("dpkg", "dpkg-deb", &["--root-owner-group", &option, "--build", "tree", "p.deb"], folder.path());
        tool("dpkg", "dpkg-deb", &["--extract", "p.deb", "judge"], folder.path());
        let (ours, inner) = (folder.path().join("ours"), folder.path().join("inner"));
        let unpacked = unpack(Archive::Package(&package), &ours, &OPTIONS, &QUIET).expect("unpacked");
        assert_eq!((unpacked.files, unpacked.links), (4, 2), "{compression}");
        tool("diffutils", "diff", &["--recursive", "--no-dereference", "judge", "ours"], folder.path());

        let mut bytes = Vec::new();
        extract_member(&package, "usr/src/thing.tar.xz", 1 << 20, &mut bytes).expect("a member");
        assert_eq!(bytes, fs::read(tree.join("usr/src/thing.tar.xz")).expect("a file"));
        let nested = Archive::TarballInPackage { package: &package, member: "usr/src/thing.tar.xz" };
        unpack(nested, &inner, &Options { strip_top: true, ..OPTIONS }, &QUIET).expect("unpacked");
        assert_eq!(listing(&inner), "100755 run \"#!\"\n");

        check_broken_package(&package, folder.path());
    }
}

fn make_tree(tree: &Path) {
    let long = "a-name-of-many-characters-".repeat(7);
    fs::create_dir_all(tree.join("DEBIAN")).expect("made");
    fs::create_dir_all(tree.join("usr/src")).expect("made");
    let control =
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: d\n";
    fs::write(tree.join("DEBIAN/control"), control).expect("written");
    fs::write(tree.join("usr/run"), noise(300_000)).expect("written");
    fs::set_permissions(tree.join("usr/run"), fs::Permissions::from_mode(0o755)).expect("set");
    fs::write(tree.join("usr").join(long), "long").expect("written");
    fs::write(tree.join("usr/src/a"), "a").expect("written");
    let nested = tarball(&[(FOLDER, 0o755, "thing/", ""), (FILE, 0o755, "thing/run", "#!")]);
    fs::write(tree.join("usr/src/thing.tar.xz"), xz(&nested)).expect("written");
    std::os::unix::fs::symlink("src/a", tree.join("usr/relative")).expect("made");
    std::os::unix::fs::symlink("../../usr/run", tree.join("usr/src/upwards")).expect("made");
}

fn check_broken_package(package: &Path, folder: &Path) {
    let refuse = |archive: Archive, name: &str| {
        let root = tempfile::tempdir_in(folder).expect("a folder");
        let error = unpack(archive, root.path(), &OPTIONS, &QUIET).expect_err("broken").to_string();
        assert!(error.contains(name), "{error}");
        error
    };
    let nested = |member| Archive::TarballInPackage { package, member };
    let error = refuse(nested("usr/src/none"), "p.deb");
    assert!(error.ends_with("the package has no file usr/src/none"), "{error}");
    refuse(nested("usr/relative"), "usr/relative in the package is not a regular file");
    let too_large = extract_member(package, "usr/run", 1000, &mut Vec::new()).expect_err("too large");
    assert!(
        too_large.to_string().ends_with("usr/run in the package is larger than 1000 bytes"),
        "{too_large}"
    );
    let bytes = fs::read(package).expect("a file");
    for end in [0, 4, 60, 100, bytes.len() / 2, bytes.len() - 3000] {
        let cut = folder.join("cut.deb");
        fs::write(&cut, &bytes[..end]).expect("written");
        refuse(Archive::Package(&cut), "cut.deb");
    }
}

#[test]
fn keeps_absolute_links_of_packages_inside() {
    let folder = tempfile::tempdir().expect("a folder");
    let tar = tarball(&[(SYMLINK, 0o777, "./usr/lib/l", "/etc/x"), (SYMLINK, 0o777, "./root", "/")]);
    let package = folder.path().join("p.deb");
    let mut archive = ar::Builder::new(fs::File::create(&package).expect("made"));
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &[]), ("data.tar", &tar)] {
        archive.append(&ar::Header::new(name.into(), content.len() as u64), content).expect("written");
    }
    let root = folder.path().join("root");
    unpack(Archive::Package(&package), &root, &OPTIONS, &QUIET).expect("unpacked");
    assert_eq!(fs::read_link(root.join("usr/lib/l")).expect("a link"), Path::new("../../etc/x"));
    assert_eq!(fs::read_link(root.join("root")).expect("a link"), Path::new("."));
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("compressed")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("compressed")
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.include_checksum(true).expect("possible");
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("compressed")
}
