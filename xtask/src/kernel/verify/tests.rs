use std::{collections::BTreeMap, sync::Arc};

use expect_test::{Expect, expect};
use kconfig::{Silent, parse};

use super::*;
use crate::kernel::compose::compose_sources;

const KCONFIG: &str = r#"
config X86_64
	def_bool y
config EXPERT
	bool "Expert"
config HYPERV_VTL_MODE
	bool "VTL mode"
config MSHV_VTL
	tristate "Driver"
	depends on X86_64 && HYPERV_VTL_MODE
	depends on !MTRR
config MTRR
	def_bool y
	prompt "MTRR" if EXPERT
config NUMBER
	int "Number"
	range 1 512
config ADDRESS
	hex "Address"
config HIDDEN
	bool
	depends on X86_64
config HELPER
	bool "Helper"
config USER
	bool "User"
	select HELPER if MTRR
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
	depends on EXPERT
"#;

fn composed(fragment: &str) -> Composed {
    let sources = [(Arc::from("configs/test.config"), format!("# Subject.\n{fragment}").into_bytes())];
    compose_sources(&sources).unwrap()
}

/// What becomes of a fragment in a kernel with the Kconfig file above.
fn run(fragment: &str) -> Result<(), LostSymbols> {
    let files = BTreeMap::from([("Kconfig".to_string(), KCONFIG.to_string())]);
    let (graph, _) = parse("Kconfig", &files, &mut Silent).unwrap();
    let composed = composed(fragment);
    let dot_config = asked::requests(&graph, &composed).solve().dot_config();
    let dot_config = DotConfig::parse(&".config".into(), &dot_config).unwrap();
    let elsewhere = |name: &str| (name == "ARM_ONLY").then(|| "arch/arm64/Kconfig:2".to_string());
    verify(&composed, &dot_config).map_err(|lost| lost.explained(&graph, &composed, elsewhere))
}

fn check(fragment: &str, expected: Expect) {
    let shown = run(fragment).map_or_else(|error| error.to_string(), |()| "all there".into());
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
        let composed = compose_sources(&[("f".into(), format!("# R.\n{fragment}").into_bytes())]).unwrap();
        let dot_config = DotConfig::parse(&".config".into(), dot_config).unwrap();
        assert!(verify(&composed, &dot_config).is_ok(), "{fragment}");
    }
}

#[test]
fn dependencies() {
    check(
        "CONFIG_MSHV_VTL=y\n# CONFIG_MTRR is not set\nCONFIG_HYPERV_VTL_MODE=y\n",
        expect![[r#"
            2 of 3 requested symbols did not survive the kernel's own configuration
              symbol           wanted  got     asked for by
              CONFIG_MSHV_VTL  y       absent  configs/test.config:2
                  not met: depends on !MTRR (Kconfig:11)
                    MTRR is y, has to be n; configs/test.config:3 asks for n
                      by default (Kconfig:13)
                      not met: prompt if EXPERT (Kconfig:14)
                        EXPERT is n, has to be y
                          nobody asks for that; it could be
              CONFIG_MTRR      n       y       configs/test.config:3
                  by default (Kconfig:13)
                  not met: prompt if EXPERT (Kconfig:14)
                    EXPERT is n, has to be y
                      nobody asks for that; it could be
              the smallest change that makes it hold:
                CONFIG_EXPERT=y
        "#]],
    );
}

#[test]
fn values() {
    check(
        "CONFIG_TRI=m\nCONFIG_NUMBER=2048\nCONFIG_TEXT=\"a\"\nCONFIG_HIDDEN=y\n",
        expect![[r#"
        4 of 4 requested symbols did not survive the kernel's own configuration
          symbol         wanted  got     asked for by
          CONFIG_HIDDEN  y       absent  configs/test.config:5
              nobody can ask for it (no prompt, Kconfig:20); nothing selects it either
          CONFIG_NUMBER  2048    512     configs/test.config:3
              the range is 1 to 512 (Kconfig:17)
          CONFIG_TEXT    "a"     absent  configs/test.config:4
              not met: depends on EXPERT (Kconfig:39)
                EXPERT is n, has to be y
                  nobody asks for that; it could be
          CONFIG_TRI     m       y       configs/test.config:2
              there are no modules (MODULES is n), or it can't be one
          no further lines can make it hold beside the other requests:
            HIDDEN can't be asked for (it has no prompt), and nothing that could be turned on selects it
    "#]],
    );
    check("CONFIG_ADDRESS=16\n", expect!["all there"]);
    check(
        "CONFIG_ADDRESS=\"x\"\n",
        expect![[r#"
        1 of 1 requested symbols did not survive the kernel's own configuration
          symbol          wanted  got  asked for by
          CONFIG_ADDRESS  "x"     0x0  configs/test.config:2
              it is of type hex
          no further lines can make it hold beside the other requests:
            ADDRESS is of type hex, and `"x"` is no value of that
    "#]],
    );
}

#[test]
fn selected() {
    check(
        "CONFIG_HELPER=n\nCONFIG_USER=y\n",
        expect![[r#"
            1 of 2 requested symbols did not survive the kernel's own configuration
              symbol         wanted  got  asked for by
              CONFIG_HELPER  n       y    configs/test.config:2
                  selected by USER (Kconfig:27, asked for at configs/test.config:3)
              the smallest change that makes it hold:
                CONFIG_EXPERT=y
        "#]],
    );
}

#[test]
fn choices() {
    check(
        "CONFIG_HZ_100=y\nCONFIG_HZ_250=y\n",
        expect![[r#"
        1 of 2 requested symbols did not survive the kernel's own configuration
          symbol         wanted  got  asked for by
          CONFIG_HZ_100  y       n    configs/test.config:2
              of the choice "Ticks" (Kconfig:30), HZ_250 is on, which configs/test.config:3 asks for
          no further lines can make it hold beside the other requests:
            HZ_100 and HZ_250, which configs/test.config:3 asks for, are members of one choice
    "#]],
    );
}

#[test]
fn unknown_symbols() {
    check(
        "CONFIG_MSHV_VTLL=y\nCONFIG_SOMETHING_ELSE=y\nCONFIG_ARM_ONLY=y\n",
        expect![[r#"
        3 of 3 requested symbols did not survive the kernel's own configuration
          symbol                 wanted  got     asked for by
          CONFIG_ARM_ONLY        y       absent  configs/test.config:4
              declared at arch/arm64/Kconfig:2, which this architecture does not read
          CONFIG_MSHV_VTLL       y       absent  configs/test.config:2
              no Kconfig file of this kernel declares it for this architecture; did you mean MSHV_VTL?
          CONFIG_SOMETHING_ELSE  y       absent  configs/test.config:3
              no Kconfig file of this kernel declares it for this architecture
    "#]],
    );
}

#[test]
fn as_json() {
    let lost = run("CONFIG_MSHV_VTL=y\nCONFIG_NOTHING_LIKE=1\n").unwrap_err();
    expect![[r#"
        {
          "requested": 2,
          "lost": [
            {
              "symbol": "CONFIG_MSHV_VTL",
              "wanted": "y",
              "got": null,
              "fragment": "configs/test.config:2",
              "why": {
                "symbol": "MSHV_VTL",
                "value": "n",
                "needed": "y",
                "asked": [
                  "configs/test.config:2",
                  "y"
                ],
                "reasons": [
                  {
                    "reason": "unmet",
                    "statement": "depends on",
                    "condition": "X86_64 && HYPERV_VTL_MODE",
                    "place": "Kconfig:10",
                    "because": [
                      {
                        "symbol": "HYPERV_VTL_MODE",
                        "value": "n",
                        "needed": "y",
                        "asked": null,
                        "reasons": [
                          {
                            "reason": "not-asked"
                          }
                        ]
                      }
                    ]
                  },
                  {
                    "reason": "unmet",
                    "statement": "depends on",
                    "condition": "!MTRR",
                    "place": "Kconfig:11",
                    "because": [
                      {
                        "symbol": "MTRR",
                        "value": "y",
                        "needed": "n",
                        "asked": null,
                        "reasons": [
                          {
                            "reason": "default",
                            "place": "Kconfig:13"
                          },
                          {
                            "reason": "unmet",
                            "statement": "prompt if",
                            "condition": "EXPERT",
                            "place": "Kconfig:14",
                            "because": [
                              {
                                "symbol": "EXPERT",
                                "value": "n",
                                "needed": "y",
                                "asked": null,
                                "reasons": [
                                  {
                                    "reason": "not-asked"
                                  }
                                ]
                              }
                            ]
                          }
                        ]
                      }
                    ]
                  }
                ]
              },
              "elsewhere": null
            },
            {
              "symbol": "CONFIG_NOTHING_LIKE",
              "wanted": "1",
              "got": null,
              "fragment": "configs/test.config:3",
              "why": {
                "symbol": "NOTHING_LIKE",
                "value": "n",
                "needed": "1",
                "asked": [
                  "configs/test.config:3",
                  "1"
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
          "remedy": {
            "remedy": "lines",
            "lines": [
              "CONFIG_EXPERT=y",
              "CONFIG_HYPERV_VTL_MODE=y"
            ],
            "is-smallest": true
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&lost).unwrap());
}

#[test]
fn without_the_kconfig_files() {
    let lost = verify(&composed("CONFIG_A=y"), &DotConfig::default()).unwrap_err();
    expect![[r#"
        1 of 1 requested symbols did not survive the kernel's own configuration
          symbol    wanted  got     asked for by
          CONFIG_A  y       absent  configs/test.config:2
    "#]]
    .assert_eq(&lost.to_string());
}
