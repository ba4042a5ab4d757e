use std::sync::Arc;

use expect_test::{Expect, expect};

use super::*;
use crate::kernel::compose::compose_sources;

const KCONFIG: &str = r#"
config MSHV_VTL
	tristate "Driver"
	depends on X86_64 && HYPERV_VTL_MODE
	depends on !MTRR
	depends on VERSION >= "7" && $(cc-option,-mX)
config MTRR
	def_bool y
	prompt "MTRR" if EXPERT
config NUMBER
	int "Number"
	range 1 512
config HIDDEN
	bool
	depends on X86_64
config HELPER
	bool "Helper"
config USER
	bool "User"
	select HELPER if MTRR
config IDLE
	bool "Idle"
	select HELPER
config TRI
	tristate "Tri"
choice
	prompt "Ticks"
config HZ_100
	bool "100"
config HZ_250
	bool "250"
endchoice
config TEXT
	string "Text"
"#;

fn kconfig() -> KconfigText {
    let files = [("Kconfig", KCONFIG), ("arch/arm64/Kconfig", "\nconfig ARM_ONLY\n\tbool \"x\"\n")];
    KconfigText::new(&files.map(|(file, text)| (file.into(), text.into())).into(), "x86")
}

fn run(fragment: &str, dot_config: &str) -> Result<(), VerifyError> {
    let sources = [(Arc::from("configs/test.config"), format!("# Subject.\n{fragment}").into_bytes())];
    let composed = compose_sources(&sources).unwrap();
    let dot_config = DotConfig::parse(&".config".into(), dot_config).unwrap();
    verify(&composed, &dot_config, || Ok(kconfig()))
}

fn check(fragment: &str, dot_config: &str, expected: Expect) {
    let shown = run(fragment, dot_config).map_or_else(|error| error.to_string(), |()| "all there".into());
    expected.assert_eq(&shown);
}

#[test]
fn survivors() {
    let cases = [
        ("CONFIG_A=y", "CONFIG_A=y"),
        ("CONFIG_A=m", "CONFIG_A=m"),
        ("CONFIG_A=n", ""),
        ("# CONFIG_A is not set", "# CONFIG_A is not set"),
        ("CONFIG_A=0x0A", "CONFIG_A=0xa"),
        ("CONFIG_A=-1", "CONFIG_A=-1"),
        ("CONFIG_A=\"\"", "CONFIG_A=\"\""),
        ("CONFIG_A=\"a \\\"b\\\\\"", "CONFIG_A=\"a \\\"b\\\\\""),
    ];
    for (fragment, dot_config) in cases {
        let reading_fails = || unreachable!("nothing was lost");
        let composed = compose_sources(&[("f".into(), format!("# R.\n{fragment}").into_bytes())]).unwrap();
        let dot_config = DotConfig::parse(&".config".into(), dot_config).unwrap();
        assert!(verify(&composed, &dot_config, reading_fails).is_ok(), "{fragment}");
    }
}

#[test]
fn dependencies() {
    check(
        "CONFIG_MSHV_VTL=y\n# CONFIG_MTRR is not set\nCONFIG_X86_64=y\n",
        "CONFIG_X86_64=y\nCONFIG_HYPERV_VTL_MODE=y\nCONFIG_MTRR=y\n",
        expect![[r#"
            2 of 3 requested symbols did not survive the kernel's own configuration
              symbol           wanted  got     asked for by
              CONFIG_MSHV_VTL  y       absent  configs/test.config:2
                  Kconfig:2 (tristate)
                    depends on X86_64 && HYPERV_VTL_MODE
                    depends on !MTRR
                    depends on VERSION >= "7" && $(cc-option,-mX)
                  where X86_64=y, HYPERV_VTL_MODE=y, MTRR=y, VERSION=n
              CONFIG_MTRR      n       y       configs/test.config:3
                  Kconfig:7 (bool)
                    can be set only if EXPERT
                  where EXPERT=n
        "#]],
    );
}

#[test]
fn values() {
    check(
        "CONFIG_TRI=m\nCONFIG_NUMBER=2048\nCONFIG_TEXT=\"a\"\nCONFIG_HIDDEN=y\n",
        "CONFIG_TRI=y\nCONFIG_NUMBER=512\nCONFIG_TEXT=\"\"\nCONFIG_X86_64=y\n",
        expect![[r#"
            4 of 4 requested symbols did not survive the kernel's own configuration
              symbol         wanted  got     asked for by
              CONFIG_HIDDEN  y       absent  configs/test.config:5
                  Kconfig:13 (bool)
                    depends on X86_64
                    has no prompt: a fragment cannot set it, only defaults and `select` do
                  where X86_64=y
              CONFIG_NUMBER  2048    512     configs/test.config:3
                  Kconfig:10 (int)
                    range 1 512
              CONFIG_TEXT    "a"     ""      configs/test.config:4
                  Kconfig:33 (string)
              CONFIG_TRI     m       y       configs/test.config:2
                  Kconfig:24 (tristate)
                  m needs CONFIG_MODULES=y and a symbol of type tristate
        "#]],
    );
    check(
        "CONFIG_NUMBER=16\n",
        "CONFIG_NUMBER=0x16\n",
        expect![[r#"
            1 of 1 requested symbols did not survive the kernel's own configuration
              symbol         wanted  got   asked for by
              CONFIG_NUMBER  16      0x16  configs/test.config:2
                  Kconfig:10 (int)
                    range 1 512
        "#]],
    );
}

#[test]
fn selected() {
    check(
        "CONFIG_HELPER=n\n",
        "CONFIG_HELPER=y\nCONFIG_USER=y\nCONFIG_MTRR=y\n",
        expect![[r#"
            1 of 1 requested symbols did not survive the kernel's own configuration
              symbol         wanted  got  asked for by
              CONFIG_HELPER  n       y    configs/test.config:2
                  Kconfig:16 (bool)
                  selected by USER if MTRR
        "#]],
    );
}

#[test]
fn choices() {
    check(
        "CONFIG_HZ_250=y\n",
        "CONFIG_HZ_100=y\n# CONFIG_HZ_250 is not set\n",
        expect![[r#"
        1 of 1 requested symbols did not survive the kernel's own configuration
          symbol         wanted  got  asked for by
          CONFIG_HZ_250  y       n    configs/test.config:2
              Kconfig:30 (bool)
              one of a choice, in which CONFIG_HZ_100 is on
    "#]],
    );
}

#[test]
fn unknown_symbols() {
    check(
        "CONFIG_MSHV_VTLL=y\nCONFIG_SOMETHING_ELSE=y\nCONFIG_ARM_ONLY=y\n",
        "",
        expect![[r#"
        3 of 3 requested symbols did not survive the kernel's own configuration
          symbol                 wanted  got     asked for by
          CONFIG_ARM_ONLY        y       absent  configs/test.config:4
              only arch/arm64/Kconfig:2 defines it, which this architecture does not read
          CONFIG_MSHV_VTLL       y       absent  configs/test.config:2
              this kernel has no such symbol; did you mean CONFIG_MSHV_VTL?
          CONFIG_SOMETHING_ELSE  y       absent  configs/test.config:3
              this kernel has no such symbol
    "#]],
    );
}

#[test]
fn as_json() {
    let Err(VerifyError::Lost(lost)) = run(
        "CONFIG_MSHV_VTL=y\nCONFIG_HELPER=n\nCONFIG_NOTHING_LIKE=1\n",
        "CONFIG_IDLE=y\nCONFIG_HELPER=y\n",
    ) else {
        panic!("symbols are lost");
    };
    expect![[r#"
        {
          "requested": 3,
          "lost": [
            {
              "symbol": "CONFIG_HELPER",
              "wanted": "n",
              "got": "y",
              "fragment": "configs/test.config:3",
              "law": {
                "kind": "defined",
                "definitions": [
                  {
                    "file": "Kconfig",
                    "line": 16,
                    "depends-on": [],
                    "prompt": "always",
                    "type": "bool",
                    "ranges": []
                  }
                ],
                "selected-by": [
                  {
                    "symbol": "IDLE",
                    "if": null
                  }
                ],
                "chosen": null,
                "values": []
              }
            },
            {
              "symbol": "CONFIG_MSHV_VTL",
              "wanted": "y",
              "got": null,
              "fragment": "configs/test.config:2",
              "law": {
                "kind": "defined",
                "definitions": [
                  {
                    "file": "Kconfig",
                    "line": 2,
                    "depends-on": [
                      "X86_64 && HYPERV_VTL_MODE",
                      "!MTRR",
                      "VERSION >= \"7\" && $(cc-option,-mX)"
                    ],
                    "prompt": "always",
                    "type": "tristate",
                    "ranges": []
                  }
                ],
                "selected-by": [],
                "chosen": null,
                "values": [
                  {
                    "symbol": "X86_64",
                    "value": "n"
                  },
                  {
                    "symbol": "HYPERV_VTL_MODE",
                    "value": "n"
                  },
                  {
                    "symbol": "MTRR",
                    "value": "n"
                  },
                  {
                    "symbol": "VERSION",
                    "value": "n"
                  }
                ]
              }
            },
            {
              "symbol": "CONFIG_NOTHING_LIKE",
              "wanted": "1",
              "got": null,
              "fragment": "configs/test.config:4",
              "law": {
                "kind": "unknown",
                "did-you-mean": null
              }
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&lost).unwrap());
}

#[test]
fn without_the_tree() {
    let composed = compose_sources(&[("f".into(), b"# R.\nCONFIG_A=y".to_vec())]).unwrap();
    let error = verify(&composed, &DotConfig::default(), || Err(io::Error::other("gone"))).unwrap_err();
    expect![[r#"
        1 of 1 requested symbols did not survive the kernel's own configuration
          symbol    wanted  got     asked for by
          CONFIG_A  y       absent  f:2
          the Kconfig files that would explain this cannot be read: gone"#]]
    .assert_eq(&error.to_string());
}
