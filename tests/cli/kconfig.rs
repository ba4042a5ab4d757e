//! Kernel configurations: a tree that is small, with a conf that only says what a test has it say.

use std::time::{Duration, Instant};

use expect_test::{Expect, expect};

use crate::{
    harness::judge,
    own_project::{Edit, OwnProject},
    shown,
};

const KCONFIG: &str = r#"mainmenu "Linux/$(ARCH) $(KERNELVERSION) Kernel Configuration"

config SMP
	bool "Many processors"

config NR_CPUS
	int "How many"
	depends on SMP
	range 2 64
	default 4

config HYPERV
	bool "Hyper-V"
	select HYPERV_TIMER
	depends on !FRUGAL

config HYPERV_TIMER
	bool

config FRUGAL
	bool "Nothing that isn't needed"
"#;

/// As conf writes it for the tests' requests.
const DOT_CONFIG: &str = "\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86_64 7.9.1 Kernel Configuration
#
CONFIG_SMP=y
CONFIG_NR_CPUS=8
CONFIG_HYPERV=y
CONFIG_HYPERV_TIMER=y
# CONFIG_FRUGAL is not set
";

const VERSION: &str = "VERSION = 7\nPATCHLEVEL = 9\nSUBLEVEL = 1\n";

/// The tree has little of what rules are about.
const RULES: &str = "\
trust-level:
  - {vtl: 0, off: [HYPERV_VTL_MODE], reason: no guest}
  - {vtl: 2, on: [HYPERV_VTL_MODE], reason: no paravisor}
determinism: []
";

const EDITS: [Edit; 4] = [
    Edit::Write("configs/rules.yaml", RULES),
    Edit::Replace("profiles/layers/mine.yaml", "{pin: linux-7.3}", "{path: linux}"),
    Edit::Write("linux/Kconfig", KCONFIG),
    Edit::Write("linux/conf.config", DOT_CONFIG),
];

/// What make does for `allnoconfig`.
pub fn project(recipe: &str, edits: &[Edit]) -> OwnProject {
    let project = OwnProject::new(&EDITS);
    project.write("linux/Makefile", &format!("{VERSION}allnoconfig:\n\t@{recipe}\n"));
    edits.iter().for_each(|edit| project.edit(edit));
    project
}

const CONF: &str = "cp conf.config $(O)/.config";

pub fn check(recipe: &str, edits: &[Edit], arguments: &[&str], expected: Expect) {
    let said = project(recipe, edits).run(arguments);
    // How long a step took differs from run to run.
    let lines = said.stderr.lines().filter(|line| !line.starts_with("  done "));
    let stderr: String = lines.map(|line| format!("{line}\n")).collect();
    expected.assert_eq(&shown(&crate::Said { stderr, ..said }));
}

#[test]
fn checked_without_make() {
    check(
        "exit 1",
        &[],
        &["config", "check", "mine"],
        expect![[r#"
            status 0
            --- stdout
            mine: every request survived, no rule forbids it; 5 symbols in the final configuration
        "#]],
    );
    check(
        "exit 1",
        &[],
        &["config", "resolve", "mine"],
        expect![[r#"
        status 0
        --- stdout
        #
        # Automatically generated file; DO NOT EDIT.
        # Linux/x86_64 7.9.1 Kernel Configuration
        #
        CONFIG_SMP=y
        CONFIG_NR_CPUS=8
        CONFIG_HYPERV=y
        CONFIG_HYPERV_TIMER=y
        # CONFIG_FRUGAL is not set
    "#]],
    );
}

#[test]
fn checked_with_conf() {
    check(
        CONF,
        &[],
        &["config", "check", "mine", "--with-conf"],
        expect![[r#"
            status 0
            --- stdout
            mine: every request survived, no rule forbids it; 5 symbols in the final configuration; the kernel's own conf makes the same of it
            --- stderr
              start  kconfig mine (reads a local tree)
        "#]],
    );
}

#[test]
fn what_is_lost_is_told_without_make() {
    let frugal = "# Other.\nCONFIG_HYPERV=y\n\n# Little.\nCONFIG_FRUGAL=y\nCONFIG_MANY=y\n";
    let edits = [Edit::Write("configs/other.config", frugal)];
    check(
        "exit 1",
        &edits,
        &["config", "check", "mine"],
        expect![[r#"
            status 1
            --- stderr
            error: mine: 2 of 5 requested symbols did not survive the kernel's own configuration
              symbol         wanted  got     asked for by
              CONFIG_HYPERV  y       absent  configs/other.config:2
                  not met: depends on !FRUGAL (Kconfig:15)
                    FRUGAL is y, has to be n; configs/other.config:5 asks for y
              CONFIG_MANY    y       absent  configs/other.config:6
                  no Kconfig file of this kernel declares it for this architecture
              no further lines can make it hold beside the other requests:
                HYPERV needs `depends on !FRUGAL` (Kconfig:15): configs/other.config:5 asks for `CONFIG_FRUGAL=y`
        "#]],
    );
}

/// The lines that help are written into the fragment that needs them, and then nothing is lost any more.
#[test]
fn what_is_lost_is_mended() {
    let project = project("exit 1", &[Edit::Write("configs/one.config", "# One.\nCONFIG_NR_CPUS=8")]);
    let said = project.run(&["config", "check", "mine", "--fix"]);
    assert_eq!(
        (said.status, said.stdout.as_str(), said.stderr.as_str()),
        (0, "configs/one.config: 1 line added for mine: CONFIG_SMP=y\n", "")
    );
    expect![[r#"
        # One.
        CONFIG_NR_CPUS=8

        # Without it CONFIG_NR_CPUS doesn't come about.
        CONFIG_SMP=y
    "#]]
    .assert_eq(&std::fs::read_to_string(project.root().join("configs/one.config")).unwrap());
    let said = project.run(&["config", "check", "mine", "--fix"]);
    assert_eq!((said.status, said.stdout.as_str()), (0, "nothing to mend: every request survives\n"));
}

/// Lines that would cost another profile something are not written, nor is anything else.
#[test]
fn mending_does_not_break_other_profiles() {
    let other = "description: Another.\ninherit: [mine]\nkernel:\n  fragments: [one, small]\n\
                 payload:\n  recipes: [vtl2-init]\n";
    let edits = [
        Edit::Write("configs/one.config", "# One.\nCONFIG_NR_CPUS=8\n"),
        Edit::Write("configs/small.config", "# Small.\n# CONFIG_SMP is not set\n"),
        Edit::Write("profiles/other.yaml", other),
    ];
    let project = project("exit 1", &edits);
    let said = project.run(&["config", "check", "mine", "--fix"]);
    assert_eq!(said.status, 1);
    expect![[r#"
        error: the lines that would help don't agree with other, which has the same fragment: configs/small.config:2:1: CONFIG_SMP is n here, but y in an earlier fragment
         2 | # CONFIG_SMP is not set
           | ^
          configs/one.config:5:1: earlier: CONFIG_SMP=y
          hint: if it is meant, put above the line: # override: <reason>
        1 problem
    "#]].assert_eq(&said.stderr);
    let one = std::fs::read_to_string(project.root().join("configs/one.config")).unwrap();
    assert_eq!(one, "# One.\nCONFIG_NR_CPUS=8\n");
}

#[test]
fn what_is_lost_as_json() {
    let edits = [Edit::Write("configs/other.config", "# Other.\nCONFIG_MANY=y\n")];
    check(
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
                "lost": {
                  "requested": 3,
                  "lost": [
                    {
                      "symbol": "CONFIG_MANY",
                      "wanted": "y",
                      "got": null,
                      "fragment": "configs/other.config:2",
                      "why": {
                        "symbol": "MANY",
                        "value": "n",
                        "needed": "y",
                        "asked": [
                          "configs/other.config:2",
                          "y"
                        ],
                        "reasons": [
                          {
                            "reason": "unknown",
                            "did-you-mean": []
                          }
                        ]
                      },
                      "elsewhere": null
                    }
                  ],
                  "remedy": null
                },
                "broken": [],
                "error": null
              }
            ]
            --- stderr
            error: 1 of 1 profiles don't survive as they are
        "#]],
    );
}

/// A build says the same before make is done with anything.
#[test]
fn what_is_lost_ends_the_build_at_once() {
    let project = project("sleep 60", &[Edit::Write("configs/other.config", "# Other.\nCONFIG_MANY=y\n")]);
    let started = Instant::now();
    let said = project.run(&["config", "check", "mine", "--with-conf"]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("1 of 3 requested symbols did not survive"), "{}", said.stderr);
    assert!(started.elapsed() < Duration::from_secs(20), "it waited for make");
}

#[test]
fn a_conf_that_says_otherwise_fails_the_build() {
    let other = DOT_CONFIG.replace("# CONFIG_FRUGAL is not set\n", "CONFIG_FRUGAL=y\n");
    let project = project(CONF, &[]);
    project.write("linux/conf.config", &other);
    let said = project.run(&["config", "check", "mine", "--with-conf"]);
    assert_eq!(said.status, 1);
    for part in ["CONFIG_FRUGAL  n          y", "hint: please report it"] {
        assert!(said.stderr.contains(part), "no {part:?} in {}", said.stderr);
    }
}

#[test]
fn a_tree_that_cannot_be_read() {
    let edits = [Edit::Write("linux/Kconfig", "config A\n\tfrobnicate\n")];
    check(
        "exit 1",
        &edits,
        &["config", "check", "mine"],
        expect![[r#"
            status 1
            --- stderr
            error: this tool can't read the kernel's Kconfig files:
            Kconfig:2: syntax error
            Kconfig:2: unknown statement "frobnicate"
              hint: `cargo xtask config check --with-conf` has the kernel's own conf decide
        "#]],
    );
    // conf may know more than this tool.
    check(
        CONF,
        &edits,
        &["config", "check", "mine", "--with-conf"],
        expect![[r#"
            status 0
            --- stdout
            mine: every request survived, no rule forbids it; 5 symbols in the final configuration that the kernel's own conf makes; this tool can't read this kernel's Kconfig files
            --- stderr
              start  kconfig mine (reads a local tree)
              note   kconfig mine: not checked before conf, which decides alone: Kconfig:2: syntax error
        "#]],
    );
}

/// The source is in the store and what its Kconfig files ask was answered before: a build says so before its first
/// step, and so does a plan.
#[test]
fn a_doomed_build_does_not_begin() {
    let project = project(CONF, &[]);
    let tarball = project.root().join("linux.tar.gz");
    let (root, file) = (project.root(), tarball.to_str().unwrap());
    judge("tar", &["-C", root.to_str().unwrap(), "-czf", file, "linux"]);
    let sha256 = &judge("sha256sum", &[file])[..64];
    let source = format!("{{archive: {{url: \"file://{file}\", sha256: \"{sha256}\"}}}}");
    let layer = std::fs::read_to_string(root.join("profiles/layers/mine.yaml")).unwrap();
    project.write("profiles/layers/mine.yaml", &layer.replace("{path: linux}", &source));
    project.run(&["config", "check", "mine", "--offline"]).expect("check");
    project.write("configs/other.config", "# Other.\nCONFIG_HYPERV=y\nCONFIG_MANY=y\n");
    let refused = "\
        error: step `kconfig mine` would fail: 1 of 4 requested symbols did not survive the kernel's own configuration
  symbol       wanted  got     asked for by
  CONFIG_MANY  y       absent  configs/other.config:3
      no Kconfig file of this kernel declares it for this architecture
";
    for verb in ["build-image", "plan"] {
        let said = project.run(&[verb, "mine"]);
        assert_eq!((said.status, said.stderr.as_str()), (1, refused), "{verb}");
    }
}
