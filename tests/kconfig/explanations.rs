//! Explanations over real kernels. That a proposed change does what it promises is asked of conf, not of the engine that
//! proposes it.

use expect_test::{Expect, expect};
use kconfig::{
    Fill, Graph, Request,
    explain::{Asked, Remedy, Requests, Search, is_honoured, remedy, why},
};

use super::{
    harness::{Random, is_exhaustive},
    judge::Probing,
    kernels::{self, Kernel},
    question::{Mode, Question},
};

fn kernel(version: &str, arch: &str) -> &'static Kernel {
    kernels::all().iter().find(|kernel| (kernel.version, kernel.arch) == (version, arch)).expect("it is one")
}

/// The lines of a fragment as requests, with the number of the line.
fn requests<'g>(graph: &'g Graph, fragment: &str) -> Requests<'g> {
    let mut request = Request::new(graph);
    let asked = fragment.lines().enumerate().filter_map(|(number, line)| {
        let off = line.strip_prefix("# CONFIG_").and_then(|line| line.strip_suffix(" is not set"));
        let on = || line.strip_prefix("CONFIG_").and_then(|line| line.split_once('='));
        let (name, value) = off.map(|name| (name, "n")).or_else(on)?;
        let symbol = graph.declared(name)?;
        request.set(symbol, value).unwrap();
        let wanted = request.wanted(symbol)?.clone();
        Some(Asked { symbol, wanted, origin: format!("line {}", number + 1).into() })
    });
    Requests::new(graph, Fill::No, asked.collect())
}

fn lost<'r>(requests: &'r Requests) -> Vec<&'r Asked> {
    let solution = requests.solve();
    requests.asked().filter(|asked| !is_honoured(&solution, asked.symbol, &asked.wanted)).collect()
}

fn check(kernel: &Kernel, fragment: &str, expected: Expect) {
    let requests = requests(&kernel.reading.graph, fragment);
    let solution = requests.solve();
    let mut said = String::new();
    for asked in lost(&requests) {
        said += &format!("{}\n", why(&requests, &solution, asked.symbol, &asked.wanted));
    }
    let targets: Vec<_> = lost(&requests).iter().map(|asked| asked.symbol).collect();
    said += &format!("{}\n", remedy(&requests, &targets, Search::default()));
    expected.assert_eq(&said);
}

/// What MSHV_VTL needs beside what its `depends on` names, and what that costs: with EXPERT nobody implies SHMEM.
#[test]
fn mtrr_stays_on_unless_an_expert_asks() {
    let fragment = "CONFIG_64BIT=y\nCONFIG_SMP=y\nCONFIG_HYPERVISOR_GUEST=y\nCONFIG_HYPERV=y\n\
                    CONFIG_HYPERV_VTL_MODE=y\nCONFIG_HYPERV_VMBUS=y\nCONFIG_TRANSPARENT_HUGEPAGE=y\n\
                    # CONFIG_MTRR is not set\nCONFIG_MSHV_VTL=y\nCONFIG_TMPFS=y\n";
    check(
        kernel("7.3", "x86_64"),
        fragment,
        expect![[r#"
        MTRR is y, has to be n; line 8 asks for n
          by default (arch/x86/Kconfig:1639)
          not met: prompt if EXPERT (arch/x86/Kconfig:1640)
            EXPERT is n, has to be y
              nobody asks for that; it could be
        MSHV_VTL is n, has to be y; line 9 asks for y
          not met: depends on !MTRR (drivers/hv/Kconfig:99)
            MTRR is y, has to be n; line 8 asks for n
              by default (arch/x86/Kconfig:1639)
              not met: prompt if EXPERT (arch/x86/Kconfig:1640)
                EXPERT is n, has to be y
                  nobody asks for that; it could be
        the smallest change that makes it hold:
          CONFIG_EXPERT=y
          CONFIG_SHMEM=y
    "#]],
    );
}

/// VTL mode came to arm64 with 6.16: before that nothing can turn it on there.
#[test]
fn vtl_mode_is_impossible_on_arm64_before_it_came_there() {
    let fragment = "CONFIG_HYPERV=y\nCONFIG_HYPERV_VTL_MODE=y\n";
    check(
        kernel("6.12", "aarch64"),
        fragment,
        expect![[r#"
            HYPERV is n, has to be y; line 1 asks for y
              not met: depends on X86 && X86_LOCAL_APIC && HYPERVISOR_GUEST || ACPI && ARM64 && !CPU_BIG_ENDIAN (drivers/hv/Kconfig:7)
                X86 is n, has to be y
                  no Kconfig file of this kernel declares it for this architecture
                X86_LOCAL_APIC is n, has to be y
                  no Kconfig file of this kernel declares it for this architecture
                HYPERVISOR_GUEST is n, has to be y
                  no Kconfig file of this kernel declares it for this architecture
                ACPI is n, has to be y
                  not met: depends on ARCH_SUPPORTS_ACPI (drivers/acpi/Kconfig:11)
                    ARCH_SUPPORTS_ACPI is n, has to be y
                      nobody can ask for it (no prompt, drivers/acpi/Kconfig:6); selected by EFI (arch/arm64/Kconfig:2474)
            HYPERV_VTL_MODE is n, has to be y; line 2 asks for y
              not met: depends on X86_64 && HYPERV (drivers/hv/Kconfig:18)
                X86_64 is n, has to be y
                  no Kconfig file of this kernel declares it for this architecture
                HYPERV is n, has to be y; line 1 asks for y
                  not met: depends on X86 && X86_LOCAL_APIC && HYPERVISOR_GUEST || ACPI && ARM64 && !CPU_BIG_ENDIAN (drivers/hv/Kconfig:7)
                    X86 is n, has to be y
                      no Kconfig file of this kernel declares it for this architecture
                    X86_LOCAL_APIC is n, has to be y
                      no Kconfig file of this kernel declares it for this architecture
                    HYPERVISOR_GUEST is n, has to be y
                      no Kconfig file of this kernel declares it for this architecture
                    ACPI is n, has to be y
                      not met: depends on ARCH_SUPPORTS_ACPI (drivers/acpi/Kconfig:11)
                        ARCH_SUPPORTS_ACPI is n, has to be y
                          nobody can ask for it (no prompt, drivers/acpi/Kconfig:6); selected by EFI (arch/arm64/Kconfig:2474)
            no further lines can make it hold beside the other requests:
              HYPERV_VTL_MODE needs `depends on X86_64 && HYPERV` (drivers/hv/Kconfig:18): X86_64 is declared in no Kconfig file of this kernel that this architecture reads
        "#]],
    );
    check(
        kernel("7.3", "aarch64"),
        fragment,
        expect![[r#"
        nothing has to be added
    "#]],
    );
}

/// Of each profile's requests one or two are taken away. If others are lost by that, what was taken away, or something
/// no larger, is found again, and conf agrees that nothing is lost then.
#[test]
fn what_is_taken_away_is_found_again() {
    let rounds = if is_exhaustive() { 60 } else { 6 };
    let mut random = Random::new(0x7265_6d65_6479);
    let mut below = |limit: usize| usize::try_from(random.below(limit as u64)).unwrap();
    let (mut found, mut judged) = (0, 0);
    for (arch, all) in kernels::requests_of_profiles() {
        let kernel = kernel("7.3", &arch);
        let graph = &kernel.reading.graph;
        for _ in 0..rounds {
            let mut lines: Vec<&str> = all.lines().collect();
            let taken = 1 + below(2);
            for _ in 0..taken {
                lines.remove(below(lines.len()));
            }
            let fragment = lines.join("\n") + "\n";
            let requests = requests(graph, &fragment);
            let targets: Vec<_> = lost(&requests).iter().map(|asked| asked.symbol).collect();
            if targets.is_empty() {
                continue;
            }
            found += 1;
            let remedy = remedy(&requests, &targets, Search::default());
            let Remedy::Lines { lines, is_smallest } = &remedy else { panic!("{remedy}\n{fragment}") };
            assert!(lines.len() <= taken, "{remedy}\n{fragment}");
            assert!(*is_smallest || lines.len() == taken, "{remedy}\n{fragment}");
            // conf takes seconds.
            if judged < rounds {
                judged += 1;
                survives(kernel, &format!("{fragment}{}\n", lines.join("\n")));
            }
        }
    }
    assert!(found > rounds / 2, "only {found} of the fragments lost something");
    eprintln!("{found} lost and found again, {judged} of them judged by conf");
}

/// Whether each line of `fragment` holds in what conf makes of it.
fn survives(kernel: &Kernel, fragment: &str) {
    let question = Question::new(Mode::AllNo, Some(fragment.as_bytes().to_vec()));
    let config = kernel.judge.answer(&question, Probing::Remembered).config.expect("conf writes a .config");
    let config = String::from_utf8(config).unwrap();
    let written: std::collections::BTreeSet<&str> = config.lines().collect();
    for line in fragment.lines() {
        let name = line.trim_start_matches("# ").split(['=', ' ']).next().unwrap();
        // conf leaves out what is off and can't be asked for.
        let is_absent = line.ends_with(" is not set") && !config.contains(&format!("{name}="));
        assert!(written.contains(line) || is_absent, "{line} doesn't hold with\n{fragment}");
    }
}
