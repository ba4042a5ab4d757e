use std::fs;

use expect_test::{Expect, expect};
use image::fat::{self, File, Volume, VolumeLabel};
use tempfile::tempdir;

use crate::support::{Recording, chain, content, contents, write_file};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn file(path: &str, length_bytes: u64) -> File {
    File { path: path.into(), source: format!("source of {path}"), length_bytes }
}

fn volume(files: Vec<File>) -> Volume {
    Volume { volume_id: 0xcafe_1234, label: VolumeLabel::new("EFI SYSTEM").unwrap(), files }
}

/// Lays out and writes a volume; fsck.fat must have nothing to say and mtools must find every file's bytes.
fn check(size_bytes: u64, files: Vec<File>, summary: Expect) {
    let temporary = tempdir().unwrap();
    let directory = temporary.path();
    let layout = fat::layout(size_bytes, &volume(files.clone())).unwrap();
    write_file(&layout, &directory.join("volume"));

    let verdict = content(directory, "dosfstools", &["fsck.fat", "-n", "volume"]);
    let (version, lines) = verdict.split_once('\n').unwrap();
    assert!(version.starts_with("fsck.fat "), "{verdict}");
    summary.assert_eq(lines);
    for file in files {
        // mtools takes a bracket for a pattern.
        let path = format!("::/{}", file.path).replace('[', "\\[");
        content(directory, "mtools", &["mcopy", "-n", "-i", "volume", &path, "copy"]);
        let copy = fs::read(directory.join("copy")).unwrap();
        assert!(copy == contents(&file.source, file.length_bytes), "{path}");
        fs::remove_file(directory.join("copy")).unwrap();
    }
}

#[test]
fn volumes_of_many_sizes() {
    let loader = || vec![file("EFI/BOOT/BOOTX64.EFI", 300 * KIB + 7)];
    check(
        34 * MIB,
        loader(),
        expect![[r#"
        volume: 4 files, 604/68552 clusters
    "#]],
    );
    check(
        63 * MIB + 512,
        loader(),
        expect![[r#"
        volume: 4 files, 604/127031 clusters
    "#]],
    );
    check(
        254 * MIB,
        loader(),
        expect![[r#"
        volume: 4 files, 154/129539 clusters
    "#]],
    );
    check(
        4096 * MIB,
        loader(),
        expect![[r#"
        volume: 4 files, 13/131039 clusters
    "#]],
    );
    check(
        65536 * MIB,
        loader(),
        expect![[r#"
        volume: 4 files, 13/2096639 clusters
    "#]],
    );
}

#[test]
fn files_of_many_sizes() {
    let sizes = [0, 1, 511, 512, 513, 4096, 256 * KIB, 256 * KIB + 1, 3 * MIB - 1];
    let files = sizes.map(|size| file(&format!("data/{size}.bin"), size));
    check(
        40 * MIB,
        files.into(),
        expect![[r#"
        volume: 11 files, 7185/80650 clusters
    "#]],
    );
}

#[test]
fn names_long_and_deep() {
    let files = vec![
        file("EFI/Linux/a-unified-kernel-image-7.3.0+example.efi", 5000),
        file("EFI/BOOT/BOOTAA64.EFI", 700),
        file("loader/entries/a name, with [odd] signs.conf", 20),
        file("loader/loader.conf", 30),
        file("a/b/c/d/e/f/g/h/i/j", 40),
        file(&format!("{}.txt", "long".repeat(62)), 50),
        file("lower", 1),
        file("UPPER", 2),
        file("collision-1.text", 3),
        file("collision-2.text", 4),
    ];
    check(
        40 * MIB,
        files,
        expect![[r#"
        volume: 25 files, 37/80650 clusters
    "#]],
    );
}

#[test]
fn directories_of_many_clusters() {
    let files = (0..300).map(|index| file(&format!("many/sub{}/file number {index}", index % 3), 1));
    check(
        34 * MIB,
        files.collect(),
        expect![[r#"
        volume: 305 files, 359/68552 clusters
    "#]],
    );
}

/// Trees of all shapes; contents are left out, as fsck.fat does not look at them.
#[test]
fn fsck_is_content_with_any_tree() {
    let temporary = tempdir().unwrap();
    for seed in 0..16 {
        let mut numbers = contents(&format!("tree {seed}"), 4000).into_iter().map(u64::from);
        let mut next = |below: u64| (numbers.next().unwrap() * 256 + numbers.next().unwrap()) / 3 % below;
        let files = (0..next(60) + 1).map(|index| {
            let depth = next(5);
            let directories =
                (0..depth).map(|level| format!("{}{}/", "directory".repeat(level as usize), next(4)));
            let path: String = directories.collect();
            file(&format!("{path}{}{index}.x", "f".repeat(next(40) as usize)), next(1 << 14) * next(8))
        });
        let files = files.collect();
        let layout = fat::layout((34 + next(100)) * MIB, &volume(files)).unwrap();
        write_file(&layout, &temporary.path().join("volume"));
        let verdict = content(temporary.path(), "dosfstools", &["fsck.fat", "-n", "volume"]);
        assert_eq!(verdict.lines().count(), 2, "{seed}: {verdict}");
    }
}

#[test]
fn identity_is_as_given() {
    let temporary = tempdir().unwrap();
    let layout = fat::layout(34 * MIB, &volume(Vec::new())).unwrap();
    write_file(&layout, &temporary.path().join("volume"));
    let listing = content(temporary.path(), "mtools", &["mdir", "-i", "volume", "::"]);
    assert!(listing.contains("Volume in drive : is EFI SYSTEM"), "{listing}");
    assert!(listing.contains("Volume Serial Number is CAFE-1234"), "{listing}");
}

#[test]
fn same_files_same_bytes_written_once() {
    let files = vec![file("EFI/BOOT/BOOTX64.EFI", MIB + 5), file("b/two", 0), file("b/one", 9000)];
    let reversed = files.iter().rev().cloned().collect();
    let [forward, backward] =
        [files, reversed].map(|files| Recording::of(&fat::layout(40 * MIB, &volume(files)).unwrap()));
    forward.assert_written_once();
    assert!(forward.bytes.get_ref() == backward.bytes.get_ref());
}

#[test]
fn what_cannot_be_a_volume_is_refused() {
    let check = |size: u64, files: Vec<File>, expected: Expect| {
        expected.assert_eq(&chain(&fat::layout(size, &volume(files)).unwrap_err()));
    };
    let one = |path: &str| vec![file(path, 1)];
    check(0, vec![], expect!["FAT32 needs a volume of at least 34087424 bytes, but it has 0"]);
    check(32 * MIB, vec![], expect!["FAT32 needs a volume of at least 34087424 bytes, but it has 33554432"]);
    check(40 * MIB + 1, vec![], expect!["a volume's size is a multiple of 512 bytes, but it has 41943041"]);
    check(
        3 << 40,
        vec![],
        expect!["FAT32 allows a volume of at most 2199023255040 bytes, but it has 3298534883328"],
    );
    check(
        40 * MIB,
        vec![file("a", 40 * MIB)],
        expect![
            "the files need 41943552 bytes of the volume, but it has room for 41292800 (clusters of 512 bytes)"
        ],
    );
    check(
        40 * MIB,
        vec![file("a", 20 * MIB), file("b", 19 * MIB + 500 * KIB)],
        expect![
            "the files need 41406976 bytes of the volume, but it has room for 41292800 (clusters of 512 bytes)"
        ],
    );
    check(
        40 * MIB,
        vec![file("a", 4 << 30)],
        expect!["a has 4294967296 bytes, but FAT32 allows at most 4294967295 in a file"],
    );
    check(
        40 * MIB,
        one(""),
        expect![[r#"path "" in a FAT volume: a name is empty (paths are relative, with single slashes)"#]],
    );
    check(
        40 * MIB,
        one("/a"),
        expect![[r#"path "/a" in a FAT volume: a name is empty (paths are relative, with single slashes)"#]],
    );
    check(
        40 * MIB,
        one("a//b"),
        expect![[
            r#"path "a//b" in a FAT volume: a name is empty (paths are relative, with single slashes)"#
        ]],
    );
    check(40 * MIB, one("a/../b"), expect![[r#"path "a/../b" in a FAT volume: `.` and `..` are not names"#]]);
    check(
        40 * MIB,
        one("a\\b"),
        expect![[
            r#"path "a\\b" in a FAT volume: only ASCII letters, digits, blanks and $%'-_@~`!(){}^#&.+,;=[] are allowed"#
        ]],
    );
    check(
        40 * MIB,
        one("a\0b"),
        expect![[
            r#"path "a\0b" in a FAT volume: only ASCII letters, digits, blanks and $%'-_@~`!(){}^#&.+,;=[] are allowed"#
        ]],
    );
    check(
        40 * MIB,
        one("naïve"),
        expect![[
            r#"path "naïve" in a FAT volume: only ASCII letters, digits, blanks and $%'-_@~`!(){}^#&.+,;=[] are allowed"#
        ]],
    );
    check(
        40 * MIB,
        one("dot."),
        expect![[
            r#"path "dot." in a FAT volume: a name starts with a blank, or ends with a blank or a dot"#
        ]],
    );
    check(
        40 * MIB,
        one(&"n".repeat(256)),
        expect![[
            r#"path "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" in a FAT volume: a name is longer than 255 characters"#
        ]],
    );
    check(
        40 * MIB,
        vec![file("EFI/a", 1), file("efi/A", 1)],
        expect!["EFI/a and efi/A are the same name in a FAT volume, where case makes no difference"],
    );
    let many = (0..32768).map(|index| file(&format!("a/{index}"), 0));
    check(
        40 * MIB,
        many.collect(),
        expect!["the entries of a directory need 2097280 bytes, but FAT allows 2097152"],
    );
    check(
        40 * MIB,
        vec![file("EFI", 1), file("efi/a", 1)],
        expect!["EFI is both a file and the directory of efi/a"],
    );
}

#[test]
fn largest_file_that_fits_fits() {
    let capacity = 40 * MIB - 4 * KIB - 2 * 317 * KIB;
    let largest = (0..4096)
        .map(|steps| capacity - steps * 512)
        .find(|length| fat::layout(40 * MIB, &volume(vec![file("a", *length)])).is_ok());
    let length = largest.unwrap();
    check(
        40 * MIB,
        vec![file("a", length)],
        expect![[r#"
        volume: 2 files, 80645/80650 clusters
    "#]],
    );
}

#[test]
fn bad_labels_are_refused() {
    let check = |label: &str, expected: Expect| {
        expected.assert_eq(&chain(&VolumeLabel::new(label).unwrap_err()));
    };
    check("", expect![[r#"volume label "": it is empty"#]]);
    check("TWELVE BYTES", expect![[r#"volume label "TWELVE BYTES": it is longer than 11 bytes"#]]);
    check(
        "lower",
        expect![[r#"volume label "lower": only A to Z, 0 to 9, blank and $%'-_@~`!(){}^#& are allowed"#]],
    );
    check(" A", expect![[r#"volume label " A": it starts with a blank"#]]);
    check(
        "A/B",
        expect![[r#"volume label "A/B": only A to Z, 0 to 9, blank and $%'-_@~`!(){}^#& are allowed"#]],
    );
}
