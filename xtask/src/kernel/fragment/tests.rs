use expect_test::{Expect, expect};

use super::*;

fn read(bytes: &[u8]) -> (Fragment, Problems) {
    parse(&"configs/test.config".into(), bytes)
}

/// Checks every problem of a fragment as a person sees it.
fn check(text: impl AsRef<[u8]>, expected: Expect) {
    let (_, problems) = read(text.as_ref());
    let shown =
        problems.into_result(()).map_or_else(|problems| problems.to_string(), |()| "no problem".into());
    expected.assert_eq(&shown);
}

/// Checks lines of one fragment, each with its reason above.
fn check_lines(lines: &[&str], expected: Expect) {
    check(lines.iter().map(|line| format!("# Reason.\n{line}\n")).collect::<String>(), expected);
}

#[test]
fn what_is_in_order() {
    let text = r#"# The file's subject, which also speaks for the first paragraph.

CONFIG_SMP=y
CONFIG_EXT4_FS=m

# A reason
# in two lines, with CONFIG_MTRR in it.
CONFIG_AUDIT=n
# CONFIG_MTRR is not set
CONFIG_LOG_BUF_SHIFT=17
CONFIG_PANIC_TIMEOUT=-1
# Between two symbols of a paragraph.
CONFIG_PHYSICAL_START=0x8000000
CONFIG_PADDED=0x0A
CONFIG_CMDLINE="console=ttyS0 \"quoted\" \\ # not a comment"
CONFIG_LOCALVERSION=""
CONFIG_CRYPTO_DEV_QAT_DH895xCC=n
CONFIG_44x=n

# override: arm64 boots without ACPI
# in this machine
CONFIG_ACPI=n"#;
    let (fragment, problems) = read(text.as_bytes());
    assert_eq!(problems, Problems::default());
    let shown: String = fragment.requests.iter().map(show).collect();
    expect![[r#"
        3 CONFIG_SMP=Yes
        4 CONFIG_EXT4_FS=Module
        8 CONFIG_AUDIT=No
        9 CONFIG_MTRR=No
        10 CONFIG_LOG_BUF_SHIFT=Int(17)
        11 CONFIG_PANIC_TIMEOUT=Int(-1)
        13 CONFIG_PHYSICAL_START=Hex(134217728)
        14 CONFIG_PADDED=Hex(10)
        15 CONFIG_CMDLINE=String("console=ttyS0 \"quoted\" \\ # not a comment")
        16 CONFIG_LOCALVERSION=String("")
        17 CONFIG_CRYPTO_DEV_QAT_DH895xCC=No
        18 CONFIG_44x=No
        22 CONFIG_ACPI=No (override: arm64 boots without ACPI in this machine)
    "#]]
    .assert_eq(&shown);
}

fn show(request: &Request) -> String {
    let reason =
        request.override_reason.as_ref().map_or(String::new(), |reason| format!(" (override: {reason})"));
    format!("{} {}={:?}{reason}\n", request.origin.line, request.symbol, request.value)
}

#[test]
fn empty_files_ask_for_nothing() {
    for text in ["", "\n", "# Only a comment.\n", "\n\n# Two\n\n# comments."] {
        let (fragment, problems) = read(text.as_bytes());
        assert_eq!((fragment.requests, problems), (Vec::new(), Problems::default()), "{text:?}");
    }
}

#[test]
fn names() {
    check_lines(
        &[
            "SMP=y",
            "SMP",
            "config_smp=y",
            "CONFIG_smp=y",
            "# CONFIG_smp is not set",
            "CONFIG_=y",
            "CONFIG_SM-P=y",
            "CONFIG_SMP",
            "CONFIG_SMP y",
            "please enable SMP",
            "=======",
        ],
        expect![[r#"
            configs/test.config:2:1: the name of a symbol starts with CONFIG_
             2 | SMP=y
               | ^
              hint: write CONFIG_SMP=y
            configs/test.config:4:1: there is no `=` and value
             4 | SMP
               | ^
              hint: write CONFIG_SMP=y, or # CONFIG_SMP is not set
            configs/test.config:6:1: the prefix is CONFIG_, in capitals
             6 | config_smp=y
               | ^
              hint: write CONFIG_SMP=y
            configs/test.config:8:8: the kernel's symbols are in capitals
             8 | CONFIG_smp=y
               |        ^
              hint: write CONFIG_SMP
            configs/test.config:10:10: the kernel's symbols are in capitals
             10 | # CONFIG_smp is not set
                |          ^
              hint: write CONFIG_SMP
            configs/test.config:12:8: the name of the symbol is missing
             12 | CONFIG_=y
                |        ^
              hint: write CONFIG_, then the name
            configs/test.config:14:10: the name of a symbol has only letters, digits and _
             14 | CONFIG_SM-P=y
                |          ^
              hint: check the spelling of the name
            configs/test.config:16:1: there is no `=` and value
             16 | CONFIG_SMP
                | ^
              hint: write CONFIG_SMP=y, or # CONFIG_SMP is not set
            configs/test.config:18:1: there is no `=` and value
             18 | CONFIG_SMP y
                | ^
              hint: write CONFIG_SMP=y, or # CONFIG_SMP is not set
            configs/test.config:20:1: neither a comment nor a symbol with its value
             20 | please enable SMP
                | ^
              hint: expected CONFIG_X=value, # CONFIG_X is not set, or # and a comment
            configs/test.config:22:1: neither a comment nor a symbol with its value
             22 | =======
                | ^
              hint: expected CONFIG_X=value, # CONFIG_X is not set, or # and a comment
            11 problems"#]],
    );
}

#[test]
fn spaces() {
    check_lines(
        &[
            " CONFIG_SMP=y",
            "CONFIG_SMP =y",
            "CONFIG_SMP= y",
            "CONFIG_SMP = y",
            "CONFIG_SMP=y ",
            "CONFIG_SMP=y # many processors",
            r#"CONFIG_NAME="x" # why"#,
        ],
        expect![[r#"
            configs/test.config:2:1: a space at the start of the line: the kernel would skip it
             2 |  CONFIG_SMP=y
               | ^
              hint: start at the first column
            configs/test.config:4:11: a space before `=`
             4 | CONFIG_SMP =y
               |           ^
              hint: write CONFIG_SMP=y
            configs/test.config:6:12: a space after `=`
             6 | CONFIG_SMP= y
               |            ^
              hint: write =y
            configs/test.config:8:11: a space before `=`
             8 | CONFIG_SMP = y
               |           ^
              hint: write CONFIG_SMP=y
            configs/test.config:10:13: spaces after the value
             10 | CONFIG_SMP=y
                |             ^
              hint: remove them
            configs/test.config:12:13: a comment beside the value, where the kernel knows none
             12 | CONFIG_SMP=y # many processors
                |             ^
              hint: put the comment on a line of its own above the symbol
            configs/test.config:14:16: text after the closing quote
             14 | CONFIG_NAME="x" # why
                |                ^
              hint: put the comment on a line of its own above the symbol
            7 problems"#]],
    );
}

#[test]
fn values() {
    check_lines(
        &[
            "CONFIG_SMP=",
            "CONFIG_SMP=Y",
            "CONFIG_SMP=yes",
            "CONFIG_LOCALVERSION=-vtl",
            "CONFIG_LOCALVERSION='-vtl'",
            "CONFIG_CMDLINE=quiet splash",
            "CONFIG_CMDLINE=\"quiet",
            r#"CONFIG_CMDLINE="quiet\""#,
            r#"CONFIG_CMDLINE="a\tb""#,
            r#"CONFIG_CMDLINE="a"b""#,
            "CONFIG_NR_CPUS=012",
            "CONFIG_NR_CPUS=12k",
            "CONFIG_NR_CPUS=99999999999999999999",
            "CONFIG_START=0x",
            "CONFIG_START=0xfoo",
            "CONFIG_START=0x11112222333344445",
        ],
        expect![[r#"
            configs/test.config:2:12: there is no value after `=`
             2 | CONFIG_SMP=
               |            ^
              hint: an empty string is written "", and "off" is written n
            configs/test.config:4:12: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
             4 | CONFIG_SMP=Y
               |            ^
              hint: write y
            configs/test.config:6:12: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
             6 | CONFIG_SMP=yes
               |            ^
              hint: write y
            configs/test.config:8:21: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
             8 | CONFIG_LOCALVERSION=-vtl
               |                     ^
              hint: if a string is meant, write "-vtl"
            configs/test.config:10:21: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
             10 | CONFIG_LOCALVERSION='-vtl'
                |                     ^
              hint: if a string is meant, write "-vtl"
            configs/test.config:12:16: a string without quotes
             12 | CONFIG_CMDLINE=quiet splash
                |                ^
              hint: write ="quiet splash"
            configs/test.config:14:16: a string without closing quote
             14 | CONFIG_CMDLINE="quiet
                |                ^
              hint: add " at the end of the line
            configs/test.config:16:16: a string without closing quote
             16 | CONFIG_CMDLINE="quiet\"
                |                ^
              hint: add " at the end of the line
            configs/test.config:18:18: an escape that Kconfig does not have
             18 | CONFIG_CMDLINE="a\tb"
                |                  ^
              hint: only \" and \\ exist
            configs/test.config:20:19: text after the closing quote
             20 | CONFIG_CMDLINE="a"b"
                |                   ^
              hint: a quote inside a string is written \"
            configs/test.config:22:16: a number with leading zeros, which the kernel refuses
             22 | CONFIG_NR_CPUS=012
                |                ^
              hint: write 12
            configs/test.config:24:16: neither a number nor a quoted string
             24 | CONFIG_NR_CPUS=12k
                |                ^
              hint: if a hexadecimal number is meant, write 0x first; if a string, write "12k"
            configs/test.config:26:16: a number beyond 64 bits
             26 | CONFIG_NR_CPUS=99999999999999999999
                |                ^
              hint: no symbol of the kernel takes such a number
            configs/test.config:28:14: not a hexadecimal number of at most 64 bits
             28 | CONFIG_START=0x
                |              ^
              hint: 0x, then 1 to 16 of 0-9 and a-f
            configs/test.config:30:14: not a hexadecimal number of at most 64 bits
             30 | CONFIG_START=0xfoo
                |              ^
              hint: 0x, then 1 to 16 of 0-9 and a-f
            configs/test.config:32:14: not a hexadecimal number of at most 64 bits
             32 | CONFIG_START=0x11112222333344445
                |              ^
              hint: 0x, then 1 to 16 of 0-9 and a-f
            16 problems"#]],
    );
}

#[test]
fn almost_not_set() {
    check_lines(
        &[
            "#CONFIG_SMP is not set",
            "# CONFIG_SMP is not set.",
            "# CONFIG_SMP is not set on arm64",
            "# CONFIG_SMP not set",
            "#CONFIG_SMP=y",
        ],
        expect![[r#"
            configs/test.config:2:1: almost `is not set`: the kernel would take it for a comment
             2 | #CONFIG_SMP is not set
               | ^
              hint: write exactly: # CONFIG_SMP is not set
            configs/test.config:4:1: almost `is not set`: the kernel would take it for a comment
             4 | # CONFIG_SMP is not set.
               | ^
              hint: write exactly: # CONFIG_SMP is not set
            configs/test.config:6:1: almost `is not set`: the kernel would take it for a comment
             6 | # CONFIG_SMP is not set on arm64
               | ^
              hint: write exactly: # CONFIG_SMP is not set
            configs/test.config:8:1: almost `is not set`: the kernel would take it for a comment
             8 | # CONFIG_SMP not set
               | ^
              hint: write exactly: # CONFIG_SMP is not set
            configs/test.config:10:2: a symbol that is commented out: it says neither yes nor no
             10 | #CONFIG_SMP=y
                |  ^
              hint: delete the line, or write it without #
            5 problems"#]],
    );
}

#[test]
fn whole_files() {
    check(
        "\u{feff}# Subject.\nCONFIG_SMP=y\n",
        expect![[r#"
            configs/test.config:1:1: the file starts with a byte order mark
             1 | # Subject.
               | ^
              hint: save it as UTF-8 without one
            1 problem"#]],
    );
    check(
        "# Subject.\r\nCONFIG_SMP=y\r\nCONFIG_NUMA=y\r\n",
        expect![[r#"
        configs/test.config:1:11: lines end in carriage return and line feed (DOS line ends)
         1 | # Subject.
           |           ^
          hint: convert the file: sed -i 's/\r$//' configs/test.config
        1 problem"#]],
    );
    check(
        b"# Subject.\nCONFIG_NAME=\"caf\xe9\"\n",
        expect![[r#"
        configs/test.config:2:17: not UTF-8 text
         2 | CONFIG_NAME="caf�"
           |                 ^
          hint: save the file in UTF-8
        1 problem"#]],
    );
    check(
        "# Subject.\nCONFIG_SMP=y\n# Again.\n# CONFIG_SMP is not set\nCONFIG_SMP=y\n",
        expect![[r#"
        configs/test.config:4:1: CONFIG_SMP appears twice in this file
         4 | # CONFIG_SMP is not set
           | ^
          configs/test.config:2:1: first here: CONFIG_SMP=y
          hint: keep one of the two lines
        configs/test.config:5:1: CONFIG_SMP appears twice in this file
         5 | CONFIG_SMP=y
           | ^
          configs/test.config:2:1: first here: CONFIG_SMP=y
          hint: keep one of the two lines
        2 problems"#]],
    );
}

#[test]
fn reasons() {
    check(
        "CONFIG_SMP=y\n",
        expect![[r#"
        configs/test.config:1:1: no reason is given for this symbol
         1 | CONFIG_SMP=y
           | ^
          hint: say in a comment above why CONFIG_SMP is y
        1 problem"#]],
    );
    check(
        "# Subject.\n\nCONFIG_SMP=y\n\nCONFIG_NUMA=y\nCONFIG_ACPI=y\n",
        expect![[r#"
        configs/test.config:5:1: no reason is given for this symbol
         5 | CONFIG_NUMA=y
           | ^
          hint: say in a comment above why CONFIG_NUMA is y
        configs/test.config:6:1: no reason is given for this symbol
         6 | CONFIG_ACPI=y
           | ^
          hint: say in a comment above why CONFIG_ACPI is y
        2 problems"#]],
    );
    check(
        "# CONFIG_SMP is not set\n",
        expect![[r#"
        configs/test.config:1:1: no reason is given for this symbol
         1 | # CONFIG_SMP is not set
           | ^
          hint: say in a comment above why CONFIG_SMP is n
        1 problem"#]],
    );
}

#[test]
fn overrides() {
    check(
        "# override:\nCONFIG_SMP=y\n",
        expect![[r#"
            configs/test.config:1:12: an override without a reason
             1 | # override:
               |            ^
              hint: write: # override: <reason>
            1 problem"#]],
    );
    check(
        "#override: reason\nCONFIG_SMP=y\n",
        expect![[r#"
            configs/test.config:1:1: an override needs exactly one space after #
             1 | #override: reason
               | ^
              hint: write: # override: <reason>
            1 problem"#]],
    );
    check(
        "# Override: reason\nCONFIG_SMP=y\n",
        expect![[r#"
            configs/test.config:1:3: almost `override:`
             1 | # Override: reason
               |   ^
              hint: write: # override: <reason>
            1 problem"#]],
    );
    check(
        "# override: reason\n\nCONFIG_SMP=y\n",
        expect![[r#"
        configs/test.config:1:1: an override is announced, but no symbol follows it
         1 | # override: reason
           | ^
          hint: put it right above the symbol it is about, once for each symbol
        1 problem"#]],
    );
    check(
        "# override: one\n# override: two\nCONFIG_SMP=y\n# override: at the end\n",
        expect![[r#"
        configs/test.config:1:1: an override is announced, but no symbol follows it
         1 | # override: one
           | ^
          hint: put it right above the symbol it is about, once for each symbol
        configs/test.config:4:1: an override is announced, but no symbol follows it
         4 | # override: at the end
           | ^
          hint: put it right above the symbol it is about, once for each symbol
        2 problems"#]],
    );
}
