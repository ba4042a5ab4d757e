//! Roots for the builder that would be another one tomorrow, or that nobody asked for.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::{Tree, good};
use crate::profile::{builder, builder_file};

const FILE: &str = "profiles/builder.yaml";
const LOCK: &str = "profiles/builder.lock.yaml";

const WANTED: &str = "\
suites: [bookworm]
architecture: amd64
packages:
  gcc: compiles
  make: builds
alone:
  std: {architecture: arm64, reason: links}
links:
  usr/bin/cc: gcc
";

fn lock() -> String {
    let pin = |package: &str, version: &str, arch: &str| {
        let digest = "0123456789abcdef".repeat(4);
        let file = version.split_once(':').map_or(version, |(_, version)| version);
        format!(
            "  - {{package: {package}, version: \"{version}\", architecture: {arch}, suite: bookworm, size: 100, \
             sha256: \"{digest}\", snapshot: 20261122T000000Z, pool: pool/main/x/{package}_{file}_{arch}.deb}}\n"
        )
    };
    let head = "suites: [bookworm]\narchitecture: amd64\npackages: [gcc, make]\nalone: [std]\nlocked:\n";
    let pins = [
        pin("gcc", "4:12.2.0-3", "amd64"),
        pin("headers", "6.1-1", "all"),
        pin("make", "4.3-4.1", "amd64"),
        pin("std", "1.96-1", "arm64"),
    ];
    head.to_owned() + &pins.concat()
}

fn tree() -> Tree {
    good().write(FILE, WANTED).write(LOCK, lock())
}

#[track_caller]
fn bad(tree: Tree, report: Expect) {
    let problems = builder(&tree.0).expect_err("something is wrong with this root");
    report.assert_eq(&problems.to_string());
}

#[test]
fn a_good_one() {
    let found = builder(&tree().0).unwrap_or_else(|problems| panic!("{problems}"));
    let packages: Vec<String> =
        found.packages.iter().map(|pin| format!("{} {}", pin.package, pin.version)).collect();
    assert_eq!(packages, ["gcc 4:12.2.0-3", "headers 6.1-1", "make 4.3-4.1", "std 1.96-1"]);
    assert_eq!(found.links, BTreeMap::from([("usr/bin/cc".to_owned(), "gcc".to_owned())]));
    // They are no profiles.
    tree().specs();
}

#[test]
fn without_files() {
    bad(
        good(),
        expect![[r#"
        profiles/builder.lock.yaml: the file is missing; it says what is in the root in which releases are built
          hint: `cargo xtask pins lock` makes it
        profiles/builder.yaml: the file is missing; it says what is in the root in which releases are built
        2 problems"#]],
    );
    bad(
        tree().remove(LOCK),
        expect![[r#"
        profiles/builder.lock.yaml: the file is missing; it says what is in the root in which releases are built
          hint: `cargo xtask pins lock` makes it
        1 problem"#]],
    );
    let problems = builder_file(&good().0).expect_err("there is no file");
    expect![[r#"
        profiles/builder.yaml: the file is missing; it says what is in the root in which releases are built
        1 problem"#]]
    .assert_eq(&problems.to_string());
}

#[test]
fn pins_that_float() {
    bad(
        tree().edit(LOCK, "version: \"4.3-4.1\", ", ""),
        expect![[r#"
        profiles/builder.lock.yaml:8:5: `locked.2`: the key `version` is missing
         8 |   - {package: make, architecture: amd64, suite: bookworm, size: 100, sha256: "0123456789abcdef012345
           |     ^
        1 problem"#]],
    );
    bad(
        tree().edit(FILE, "  make: builds", "  make: builds\n  bison: parses"),
        expect![[r#"
        profiles/builder.yaml:6:10: `bison` is not in the lock, so it has no version and no digest
         6 |   bison: parses
           |          ^
          hint: `cargo xtask pins lock` writes the lock anew
        1 problem"#]],
    );
    bad(
        tree().edit(FILE, "packages:", "packages:\n  gcc=latest: compiles"),
        expect![[r#"
        profiles/builder.yaml:4:3: `gcc=latest` can't be a key here: expected a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`
         4 |   gcc=latest: compiles
           |   ^
        1 problem"#]],
    );
}

#[test]
fn a_lock_of_another_file() {
    bad(
        tree().edit(FILE, "  make: builds\n", ""),
        expect![[r#"
        profiles/builder.lock.yaml:3:17: profiles/builder.yaml no longer asks for `make`
         3 | packages: [gcc, make]
           |                 ^
          hint: `cargo xtask pins lock` writes the lock anew
        1 problem"#]],
    );
    bad(
        tree().edit(FILE, "suites: [bookworm]", "suites: [bookworm, bookworm-security]"),
        expect![[r#"
        profiles/builder.yaml:1:9: the lock was made for other suites, or another architecture
         1 | suites: [bookworm, bookworm-security]
           |         ^
          profiles/builder.lock.yaml:1:9: those of the lock
          hint: `cargo xtask pins lock` writes the lock anew
        1 problem"#]],
    );
    bad(
        tree().edit(FILE, "std: {architecture: arm64", "std: {architecture: amd64"),
        expect![[r#"
        profiles/builder.lock.yaml:9:53: `std` is for arm64, and nothing asks for that
         9 |   - {package: std, version: "1.96-1", architecture: arm64, suite: bookworm, size: 100, sha256: "0123
           |                                                     ^
          hint: `cargo xtask pins lock` writes the lock anew
        profiles/builder.yaml:7:8: the lock has no version of `std`, though it was made for it
         7 |   std: {architecture: amd64, reason: links}
           |        ^
          hint: `cargo xtask pins lock` writes the lock anew
        2 problems"#]],
    );
}

#[test]
fn a_lock_by_hand() {
    let without = lock()
        .lines()
        .filter(|line| !line.contains("make_"))
        .fold(String::new(), |text, line| text + line + "\n");
    bad(
        tree().write(LOCK, without),
        expect![[r#"
        profiles/builder.yaml:5:9: the lock has no version of `make`, though it was made for it
         5 |   make: builds
           |         ^
          hint: `cargo xtask pins lock` writes the lock anew
        1 problem"#]],
    );
    bad(
        tree().edit(LOCK, "4:12.2.0-3", "4:12.2.0-4"),
        expect![[r#"
        profiles/builder.lock.yaml:6:202: `gcc` of the lock contradicts itself: its package is in `gcc_12.2.0-4_amd64.deb`, not in `gcc_12.2.0-3_amd64.deb`
         6 | …9abcdef0123456789abcdef", snapshot: 20261122T000000Z, pool: pool/main/x/gcc_12.2.0-3_amd64.deb}
           |                                                              ^
          profiles/builder.lock.yaml:6:29: the version is set here
          hint: correct `pool`, or `package`, `version` and `architecture`
        1 problem"#]],
    );
    let twice = lock() + lock().lines().last().unwrap_or_default() + "\n";
    bad(
        tree().write(LOCK, twice),
        expect![[r#"
        profiles/builder.lock.yaml:10:15: `std` is locked twice
         10 |   - {package: std, version: "1.96-1", architecture: arm64, suite: bookworm, size: 100, sha256: "0123
            |               ^
          hint: `cargo xtask pins lock` writes the lock anew
        1 problem"#]],
    );
    let foreign = lock()
        .replace("headers_6.1-1_all", "headers_6.1-1_arm64")
        .replace("\"6.1-1\", architecture: all", "\"6.1-1\", architecture: arm64");
    bad(
        tree().write(LOCK, foreign),
        expect![[r#"
        profiles/builder.lock.yaml:7:56: `headers` is for arm64, and nothing asks for that
         7 |   - {package: headers, version: "6.1-1", architecture: arm64, suite: bookworm, size: 100, sha256: "0
           |                                                        ^
          hint: `cargo xtask pins lock` writes the lock anew
        1 problem"#]],
    );
}
