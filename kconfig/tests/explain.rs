//! Why requests are not honoured, and what would make them hold, on small Kconfig files.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use kconfig::{
    Fill, Graph, Request, Silent, SymbolId, Wanted,
    explain::{Asked, Requests, Search, is_honoured, provenance, remedy, why},
    parse,
};

/// Like the corner of Linux that loses MSHV_VTL and TMPFS.
const LINUX: &str = r#"
mainmenu "Demo"

config MODULES
	bool "Modules"
	modules

config EXPERT
	bool "Expert"

config MTRR
	def_bool y
	prompt "MTRR" if EXPERT

config SHMEM
	bool "Shared memory" if EXPERT
	default y

config TMPFS
	bool "tmpfs"
	depends on SHMEM

menu "Hyper-V"

config X86_64
	bool

config HYPERV
	bool "Hyper-V"
	select PARAVIRT

config PARAVIRT
	bool

if HYPERV

config VTL_MODE
	bool "VTL mode"

config MSHV_VTL
	tristate "VTL driver"
	depends on VTL_MODE && !MTRR

config ELSEWHERE
	bool "On another architecture"
	depends on X86_64 && S390

endif

endmenu

choice
	prompt "Compression"

config GZIP
	bool "gzip"

config ZSTD
	bool "zstd"

endchoice

config NR_CPUS
	int "Processors"
	range 2 64
	default 4

config NAME
	string "Name"
	depends on EXPERT

config DEBUG
	bool "Debug"
	select FRAME_POINTER

config FRAME_POINTER
	bool "Frame pointers"
"#;

fn graph() -> Graph {
    let files = BTreeMap::from([("Kconfig".to_string(), LINUX.to_string())]);
    parse("Kconfig", &files, &mut Silent).unwrap().0
}

/// `A=y B=n NAME="x"`, as if each stood on a line of its own.
fn requests<'g>(graph: &'g Graph, text: &str) -> Requests<'g> {
    let mut request = Request::new(graph);
    let asked = text.split(' ').enumerate().map(|(number, assignment)| {
        let (name, value) = assignment.split_once('=').unwrap();
        let symbol = graph.find(name).unwrap();
        request.set(symbol, value).unwrap();
        let wanted = request.wanted(symbol).cloned().unwrap_or_else(|| Wanted::Text(value.into()));
        Asked { symbol, wanted, origin: format!("a.config:{}", number + 1).into() }
    });
    Requests::new(graph, Fill::No, asked.collect())
}

/// What is said of every request that isn't honoured, and what would help all of them.
fn check(text: &str, expected: Expect) {
    let graph = graph();
    let requests = requests(&graph, text);
    let solution = requests.solve();
    let lost: Vec<&Asked> =
        requests.asked().filter(|asked| !is_honoured(&solution, asked.symbol, &asked.wanted)).collect();
    let mut said = String::new();
    for asked in &lost {
        said.push_str(&format!("{}\n", why(&requests, &solution, asked.symbol, &asked.wanted)));
    }
    let targets: Vec<SymbolId> = lost.iter().map(|asked| asked.symbol).collect();
    said.push_str(&format!("{}\n", remedy(&requests, &targets, Search::default())));
    expected.assert_eq(&said);
}

#[test]
fn a_default_that_only_experts_can_turn_off() {
    check(
        "HYPERV=y VTL_MODE=y MTRR=n MSHV_VTL=y",
        expect![[r#"
            MTRR is y, has to be n; a.config:3 asks for n
              by default (Kconfig:12)
              not met: prompt if EXPERT (Kconfig:13)
                EXPERT is n, has to be y
                  nobody asks for that; it could be
            MSHV_VTL is n, has to be y; a.config:4 asks for y
              not met: depends on VTL_MODE && !MTRR (Kconfig:42)
                MTRR is y, has to be n; a.config:3 asks for n
                  by default (Kconfig:12)
                  not met: prompt if EXPERT (Kconfig:13)
                    EXPERT is n, has to be y
                      nobody asks for that; it could be
            the smallest change that makes it hold:
              CONFIG_EXPERT=y
        "#]],
    );
}

#[test]
fn a_remedy_does_not_break_other_requests() {
    check(
        "HYPERV=y VTL_MODE=y MTRR=n MSHV_VTL=y TMPFS=y",
        expect![[r#"
            MTRR is y, has to be n; a.config:3 asks for n
              by default (Kconfig:12)
              not met: prompt if EXPERT (Kconfig:13)
                EXPERT is n, has to be y
                  nobody asks for that; it could be
            MSHV_VTL is n, has to be y; a.config:4 asks for y
              not met: depends on VTL_MODE && !MTRR (Kconfig:42)
                MTRR is y, has to be n; a.config:3 asks for n
                  by default (Kconfig:12)
                  not met: prompt if EXPERT (Kconfig:13)
                    EXPERT is n, has to be y
                      nobody asks for that; it could be
            the smallest change that makes it hold:
              CONFIG_EXPERT=y
              CONFIG_SHMEM=y
        "#]],
    );
}

#[test]
fn what_the_architecture_does_not_have() {
    check(
        "HYPERV=y ELSEWHERE=y",
        expect![[r#"
        ELSEWHERE is n, has to be y; a.config:2 asks for y
          not met: depends on X86_64 && S390 (Kconfig:46)
            X86_64 is n, has to be y
              nobody can ask for it (no prompt, Kconfig:25); nothing selects it either
            S390 is n, has to be y
              no Kconfig file of this kernel declares it for this architecture
        no further lines can make it hold beside the other requests:
          ELSEWHERE needs `depends on X86_64 && S390` (Kconfig:46): X86_64 can't be asked for (it has no prompt), and nothing that could be turned on selects it
    "#]],
    );
}

#[test]
fn several_lines_are_needed() {
    check(
        "MSHV_VTL=y",
        expect![[r#"
            MSHV_VTL is n, has to be y; a.config:1 asks for y
              not met: depends on VTL_MODE && !MTRR (Kconfig:42)
                VTL_MODE is n, has to be y
                  not met: if HYPERV (Kconfig:35)
                    HYPERV is n, has to be y
                      nobody asks for that; it could be
                MTRR is y, has to be n
                  by default (Kconfig:12)
                  not met: prompt if EXPERT (Kconfig:13)
                    EXPERT is n, has to be y
                      nobody asks for that; it could be
              not met: if HYPERV (Kconfig:35)
                HYPERV is n, has to be y
                  nobody asks for that; it could be
            the smallest change that makes it hold:
              CONFIG_HYPERV=y
              CONFIG_VTL_MODE=y
              CONFIG_EXPERT=y
        "#]],
    );
}

#[test]
fn another_request_is_in_the_way() {
    check(
        "HYPERV=n VTL_MODE=y",
        expect![[r#"
            VTL_MODE is n, has to be y; a.config:2 asks for y
              not met: if HYPERV (Kconfig:35)
                HYPERV is n, has to be y; a.config:1 asks for n
            no further lines can make it hold beside the other requests:
              VTL_MODE needs `if HYPERV` (Kconfig:35): a.config:1 asks for `# CONFIG_HYPERV is not set`
        "#]],
    );
}

#[test]
fn two_members_of_a_choice() {
    check(
        "GZIP=y ZSTD=y",
        expect![[r#"
        GZIP is n, has to be y; a.config:1 asks for y
          of the choice "Compression" (Kconfig:52), ZSTD is on, which a.config:2 asks for
        no further lines can make it hold beside the other requests:
          GZIP and ZSTD, which a.config:2 asks for, are members of one choice
    "#]],
    );
}

#[test]
fn a_number_out_of_range() {
    check(
        "NR_CPUS=512",
        expect![[r#"
        NR_CPUS is 64, has to be 512; a.config:1 asks for 512
          the range is 2 to 64 (Kconfig:65)
        no further lines can make it hold beside the other requests:
          NR_CPUS has the range 2 to 64 (Kconfig:65)
    "#]],
    );
}

#[test]
fn a_text_that_is_not_asked_for() {
    check(
        "NAME=\"x\"",
        expect![[r#"
            NAME is empty, has to be x; a.config:1 asks for x
              not met: depends on EXPERT (Kconfig:70)
                EXPERT is n, has to be y
                  nobody asks for that; it could be
            the smallest change that makes it hold:
              CONFIG_EXPERT=y
        "#]],
    );
}

#[test]
fn what_is_selected_can_not_be_off() {
    check(
        "DEBUG=y FRAME_POINTER=n",
        expect![[r#"
        FRAME_POINTER is y, has to be n; a.config:2 asks for n
          selected by DEBUG (Kconfig:74, asked for at a.config:1)
        no further lines can make it hold beside the other requests:
          DEBUG selects FRAME_POINTER (Kconfig:74): a.config:1 asks for `CONFIG_DEBUG=y`
    "#]],
    );
}

#[test]
fn what_has_no_prompt() {
    check(
        "PARAVIRT=y X86_64=y",
        expect![[r#"
        PARAVIRT is n, has to be y; a.config:1 asks for y
          nobody can ask for it (no prompt, Kconfig:32); selected by HYPERV (Kconfig:30)
        X86_64 is n, has to be y; a.config:2 asks for y
          nobody can ask for it (no prompt, Kconfig:25); nothing selects it either
        no further lines can make it hold beside the other requests:
          X86_64 can't be asked for (it has no prompt), and nothing that could be turned on selects it
    "#]],
    );
}

#[test]
fn no_modules() {
    check(
        "HYPERV=y VTL_MODE=y EXPERT=y MTRR=n MSHV_VTL=m",
        expect![[r#"
            MSHV_VTL is y, has to be m or n; a.config:5 asks for m
              there are no modules (MODULES is n), or it can't be one
            the smallest change that makes it hold:
              CONFIG_MODULES=y
        "#]],
    );
}

#[test]
fn who_turned_it_on_and_what_falls() {
    let graph = graph();
    let requests = requests(&graph, "HYPERV=y VTL_MODE=y EXPERT=y TMPFS=y SHMEM=y DEBUG=y");
    let solution = requests.solve();
    let mut said = String::new();
    for name in ["HYPERV", "PARAVIRT", "MTRR", "FRAME_POINTER", "GZIP", "ZSTD", "SHMEM", "NR_CPUS", "X86_64"]
    {
        said.push_str(&format!("{}\n", provenance(&requests, &solution, graph.find(name).unwrap())));
    }
    expect![[r#"
        HYPERV is y
          asked for at a.config:1
          bool "Hyper-V", declared at Kconfig:28
          without it these requests fall: VTL_MODE (a.config:2)
          without it these other symbols fall: PARAVIRT
        PARAVIRT is y
          selected by HYPERV (Kconfig:30, asked for at a.config:1)
          bool, declared at Kconfig:32
        MTRR is n
          nobody asks for it, and whatever nobody asks for is off where it can be
          bool "MTRR", declared at Kconfig:11
        FRAME_POINTER is y
          selected by DEBUG (Kconfig:74, asked for at a.config:6)
          bool "Frame pointers", declared at Kconfig:76
        GZIP is y
          taken by the choice "Compression" (Kconfig:52)
          bool "gzip", declared at Kconfig:55
        ZSTD is n
          taken by the choice "Compression" (Kconfig:52)
          bool "zstd", declared at Kconfig:58
        SHMEM is y
          asked for at a.config:5
          bool "Shared memory", declared at Kconfig:15
          without it these requests fall: TMPFS (a.config:4)
        NR_CPUS is 4
          by default (Kconfig:66)
          integer "Processors", declared at Kconfig:63
        X86_64 is n
          nobody asks for it, selects it, or makes it the default
          bool, declared at Kconfig:25
    "#]]
    .assert_eq(&said);
}
