//! `cargo xtask image` with files that are none, and requests that can't be met.

use expect_test::{Expect, expect};

use crate::{Case, Edit, check};

fn case(name: &'static str, arguments: &'static [&'static str], expected: Expect) -> Case {
    Case { name, arguments, edits: &[Edit::Write("note.raw", "no disk, but bytes\n")], expected }
}

#[test]
fn what_is_no_image() {
    check([
        case(
            "a text",
            &["image", "inspect", "note.raw"],
            expect![[r#"
                status 1
                --- stdout
                format      raw, file of 19 B (19 bytes)
                disk        19 B (19 bytes)

                 0                                                                         19 B
                [                                                                              ]
                [    #   #   #   #   #   #   #   #   #    #   #   #   #   #   #   #   #   #    ]
                 #: data, +: some (19 B in all), blank: none

                findings
                  the disk: it has no partition table and no FAT file system that is known here
                    hint: is it an image? `file FILE` may know more
            "#]],
        ),
        case(
            "a profile",
            &["image", "inspect", "mine"],
            expect![[r#"
            status 1
            --- stderr
            error: mine is a profile, and this takes a file
              hint: `cargo xtask build-image mine` makes out/mine/disk.raw
        "#]],
        ),
        case(
            "a profile, to be converted",
            &["image", "convert", "mine", "mine.vhdx"],
            expect![[r#"
            status 1
            --- stderr
            error: mine is a profile, and this takes a file
              hint: `cargo xtask build-image mine` makes out/mine/disk.raw
        "#]],
        ),
        case(
            "nothing",
            &["image", "inspect", "absent.raw"],
            expect![[r#"
            status 1
            --- stderr
            error: can't read absent.raw: No such file or directory (os error 2)
        "#]],
        ),
        case(
            "a folder",
            &["image", "inspect", "profiles"],
            expect![[r#"
                status 1
                --- stderr
                error: can't read profiles: is a directory
            "#]],
        ),
    ]);
}

#[test]
fn conversions_that_cannot_be() {
    check([
        case(
            "a name that says nothing",
            &["image", "convert", "note.raw", "disk"],
            expect![[r#"
            status 1
            --- stderr
            error: the name disk doesn't say which format it shall have
              hint: let it end with .raw, .vhd, .vhdx or .qcow2, or add `--format`
        "#]],
        ),
        case(
            "a file that is there",
            &["image", "convert", "note.raw", "note.raw"],
            expect![[r#"
            status 1
            --- stderr
            error: note.raw is there already
              hint: remove it, or name another file
        "#]],
        ),
        case(
            "no whole MiB",
            &["image", "convert", "note.raw", "disk.vhd"],
            expect![[r#"
            status 1
            --- stderr
            error: can't make disk.vhd: a VHD for Azure has a multiple of 1 MiB, but the disk has 19 bytes
        "#]],
        ),
        case(
            "a folder that isn't there",
            &["image", "convert", "note.raw", "a/disk.vhdx"],
            expect![[r#"
                status 1
                --- stderr
                error: there is no folder a for the new file
                  hint: mkdir -p a
            "#]],
        ),
        case(
            "compressed where nothing can be",
            &["image", "convert", "--compress", "note.raw", "a.vhdx"],
            expect![[r#"
                status 1
                --- stderr
                error: only qcow2 files have compressed clusters
                  hint: leave `--compress` out
            "#]],
        ),
        case(
            "nothing to convert",
            &["image", "convert", "absent.raw", "a.vhdx"],
            expect![[r#"
            status 1
            --- stderr
            error: can't read absent.raw: No such file or directory (os error 2)
        "#]],
        ),
    ]);
}
