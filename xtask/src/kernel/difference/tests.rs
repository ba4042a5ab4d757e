//! Two small kernels, what is asked of each, and what differs.

use std::sync::Arc;

use expect_test::{Expect, expect};
use kconfig::{Fill, Graph, Request, Silent, parse};

use super::*;
use crate::kernel::compose::compose_sources;

const KCONFIG: &str = r#"
config NET
	bool "Networking"
	select NET_CORE

config NET_CORE
	bool

config TUN
	bool "Tunnels"
	depends on NET

config HASH_SIZE
	int "Size of the hash"
	depends on NET
	range 4 64
	default 16

config EXPERT
	bool "Expert"

config MTRR
	bool "MTRR" if EXPERT
	default y

config MSHV
	bool "MSHV"
	depends on !MTRR

choice
	prompt "Preemption"

config PREEMPT_NONE
	bool "None"

config PREEMPT
	bool "Full"

endchoice

config LOG
	bool "Log"
	imply LOG_TIME

config LOG_TIME
	bool
	prompt "Times" if EXPERT

config NAME
	string "Name"
	default "(none)"
"#;

fn graph(kconfig: &str) -> Graph {
    let files = BTreeMap::from([("Kconfig".to_string(), kconfig.to_string())]);
    parse("Kconfig", &files, &mut Silent).unwrap().0
}

fn composed(fragment: &str) -> Composed {
    let mut text = String::from("# Wanted.\n");
    text += fragment;
    compose_sources(&[(Arc::from("a.config"), text.into_bytes())]).unwrap()
}

fn made<'a>(graph: &'a Graph, composed: &'a Composed) -> Side<'a> {
    let mut request = Request::new(graph);
    request.read("requests.config", composed.to_allconfig().as_bytes());
    request.fill(Fill::No);
    let solution = request.solve();
    let config = DotConfig::parse(&Arc::from("kernel.config"), &solution.dot_config()).unwrap();
    Side { config, made: Some(Made { composed, solution }) }
}

fn file(text: &str) -> Side<'static> {
    Side { config: DotConfig::parse(&Arc::from("own.config"), text).unwrap(), made: None }
}

fn show(one: &Side, other: &Side) -> String {
    let mut text = String::new();
    for Difference { symbol, one, other, derived } in compare(one, other) {
        let value = |half: &Half| half.value.as_ref().map_or("-".to_string(), Value::to_string);
        let derived = if derived { " (derived)" } else { "" };
        text += &format!("{symbol}: {} → {}{derived}\n", value(&one), value(&other));
        for half in [one, other] {
            text += &half.cause.map_or(String::new(), |cause| format!("  {cause}\n"));
        }
    }
    text
}

/// The same kernel with other requests.
fn check(one: &str, other: &str, expected: Expect) {
    let graph = graph(KCONFIG);
    let (one, other) = (composed(one), composed(other));
    expected.assert_eq(&show(&made(&graph, &one), &made(&graph, &other)));
}

/// The same requests of another kernel.
fn check_kernels(change: (&str, &str), requests: &str, expected: Expect) {
    assert!(KCONFIG.contains(change.0));
    let (before, after) = (graph(KCONFIG), graph(&KCONFIG.replace(change.0, change.1)));
    let requests = composed(requests);
    expected.assert_eq(&show(&made(&before, &requests), &made(&after, &requests)));
}

#[test]
fn nothing_differs() {
    check("CONFIG_NET=y\n", "CONFIG_NET=y\n", expect![[r#""#]]);
    check("CONFIG_TUN=y\n", "# CONFIG_TUN is not set\n", expect![[r#""#]]);
}

#[test]
fn what_follows_is_derived() {
    check(
        "CONFIG_NET=y\nCONFIG_TUN=y\n",
        "CONFIG_LOG=y\n",
        expect![[r#"
            CONFIG_HASH_SIZE: 16 → - (derived)
              default, Kconfig:17
              dependency not met: NET
            CONFIG_LOG: n → y
              nobody asks for it
              asked for, a.config:2
            CONFIG_LOG_TIME: - → y (derived)
              nobody asks for it
              implied by LOG
            CONFIG_NET: y → n
              asked for, a.config:2
              nobody asks for it
            CONFIG_NET_CORE: y → - (derived)
              selected by NET
              nobody asks for it
            CONFIG_TUN: y → -
              asked for, a.config:3
              dependency not met: NET
        "#]],
    );
}

#[test]
fn requests_that_contradict() {
    let quiet = "CONFIG_EXPERT=y\n# CONFIG_MTRR is not set\nCONFIG_MSHV=y\nCONFIG_NAME=\"me\"\n";
    check(
        quiet,
        "CONFIG_EXPERT=y\nCONFIG_MTRR=y\n",
        expect![[r#"
            CONFIG_MSHV: y → -
              asked for, a.config:4
              dependency not met: !MTRR
            CONFIG_MTRR: n → y
              asked for, a.config:3
              asked for, a.config:3
            CONFIG_NAME: "me" → "(none)"
              asked for, a.config:5
              default, Kconfig:51
        "#]],
    );
}

#[test]
fn choices() {
    check(
        "CONFIG_PREEMPT=y\n",
        "CONFIG_LOG=y\n",
        expect![[r#"
            CONFIG_LOG: n → y
              nobody asks for it
              asked for, a.config:2
            CONFIG_LOG_TIME: - → y (derived)
              nobody asks for it
              implied by LOG
            CONFIG_PREEMPT: y → n
              asked for, a.config:2
              its choice has PREEMPT_NONE
            CONFIG_PREEMPT_NONE: n → y (derived)
              its choice has PREEMPT
              default, Kconfig:30
        "#]],
    );
}

/// Out of range, without a prompt, with one that isn't shown.
#[test]
fn requests_in_vain() {
    check(
        "CONFIG_NET=y\nCONFIG_HASH_SIZE=128\n",
        "CONFIG_NET=y\n",
        expect![[r#"
        CONFIG_HASH_SIZE: 64 → 16
          asked for, a.config:3, but it has to be from 4 to 64
          default, Kconfig:17
    "#]],
    );
    check(
        "# CONFIG_NET_CORE is not set\n",
        "CONFIG_NET=y\n# CONFIG_NET_CORE is not set\n",
        expect![[r#"
        CONFIG_HASH_SIZE: - → 16 (derived)
          dependency not met: NET
          default, Kconfig:17
        CONFIG_NET: n → y
          nobody asks for it
          asked for, a.config:2
        CONFIG_NET_CORE: - → y
          nobody asks for it
          selected by NET
    "#]],
    );
    check(
        "# CONFIG_MTRR is not set\n",
        "CONFIG_EXPERT=y\n# CONFIG_MTRR is not set\n",
        expect![[r#"
        CONFIG_EXPERT: n → y
          nobody asks for it
          asked for, a.config:2
        CONFIG_MTRR: y → n
          asked for, a.config:2, but it can be set only if EXPERT
          asked for, a.config:3
    "#]],
    );
    check_kernels(
        ("config NET_CORE\n\tbool\n", "config NET_CORE\n\tbool \"Core\"\n"),
        "CONFIG_NET_CORE=y\n",
        expect![[r#"
            CONFIG_NET_CORE: - → y
              asked for, a.config:2, but it has no prompt
              asked for, a.config:2
        "#]],
    );
}

#[test]
fn a_request_that_is_lost() {
    check(
        "CONFIG_MSHV=y\n# CONFIG_MTRR is not set\nCONFIG_EXPERT=y\n",
        "CONFIG_MSHV=y\n",
        expect![[r#"
            CONFIG_EXPERT: y → n
              asked for, a.config:4
              nobody asks for it
            CONFIG_MSHV: y → -
              asked for, a.config:2
              dependency not met: !MTRR
            CONFIG_MTRR: n → y
              asked for, a.config:3
              default, Kconfig:24
        "#]],
    );
}

#[test]
fn kernels() {
    check_kernels(
        ("default 16", "default 32"),
        "CONFIG_NET=y\n",
        expect![[r#"
            CONFIG_HASH_SIZE: 16 → 32
              default, Kconfig:17
              default, Kconfig:17
        "#]],
    );
    check_kernels(
        ("config TUN\n", "config TUN_NEW\n"),
        "CONFIG_NET=y\nCONFIG_TUN=y\n",
        expect![[r#"
        CONFIG_TUN: y → -
          asked for, a.config:3
          not in this kernel
    "#]],
    );
    // Chosen by a symbol that nobody can set and that the other kernel lacks.
    let arch =
        ("config EXPERT\n", "config ARCH\n\tdef_bool y\n\tselect TUN\n\tselect NET\n\nconfig EXPERT\n");
    check_kernels(
        arch,
        "CONFIG_LOG=y\n",
        expect![[r#"
            CONFIG_ARCH: - → y (derived)
              not in this kernel
              default, Kconfig:20
            CONFIG_HASH_SIZE: - → 16 (derived)
              dependency not met: NET
              default, Kconfig:17
            CONFIG_NET: n → y
              nobody asks for it
              selected by ARCH
            CONFIG_NET_CORE: - → y (derived)
              nobody asks for it
              selected by NET
            CONFIG_TUN: - → y (derived)
              dependency not met: NET
              selected by ARCH
        "#]],
    );
}

#[test]
fn files() {
    let graph = graph(KCONFIG);
    let composed = composed("CONFIG_NET=y\n");
    let own = file("CONFIG_TUN=y\nCONFIG_NET_OLD=y\nCONFIG_NAME=\"(none)\"\n# CONFIG_NET_CORE is not set\n");
    expect![[r#"
        CONFIG_HASH_SIZE: - → 16 (derived)
          default, Kconfig:17
        CONFIG_MTRR: - → y (derived)
          default, Kconfig:24
        CONFIG_NET: - → y
          asked for, a.config:2
        CONFIG_NET_CORE: n → y (derived)
          selected by NET
        CONFIG_NET_OLD: y → -
          not in this kernel
        CONFIG_PREEMPT_NONE: - → y
          default, Kconfig:30
        CONFIG_TUN: y → n
          nobody asks for it
    "#]]
    .assert_eq(&show(&own, &made(&graph, &composed)));
    expect![[r#"
        CONFIG_NAME: "(none)" → -
        CONFIG_NET_OLD: y → -
        CONFIG_TUN: y → m
    "#]]
    .assert_eq(&show(&own, &file("CONFIG_TUN=m\n")));
}
