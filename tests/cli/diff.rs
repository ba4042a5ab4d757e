//! `config diff`: profiles, files, kernels that can't be compared.

use expect_test::expect;

use crate::{
    kconfig::{check, project},
    own_project::Edit,
};

const FRUGAL: [Edit; 2] = [
    Edit::Write(
        "profiles/frugal.yaml",
        "description: Another.\ninherit: [mine]\nkernel:\n  fragments: [frugal]\npayload:\n  recipes: [vtl2-init]\n",
    ),
    Edit::Write("configs/frugal.config", "# Little.\nCONFIG_FRUGAL=y\n"),
];

#[test]
fn differences_of_profiles() {
    check(
        "exit 1",
        &FRUGAL,
        &["config", "diff", "mine", "frugal"],
        expect![[r#"
        status 0
        --- stdout
        CONFIG_FRUGAL: n → y
          frugal: asked for, configs/frugal.config:2
        CONFIG_HYPERV: y → n
          mine: asked for, configs/other.config:2
          frugal: dependency not met: !FRUGAL
        CONFIG_NR_CPUS: 8 → absent
          mine: asked for, configs/one.config:5
          frugal: dependency not met: SMP
        CONFIG_SMP: y → n
          mine: asked for, configs/one.config:2
        --- stderr
        4 symbols differ; 1 more can't be set by anybody or follow from these (--derived lists them)
    "#]],
    );
    check(
        "exit 1",
        &FRUGAL,
        &["config", "diff", "mine", "frugal", "--derived"],
        expect![[r#"
        status 0
        --- stdout
        CONFIG_FRUGAL: n → y
          frugal: asked for, configs/frugal.config:2
        CONFIG_HYPERV: y → n
          mine: asked for, configs/other.config:2
          frugal: dependency not met: !FRUGAL
        CONFIG_HYPERV_TIMER: y → n
          mine: selected by HYPERV
        CONFIG_NR_CPUS: 8 → absent
          mine: asked for, configs/one.config:5
          frugal: dependency not met: SMP
        CONFIG_SMP: y → n
          mine: asked for, configs/one.config:2
        --- stderr
        5 symbols differ
    "#]],
    );
    check(
        "exit 1",
        &FRUGAL,
        &["config", "diff", "mine", "frugal", "--format", "json"],
        expect![[r#"
        status 0
        --- stdout
        {
          "one": "mine",
          "other": "frugal",
          "differences": [
            {
              "symbol": "CONFIG_FRUGAL",
              "one": {
                "value": "n",
                "cause": {
                  "kind": "nobody-asks"
                }
              },
              "other": {
                "value": "y",
                "cause": {
                  "kind": "asked",
                  "at": "configs/frugal.config:2"
                }
              },
              "derived": false
            },
            {
              "symbol": "CONFIG_HYPERV",
              "one": {
                "value": "y",
                "cause": {
                  "kind": "asked",
                  "at": "configs/other.config:2"
                }
              },
              "other": {
                "value": null,
                "cause": {
                  "kind": "dependency",
                  "unmet": [
                    "!FRUGAL"
                  ]
                }
              },
              "derived": false
            },
            {
              "symbol": "CONFIG_NR_CPUS",
              "one": {
                "value": "8",
                "cause": {
                  "kind": "asked",
                  "at": "configs/one.config:5"
                }
              },
              "other": {
                "value": null,
                "cause": {
                  "kind": "dependency",
                  "unmet": [
                    "SMP"
                  ]
                }
              },
              "derived": false
            },
            {
              "symbol": "CONFIG_SMP",
              "one": {
                "value": "y",
                "cause": {
                  "kind": "asked",
                  "at": "configs/one.config:2"
                }
              },
              "other": {
                "value": "n",
                "cause": {
                  "kind": "nobody-asks"
                }
              },
              "derived": false
            }
          ],
          "derived-left-out": 1
        }
    "#]],
    );
}

#[test]
fn differences_of_files() {
    let file = [Edit::Write("own.config", "CONFIG_SMP=y\nCONFIG_NR_CPUS=4\nCONFIG_OLD=y\n")];
    check(
        "exit 1",
        &file,
        &["config", "diff", "mine", "own.config"],
        expect![[r#"
        status 0
        --- stdout
        CONFIG_HYPERV: y → n
          mine: asked for, configs/other.config:2
        CONFIG_NR_CPUS: 8 → 4
          mine: asked for, configs/one.config:5
        CONFIG_OLD: n → y
          mine: not in this kernel
        --- stderr
        3 symbols differ; 1 more can't be set by anybody or follow from these (--derived lists them)
    "#]],
    );
    check(
        "exit 1",
        &file,
        &["config", "diff", "./own.config", "linux/conf.config"],
        expect![[r#"
        status 0
        --- stdout
        CONFIG_HYPERV: n → y
        CONFIG_HYPERV_TIMER: n → y
        CONFIG_NR_CPUS: 4 → 8
        CONFIG_OLD: y → n
        --- stderr
        4 symbols differ
    "#]],
    );
    check(
        "exit 1",
        &[],
        &["config", "diff", "mine", "own.config"],
        expect![[r#"
        status 1
        --- stderr
        error: can't read own.config: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn kernels_that_cannot_be_compared() {
    for (other, wanted) in [
        ("mine@linux-9", "profiles/pins.yaml: there is no pin `linux-9`\n  hint: pins of kernels are "),
        ("mine@efi-stub-x86_64", "the pin `efi-stub-x86_64` is no kernel source: it has no key `linux`"),
        ("mien@linux-7.3", "profiles: there is no profile `mien`"),
    ] {
        let said = project("exit 1", &[]).run(&["config", "diff", "mine", other]);
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{other}");
        assert!(said.stderr.contains(wanted), "{other}: {}", said.stderr);
    }
}
