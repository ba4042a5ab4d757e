use expect_test::{Expect, expect};

use super::*;

fn index(files: &[(&str, &str)]) -> KconfigText {
    let files = files.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect();
    KconfigText::new(&files, "x86")
}

fn check(files: &[(&str, &str)], symbol: &str, expected: Expect) {
    let index = index(files);
    let mut shown = String::new();
    for Definition { file, line, depends_on, prompt, kind, ranges, choice } in index.definitions(symbol) {
        shown += &format!("{file}:{line} {kind:?} {depends_on:?} {prompt:?} {ranges:?}\n");
        if let Some(members) = choice.and_then(|choice| index.choice_members(choice)) {
            shown += &format!("choice of {members:?}\n");
        }
    }
    for Selector { symbol, condition } in index.selectors(symbol) {
        shown += &format!("selected by {symbol} {condition:?}\n");
    }
    if let Some(place) = index.elsewhere(symbol) {
        shown += &format!("elsewhere: {place}\n");
    }
    expected.assert_eq(&shown);
}

const ROOT: &str = r#"
mainmenu "Test"
source "arch/$(SRCARCH)/Kconfig"
menu "Drivers"
	depends on HAS_IOMEM
if NET # a comment
source "drivers/Kconfig"
endif
config LAST
	bool "Last"
endmenu
config AFTER
	def_bool y
	prompt "After" if EXPERT
"#;

const X86: &str = "config MTRR\n\tdef_bool y\n\tprompt \"MTRR (\\# range)\" if EXPERT\nconfig AFTER\n\tbool\n\tdepends on X && \\\n\t\tY\n";

const DRIVERS: &str = r#"
menuconfig DRIVER
	tristate "A driver" if EXPERT || COMPILE_TEST
	depends on PCI
	depends on A if B
	select HELPER if ACPI
	select BASE
	help
	  Text of help.
	  config NOT_ONE
	  depends on NOTHING

	  More text:
	      indented.

config HELPER
	bool
	help

	  Blank line first.
choice
	prompt "Speed"
	depends on FAST
config QUICK
	bool "Quick"
config SLOW
	bool "Slow"
endchoice
if A
if B
config NESTED
	int 'Nested'
	default 3 if C
	range 1 8 if D
endif
endif
source "not/there/Kconfig"
"#;

const ARM: &str = "config ARM_ONLY\n\tbool \"x\"\n";

const FILES: [(&str, &str); 5] = [
    ("Kconfig", ROOT),
    ("arch/x86/Kconfig", X86),
    ("arch/arm64/Kconfig", ARM),
    ("drivers/Kconfig", DRIVERS),
    ("scripts/kconfig/tests/Kconfig", "config ONLY_A_TEST\n"),
];

#[test]
fn definitions() {
    check(
        &FILES,
        "DRIVER",
        expect![[r#"
            drivers/Kconfig:2 Some(Tristate) ["HAS_IOMEM", "NET", "PCI", "A if B"] If(["EXPERT || COMPILE_TEST"]) []
        "#]],
    );
    check(
        &FILES,
        "HELPER",
        expect![[r#"
            drivers/Kconfig:16 Some(Bool) ["HAS_IOMEM", "NET"] None []
            selected by DRIVER Some("ACPI")
        "#]],
    );
    check(
        &FILES,
        "QUICK",
        expect![[r#"
            drivers/Kconfig:24 Some(Bool) ["HAS_IOMEM", "NET", "FAST"] Always []
            choice of ["QUICK", "SLOW"]
        "#]],
    );
    check(
        &FILES,
        "NESTED",
        expect![[r#"
            drivers/Kconfig:31 Some(Int) ["HAS_IOMEM", "NET", "A", "B"] Always ["1 8 if D"]
        "#]],
    );
    check(
        &FILES,
        "LAST",
        expect![[r#"
            Kconfig:9 Some(Bool) ["HAS_IOMEM"] Always []
        "#]],
    );
    check(
        &FILES,
        "AFTER",
        expect![[r#"
            arch/x86/Kconfig:4 Some(Bool) ["X && Y"] None []
            Kconfig:12 Some(Bool) [] If(["EXPERT"]) []
        "#]],
    );
    check(
        &FILES,
        "MTRR",
        expect![[r#"
            arch/x86/Kconfig:1 Some(Bool) [] If(["EXPERT"]) []
        "#]],
    );
}

#[test]
fn what_is_no_definition() {
    check(&FILES, "NOT_ONE", expect![""]);
    check(&FILES, "ONLY_A_TEST", expect![]);
    check(
        &FILES,
        "ARM_ONLY",
        expect![[r#"
        elsewhere: arch/arm64/Kconfig:1
    "#]],
    );
}

#[test]
fn broken_files_do_no_harm() {
    let texts = [
        "endmenu\nendif\nconfig A\n\tbool \"x",
        "config\nsource\nif\n\thelp",
        "config A \\",
        "config A\n\tbool \"\n\thelp\n\t",
    ];
    for text in texts {
        index(&[("Kconfig", text)]);
    }
    // A file that reads itself.
    check(
        &[("Kconfig", "source \"Kconfig\"\nconfig A\n\tbool\n")],
        "A",
        expect![[r#"
            Kconfig:2 Some(Bool) [] None []
        "#]],
    );
}
