//! `config lint` of what can't be judged, and mistakes on its command line.

use expect_test::expect;

use crate::{
    Edit, check,
    lint::{GUEST, case},
};

#[test]
fn files_that_are_no_final_configuration() {
    const ARGUMENTS: &[&str] = &["config", "lint", "mine.config"];
    check([
        case(
            "none",
            ARGUMENTS,
            &[],
            expect![[r#"
            status 1
            --- stderr
            error: can't read mine.config: No such file or directory (os error 2)
        "#]],
        ),
        case(
            "a profile",
            &["config", "lint", "mine"],
            &[],
            expect![[r#"
            status 1
            --- stderr
            error: mine is a profile, and this takes a file
              hint: `cargo xtask build-image mine` makes out/mine/kernel.config
        "#]],
        ),
        case(
            "a folder",
            &["config", "lint", "configs"],
            &[],
            expect![[r#"
            status 1
            --- stderr
            error: can't read configs: Is a directory (os error 21)
        "#]],
        ),
        case(
            "lines of other things",
            ARGUMENTS,
            &[Edit::Write(
                "mine.config",
                "CONFIG_SMP=y\nCONFIG_NUMA = y\nhello\nCONFIG_SMP=y\nCONFIG_A=yes\n",
            )],
            expect![[r#"
                status 1
                --- stderr
                error: mine.config:2:12: the name of a symbol has only letters, digits and _
                 2 | CONFIG_NUMA = y
                   |            ^
                  hint: conf writes no such line: was the file edited, cut or put together by hand?
                mine.config:3:1: neither a comment nor a symbol with its value
                 3 | hello
                   | ^
                  hint: conf writes no such line: was the file edited, cut or put together by hand?
                mine.config:4:1: CONFIG_SMP stands twice in the file
                 4 | CONFIG_SMP=y
                   | ^
                  mine.config:1:1: first here, as y
                  hint: conf writes each symbol once: keep the line that you mean
                mine.config:5:10: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
                 5 | CONFIG_A=yes
                   |          ^
                  hint: conf writes no such line: was the file edited, cut or put together by hand?
                4 problems
            "#]],
        ),
        case(
            "line ends of DOS",
            ARGUMENTS,
            &[Edit::Write("mine.config", "# A.\r\nCONFIG_SMP=y\r\n")],
            expect![[r#"
                status 1
                --- stderr
                error: mine.config:1:5: lines end in carriage return and line feed (DOS line ends)
                 1 | # A.
                   |     ^
                  hint: convert the file: sed -i 's/\r$//' mine.config
                1 problem
            "#]],
        ),
        case(
            "another architecture",
            ARGUMENTS,
            &[Edit::Write("mine.config", "# Linux/riscv 7.3.4 Kernel Configuration\nCONFIG_64BIT=y\n")],
            expect![[r#"
                status 1
                --- stderr
                error: mine.config is for neither x86_64 nor aarch64: CONFIG_X86_64 and CONFIG_ARM64 are off, and its head says riscv
                  hint: if it is a part of a configuration, name the architecture with --arch
            "#]],
        ),
        case(
            "a fragment",
            &["config", "lint", "configs/pci.config"],
            &[],
            expect![[r#"
            status 1
            --- stderr
            error: configs/pci.config is for neither x86_64 nor aarch64: CONFIG_X86_64 and CONFIG_ARM64 are off
              hint: if it is a part of a configuration, name the architecture with --arch
        "#]],
        ),
    ]);
}

#[test]
fn mistakes_on_the_command_line() {
    check([
        case(
            "no file",
            &["config", "lint"],
            &[],
            expect![[r#"
            status 2
            --- stderr
            error: the following required arguments were not provided:
              <FILE>

            Usage: cargo xtask config lint <FILE>

            For more information, try '--help'.
        "#]],
        ),
        case(
            "an architecture",
            &["config", "lint", "guest.config", "--arch", "arm64"],
            &[GUEST],
            expect![[r#"
            status 2
            --- stderr
            error: invalid value 'arm64' for '--arch <ARCH>'
              [possible values: x86_64, aarch64]

              tip: a similar value exists: 'aarch64'

            For more information, try '--help'.
        "#]],
        ),
        case(
            "the other architecture",
            &["config", "lint", "guest.config", "--arch", "aarch64"],
            &[GUEST],
            expect![[r#"
                status 1
                --- stderr
                error: guest.config is for x86_64, not for aarch64
                  hint: leave --arch out
            "#]],
        ),
        case(
            "a trust level",
            &["config", "lint", "guest.config", "--vtl", "1"],
            &[GUEST],
            expect![[r#"
            status 2
            --- stderr
            error: invalid value '1' for '--vtl <LEVEL>'
              [possible values: 0, 2]

            For more information, try '--help'.
        "#]],
        ),
        case(
            "a version",
            &["config", "lint", "guest.config", "--kernel-version", "v7"],
            &[GUEST],
            expect![[r#"
            status 2
            --- stderr
            error: invalid value 'v7' for '--kernel-version <X.Y>': expected a Linux version such as 7.3.4 or 7.4-rc1

            For more information, try '--help'.
        "#]],
        ),
        case(
            "a format",
            &["config", "lint", "guest.config", "--format", "xml"],
            &[GUEST],
            expect![[r#"
            status 2
            --- stderr
            error: invalid value 'xml' for '--format <FORMAT>'
              [possible values: human, json]

            For more information, try '--help'.
        "#]],
        ),
    ]);
}
