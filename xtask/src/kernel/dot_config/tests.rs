use expect_test::{Expect, expect};

use super::*;

fn shown(result: Result<DotConfig, Problems>) -> String {
    match result {
        Ok(config) => {
            let header = config.header().map(|header| format!("for {} {}\n", header.arch, header.version));
            let line = |(symbol, value)| format!("{symbol}={value}, line {}\n", config.line(symbol).unwrap());
            header.into_iter().chain(config.values().map(line)).collect()
        }
        Err(problems) => problems.to_string(),
    }
}

fn check(text: impl AsRef<[u8]>, expected: Expect) {
    expected.assert_eq(&shown(DotConfig::read(&"build/.config".into(), text.as_ref())));
}

#[test]
fn values_of_all_types() {
    let text = r#"#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 7.3.4 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc (Debian 12.2.0-14) \"12\""
CONFIG_GCC_VERSION=120200
CONFIG_SMP=y
CONFIG_EXT4_FS=m
# CONFIG_MTRR is not set
CONFIG_PANIC_TIMEOUT=-1
CONFIG_PHYSICAL_START=0x1000000
CONFIG_BARE=dead0
CONFIG_LOCALVERSION=""

#
# General setup
#
# end of General setup
"#;
    check(
        text,
        expect![[r#"
            for x86 7.3.4
            CONFIG_BARE=0xdead0, line 12
            CONFIG_CC_VERSION_TEXT="gcc (Debian 12.2.0-14) \"12\"", line 5
            CONFIG_EXT4_FS=m, line 8
            CONFIG_GCC_VERSION=120200, line 6
            CONFIG_LOCALVERSION="", line 13
            CONFIG_MTRR=n, line 9
            CONFIG_PANIC_TIMEOUT=-1, line 10
            CONFIG_PHYSICAL_START=0x1000000, line 11
            CONFIG_SMP=y, line 7
        "#]],
    );
}

#[test]
fn lines_that_conf_does_not_write() {
    check(
        "CONFIG_A=y\n<<<<<<< HEAD\nSMP=y\nCONFIG_B=maybe\n CONFIG_C=y\nCONFIG_D E=y\nCONFIG_F=\"open\nCONFIG_G=y # yes\n",
        expect![[r#"
            build/.config:2:1: neither a comment nor a symbol with its value
             2 | <<<<<<< HEAD
               | ^
              hint: conf writes no such line: was the file edited, cut or put together by hand?
            build/.config:3:1: the name does not start with CONFIG_
             3 | SMP=y
               | ^
              hint: conf writes no such line: was the file edited, cut or put together by hand?
            build/.config:4:10: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
             4 | CONFIG_B=maybe
               |          ^
              hint: conf writes no such line: was the file edited, cut or put together by hand?
            build/.config:5:1: the name does not start with CONFIG_
             5 |  CONFIG_C=y
               | ^
              hint: conf writes no such line: was the file edited, cut or put together by hand?
            build/.config:6:9: the name of a symbol has only letters, digits and _
             6 | CONFIG_D E=y
               |         ^
              hint: conf writes no such line: was the file edited, cut or put together by hand?
            build/.config:7:10: a string without closing quote
             7 | CONFIG_F="open
               |          ^
              hint: conf writes no such line: was the file edited, cut or put together by hand?
            build/.config:8:11: a comment beside the value, where the kernel knows none
             8 | CONFIG_G=y # yes
               |           ^
              hint: conf writes no such line: was the file edited, cut or put together by hand?
            7 problems"#]],
    );
}

#[test]
fn a_symbol_twice() {
    check(
        "CONFIG_A=y\n# CONFIG_B is not set\n# CONFIG_A is not set\nCONFIG_B=m\n",
        expect![[r#"
            build/.config:3:1: CONFIG_A stands twice in the file
             3 | # CONFIG_A is not set
               | ^
              build/.config:1:1: first here, as y
              hint: conf writes each symbol once: keep the line that you mean
            build/.config:4:1: CONFIG_B stands twice in the file
             4 | CONFIG_B=m
               | ^
              build/.config:2:1: first here, as n
              hint: conf writes each symbol once: keep the line that you mean
            2 problems"#]],
    );
}

#[test]
fn some_other_file() {
    let told = shown(DotConfig::read(&"notes".into(), "no\n".repeat(1000).as_bytes()));
    let last = told.lines().rev().take(3).collect::<Vec<_>>();
    expect![[r#"
        notes:11:1: too many such lines: the rest of the file was not read
          hint: is this the file you meant?
        11 problems"#]]
    .assert_eq(&last.into_iter().rev().collect::<Vec<_>>().join("\n"));
}

#[test]
fn files_that_are_not_read() {
    check(
        b"CONFIG_A=y\nCONFIG_B=\"caf\xe9\"\n",
        expect![[r#"
        build/.config:2:14: not UTF-8 text
         2 | CONFIG_B="caf�"
           |              ^
          hint: save the file in UTF-8
        1 problem"#]],
    );
    check(
        "CONFIG_A=y\r\nCONFIG_B=y\r\n",
        expect![[r#"
        build/.config:1:11: lines end in carriage return and line feed (DOS line ends)
         1 | CONFIG_A=y
           |           ^
          hint: convert the file: sed -i 's/\r$//' build/.config
        1 problem"#]],
    );
    check(
        b"\x1f\x8b\x08\x00",
        expect![[r#"
        build/.config: compressed with gzip
          hint: unpack it first: zcat build/.config > kernel.config
        1 problem"#]],
    );
    check(
        vec![b'#'; SIZE_MAX_BYTES + 1],
        expect![[r#"
        build/.config: 8388609 bytes are more than any .config has
          hint: is this the file you meant?
        1 problem"#]],
    );
    check(
        "\u{feff}CONFIG_A=y\n",
        expect![[r#"
            build/.config: the file starts with a byte order mark
              hint: save it as UTF-8 without one
            1 problem"#]],
    );
}
