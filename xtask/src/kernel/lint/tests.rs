//! Small rules against small kernels: what is found, and what is left alone.

use std::sync::Arc;

use document::{Origin, Problems, Shape};
use expect_test::{Expect, expect};

use super::*;
use crate::{
    kernel::{DotConfig, compose::compose_sources},
    profile::{Arch, Vtl},
};

const STAY: &str = "\
trust-level:
  - {vtl: 0, off: [HYPERV_VTL_MODE], reason: no guest}
  - {vtl: 2, on: [HYPERV_VTL_MODE], reason: no paravisor}
";

/// These rules beside the two that have to be there.
fn rules(section: &str, more: &str) -> Rules {
    let empty = if section == "determinism" { "" } else { "determinism: []\n" };
    let section = if section == "determinism" { "determinism:\n" } else { "" };
    let text = format!("{STAY}{section}{more}\n{empty}");
    let mut problems = Problems::default();
    let node = document::parse(&"rules.yaml".into(), text.as_bytes(), &mut problems).expect("it is YAML");
    document::check(&node, &Shape::of::<RulesFile>(), &mut problems);
    assert!(problems.is_empty(), "{problems}\n{text}");
    let rules = Rules::new(node.to().expect("checked"), &node, &mut problems);
    assert!(problems.is_empty(), "{problems}\n{text}");
    rules
}

fn config(text: &str) -> DotConfig {
    DotConfig::parse(&".config".into(), text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn shown(rules: &Rules, subject: &Subject) -> String {
    let verdict = judge(rules, subject);
    let line = |finding: &Finding| {
        let problem = finding.problem(Origin::file(&"here".into()));
        let fix = problem.hint.unwrap_or_default();
        format!("{}: {} ({}; {fix})", finding.rule.severity.name(), problem.message, problem.related[0].1)
    };
    let mut shown: Vec<String> = verdict.findings.iter().map(line).collect();
    let left_out = [
        (verdict.without_command_line, "without the command line"),
        (verdict.without_version, "without the version"),
    ];
    shown.extend(left_out.iter().filter(|(left_out, _)| *left_out).map(|(_, words)| words.to_string()));
    shown.join("\n")
}

/// An x86_64 kernel for VTL2.
struct Kernel<'a> {
    config: &'a str,
    command_line: Option<&'a str>,
    linux: Option<Series>,
}

/// All that `HYPERV_VTL_MODE` asks for, and this beside it.
fn with(config: &str) -> Kernel<'_> {
    Kernel { config, command_line: None, linux: Some(Series(7, 3)) }
}

fn check(more: &str, kernel: Kernel, expected: Expect) {
    let config = config(&format!("CONFIG_HYPERV_VTL_MODE=y\n{}\n", kernel.config));
    let subject = Subject {
        arch: Arch::X86_64,
        vtl: Vtl::Vtl2,
        linux: kernel.linux,
        symbols: Symbols::Final(&config),
        command_line: CommandLine::of(&config, Arch::X86_64, kernel.command_line),
    };
    expected.assert_eq(&shown(&rules("trust-level", more), &subject));
}

#[test]
fn the_trust_level_with_no_other_rule() {
    for (vtl, text, expected) in [
        (Vtl::Vtl0, "CONFIG_SMP=y\n", expect![]),
        (Vtl::Vtl0, "# CONFIG_HYPERV_VTL_MODE is not set\n", expect![]),
        (
            Vtl::Vtl0,
            "CONFIG_HYPERV_VTL_MODE=y\n",
            expect![
                "error: CONFIG_HYPERV_VTL_MODE is y, wanted n (no guest; write into a fragment: # CONFIG_HYPERV_VTL_MODE is not set)"
            ],
        ),
        (Vtl::Vtl2, "CONFIG_HYPERV_VTL_MODE=y\n", expect![]),
        (
            Vtl::Vtl2,
            "# CONFIG_HYPERV_VTL_MODE is not set\n",
            expect![
                "error: CONFIG_HYPERV_VTL_MODE is n, wanted y (no paravisor; write into a fragment: CONFIG_HYPERV_VTL_MODE=y)"
            ],
        ),
        (
            Vtl::Vtl2,
            "CONFIG_SMP=y\n",
            expect![
                "error: CONFIG_HYPERV_VTL_MODE is absent, wanted y (no paravisor; write into a fragment: CONFIG_HYPERV_VTL_MODE=y)"
            ],
        ),
    ] {
        let said = [Arch::X86_64, Arch::Aarch64].map(|arch| {
            let config = config(text);
            let symbols = Symbols::Final(&config);
            let subject = Subject { arch, vtl, linux: None, symbols, command_line: CommandLine::default() };
            shown(&rules("trust-level", ""), &subject)
        });
        assert_eq!(said[0], said[1], "{text}");
        expected.assert_eq(&said[0]);
    }
}

#[test]
fn on() {
    let rule = "  - {on: [A], reason: why}";
    check(rule, with("CONFIG_A=y"), expect![]);
    check(rule, with("CONFIG_A=m"), expect![]);
    check(
        rule,
        with("# CONFIG_A is not set"),
        expect!["error: CONFIG_A is n, wanted y (why; write into a fragment: CONFIG_A=y)"],
    );
    check(
        rule,
        with(""),
        expect!["error: CONFIG_A is absent, wanted y (why; write into a fragment: CONFIG_A=y)"],
    );
    check(
        rule,
        with("CONFIG_A=5"),
        expect!["error: CONFIG_A is 5, wanted y (why; write into a fragment: CONFIG_A=y)"],
    );
}

#[test]
fn off() {
    let rule = "  - {off: [A], severity: warning, reason: why}";
    check(rule, with("# CONFIG_A is not set"), expect![]);
    check(rule, with(""), expect![]);
    check(
        rule,
        with("CONFIG_A=m"),
        expect!["warning: CONFIG_A is m, wanted n (why; write into a fragment: # CONFIG_A is not set)"],
    );
}

#[test]
fn exactly() {
    let rule = "  - {exactly: [A=5, B=\"\", C=\"x y\"], reason: why}";
    check(rule, with("CONFIG_A=5\nCONFIG_C=\"x y\""), expect![]);
    check(
        rule,
        with("CONFIG_A=0x5\nCONFIG_B=\"b\"\nCONFIG_C=\"\""),
        expect![[r#"
        error: CONFIG_A is 0x5, wanted 5 (why; write into a fragment: CONFIG_A=5)
        error: CONFIG_B is "b", wanted "" (why; write into a fragment: CONFIG_B="")
        error: CONFIG_C is "", wanted "x y" (why; write into a fragment: CONFIG_C="x y")"#]],
    );
}

#[test]
fn relative_path() {
    let rule = "  - {relative-path: [A], reason: why}";
    check(rule, with(""), expect![]);
    check(rule, with("CONFIG_A=\"\""), expect![]);
    check(rule, with("CONFIG_A=\"certs/a.pem\""), expect![]);
    check(
        rule,
        with("CONFIG_A=\"/etc/a.pem\""),
        expect![[
            r#"error: CONFIG_A is "/etc/a.pem", wanted a path inside the source tree (why; add the file to the source tree by a patch, and name it by its path there)"#
        ]],
    );
    check(
        rule,
        with("CONFIG_A=\"usr/list /srv/root\""),
        expect![[
            r#"error: CONFIG_A is "usr/list /srv/root", wanted a path inside the source tree (why; add the file to the source tree by a patch, and name it by its path there)"#
        ]],
    );
}

#[test]
fn options() {
    let rule = "  - {command-line: [noxsave], not-on-command-line: [acpi=off, initrd=], reason: why}";
    let given = |command_line| Kernel { command_line, ..with("") };
    check(rule, given(Some("console=ttyS0 noxsave")), expect![]);
    check(
        rule,
        given(Some("noxsaves acpi=offline xinitrd=a -- noxsave")),
        expect![
            "error: `noxsave` is not on the kernel's command line (why; add `noxsave` to the command line)"
        ],
    );
    check(
        rule,
        given(Some("noxsave acpi=off initrd=a")),
        expect![[r#"
        error: `acpi=off` is on the kernel's command line (why; remove it from the command line)
        error: `initrd=a` is on the kernel's command line (why; remove it from the command line)"#]],
    );
    check(rule, given(None), expect!["without the command line"]);
}

#[test]
fn options_of_the_configuration() {
    let rule = "  - {command-line: [noxsave], not-on-command-line: [acpi=off], reason: why}";
    let built_in = "CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE=\"noxsave\"\n";
    check(rule, Kernel { command_line: Some("quiet"), ..with(built_in) }, expect![]);
    check(rule, with(built_in), expect!["without the command line"]);
    let alone = format!("{built_in}CONFIG_CMDLINE_OVERRIDE=y\n");
    check(rule, Kernel { command_line: Some("acpi=off"), ..with(&alone) }, expect![]);
    check(
        rule,
        with("CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE=\"acpi=off\"\n"),
        expect![[r#"
        error: `acpi=off` is on the kernel's command line (why; remove it from the command line)
        without the command line"#]],
    );
}

#[test]
fn options_of_an_arm_configuration() {
    let config = config("CONFIG_CMDLINE=\"own\"\n");
    let forced = self::config("CONFIG_CMDLINE=\"own\"\nCONFIG_CMDLINE_FORCE=y\n");
    for (config, given, options, complete) in [
        (&config, Some("a b"), "a b", true),
        (&config, Some(""), "own", true),
        (&config, None, "own", false),
        (&forced, Some("a b"), "own", true),
        (&forced, None, "own", true),
    ] {
        let line = CommandLine::of(config, Arch::Aarch64, given);
        assert_eq!((line.options.join(" ").as_str(), line.complete), (options, complete), "{given:?}");
    }
}

#[test]
fn versions() {
    let linux = |linux| Kernel { linux, ..with("") };
    let rule = "  - {since: \"6.18\", before: \"7.1\", on: [A], reason: why}";
    check(rule, linux(Some(Series(6, 9))), expect![]);
    check(
        rule,
        linux(Some(Series(6, 18))),
        expect!["error: CONFIG_A is absent, wanted y (why; write into a fragment: CONFIG_A=y)"],
    );
    check(rule, linux(Some(Series(7, 1))), expect![]);
    check(rule, linux(None), expect!["without the version"]);
    let rule = "  - {needs-linux: \"6.16\", reason: why}";
    check(rule, linux(Some(Series(6, 16))), expect![]);
    check(
        rule,
        linux(Some(Series(6, 12))),
        expect![
            "error: the kernel is Linux 6.12, wanted Linux 6.16 or later (why; take Linux 6.16 or later)"
        ],
    );
    check(rule, linux(None), expect!["without the version"]);
    for (text, series) in [
        ("6.12", Some(Series(6, 12))),
        ("6.12.117", Some(Series(6, 12))),
        ("7.4.0-rc1", Some(Series(7, 4))),
        ("5.15.167.4", Some(Series(5, 15))),
        ("7", None),
        ("next", None),
    ] {
        assert_eq!(Series::parse(text), series, "{text}");
    }
}

#[test]
fn conditions() {
    let rule = "  - {when: [A=y, B!=\"\"], off: [C], reason: why}";
    check(
        rule,
        with("CONFIG_A=y\nCONFIG_B=\"b\"\nCONFIG_C=y"),
        expect!["error: CONFIG_C is y, wanted n (why; write into a fragment: # CONFIG_C is not set)"],
    );
    check(rule, with("CONFIG_A=y\nCONFIG_C=y"), expect![]);
    check(rule, with("CONFIG_A=m\nCONFIG_B=\"b\"\nCONFIG_C=y"), expect![]);
    // Absent is as good as n, nothing, or 0.
    let rule = "  - {when: [A=n, B=\"\", D=0], off: [C], reason: why, fix: think}";
    check(rule, with("CONFIG_C=y"), expect!["error: CONFIG_C is y, wanted n (why; think)"]);
    check(rule, with("CONFIG_A=y\nCONFIG_C=y"), expect![]);
}

#[test]
fn other_kernels() {
    let rule = "  - {arch: aarch64, on: [A], reason: why}\n  - {vtl: 0, on: [A], reason: why}";
    check(rule, with(""), expect![]);
}

#[test]
fn requests_are_broken_only_where_that_is_certain() {
    let more = "  - {on: [A, B], off: [C], reason: why}\n  - {when: [D=y], off: [E], reason: why}\n  - {when: [F=n], off: [E], reason: why}\n  - {command-line: [x], reason: why}";
    let rules = rules("trust-level", more);
    for (fragment, expected) in [
        ("CONFIG_B=y", expect!["without the command line"]),
        (
            "# CONFIG_A is not set\nCONFIG_C=y\n# CONFIG_HYPERV_VTL_MODE is not set",
            expect![[r#"
            error: CONFIG_HYPERV_VTL_MODE is n, wanted y (no paravisor; write into a fragment: CONFIG_HYPERV_VTL_MODE=y)
            error: CONFIG_A is n, wanted y (why; write into a fragment: CONFIG_A=y)
            error: CONFIG_C is y, wanted n (why; write into a fragment: # CONFIG_C is not set)
            without the command line"#]],
        ),
        (
            "CONFIG_D=y\nCONFIG_E=y",
            expect![[r#"
            error: CONFIG_E is y, wanted n (why; write into a fragment: # CONFIG_E is not set)
            without the command line"#]],
        ),
        ("CONFIG_E=y", expect!["without the command line"]),
    ] {
        let source = (Arc::from("f.config"), format!("# R.\n{fragment}\n").into_bytes());
        let composed = compose_sources(&[source]).unwrap();
        let subject = Subject {
            arch: Arch::X86_64,
            vtl: Vtl::Vtl2,
            linux: None,
            symbols: Symbols::Requested(&composed),
            command_line: CommandLine::default(),
        };
        expected.assert_eq(&shown(&rules, &subject));
    }
}

#[test]
fn what_stands_in_keys() {
    let more = "  - {when: [IKCONFIG!=n], only-foreign: true, exactly: [PAHOLE_VERSION=0], reason: why}
  - {arch: x86_64, since: \"6.1\", before: \"8.0\", when: [A=y], severity: warning, relative-path: [K], reason: why}
  - {arch: aarch64, on: [B], reason: why}
  - {vtl: 2, command-line: [x], not-on-command-line: [y=], needs-linux: \"6.16\", reason: why}";
    let text = |rules: &Rules| serde_json::to_value(rules).unwrap().as_str().unwrap().to_owned();
    let all = rules("determinism", more);
    expect![[r#"
        error, VTL2: CONFIG_HYPERV_VTL_MODE=y
        error, VTL2: `x` on the command line, no `y=` on the command line, Linux 6.16 or later
        warning, x86_64, since 6.1, before 8.0, when CONFIG_A=y: a path inside the source tree in CONFIG_K
    "#]]
    .assert_eq(&text(&all.for_build(Arch::X86_64, Vtl::Vtl2)));
    expect![[r#"
        error, VTL0: CONFIG_HYPERV_VTL_MODE=n
        error, aarch64: CONFIG_B=y
    "#]]
    .assert_eq(&text(&all.for_build(Arch::Aarch64, Vtl::Vtl0)));
    let reworded = rules("determinism", &more.replace("why", "because"));
    let of = |rules: &Rules| text(&rules.for_build(Arch::X86_64, Vtl::Vtl2));
    assert_eq!(of(&all), of(&reworded), "a reason decides nothing");
}

#[test]
fn for_programs() {
    let config = config("CONFIG_HYPERV_VTL_MODE=y\n");
    let symbols = Symbols::Final(&config);
    let command_line = CommandLine::whole("quiet");
    let subject = Subject { arch: Arch::X86_64, vtl: Vtl::Vtl0, linux: None, symbols, command_line };
    let rules = rules("trust-level", "  - {command-line: [x], severity: warning, reason: why}");
    let verdict = judge(&rules, &subject);
    let shown = verdict.findings.iter().map(|finding| {
        let line = finding.symbol().and_then(|symbol| config.line(symbol));
        format!("line {line:?}: {:#}\n", finding.to_json())
    });
    expect![[r#"
        line Some(1): {
          "severity": "error",
          "section": "trust-level",
          "symbol": "CONFIG_HYPERV_VTL_MODE",
          "wanted": "n",
          "got": "y",
          "message": "CONFIG_HYPERV_VTL_MODE is y, wanted n",
          "reason": "no guest",
          "fix": "write into a fragment: # CONFIG_HYPERV_VTL_MODE is not set",
          "rule": "rules.yaml:2:5"
        }
        line None: {
          "severity": "warning",
          "section": "trust-level",
          "symbol": null,
          "wanted": "x",
          "got": "absent",
          "message": "`x` is not on the kernel's command line",
          "reason": "why",
          "fix": "add `x` to the command line",
          "rule": "rules.yaml:4:5"
        }
    "#]]
    .assert_eq(&shown.collect::<String>());
}
