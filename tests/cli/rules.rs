//! Profiles against the rules over kernels: before Kconfig has decided, and when it has.

use expect_test::{Expect, expect};

use crate::{Case, Edit, check, kconfig};

const ONE: &str = "configs/one.config";
const LAYER: &str = "profiles/layers/mine.yaml";
const RULES: &str = "configs/rules.yaml";

fn case(name: &'static str, edits: &'static [Edit], expected: Expect) -> Case {
    Case { name, arguments: &["plan", "mine"], edits, expected }
}

#[test]
fn what_is_certain_before_kconfig_has_decided() {
    check([
        case(
            "a guest that asks for VTL mode, and for chance",
            &[Edit::Write(ONE, "# One.\nCONFIG_HYPERV_VTL_MODE=y\nCONFIG_GCC_PLUGIN_LATENT_ENTROPY=y\n")],
            expect![[r#"
                status 1
                --- stderr
                error: configs/one.config:2:1: CONFIG_HYPERV_VTL_MODE is y, wanted n
                 2 | CONFIG_HYPERV_VTL_MODE=y
                   | ^
                  configs/rules.yaml:LINE: such a kernel has other set-up code in place of the platform's, and doesn't boot as a normal guest
                  profiles/mine.yaml: in this profile
                  hint: write into a fragment: # CONFIG_HYPERV_VTL_MODE is not set
                configs/one.config:3:1: CONFIG_GCC_PLUGIN_LATENT_ENTROPY is y, wanted n
                 3 | CONFIG_GCC_PLUGIN_LATENT_ENTROPY=y
                   | ^
                  configs/rules.yaml:LINE: the compiler puts random numbers into the code, other ones at each run
                  profiles/mine.yaml: in this profile
                  hint: write into a fragment: # CONFIG_GCC_PLUGIN_LATENT_ENTROPY is not set
                2 problems
            "#]],
        ),
        case(
            "keys and firmware of the build machine",
            &[Edit::Write(
                ONE,
                "# One.\nCONFIG_MODULE_SIG_KEY=\"certs/signing_key.pem\"\nCONFIG_EXTRA_FIRMWARE_DIR=\"/lib/firmware\"\n",
            )],
            expect![[r#"
                status 1
                --- stderr
                error: configs/one.config:2:1: CONFIG_MODULE_SIG_KEY is "certs/signing_key.pem", wanted ""
                 2 | CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"
                   | ^
                  configs/rules.yaml:LINE: each build draws a key for modules anew, and the image holds its certificate
                  profiles/mine.yaml: in this profile
                  hint: do without modules or without MODULE_SIG; or sign them later with a key of your own, with CONFIG_MODULE_SIG_KEY="" and its certificate in CONFIG_SYSTEM_TRUSTED_KEYS
                configs/one.config:3:1: CONFIG_EXTRA_FIRMWARE_DIR is "/lib/firmware", wanted a path inside the source tree
                 3 | CONFIG_EXTRA_FIRMWARE_DIR="/lib/firmware"
                   | ^
                  configs/rules.yaml:LINE: the image holds what is in that file, whatever it is on the machine that builds
                  profiles/mine.yaml: in this profile
                  hint: add the file to the source tree by a patch, and name it by its path there
                2 problems
            "#]],
        ),
        case(
            "an option of the command line",
            &[Edit::Replace(LAYER, "[panic=-1]", "[panic=-1, acpi=off]")],
            expect![[r#"
                status 1
                --- stderr
                error: profiles/layers/mine.yaml:8:28: `acpi=off` is on the kernel's command line
                 8 |   command-line: [panic=-1, acpi=off]
                   |                            ^
                  configs/rules.yaml:LINE: Hyper-V announces the VMBus in the ACPI tables
                  profiles/mine.yaml: in this profile
                  hint: remove it from the command line
                1 problem
            "#]],
        ),
        Case {
            name: "a paravisor that will panic, with memory types of its own",
            arguments: &["plan", "x86_64-vtl2"],
            edits: &[
                Edit::Replace("profiles/x86_64-vtl2.yaml", "- noxsave", "- nopv"),
                Edit::Replace("configs/vtl2-x86_64.config", "# CONFIG_MTRR is not set", "CONFIG_MTRR=y"),
            ],
            expected: expect![[r#"
                status 1
                --- stderr
                error: profiles/x86_64-vtl2.yaml:1:1: `noxsave` is not on the kernel's command line
                 1 | # yaml-language-server: $schema=schema/profile.schema.json
                   | ^
                  configs/rules.yaml:LINE: at VTL2 the kernel panics on every processor that shows XSAVE, unless told not to use it
                  hint: add `noxsave` to the command line
                profiles/x86_64-vtl2.yaml:8:7: `nopv` is on the kernel's command line
                 8 |     - nopv
                   |       ^
                  configs/rules.yaml:LINE: it switches the support for hypervisors off, and VTL2 is nothing without it
                  hint: remove it from the command line
                2 problems
            "#]],
        },
        Case {
            name: "the same without the mistake on the command line",
            arguments: &["plan", "x86_64-vtl2"],
            edits: &[Edit::Replace(
                "configs/vtl2-x86_64.config",
                "# CONFIG_MTRR is not set",
                "CONFIG_MTRR=y",
            )],
            expected: expect![[r#"
                status 1
                --- stderr
                error: configs/vtl2-x86_64.config:4:1: CONFIG_MTRR is y, wanted n
                 4 | CONFIG_MTRR=y
                   | ^
                  configs/rules.yaml:LINE: memory types are VTL0's affair; MSHV_VTL depends on the absence of MTRR and would vanish
                  profiles/x86_64-vtl2.yaml: in this profile
                  hint: write into a fragment: # CONFIG_MTRR is not set
                1 problem
            "#]],
        },
        case(
            "rules that can't be read",
            &[Edit::Replace(RULES, "determinism:", "determinsm:")],
            expect![[r#"
            status 1
            --- stderr
            error: configs/rules.yaml:LINE: the key `determinism` is missing
             6 | trust-level:
               | ^
            configs/rules.yaml:LINE: unknown key `determinsm`
             139 | determinsm:
                 | ^
              hint: did you mean `determinism`?
            2 problems
        "#]],
        ),
        case(
            "the rule that has to stay",
            &[Edit::Write(
                RULES,
                "trust-level:\n  - {vtl: 0, off: [HYPERV_VTL_MODE], reason: why}\ndeterminism: []\n",
            )],
            expect![[r#"
                status 1
                --- stderr
                error: configs/rules.yaml: the rule is missing that HYPERV_VTL_MODE is on in every kernel for VTL2: it decides what the kernel is
                  hint: a rule with `vtl: 2` and `on: [HYPERV_VTL_MODE]`, and no other condition, has to stay
                1 problem
            "#]],
        ),
        case(
            "no rules at all",
            &[Edit::Remove(RULES)],
            expect![[r#"
            status 1
            --- stderr
            error: configs/rules.yaml: the file is missing; it says what a kernel needs at which trust level
            1 problem
        "#]],
        ),
    ]);
}

/// Beside the two that have to stay, one that the small tree breaks, and one that only warns.
const STRICT: Edit = Edit::Replace(
    RULES,
    "determinism: []",
    "  - {off: [HYPERV_TIMER], reason: time is an illusion}\ndeterminism:\n  \
     - {when: [SMP=y], exactly: [NR_CPUS=4], severity: warning, reason: four are enough}",
);

const MILD: Edit = Edit::Replace(
    RULES,
    "determinism: []",
    "determinism:\n  - {on: [FRUGAL], severity: warning, reason: less is more, fix: be frugal}",
);

const CONF: &str = "cp conf.config $(O)/.config";

#[test]
fn final_configurations() {
    kconfig::check(
        "exit 1",
        &[STRICT],
        &["config", "check", "mine"],
        expect![[r#"
            status 1
            --- stderr
            error: mine: kernel.config: CONFIG_HYPERV_TIMER is y, wanted n
              configs/rules.yaml:LINE: time is an illusion
              hint: write into a fragment: # CONFIG_HYPERV_TIMER is not set
        "#]],
    );
    kconfig::check(
        "exit 1",
        &[MILD],
        &["config", "check", "mine"],
        expect![[r#"
            status 0
            --- stdout
            mine: every request survived, no rule forbids it; 5 symbols in the final configuration
            --- stderr
            warning: kernel.config: CONFIG_FRUGAL is n, wanted y
              configs/rules.yaml:LINE: less is more
              hint: be frugal
        "#]],
    );
}

#[test]
fn final_configurations_for_programs() {
    let edits = [
        STRICT,
        Edit::Replace(
            RULES,
            "reason: no guest}",
            "reason: no guest}\n  - {off: [SMP], severity: warning, reason: one is enough}",
        ),
    ];
    kconfig::check(
        "exit 1",
        &edits,
        &["config", "check", "mine", "--format", "json"],
        expect![[r#"
        status 1
        --- stdout
        [
          {
            "profile": "mine",
            "survived": false,
            "lost": null,
            "broken": [
              {
                "severity": "error",
                "section": "trust-level",
                "symbol": "CONFIG_HYPERV_TIMER",
                "wanted": "n",
                "got": "y",
                "message": "CONFIG_HYPERV_TIMER is y, wanted n",
                "reason": "time is an illusion",
                "fix": "write into a fragment: # CONFIG_HYPERV_TIMER is not set",
                "rule": "configs/rules.yaml:LINE",
                "fragment": null
              },
              {
                "severity": "warning",
                "section": "trust-level",
                "symbol": "CONFIG_SMP",
                "wanted": "n",
                "got": "y",
                "message": "CONFIG_SMP is y, wanted n",
                "reason": "one is enough",
                "fix": "write into a fragment: # CONFIG_SMP is not set",
                "rule": "configs/rules.yaml:LINE",
                "fragment": "configs/one.config:2"
              },
              {
                "severity": "warning",
                "section": "determinism",
                "symbol": "CONFIG_NR_CPUS",
                "wanted": "4",
                "got": "8",
                "message": "CONFIG_NR_CPUS is 8, wanted 4",
                "reason": "four are enough",
                "fix": "write into a fragment: CONFIG_NR_CPUS=4",
                "rule": "configs/rules.yaml:LINE",
                "fragment": "configs/one.config:5"
              }
            ],
            "error": null
          }
        ]
        --- stderr
        error: 1 of 1 profiles don't survive as they are
    "#]],
    );
}

#[test]
fn a_build_notes_what_rules_warn_of() {
    kconfig::check(
        CONF,
        &[MILD],
        &["config", "check", "mine", "--with-conf"],
        expect![[r#"
            status 0
            --- stdout
            mine: every request survived, no rule forbids it; 5 symbols in the final configuration; the kernel's own conf makes the same of it
            --- stderr
              start  kconfig mine (reads a local tree)
              note   kconfig mine: kernel.config: CONFIG_FRUGAL is n, wanted y
              configs/rules.yaml:LINE: less is more
              hint: be frugal
            warning: kernel.config: CONFIG_FRUGAL is n, wanted y
              configs/rules.yaml:LINE: less is more
              hint: be frugal
        "#]],
    );
}

#[test]
fn requests_and_rules_are_judged_together() {
    let lost =
        Edit::Write(ONE, "# One.\nCONFIG_SMP=y\nCONFIG_NR_CPUS=8\nCONFIG_HYPERV_TIMER=y\nCONFIG_FRUGAL=y\n");
    kconfig::check(
        "exit 1",
        &[MILD, lost],
        &["config", "check", "mine"],
        expect![[r#"
            status 1
            --- stderr
            error: mine: 2 of 5 requested symbols did not survive the kernel's own configuration
              symbol               wanted  got     asked for by
              CONFIG_HYPERV        y       absent  configs/other.config:2
                  not met: depends on !FRUGAL (Kconfig:15)
                    FRUGAL is y, has to be n; configs/one.config:5 asks for y
              CONFIG_HYPERV_TIMER  y       absent  configs/one.config:4
                  nobody can ask for it (no prompt, Kconfig:17); selected by HYPERV (Kconfig:14)
              no further lines can make it hold beside the other requests:
                HYPERV needs `depends on !FRUGAL` (Kconfig:15): configs/one.config:5 asks for `CONFIG_FRUGAL=y`
        "#]],
    );
    let lost = Edit::Write(ONE, "# One.\nCONFIG_SMP=y\nCONFIG_NR_CPUS=100\n");
    kconfig::check(
        "exit 1",
        &[STRICT, lost],
        &["config", "check", "mine"],
        expect![[r#"
            status 1
            --- stderr
            error: mine: kernel.config: CONFIG_HYPERV_TIMER is y, wanted n
              configs/rules.yaml:LINE: time is an illusion
              hint: write into a fragment: # CONFIG_HYPERV_TIMER is not set
            1 of 3 requested symbols did not survive the kernel's own configuration
              symbol          wanted  got  asked for by
              CONFIG_NR_CPUS  100     64   configs/one.config:3
                  the range is 2 to 64 (Kconfig:9)
              no further lines can make it hold beside the other requests:
                NR_CPUS has the range 2 to 64 (Kconfig:9)
        "#]],
    );
}
