//! Questions to `plan` and `explain`.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::{Case, Edit, OwnProject, check, harness};

fn case(name: &'static str, arguments: &'static [&'static str], expected: Expect) -> Case {
    Case { name, arguments, edits: &[], expected }
}

#[test]
fn plans() {
    check([
        case(
            "an empty store",
            &["plan", "mine"],
            expect![[r#"
                status 0
                --- stdout
                run    fetch linux-7.3           not built before
                run?   unpack linux-7.3          depends on fetch linux-7.3
                run?   kconfig mine              depends on unpack linux-7.3
                run?   kernel mine               depends on kconfig mine, unpack linux-7.3
                run    vendor vtl2-init          not built before
                run?   payload vtl2-init x86_64  depends on vendor vtl2-init
                run?   initramfs mine            depends on payload vtl2-init x86_64
                run    fetch efi-stub-x86_64     not built before
                run?   extract efi-stub-x86_64   depends on fetch efi-stub-x86_64
                run?   uki mine                  depends on extract efi-stub-x86_64, initramfs mine, kernel mine
                run?   disk mine                 depends on uki mine
                run?   vhd mine                  depends on disk mine
                run?   vhdx mine                 depends on disk mine
                run?   qcow2 mine                depends on disk mine
                0 to reuse, 3 to run, 11 decided by what those make
            "#]],
        ),
        Case {
            name: "a local tree",
            arguments: &["plan", "mine"],
            edits: &[
                Edit::Replace("profiles/layers/mine.yaml", "{pin: linux-7.3}", "{path: linux}"),
                Edit::Write("linux/Makefile", "# A kernel's.\n"),
            ],
            expected: expect![[r#"
                status 0
                --- stdout
                run    kconfig mine              reads a local tree
                run    kernel mine               reads a local tree
                run    vendor vtl2-init          not built before
                run?   payload vtl2-init x86_64  depends on vendor vtl2-init
                run?   initramfs mine            depends on payload vtl2-init x86_64
                run    fetch efi-stub-x86_64     not built before
                run?   extract efi-stub-x86_64   depends on fetch efi-stub-x86_64
                run?   uki mine                  depends on extract efi-stub-x86_64, initramfs mine, kernel mine
                run?   disk mine                 depends on uki mine
                run?   vhd mine                  depends on disk mine
                run?   vhdx mine                 depends on disk mine
                run?   qcow2 mine                depends on disk mine
                0 to reuse, 4 to run, 8 decided by what those make
            "#]],
        },
    ]);
}

#[test]
fn explanations() {
    check([
        case(
            "a whole profile",
            &["explain", "mine"],
            expect![[r#"
                status 0
                --- stdout
                name: mine                                   # the name of profiles/mine.yaml
                description: A profile of the tests.         # profiles/mine.yaml:1:14
                arch: x86_64                                 # profiles/layers/mine.yaml:2:7
                vtl: 0                                       # profiles/layers/mine.yaml:3:6
                firmware: uefi                               # profiles/layers/mine.yaml:4:11
                console: ttyS0                               # profiles/layers/mine.yaml:5:10
                kernel:
                  source:
                    pin: linux-7.3                           # profiles/layers/mine.yaml:7:17
                  patches: []                                # default
                  fragments:
                    - one                                    # profiles/mine.yaml:4:15
                    - other                                  # profiles/mine.yaml:4:20
                  command-line:
                    - console=ttyS0,115200n8                 # from `console`, profiles/layers/mine.yaml:5:10
                    - panic=-1                               # profiles/layers/mine.yaml:8:18
                payload:
                  recipes:
                    - vtl2-init                              # profiles/mine.yaml:6:13
                  compression-level: 19                      # default
                disk:
                  size: 256MiB                               # default
                  label: ESP                                 # default
                  efi-stub: efi-stub-x86_64                  # profiles/layers/mine.yaml:10:13
                  formats:
                    - vhd                                    # default
                    - vhdx                                   # default
                    - qcow2                                  # default
                  qcow2-compression: none                    # default
                release:
                  packing: zstd                              # default
            "#]],
        ),
        case(
            "a key",
            &["explain", "mine", "kernel.command-line"],
            expect![[r#"
                status 0
                --- stdout
                kernel.command-line:
                  - console=ttyS0,115200n8                   # from `console`, profiles/layers/mine.yaml:5:10
                  - panic=-1                                 # profiles/layers/mine.yaml:8:18
            "#]],
        ),
        case(
            "an item of a list",
            &["explain", "mine", "kernel.fragments.1"],
            expect![[r#"
                status 0
                --- stdout
                kernel.fragments.1: other                    # profiles/mine.yaml:4:20
            "#]],
        ),
        case(
            "an item beyond the list",
            &["explain", "mine", "kernel.fragments.2"],
            expect![[r#"
                status 1
                --- stderr
                error: `kernel.fragments` has no key `2`: it is a list of 2, counted from 0
            "#]],
        ),
        case(
            "a default",
            &["explain", "mine", "disk.size"],
            expect![[r#"
                status 0
                --- stdout
                disk.size: 256MiB                            # default
            "#]],
        ),
        case(
            "an almost known key",
            &["explain", "mine", "kernel.comand-line"],
            expect![[r#"
                status 1
                --- stderr
                error: `kernel` has no key `comand-line`; did you mean `command-line`?
            "#]],
        ),
        case(
            "an unknown key",
            &["explain", "mine", "frobnicate"],
            expect![[r#"
                status 1
                --- stderr
                error: a profile has no key `frobnicate`, only `name`, `description`, `arch`, `vtl`, `firmware`, `console`, `kernel`, `payload`, `disk` and `release`
                  hint: steps are `fetch linux-7.3`, `unpack linux-7.3`, `kconfig mine`, `kernel mine`, `vendor vtl2-init`, `payload vtl2-init x86_64`, `initramfs mine`, `fetch efi-stub-x86_64`, `extract efi-stub-x86_64`, `uki mine`, `disk mine`, `vhd mine`, `vhdx mine`, `qcow2 mine`
            "#]],
        ),
        case(
            "a symbol",
            &["explain", "mine", "CONFIG_NR_CPUS"],
            expect![[r#"
                status 0
                --- stdout
                CONFIG_NR_CPUS: asked for as 8, configs/one.config:5:1
                the kernel's source isn't in the store yet: `cargo xtask config check mine` brings it
            "#]],
        ),
        case(
            "a symbol without its prefix",
            &["explain", "mine", "NR_CPUS"],
            expect![[r#"
                status 0
                --- stdout
                CONFIG_NR_CPUS: asked for as 8, configs/one.config:5:1
                the kernel's source isn't in the store yet: `cargo xtask config check mine` brings it
            "#]],
        ),
        case(
            "a symbol that nobody asks for",
            &["explain", "mine", "CONFIG_NUMA"],
            expect![[r#"
                status 0
                --- stdout
                CONFIG_NUMA: no fragment of mine asks for it
                the kernel's source isn't in the store yet: `cargo xtask config check mine` brings it
            "#]],
        ),
        case(
            "a step",
            &["explain", "mine", "initramfs mine"],
            expect![[r#"
                status 0
                --- stdout
                initramfs mine: pack-initramfs
                depends on steps that would run first
                  reads /etc/vtl2-init.json: recipes/vtl2-init/vtl2-init.json
                  reads /init: program of `payload vtl2-init x86_64`
            "#]],
        ),
        case(
            "a step that can run at once",
            &["explain", "mine", "fetch linux-7.3"],
            expect![[r#"
                status 0
                --- stdout
                fetch linux-7.3: fetch-deb
                would run, key DIGEST: not built before
            "#]],
        ),
    ]);
}

/// A file that several programs share decides the keys of all of them, and of nothing else.
#[test]
fn a_file_that_programs_share_is_in_their_keys() {
    let project = OwnProject::new(&[]);
    let keys = || -> BTreeMap<String, Value> {
        let mut plan = harness::xtask();
        plan.args(["plan", "x86_64-vtl2", "--format", "json"]).current_dir(project.root());
        let plan = harness::run(plan.env("VTLFORGE_STORE", project.store())).expect("plan");
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let steps = plan["steps"].as_array().unwrap().iter();
        steps.map(|step| (step["name"].as_str().unwrap().to_string(), step["key"].clone())).collect()
    };
    let before = keys();
    project.edit(&Edit::Replace(
        "bare/runtime/src/memory.rs",
        "copy_up(to, from, length) };\n    to",
        "copy_up(to, from, length) }\n    to",
    ));
    let after = keys();
    let changed: Vec<&String> = before.keys().filter(|name| before[*name] != after[*name]).collect();
    // The keys of programs are known once there are their crates.
    assert_eq!(changed, ["vendor bare"]);
    assert!(before["loader x86_64"].is_null() && before["vendor vtl2-init"].is_string(), "{before:#?}");
}
