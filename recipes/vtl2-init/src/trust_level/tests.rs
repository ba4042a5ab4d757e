use super::*;

/// What a case starts from: a machine without Hyper-V whose log is whole.
fn plain(arch: Arch) -> Observations<'static> {
    Observations {
        arch,
        log: &[],
        log_state: LogState::Complete,
        built_with_vtl_mode: None,
        vmbus: false,
        mshv_vtl_low: false,
    }
}

fn check(base: Observations, log: &[&str], level: Option<u8>, evidence: &[Evidence]) {
    let lines: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
    let decided = decide(&Observations { log: &lines, ..base });
    assert_eq!((decided.level, decided.evidence.as_slice()), (level, evidence), "{log:#?}");
}

const DETECTED: &str = "Hypervisor detected: Microsoft Hyper-V";
const FLAGS: &str = "Hyper-V: privilege flags low 0xae7f, high 0x3b8030, hints 0xe24, misc 0xe0bed7b2";
const BUILD: &str = "Hyper-V: Hypervisor Build 10.0.26100.1-1-0";
const SENTENCE_0: &str = "Linux runs in Hyper-V Virtual Trust Level 0";
const SENTENCE_2: &str = "Linux runs in Hyper-V Virtual Trust Level 2";
const HOOK: &str = "APIC: wakeup_secondary_cpu_64() replaced with hv_vtl_wakeup_secondary_cpu()";
const UNNAMED: &str = "APIC: wakeup_secondary_cpu_64() replaced with 0xffffffff81a3c0d0()";
const MAILBOX: &str = "APIC: wakeup_secondary_cpu_64() replaced with acpi_wakeup_cpu()";
const ISOLATED: &str = "Hyper-V: Isolation Config: Group A 0x1, Group B 0xbe2";

#[test]
fn arm64() {
    let base = plain(Arch::Aarch64);
    check(base, &[FLAGS, BUILD, SENTENCE_2], Some(2), &[Evidence::LogStatesLevel]);
    check(base, &["Linux runs in Hyper-V Virtual Trust Level 1"], Some(1), &[Evidence::LogStatesLevel]);
    check(base, &[FLAGS, BUILD], Some(0), &[Evidence::NoLevelAboveZeroTaken]);
    check(base, &["Booting Linux"], Some(0), &[Evidence::NoHyperV]);
    // A quoted sentence, as in an option of the command line, is no statement.
    let quoted = "Kernel command line: x=Linux runs in Hyper-V Virtual Trust Level 2";
    check(base, &[quoted], Some(0), &[Evidence::NoHyperV]);
}

#[test]
fn x86_above_zero() {
    let base = plain(Arch::X86_64);
    check(base, &[DETECTED, FLAGS, SENTENCE_0, BUILD, HOOK], Some(2), &[Evidence::WakeupHook]);
    check(base, &[DETECTED, SENTENCE_0, UNNAMED], Some(2), &[Evidence::UnnamedWakeupHook]);
    let hidden = "APIC: wakeup_secondary_cpu_64() replaced with (____ptrval____)()";
    check(base, &[DETECTED, SENTENCE_0, hidden], Some(2), &[Evidence::UnnamedWakeupHook]);
    check(base, &[SENTENCE_2], Some(2), &[Evidence::LogStatesLevel]);
    let device = Observations { mshv_vtl_low: true, ..base };
    check(device, &[DETECTED, SENTENCE_0, HOOK], Some(2), &[Evidence::WakeupHook, Evidence::MshvVtlDevice]);
    let lost = Observations { log_state: LogState::Unreadable, ..device };
    check(lost, &[], Some(2), &[Evidence::MshvVtlDevice]);
}

#[test]
fn x86_zero() {
    let base = plain(Arch::X86_64);
    check(base, &[], Some(0), &[Evidence::NoHyperV]);
    check(base, &["Hypervisor detected: KVM"], Some(0), &[Evidence::NoHyperV]);
    check(base, &[MAILBOX], Some(0), &[Evidence::NoHyperV]);
    check(base, &[DETECTED, FLAGS, BUILD], Some(0), &[Evidence::KernelWithoutVtlMode]);
    check(base, &[DETECTED, FLAGS, SENTENCE_0, BUILD], Some(0), &[Evidence::NoLevelAboveZeroTaken]);
    let without_number = "Linux runs in Hyper-V Virtual Trust Level";
    check(base, &[DETECTED, FLAGS, without_number, BUILD], Some(0), &[Evidence::NoLevelAboveZeroTaken]);
    let built_without =
        Observations { log_state: LogState::Unreadable, built_with_vtl_mode: Some(false), ..base };
    check(built_without, &[], Some(0), &[Evidence::KernelWithoutVtlMode]);
}

#[test]
fn unknown_is_said_to_be_unknown() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let lost = |log_state, vmbus, built| Observations {
            log_state,
            vmbus,
            built_with_vtl_mode: built,
            ..plain(arch)
        };
        check(lost(LogState::Unreadable, false, None), &[], None, &[Evidence::LogUnreadable]);
        check(lost(LogState::Incomplete, true, None), &[], None, &[Evidence::LogIncomplete]);
        check(lost(LogState::Incomplete, true, Some(true)), &[FLAGS], None, &[Evidence::LogIncomplete]);
    }
    let base = plain(Arch::X86_64);
    check(base, &[DETECTED, FLAGS, ISOLATED, SENTENCE_0, BUILD], None, &[Evidence::Isolated]);
    check(base, &[DETECTED, ISOLATED, SENTENCE_0, BUILD, UNNAMED], None, &[Evidence::Isolated]);
    let tdx = "Memory Encryption Features active: Intel TDX";
    check(base, &[DETECTED, tdx, SENTENCE_0, BUILD, MAILBOX], None, &[Evidence::Isolated]);
    check(base, &[DETECTED, FLAGS, SENTENCE_0], None, &[Evidence::NeverAsked]);
}
