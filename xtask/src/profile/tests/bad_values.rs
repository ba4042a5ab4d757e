//! What a single value can be wrong in: its key, its type, its text.

use expect_test::expect;

use super::{BASE, DEMO, PARA, PINS, good};

#[test]
fn unknown_key() {
    good().edit(DEMO, "firmware:", "firmwear:").bad(expect![[r#"
        profiles/demo.yaml:4:1: unknown key `firmwear`
         4 | firmwear: uefi
           | ^
          hint: did you mean `firmware`?
        1 problem"#]]);
}

#[test]
fn unknown_key_of_another_map() {
    good().edit(DEMO, "vtl: 0", "vtl: 0\ncommand-line: [quiet]").bad(expect![[r#"
        profiles/demo.yaml:4:1: unknown key `command-line`
         4 | command-line: [quiet]
           | ^
          hint: there is a key `kernel.command-line`
        1 problem"#]]);
}

#[test]
fn unknown_key_like_no_other() {
    good().edit(DEMO, "  size: 300MiB", "  colour: red").bad(expect![[r#"
        profiles/demo.yaml:10:3: unknown key `colour` in `disk`
         10 |   colour: red
            |   ^
          hint: keys allowed here: `size`, `label`, `efi-stub`, `formats` and `qcow2-compression`
        1 problem"#]]);
}

#[test]
fn key_with_an_underscore() {
    good().edit(DEMO, "command-line", "command_line").bad(expect![[r#"
        profiles/demo.yaml:8:3: unknown key `command_line` in `kernel`
         8 |   command_line: [panic=-1]
           |   ^
          hint: did you mean `command-line`?
        1 problem"#]]);
}

#[test]
fn enum_value() {
    good().edit(BASE, "ttyS0", "ttys0").bad(expect![[r#"
        profiles/layers/base.yaml:2:10: `console`: `ttys0` is not known here, expected `ttyS0`, `ttyS2` or `ttyAMA0`
         2 | console: ttys0
           |          ^
          hint: did you mean `ttyS0`?
        1 problem"#]]);
}

#[test]
fn arch_by_another_name() {
    good().edit(BASE, "x86_64", "amd64").bad(expect![[r#"
        profiles/layers/base.yaml:1:7: `arch`: `amd64` is not known here, expected `x86_64` or `aarch64`
         1 | arch: amd64
           |       ^
          hint: did you mean `x86_64`?
        1 problem"#]]);
}

#[test]
fn trust_level_1() {
    good().edit(DEMO, "vtl: 0", "vtl: 1").bad(expect![[r#"
        profiles/demo.yaml:3:6: `vtl`: `1` is not known here, expected `0` or `2`
         3 | vtl: 1
           |      ^
        1 problem"#]]);
}

#[test]
fn quoted_number() {
    good().edit(PARA, "cpus: 4", "cpus: \"4\"").bad(expect![[r#"
        profiles/para.yaml:10:9: `device-tree.cpus`: expected a whole number from 1 to 2048, found the string "4"
         10 |   cpus: "4"
            |         ^
          hint: remove the quotes
        1 problem"#]]);
}

#[test]
fn quoted_trust_level() {
    good().edit(DEMO, "vtl: 0", "vtl: \"0\"").bad(expect![[r#"
        profiles/demo.yaml:3:6: `vtl`: expected `0` or `2`, found the string "0"
         3 | vtl: "0"
           |      ^
          hint: remove the quotes
        1 problem"#]]);
}

#[test]
fn number_for_a_list() {
    good().edit(DEMO, "[guest]", "5").bad(expect![[r#"
        profiles/demo.yaml:7:14: `kernel.fragments`: expected a list of strings, found the number `5`
         7 |   fragments: 5
           |              ^
        1 problem"#]]);
}

#[test]
fn string_for_a_list() {
    good().edit(DEMO, "[guest]", "guest").bad(expect![[r#"
        profiles/demo.yaml:7:14: `kernel.fragments`: expected a list of strings, found the string "guest"
         7 |   fragments: guest
           |              ^
          hint: a list with one item is `[guest]`
        1 problem"#]]);
}

#[test]
fn number_in_a_list_of_strings() {
    good().edit(DEMO, "[panic=-1]", "[panic=-1, 7]").bad(expect![[r#"
        profiles/demo.yaml:8:28: `kernel.command-line.1`: expected one option of the kernel command line: printable ASCII without spaces; a list item for each, found the number `7`
         8 |   command-line: [panic=-1, 7]
           |                            ^
          hint: for text, put it in quotes: "7"
        1 problem"#]]);
}

#[test]
fn list_for_a_map() {
    good().edit(DEMO, "  size: 300MiB\n  label: DEMO", "  - size: 300MiB").bad(expect![[r#"
        profiles/demo.yaml:10:3: `disk`: expected a map with the keys `size`, `label`, `efi-stub`, `formats` and `qcow2-compression`, found a list
         10 |   - size: 300MiB
            |   ^
          hint: remove the dashes in front of the keys
        1 problem"#]]);
}

#[test]
fn no_value() {
    good().edit(DEMO, "firmware: uefi", "firmware:").bad(expect![[r#"
        profiles/demo.yaml:4:9: `firmware`: expected `uefi` or `igvm`, found nothing
         4 | firmware:
           |         ^
          hint: give the key a value, or remove it
        1 problem"#]]);
}

#[test]
fn no_processors() {
    good().edit(PARA, "cpus: 4", "cpus: 0").bad(expect![[r#"
        profiles/para.yaml:10:9: `device-tree.cpus`: expected a whole number from 1 to 2048, found `0`
         10 |   cpus: 0
            |         ^
        1 problem"#]]);
}

#[test]
fn processors_beyond_number() {
    good().edit(PARA, "cpus: 4", "cpus: 99999999999999999999999999999999999999999999").bad(expect![[r#"
        profiles/para.yaml:10:9: `device-tree.cpus`: expected a whole number from 1 to 2048, found `99999999999999999999999999999999999999999999`
         10 |   cpus: 99999999999999999999999999999999999999999999
            |         ^
        1 problem"#]]);
}

#[test]
fn half_a_processor() {
    good().edit(PARA, "cpus: 4", "cpus: 1.5").bad(expect![[r#"
        profiles/para.yaml:10:9: `device-tree.cpus`: expected a whole number from 1 to 2048, found `1.5`
         10 |   cpus: 1.5
            |         ^
        1 problem"#]]);
}

#[test]
fn decimal_unit() {
    good().edit(PARA, "1GiB", "1GB").bad(expect![[r#"
        profiles/para.yaml:11:11: `device-tree.memory`: expected a size: a number with KiB, MiB or GiB such as `256MiB`, or a number of bytes, found "1GB"
         11 |   memory: 1GB
            |           ^
        1 problem"#]]);
}

#[test]
fn compression_level() {
    good().edit(BASE, "recipes: [init]", "recipes: [init]\n  compression-level: 22").bad(expect![[r#"
        profiles/layers/base.yaml:7:22: `payload.compression-level`: expected a whole number from 1 to 19, found `22`
         7 |   compression-level: 22
           |                      ^
        1 problem"#]]);
}

#[test]
fn label() {
    good().edit(DEMO, "label: DEMO", "label: my disk").bad(expect![[r#"
        profiles/demo.yaml:11:10: `disk.label`: expected a volume label: at most 11 characters of A-Z, 0-9, `_` and `-`, found "my disk"
         11 |   label: my disk
            |          ^
        1 problem"#]]);
}

#[test]
fn fragment_with_its_path() {
    good().edit(DEMO, "[guest]", "[configs/guest.config]").bad(expect![[r#"
        profiles/demo.yaml:7:15: `kernel.fragments.0`: expected a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`, found "configs/guest.config"
         7 |   fragments: [configs/guest.config]
           |               ^
        1 problem"#]]);
}

#[test]
fn option_with_a_space() {
    good().edit(DEMO, "[panic=-1]", "['panic=-1 quiet']").bad(expect![[r#"
        profiles/demo.yaml:8:18: `kernel.command-line.0`: expected one option of the kernel command line: printable ASCII without spaces; a list item for each, found "panic=-1 quiet"
         8 |   command-line: ['panic=-1 quiet']
           |                  ^
        1 problem"#]]);
}

#[test]
fn patch_outside() {
    good().edit(DEMO, "[guest]", "[guest]\n  patches: [../one.patch]").bad(expect![[r#"
        profiles/demo.yaml:8:13: `kernel.patches.0`: expected a relative path without `..`, `.`, backslashes or white space, found "../one.patch"
         8 |   patches: [../one.patch]
           |             ^
        1 problem"#]]);
}

#[test]
fn two_sources() {
    good().edit(DEMO, "{pin: linux}", "{pin: linux, path: /src/linux}").bad(expect![[r#"
        profiles/demo.yaml:6:24: `kernel.source` has both `pin` and `path`, and can have only one
         6 |   source: {pin: linux, path: /src/linux}
           |                        ^
          profiles/demo.yaml:6:12: the first one is here
          hint: keep the one you mean
        1 problem"#]]);
}

#[test]
fn unknown_source() {
    good().edit(DEMO, "{pin: linux}", "{tarball: linux}").bad(expect![[r#"
        profiles/demo.yaml:6:12: unknown key `tarball` in `kernel.source`
         6 |   source: {tarball: linux}
           |            ^
          hint: keys allowed here: `pin`, `archive`, `git` and `path`
        1 problem"#]]);
}

#[test]
fn source_as_text() {
    good().edit(DEMO, "{pin: linux}", "linux").bad(expect![[r#"
        profiles/demo.yaml:6:11: `kernel.source`: expected a map with one of the keys `pin`, `archive`, `git` or `path`, found the string "linux"
         6 |   source: linux
           |           ^
        1 problem"#]]);
}

#[test]
fn source_without_anything() {
    good().edit(DEMO, "{pin: linux}", "{}").bad(expect![[r#"
        profiles/demo.yaml:6:11: `kernel.source`: expected a map with one of the keys `pin`, `archive`, `git` or `path`, found an empty map
         6 |   source: {}
           |           ^
        1 problem"#]]);
}

#[test]
fn tag_for_a_revision() {
    good()
        .edit(DEMO, "{pin: linux}", "{git: {url: https://example.org/linux.git, revision: v7.3}}")
        .bad(expect![[r#"
            profiles/demo.yaml:6:64: `kernel.source.git.revision`: expected a full commit id, 40 or 64 lower-case hexadecimal digits (`git rev-parse TAG^{commit}` prints it), found "v7.3"
             6 |   source: {git: {url: https://example.org/linux.git, revision: v7.3}}
               |                                                                ^
            1 problem"#]]);
}

#[test]
fn source_without_digest() {
    good().edit(DEMO, "{pin: linux}", "{archive: {url: https://example.org/linux.tar.xz}}").bad(expect![[
        r#"
            profiles/demo.yaml:6:21: `kernel.source.archive`: the key `sha256` is missing
             6 |   source: {archive: {url: https://example.org/linux.tar.xz}}
               |                     ^
            1 problem"#
    ]]);
}

#[test]
fn password_in_address() {
    good().edit(DEMO, "{pin: linux}", "{git: {url: https://me:secret@example.org/linux.git, revision: 111111111111111111111111111111111111111a}}").bad(expect![[r#"
        profiles/demo.yaml:6:23: `kernel.source.git.url`: expected the address of a repository: https://, http://, git://, ssh:// or file:///, without a password, found "https://me:secret@example.org/linux.git"
         6 |   source: {git: {url: https://me:secret@example.org/linux.git, revision: 111111111111111111111111111
           |                       ^
        1 problem"#]]);
}

#[test]
fn home_in_path() {
    good().edit(DEMO, "{pin: linux}", "{path: ~/src/linux}").bad(expect![[r#"
        profiles/demo.yaml:6:18: `kernel.source.path`: expected a path, absolute or relative to the project (`~` is expanded by shells, not here), found "~/src/linux"
         6 |   source: {path: ~/src/linux}
           |                  ^
        1 problem"#]]);
}

#[test]
fn many_at_once() {
    good()
        .edit(DEMO, "vtl: 0", "vtl: 7")
        .edit(DEMO, "disk:", "disc:")
        .edit(BASE, "x86_64", "riscv64")
        .edit(PINS, "size: 100\n", "size: -1\n")
        .bad(expect![[r#"
            profiles/demo.yaml:3:6: `vtl`: `7` is not known here, expected `0` or `2`
             3 | vtl: 7
               |      ^
            profiles/demo.yaml:9:1: unknown key `disc`
             9 | disc:
               | ^
              hint: did you mean `disk`?
            profiles/layers/base.yaml:1:7: `arch`: `riscv64` is not known here, expected `x86_64` or `aarch64`
             1 | arch: riscv64
               |       ^
            profiles/pins.yaml:24:13: `pins.stub.deb.size`: expected a whole number, at least 1, found `-1`
             24 |       size: -1
                |             ^
            4 problems"#]]);
}
