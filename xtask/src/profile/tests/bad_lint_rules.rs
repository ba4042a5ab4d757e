//! configs/rules.yaml with mistakes in it.

use expect_test::{Expect, expect};

use super::{LINT_RULES, good};

/// The good rules with one text replaced.
fn bad(from: &str, to: &str, report: Expect) {
    good().edit(LINT_RULES, from, to).bad(report);
}

#[test]
fn no_rules() {
    good().remove(LINT_RULES).bad(expect![[r#"
        configs/rules.yaml: the file is missing; it says what a kernel needs at which trust level
        1 problem"#]]);
}

#[test]
fn the_two_that_have_to_stay() {
    good().write(LINT_RULES, "trust-level: []\ndeterminism: []\n").bad(expect![[r#"
        configs/rules.yaml: the rule is missing that HYPERV_VTL_MODE is off in every kernel for VTL0: it decides what the kernel is
          hint: a rule with `vtl: 0` and `off: [HYPERV_VTL_MODE]`, and no other condition, has to stay
        configs/rules.yaml: the rule is missing that HYPERV_VTL_MODE is on in every kernel for VTL2: it decides what the kernel is
          hint: a rule with `vtl: 2` and `on: [HYPERV_VTL_MODE]`, and no other condition, has to stay
        2 problems"#]]);
    bad(
        "    off: [HYPERV_VTL_MODE]",
        "    when: [SMP=y]\n    off: [HYPERV_VTL_MODE]",
        expect![[r#"
        configs/rules.yaml: the rule is missing that HYPERV_VTL_MODE is off in every kernel for VTL0: it decides what the kernel is
          hint: a rule with `vtl: 0` and `off: [HYPERV_VTL_MODE]`, and no other condition, has to stay
        1 problem"#]],
    );
    bad(
        "    on: [HYPERV_VTL_MODE]",
        "    severity: warning\n    on: [HYPERV_VTL_MODE]",
        expect![[r#"
        configs/rules.yaml: the rule is missing that HYPERV_VTL_MODE is on in every kernel for VTL2: it decides what the kernel is
          hint: a rule with `vtl: 2` and `on: [HYPERV_VTL_MODE]`, and no other condition, has to stay
        1 problem"#]],
    );
    bad(
        "    on: [HYPERV_VTL_MODE]",
        "    arch: x86_64\n    on: [HYPERV_VTL_MODE]",
        expect![[r#"
        configs/rules.yaml: the rule is missing that HYPERV_VTL_MODE is on in every kernel for VTL2: it decides what the kernel is
          hint: a rule with `vtl: 2` and `on: [HYPERV_VTL_MODE]`, and no other condition, has to stay
        1 problem"#]],
    );
    bad(
        "    on: [HYPERV_VTL_MODE]",
        "    only-foreign: true\n    on: [HYPERV_VTL_MODE]",
        expect![[r#"
        configs/rules.yaml: the rule is missing that HYPERV_VTL_MODE is on in every kernel for VTL2: it decides what the kernel is
          hint: a rule with `vtl: 2` and `on: [HYPERV_VTL_MODE]`, and no other condition, has to stay
        1 problem"#]],
    );
}

#[test]
fn unknown_keys() {
    bad(
        "    not-on-command-line: [acpi=off]",
        "    not-on-comand-line: [acpi=off]",
        expect![[r#"
        configs/rules.yaml:15:5: unknown key `not-on-comand-line` in `trust-level.3`
         15 |     not-on-comand-line: [acpi=off]
            |     ^
          hint: did you mean `not-on-command-line`?
        1 problem"#]],
    );
    bad(
        "determinism:",
        "determinsm:",
        expect![[r#"
        configs/rules.yaml:1:1: the key `determinism` is missing
         1 | trust-level:
           | ^
        configs/rules.yaml:21:1: unknown key `determinsm`
         21 | determinsm:
            | ^
          hint: did you mean `determinism`?
        2 problems"#]],
    );
    bad(
        "severity: warning",
        "severity: warn",
        expect![[r#"
        configs/rules.yaml:19:15: `trust-level.4.severity`: `warn` is not known here, expected `error` or `warning`
         19 |     severity: warn
            |               ^
        1 problem"#]],
    );
    bad(
        "needs-linux: \"6.16\"",
        "needs-linux: 6.16",
        expect![[r#"
        configs/rules.yaml:10:18: `trust-level.2.needs-linux`: expected a Linux version by its first two numbers, in quotes, such as "6.16", found the number `6.16`
         10 |     needs-linux: 6.16
            |                  ^
          hint: for text, put it in quotes: "6.16"
        1 problem"#]],
    );
}

#[test]
fn a_rule_that_wants_nothing() {
    bad(
        "    exactly: [MODULE_SIG_KEY=\"\"]\n",
        "",
        expect![[r#"
        configs/rules.yaml:22:5: the rule wants nothing
         22 |   - when: [MODULES=y]
            |     ^
          hint: give it `on`, `off`, `exactly`, `relative-path`, `command-line`, `not-on-command-line` or `needs-linux`
        1 problem"#]],
    );
    bad(
        "    exactly: [MODULE_SIG_KEY=\"\"]\n",
        "    on: []\n",
        expect![[r#"
        configs/rules.yaml:22:5: the rule wants nothing
         22 |   - when: [MODULES=y]
            |     ^
          hint: give it `on`, `off`, `exactly`, `relative-path`, `command-line`, `not-on-command-line` or `needs-linux`
        1 problem"#]],
    );
}

#[test]
fn symbols_and_values() {
    bad(
        "    on: [HYPERV_VTL_MODE]",
        "    on: [HYPERV_VTL_MODE, CONFIG_SMP, hyper-v]",
        expect![[r#"
        configs/rules.yaml:6:39: `trust-level.1.on.2`: expected a Kconfig symbol without its prefix, such as `HYPERV_VTL_MODE`, found "hyper-v"
         6 |     on: [HYPERV_VTL_MODE, CONFIG_SMP, hyper-v]
           |                                       ^
        1 problem"#]],
    );
    bad(
        "    on: [HYPERV_VTL_MODE]",
        "    on: [HYPERV_VTL_MODE, CONFIG_SMP]",
        expect![[r#"
        configs/rules.yaml:6:27: symbols stand here without CONFIG_
         6 |     on: [HYPERV_VTL_MODE, CONFIG_SMP]
           |                           ^
          hint: write SMP
        1 problem"#]],
    );
    bad(
        "[MODULES=y]",
        "[MODULES, MODULES=yes, 'MODULES = y', MODULES=01]",
        expect![[r#"
        configs/rules.yaml:22:12: `determinism.0.when.0`: expected a Kconfig symbol without its prefix, `=` or `!=`, and a value, such as `SMP=y` or `LOCALVERSION!=""`, found "MODULES"
         22 |   - when: [MODULES, MODULES=yes, 'MODULES = y', MODULES=01]
            |            ^
        configs/rules.yaml:22:21: `determinism.0.when.1`: expected a Kconfig symbol without its prefix, `=` or `!=`, and a value, such as `SMP=y` or `LOCALVERSION!=""`, found "MODULES=yes"
         22 |   - when: [MODULES, MODULES=yes, 'MODULES = y', MODULES=01]
            |                     ^
        configs/rules.yaml:22:34: `determinism.0.when.2`: expected a Kconfig symbol without its prefix, `=` or `!=`, and a value, such as `SMP=y` or `LOCALVERSION!=""`, found "MODULES = y"
         22 |   - when: [MODULES, MODULES=yes, 'MODULES = y', MODULES=01]
            |                                  ^
        configs/rules.yaml:22:49: `determinism.0.when.3`: expected a Kconfig symbol without its prefix, `=` or `!=`, and a value, such as `SMP=y` or `LOCALVERSION!=""`, found "MODULES=01"
         22 |   - when: [MODULES, MODULES=yes, 'MODULES = y', MODULES=01]
            |                                                 ^
        4 problems"#]],
    );
    bad(
        "[MODULE_SIG_KEY=\"\"]",
        "[MODULE_SIG_KEY!=\"\"]",
        expect![[r#"
        configs/rules.yaml:23:15: `determinism.0.exactly.0`: expected a Kconfig symbol without its prefix and a value, such as `SMP=y`, `NR_CPUS=64` or `LOCALVERSION=""`, found "MODULE_SIG_KEY!=\"\""
         23 |     exactly: [MODULE_SIG_KEY!=""]
            |               ^
        1 problem"#]],
    );
    bad(
        "[MODULES=y]",
        "MODULES=y",
        expect![[r#"
        configs/rules.yaml:22:11: `determinism.0.when`: expected a list of strings, found the string "MODULES=y"
         22 |   - when: MODULES=y
            |           ^
          hint: a list with one item is `[MODULES=y]`
        1 problem"#]],
    );
}

#[test]
fn no_reason() {
    bad(
        "    reason: keys are drawn anew\n",
        "",
        expect![[r#"
        configs/rules.yaml:22:5: `determinism.0`: the key `reason` is missing
         22 |   - when: [MODULES=y]
            |     ^
        1 problem"#]],
    );
    bad(
        "keys are drawn anew",
        "''",
        expect![[r#"
        configs/rules.yaml:24:13: a rule without a reason can't be argued with
         24 |     reason: ''
            |             ^
          hint: say what goes wrong otherwise
        1 problem"#]],
    );
}

#[test]
fn never() {
    bad(
        "    exactly:",
        "    since: \"6.18\"\n    before: \"6.9\"\n    exactly:",
        expect![[r#"
        configs/rules.yaml:24:13: no version is both 6.18 or later and before 6.9
         24 |     before: "6.9"
            |             ^
          hint: exchange the two
        1 problem"#]],
    );
}

#[test]
fn two_rules_that_no_kernel_can_keep() {
    bad(
        "    on: [HYPERV_VTL_MODE]",
        "    on: [HYPERV_VTL_MODE]\n    off: [SMP, HYPERV_VTL_MODE]",
        expect![[r#"
            configs/rules.yaml:5:5: no kernel can have both CONFIG_HYPERV_VTL_MODE=y and CONFIG_HYPERV_VTL_MODE=n
             5 |   - vtl: 2
               |     ^
              hint: remove one, or say with other keys which kernels it is for
            1 problem"#]],
    );
    bad(
        "  - when: [MODULES=y]",
        "  - off: [HYPERV_VTL_MODE]\n    reason: it isn't for everybody\n  - when: [MODULES=y]",
        expect![[r#"
            configs/rules.yaml:22:5: no kernel can have both CONFIG_HYPERV_VTL_MODE=y and CONFIG_HYPERV_VTL_MODE=n
             22 |   - off: [HYPERV_VTL_MODE]
                |     ^
              configs/rules.yaml:5:5: here CONFIG_HYPERV_VTL_MODE=y is wanted
              hint: remove one, or say with other keys which kernels it is for
            1 problem"#]],
    );
    bad(
        "    not-on-command-line: [acpi=off]",
        "    not-on-command-line: [noxsave]",
        expect![[r#"
            configs/rules.yaml:12:5: no kernel can have both `noxsave` on the command line and no `noxsave` on the command line
             12 |   - vtl: 2
                |     ^
              hint: remove one, or say with other keys which kernels it is for
            1 problem"#]],
    );
    bad(
        "  - when: [MODULES=y]",
        "  - exactly: [NR_CPUS=4]\n    reason: four\n  - exactly: [NR_CPUS=8]\n    reason: eight\n  - when: [MODULES=y]",
        expect![[r#"
            configs/rules.yaml:24:5: no kernel can have both CONFIG_NR_CPUS=4 and CONFIG_NR_CPUS=8
             24 |   - exactly: [NR_CPUS=8]
                |     ^
              configs/rules.yaml:22:5: here CONFIG_NR_CPUS=4 is wanted
              hint: remove one, or say with other keys which kernels it is for
            1 problem"#]],
    );
}

#[test]
fn rules_for_different_kernels_contradict_nothing() {
    let apart = "  - {since: \"6.1\", before: \"6.9\", on: [SMP], reason: old}\n  - {since: \"6.9\", off: [SMP], reason: new}\n";
    good().edit(LINT_RULES, "determinism:\n", &format!("determinism:\n{apart}")).specs();
}
