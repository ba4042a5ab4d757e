//! Projects with a mistake in them: every verb that reads profiles says the same, so `plan` speaks for them.

use expect_test::{Expect, expect};

use crate::{Case, Edit, check};

const PROFILE: &str = "profiles/mine.yaml";
const LAYER: &str = "profiles/layers/mine.yaml";

fn case(name: &'static str, edits: &'static [Edit], expected: Expect) -> Case {
    Case { name, arguments: &["plan", "mine"], edits, expected }
}

#[test]
fn mistakes_in_profiles() {
    check([
        case(
            "no YAML",
            &[Edit::Replace(PROFILE, "inherit: [mine]", "inherit: [mine")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:3:7: not valid YAML: illegal placement of ':' indicator
                 3 | kernel:
                   |       ^
                  hint: is the indentation right, a space behind each `:`, and every bracket and quote closed?
                1 problem
            "#]],
        ),
        case(
            "an unknown key",
            &[Edit::Replace(PROFILE, "  fragments:", "  fragmnets:")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:4:3: unknown key `fragmnets` in `kernel`
                 4 |   fragmnets: [one, other]
                   |   ^
                  hint: did you mean `fragments`?
                1 problem
            "#]],
        ),
        case(
            "a wrong value",
            &[Edit::Replace(LAYER, "arch: x86_64", "arch: amd64")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/layers/mine.yaml:2:7: `arch`: `amd64` is not known here, expected `x86_64` or `aarch64`
                 2 | arch: amd64
                   |       ^
                  hint: did you mean `x86_64`?
                1 problem
            "#]],
        ),
        case(
            "an unknown layer",
            &[Edit::Replace(PROFILE, "[mine]", "[mien]")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:2:11: there is no layer `mien` (no file profiles/layers/mien.yaml)
                 2 | inherit: [mien]
                   |           ^
                  hint: did you mean `mine`?
                1 problem
            "#]],
        ),
        case(
            "a combination that can't work",
            &[Edit::Replace(LAYER, "ttyS0", "ttyAMA0")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/layers/mine.yaml:5:10: ttyAMA0 is a PL011, an Arm serial port: no x86_64 machine has one
                 5 | console: ttyAMA0
                   |          ^
                  profiles/layers/mine.yaml:2:7: `arch` is set here
                  profiles/mine.yaml: in this profile
                  hint: use `ttyS0`, or at VTL2 `ttyS2`
                1 problem
            "#]],
        ),
        case(
            "a key that nothing sets",
            &[Edit::Replace(LAYER, "vtl: 0\n", "")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:1:1: nothing sets `vtl`
                 1 | description: A profile of the tests.
                   | ^
                  hint: write it in this file, or inherit a layer that sets `vtl` (`vtl0` or `vtl2`)
                1 problem
            "#]],
        ),
        case(
            "an unknown pin",
            &[Edit::Replace(LAYER, "linux-7.3", "linux-73")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/layers/mine.yaml:7:17: there is no pin `linux-73` in profiles/pins.yaml
                 7 |   source: {pin: linux-73}
                   |                 ^
                  hint: did you mean `linux-7.3`?
                1 problem
            "#]],
        ),
    ]);
}

#[test]
fn files_that_are_not_there() {
    check([
        case(
            "a patch",
            &[Edit::Replace(PROFILE, "kernel:\n", "kernel:\n  patches: [patches/mine.patch]\n")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:4:13: there is no file patches/mine.patch (a patch of the profile)
                 4 |   patches: [patches/mine.patch]
                   |             ^
                  hint: patches are files, with their path from the project's folder
                1 problem
            "#]],
        ),
        case(
            "a patch that is a folder",
            &[Edit::Replace(PROFILE, "kernel:\n", "kernel:\n  patches: [configs]\n")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:4:13: there is no file configs (a patch of the profile)
                 4 |   patches: [configs]
                   |             ^
                  hint: patches are files, with their path from the project's folder
                1 problem
            "#]],
        ),
        case(
            "a kernel tree",
            &[Edit::Replace(LAYER, "{pin: linux-7.3}", "{path: ../linux}")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/layers/mine.yaml:7:18: there is no file ../linux/Makefile (a kernel tree has one)
                 7 |   source: {path: ../linux}
                   |                  ^
                  hint: a path is absolute or starts at the project's folder
                1 problem
            "#]],
        ),
        case(
            "a fragment",
            &[Edit::Replace(PROFILE, "[one, other]", "[one, otter]")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:4:20: there is no fragment `otter` (no file configs/otter.config)
                 4 |   fragments: [one, otter]
                   |                    ^
                  hint: did you mean `other`?
                1 problem
            "#]],
        ),
        case(
            "a recipe",
            &[Edit::Replace(PROFILE, "[vtl2-init]", "[vtl2-int]")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:6:13: there is no recipe `vtl2-int` (no file recipes/vtl2-int/recipe.yaml)
                 6 |   recipes: [vtl2-int]
                   |             ^
                  hint: did you mean `vtl2-init`?
                1 problem
            "#]],
        ),
        case(
            "a file of a recipe",
            &[Edit::Remove("recipes/vtl2-init/vtl2-init.json")],
            expect![[r#"
                status 1
                --- stderr
                error: recipes/vtl2-init/recipe.yaml:9:14: there is no file recipes/vtl2-init/vtl2-init.json
                 9 |   - {source: vtl2-init.json, target: /etc/vtl2-init.json, mode: "0644"}
                   |              ^
                1 problem
            "#]],
        ),
        case(
            "a crate's lock file",
            &[Edit::Remove("recipes/vtl2-init/Cargo.lock")],
            expect![[r#"
                status 1
                --- stderr
                error: recipes/vtl2-init/recipe.yaml:4:3: there is no file recipes/vtl2-init/Cargo.lock (recipes are built with --locked)
                 4 |   package: vtl2-init
                   |   ^
                  hint: run `cargo generate-lockfile` there
                1 problem
            "#]],
        ),
    ]);
}

#[test]
fn mistakes_in_fragments() {
    const ONE: &str = "configs/one.config";
    const OTHER: &str = "configs/other.config";
    check([
        case(
            "a conflict",
            &[Edit::Write(OTHER, "# Other.\n# CONFIG_SMP is not set\n")],
            expect![[r#"
                status 1
                --- stderr
                error: configs/other.config:2:1: CONFIG_SMP is n here, but y in an earlier fragment
                 2 | # CONFIG_SMP is not set
                   | ^
                  configs/one.config:2:1: earlier: CONFIG_SMP=y
                  hint: if it is meant, put above the line: # override: <reason>
                1 problem
            "#]],
        ),
        case(
            "lines that the kernel would skip",
            &[Edit::Write(ONE, "# One.\nCONFIG_SMP = y\nCONFIG_NUMA\nSMP=y\n")],
            expect![[r#"
                status 1
                --- stderr
                error: configs/one.config:2:11: a space before `=`
                 2 | CONFIG_SMP = y
                   |           ^
                  hint: write CONFIG_SMP=y
                configs/one.config:3:1: there is no `=` and value
                 3 | CONFIG_NUMA
                   | ^
                  hint: write CONFIG_NUMA=y, or # CONFIG_NUMA is not set
                configs/one.config:4:1: the name of a symbol starts with CONFIG_
                 4 | SMP=y
                   | ^
                  hint: write CONFIG_SMP=y
                3 problems
            "#]],
        ),
        case(
            "a symbol without a reason",
            &[Edit::Write(ONE, "CONFIG_SMP=y\n")],
            expect![[r#"
                status 1
                --- stderr
                error: configs/one.config:1:1: no reason is given for this symbol
                 1 | CONFIG_SMP=y
                   | ^
                  hint: say in a comment above why CONFIG_SMP is y
                1 problem
            "#]],
        ),
        case(
            "an override of nothing",
            &[Edit::Write(OTHER, "# Other.\n# override: Just in case.\nCONFIG_HYPERV=y\n")],
            expect![[r#"
                status 1
                --- stderr
                error: configs/other.config:3:1: an override is announced, but no earlier fragment sets the symbol otherwise
                 3 | CONFIG_HYPERV=y
                   | ^
                  hint: drop `override:` from the comment, or correct the order of the fragments
                1 problem
            "#]],
        ),
    ]);
}

#[test]
fn all_mistakes_in_one_go() {
    check([
        case(
            "the profile and its layer",
            &[
                Edit::Replace(LAYER, "console: ttyS0", "console: ttyS1"),
                Edit::Replace(PROFILE, "payload:\n", "paylaod:\n"),
            ],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/layers/mine.yaml:5:10: `console`: `ttyS1` is not known here, expected `ttyS0`, `ttyS2` or `ttyAMA0`
                 5 | console: ttyS1
                   |          ^
                  hint: did you mean `ttyS0`?
                profiles/mine.yaml:5:1: unknown key `paylaod`
                 5 | paylaod:
                   | ^
                  hint: did you mean `payload`?
                2 problems
            "#]],
        ),
        case(
            "a rule and a fragment",
            &[
                Edit::Replace(LAYER, "ttyS0", "ttyAMA0"),
                Edit::Write("configs/one.config", "# One.\nCONFIG_SMP=yes\n"),
            ],
            expect![[r#"
                status 1
                --- stderr
                error: configs/one.config:2:12: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
                 2 | CONFIG_SMP=yes
                   |            ^
                  hint: write y
                profiles/layers/mine.yaml:5:10: ttyAMA0 is a PL011, an Arm serial port: no x86_64 machine has one
                 5 | console: ttyAMA0
                   |          ^
                  profiles/layers/mine.yaml:2:7: `arch` is set here
                  profiles/mine.yaml: in this profile
                  hint: use `ttyS0`, or at VTL2 `ttyS2`
                2 problems
            "#]],
        ),
        case(
            "a recipe, a fragment and the pins",
            &[
                Edit::Remove("recipes/vtl2-init/vtl2-init.json"),
                Edit::Write("configs/one.config", "# One.\nCONFIG_SMP=yes\n"),
                Edit::Replace("profiles/pins.yaml", "pins:\n", "pins:\n  a b: {}\n"),
            ],
            expect![[r#"
                status 1
                --- stderr
                error: configs/one.config:2:12: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
                 2 | CONFIG_SMP=yes
                   |            ^
                  hint: write y
                profiles/pins.yaml:4:3: `a b` can't be a key here: expected a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`
                 4 |   a b: {}
                   |   ^
                profiles/pins.yaml:4:8: `pins.a b`: the keys `description` and `deb` are missing
                 4 |   a b: {}
                   |        ^
                recipes/vtl2-init/recipe.yaml:9:14: there is no file recipes/vtl2-init/vtl2-init.json
                 9 |   - {source: vtl2-init.json, target: /etc/vtl2-init.json, mode: "0644"}
                   |              ^
                4 problems
            "#]],
        ),
        Case {
            name: "two profiles",
            arguments: &["plan", "mine", "yours"],
            edits: &[
                Edit::Replace(PROFILE, "[vtl2-init]", "[vtl2-int]"),
                Edit::Write(
                    "profiles/yours.yaml",
                    "description: Yours.\ninherit: [mine]\ndisk: {size: 1KiB}\n",
                ),
            ],
            expected: expect![[r#"
                status 1
                --- stderr
                error: profiles/mine.yaml:6:13: there is no recipe `vtl2-int` (no file recipes/vtl2-int/recipe.yaml)
                 6 |   recipes: [vtl2-int]
                   |             ^
                  hint: did you mean `vtl2-init`?
                profiles/yours.yaml:1:1: nothing sets `kernel.fragments` and `payload.recipes`
                 1 | description: Yours.
                   | ^
                  hint: write it in this file, or inherit a layer that sets `kernel.fragments` (`aarch64`, `common`, `vtl0`, `vtl2` or `x86_64`), `payload.recipes` (`common` or `provisioning`)
                2 problems
            "#]],
        },
    ]);
}
