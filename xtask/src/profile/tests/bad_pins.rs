//! Pins that could not be fetched, or not be trusted.

use expect_test::expect;

use super::{BASE, PINS, good};

#[test]
fn no_pins() {
    good().remove(PINS).bad(expect![[r#"
        profiles/pins.yaml: the file is missing; it lists every download with its digest
        1 problem"#]]);
}

#[test]
fn wrong_digest() {
    good()
        .edit(
            PINS,
            "sha256: aa22222222222222222222222222222222222222222222222222222222222222",
            "sha256: sha256:aa22",
        )
        .bad(expect![[r#"
            profiles/pins.yaml:25:15: `pins.stub.deb.sha256`: expected a SHA-256 digest: 64 lower-case hexadecimal digits and nothing else (`sha256sum FILE` prints it), found "sha256:aa22"
             25 |       sha256: sha256:aa22
                |               ^
            1 problem"#]]);
}

#[test]
fn digest_read_as_a_number() {
    good()
        .edit(
            PINS,
            "\"1111111111111111111111111111111111111111111111111111111111111111\"",
            "1111111111111111111111111111111111111111111111111111111111111111",
        )
        .bad(expect![[r#"
            profiles/pins.yaml:13:15: `pins.linux.deb.sha256`: expected a SHA-256 digest: 64 lower-case hexadecimal digits and nothing else (`sha256sum FILE` prints it), found the number `1111111111111111111111111111111111111111111111111111111111111111`
             13 |       sha256: 1111111111111111111111111111111111111111111111111111111111111111
                |               ^
              hint: for text, put it in quotes: "1111111111111111111111111111111111111111111111111111111111111111"
            1 problem"#]]);
}

#[test]
fn missing_keys() {
    good().edit(PINS, "      size: 100\n", "").edit(PINS, "      version: 1:252-1\n", "").bad(expect![[r#"
        profiles/pins.yaml:19:7: `pins.stub.deb`: the keys `version` and `size` are missing
         19 |       package: stubs
            |       ^
        1 problem"#]]);
}

#[test]
fn version_without_pool() {
    good().edit(PINS, "version: 7.3.4-1", "version: 7.3.5-1").bad(expect![[r#"
        profiles/pins.yaml:11:13: the pin `linux` contradicts itself: its package is in `linux-source_7.3.5-1_all.deb`, not in `linux-source_7.3.4-1_all.deb`
         11 |       pool: pool/main/l/linux/linux-source_7.3.4-1_all.deb
            |             ^
          profiles/pins.yaml:8:16: the version is set here
          hint: correct `pool`, or `package`, `version` and `architecture`
        1 problem"#]]);
}

#[test]
fn version_read_as_a_number() {
    good().edit(PINS, "linux: 7.3.4", "linux: 7.3").bad(expect![[r#"
        profiles/pins.yaml:4:12: `pins.linux.linux`: expected a Linux version such as 7.3.4 or 7.4-rc1, found the number `7.3`
         4 |     linux: 7.3
           |            ^
          hint: for text, put it in quotes: "7.3"
        1 problem"#]]);
}

#[test]
fn kernel_without_member() {
    good().edit(PINS, "    member: usr/src/linux.tar.xz\n", "").bad(expect![[r#"
        profiles/pins.yaml:4:12: the pin `linux` is a kernel source, and doesn't say where in the package that is
         4 |     linux: 7.3.4
           |            ^
          hint: add `member:` with the path of the source tarball inside the package
        1 problem"#]]);
}

#[test]
fn day_that_is_none() {
    good().edit(PINS, "sha256: aa22222222222222222222222222222222222222222222222222222222222222\n      snapshot: 20260131T093000Z", "sha256: aa22222222222222222222222222222222222222222222222222222222222222\n      snapshot: 20260132T093000Z").bad(expect![[r#"
        profiles/pins.yaml:26:17: `pins.stub.deb.snapshot`: expected a UTC time stamp in the form YYYYMMDDTHHMMSSZ, such as 20260131T093000Z, found "20260132T093000Z"
         26 |       snapshot: 20260132T093000Z
            |                 ^
        1 problem"#]]);
}

#[test]
fn name_that_is_none() {
    good()
        .edit(PINS, "  stub:", "  my stub:")
        .edit(BASE, "efi-stub: stub", "efi-stub: my stub")
        .bad(expect![[r#"
            profiles/layers/base.yaml:8:13: `disk.efi-stub`: expected a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`, found "my stub"
             8 |   efi-stub: my stub
               |             ^
            profiles/pins.yaml:15:3: `my stub` can't be a key here: expected a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`
             15 |   my stub:
                |   ^
            2 problems"#]]);
}

#[test]
fn pool_with_an_address() {
    good()
        .edit(PINS, "pool/main/l/linux/linux-source_7.3.4-1_all.deb", "/pool/linux-source_7.3.4-1_all.deb")
        .bad(expect![[r#"
            profiles/pins.yaml:11:13: `pins.linux.deb.pool`: expected a relative path without `..`, `.`, backslashes or white space, found "/pool/linux-source_7.3.4-1_all.deb"
             11 |       pool: /pool/linux-source_7.3.4-1_all.deb
                |             ^
            1 problem"#]]);
}

#[test]
fn rust_package_without_a_pin() {
    good().edit(PINS, "pins:\n", "rust-for-aarch64: [rustc]\npins:\n").bad(expect![[r#"
        profiles/pins.yaml:1:20: there is no pin `rustc` in this file
         1 | rust-for-aarch64: [rustc]
           |                    ^
        1 problem"#]]);
}
