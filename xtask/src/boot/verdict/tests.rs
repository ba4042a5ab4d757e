//! Boots as they were seen, cut down to the lines that matter, and what is to be said of them.

use std::time::Duration;

use super::*;
use crate::boot::evidence::{ConsoleLine, gather};

const AT_2: Below = Below::Monitor { vtl: 2 };
const AT_0: Below = Below::Monitor { vtl: 0 };
const ENDED: Ended = Ended::Status(0);

const X86_VTL2: &str = r#"[    0.000000] Linux version 7.3.4
[    0.000000] Hypervisor detected: Microsoft Hyper-V
[    0.000238] Linux runs in Hyper-V Virtual Trust Level 0
[    0.180268] APIC: wakeup_secondary_cpu_64() replaced with hv_vtl_wakeup_secondary_cpu()
[    0.951949] hv_vmbus: Vmbus version:6.0
[    1.899999] payload-ready {"arch":"x86_64","vtl":2,"cpus_online":4}"#;
const X86_VTL2_REPORT: &str = r#"{"event":"register-read","vp":0,"name":"vsm-vp-status","value":"0x2"}
{"event":"vmbus","connection":"0x800074","message":"initiate-contact"}
{"event":"end","reason":"triple-fault"}"#;
const ARM: &str = r#"[    0.1] Hyper-V: privilege flags low 0x66
[    0.2] Linux runs in Hyper-V Virtual Trust Level 2
[    1.3] payload-ready {"arch":"aarch64","vtl":2,"cpus_online":4}"#;
const ARM_REPORT: &str = r#"{"event":"register-read","vp":0,"name":"vsm-vp-status","value":"0x2"}"#;

fn question(arch: Arch, kernel: Vtl, below: Below) -> Question {
    Question { arch, kernel, below, cpus: 4, is_interactive: false, is_self_test: false, is_shutdown: false }
}

fn judged(question: Question, console: &str, report: &str, ended: &Ended) -> Verdict {
    let line = |text: &str| ConsoleLine { at: Duration::from_secs(1), text: text.to_string() };
    let console: Vec<ConsoleLine> = console.lines().map(line).collect();
    judge(&question, &gather(&console, report), ended)
}

fn check(question: Question, console: &str, report: &str, level: Option<u8>, code: Option<Code>) {
    let verdict = judged(question, console, report, &ENDED);
    let diagnosed = verdict.diagnosis.as_ref().map(|diagnosis| diagnosis.code);
    assert_eq!((verdict.level, diagnosed), (level, code), "{verdict:?}\n{console}");
    assert_eq!(verdict.ok, code.is_none());
}

#[test]
fn level_2_on_x86_takes_all_signs() {
    let at_2 = question(Arch::X86_64, Vtl::Vtl2, AT_2);
    check(at_2, X86_VTL2, X86_VTL2_REPORT, Some(2), None);
    let without = |text: &str, line: &str| -> String {
        text.lines().filter(|found| !found.contains(line)).collect::<Vec<_>>().join("\n")
    };
    let wrong = Some(Code::WrongVtl);
    check(at_2, &without(X86_VTL2, "APIC"), X86_VTL2_REPORT, Some(2), wrong);
    check(at_2, X86_VTL2, &X86_VTL2_REPORT.replace("0x800074", "0x4"), Some(2), wrong);
    check(at_2, X86_VTL2, &X86_VTL2_REPORT.replace("triple-fault", "keyboard-reset"), Some(2), wrong);
    check(at_2, X86_VTL2, &X86_VTL2_REPORT.replace("0x2", "0x0"), Some(2), wrong);
    check(at_2, &X86_VTL2.replace("\"vtl\":2", "\"vtl\":0"), X86_VTL2_REPORT, Some(2), wrong);
    // The line that always says 0 counts for nothing, whatever it says.
    check(at_2, &X86_VTL2.replace("Level 0", "Level 1"), X86_VTL2_REPORT, Some(2), None);
    // Neither does a wake-up call that something else replaced.
    check(at_2, &X86_VTL2.replace("hv_vtl_", "acpi_"), X86_VTL2_REPORT, Some(2), wrong);
    // Who was stopped had no chance to restart.
    let stopped = Ended::TimeUp(Duration::from_secs(9));
    assert!(judged(at_2, X86_VTL2, &without(X86_VTL2_REPORT, "end"), &stopped).ok);
    // Told of level 0, none of it may show.
    check(question(Arch::X86_64, Vtl::Vtl2, AT_0), X86_VTL2, X86_VTL2_REPORT, Some(2), wrong);
}

#[test]
fn levels_on_arm() {
    check(question(Arch::Aarch64, Vtl::Vtl2, AT_2), ARM, ARM_REPORT, Some(2), None);
    let at_0 = (ARM.replace("\"vtl\":2", "\"vtl\":0"), ARM_REPORT.replace("0x2", "0x0"));
    let line = "[    0.2] Linux runs in Hyper-V Virtual Trust Level 2\n";
    let silent = at_0.0.replace(line, "");
    check(question(Arch::Aarch64, Vtl::Vtl2, AT_0), &silent, &at_0.1, Some(0), None);
    check(question(Arch::Aarch64, Vtl::Vtl2, AT_0), &at_0.0, &at_0.1, Some(2), Some(Code::WrongVtl));
    let plain = silent.replace("Hyper-V: privilege flags", "");
    check(question(Arch::Aarch64, Vtl::Vtl2, Below::Nothing), &plain, "", None, None);
    // A kernel that isn't for VTL mode never asks.
    check(question(Arch::Aarch64, Vtl::Vtl0, AT_2), &silent, "", Some(0), Some(Code::WrongVtl));
}

#[test]
fn what_keeps_a_payload_from_reporting() {
    let x86 = question(Arch::X86_64, Vtl::Vtl2, AT_2);
    let bare = question(Arch::X86_64, Vtl::Vtl2, Below::Nothing);
    let no = |question, console: &str, report: &str, code| check(question, console, report, None, Some(code));
    no(
        x86,
        "[    0.2] Kernel panic - not syncing: XSAVE has to be disabled as it is not supported by this module.",
        "",
        Code::XsavePanic,
    );
    let oops = "[    0.7] BUG: unable to handle page fault for address: ff11\n[    0.7] Oops: Oops: 0000 [#1] SMP NOPTI\n";
    let place = "[    0.7] RIP: 0010:hv_call_get_vp_registers+0x2e/0x1b0\n";
    let panic = "[    0.8] Kernel panic - not syncing: Fatal exception\n";
    no(bare, &format!("{oops}{place}{panic}"), "", Code::NoHyperV);
    no(bare, &format!("{oops}[    0.7] RIP: 0010:ext4_fill_super+0x1/0x2\n{panic}"), "", Code::KernelOops);
    no(
        x86,
        &format!("[    0.0] Hypervisor detected: Microsoft Hyper-V\n{oops}{place}"),
        "",
        Code::KernelOops,
    );
    no(
        question(Arch::Aarch64, Vtl::Vtl2, AT_2),
        "[    0.7] Internal error: Oops: 0000000096000004\n[    0.7] pc : start_kernel+0x2/0x3",
        "",
        Code::KernelOops,
    );
    no(x86, "[    0.8] Kernel panic - not syncing: No working init found.", "", Code::KernelPanic);
    no(x86, "", "", Code::EarlySilence);
    no(x86, "[    0.8] booting", "", Code::EndedEarly);
    let own = r#"{"event":"error","what":"the guest started a processor by itself, not through Hyper-V"}"#;
    no(
        question(Arch::X86_64, Vtl::Vtl2, AT_0),
        "[    0.4] smpboot: x86: Booting",
        own,
        Code::OwnProcessorStart,
    );
    no(x86, "[    0.4] x", r#"{"event":"monitor-panic","file":"a.rs","line":1}"#, Code::MonitorFailed);
    no(
        x86,
        "qemu-system-x86_64: cannot set up guest memory 'ram': Cannot allocate memory",
        "",
        Code::QemuFailed,
    );
    let shim = r#"{"event":"guest-crash","p0":"0x4d4948534c5456","message":"the kernel is not it"}"#;
    no(x86, "", shim, Code::ShimRefused);
    assert_eq!(
        judged(x86, "", shim, &ENDED).diagnosis.unwrap().text,
        "the boot shim did not start the kernel: the kernel is not it"
    );
    // A kernel's last words are not the shim's.
    no(x86, "", &shim.replace("0x4d", "0x4e"), Code::EarlySilence);
    let few = X86_VTL2.replace("\"cpus_online\":4", "\"cpus_online\":1");
    check(x86, &few, X86_VTL2_REPORT, Some(2), Some(Code::MissingProcessors));
}

#[test]
fn a_hang_is_told_with_its_last_lines() {
    let mut console: String = (0..30).map(|number| format!("[    0.{number:02}] line {number}\n")).collect();
    console += "qemu-system-x86_64: terminating on signal 15 from pid 7 (xtask)\n";
    let stopped = Ended::TimeUp(Duration::from_secs(7));
    let asked = question(Arch::X86_64, Vtl::Vtl2, AT_2);
    let diagnosis = judged(asked, &console, "", &stopped).diagnosis.unwrap();
    assert_eq!(diagnosis.code, Code::Hang);
    assert_eq!(diagnosis.text, "no payload-ready line within 7 s; the last line is \"[    0.29] line 29\"");
    let lines = gather(
        &console
            .lines()
            .map(|text| ConsoleLine { at: Duration::ZERO, text: text.to_string() })
            .collect::<Vec<_>>(),
        "",
    );
    assert_eq!((lines.last_lines.len(), lines.last_lines[0].as_str()), (20, "[    0.10] line 10"));
}

#[test]
fn self_tests() {
    let asked = Question { is_self_test: true, ..question(Arch::Aarch64, Vtl::Vtl2, AT_2) };
    let whole = r#"{"event":"self-test","rounds":20000,"good":289,"bad":19711}"#;
    check(asked, "", whole, None, None);
    // Counters that a stack of the monitor's ran into.
    check(asked, "", &whole.replace("19711", "750"), None, Some(Code::MonitorFailed));
    check(asked, "", "", None, Some(Code::MonitorFailed));
    check(asked, "", &format!("{whole}\n{{\"event\":\"monitor-fault\"}}"), None, Some(Code::MonitorFailed));
}

const SHUTDOWN: &str = r#"[    1.9] hv_utils: Shutdown request received - graceful shutdown initiated
[    1.9] vtl2-init: powering off
[    2.0] reboot: Power down"#;
const SHUTDOWN_REPORT: &str = r#"{"event":"channel-opened","vp":0,"to_host_pages":4}
{"event":"shutdown-negotiated","answer":"accepted","major":3,"minor":2}
{"event":"shutdown-asked","wish":"power-off"}
{"event":"shutdown-answered","answer":"accepted","status":"0x0"}
{"event":"end","reason":"system-off"}"#;

#[test]
fn shutdowns_over_vmbus() {
    let asked = Question { is_shutdown: true, ..question(Arch::Aarch64, Vtl::Vtl2, AT_2) };
    let (console, report) = (format!("{ARM}\n{SHUTDOWN}"), format!("{ARM_REPORT}\n{SHUTDOWN_REPORT}"));
    check(asked, &console, &report, Some(2), None);
    let stages = [
        "channel-opened",
        "negotiated",
        "asked",
        "answered",
        "driver",
        "payload",
        "kernel-end",
        "machine-end",
    ];
    let verdict = judged(asked, &console, &report, &ENDED);
    let found: Vec<_> = verdict.findings.iter().map(|finding| finding.what).collect();
    assert!(found.ends_with(&stages), "{found:?}");
    // Without any one of the lines it is no shutdown.
    let without = |text: &str, line: &str| -> String {
        text.lines().filter(|other| *other != line).collect::<Vec<_>>().join("\n")
    };
    for line in SHUTDOWN.lines() {
        check(asked, &without(&console, line), &report, Some(2), Some(Code::NoShutdown));
    }
    for line in SHUTDOWN_REPORT.lines() {
        check(asked, &console, &without(&report, line), Some(2), Some(Code::NoShutdown));
    }
    let no = Some(Code::NoShutdown);
    check(asked, &console, &report.replace(r#""accepted","status":"0x0""#, r#""refused""#), Some(2), no);
    check(asked, &console, &report.replace(r#""accepted","major""#, r#""refused","major""#), Some(2), no);
    check(asked, &console, &report.replace("system-off", "system-reset"), Some(2), no);
    // The payload's end before it was asked is another end.
    let early =
        format!("{ARM}\n[    1.8] vtl2-init: powering off\n{}", SHUTDOWN.replace("vtl2-init: powering", "x"));
    check(asked, &early, &report, Some(2), no);
    // On x86-64 a VTL2 kernel has nothing to switch off with, and one that is asked doesn't restart.
    let x86 = Question { is_shutdown: true, ..question(Arch::X86_64, Vtl::Vtl2, AT_2) };
    let without_end = without(X86_VTL2_REPORT, r#"{"event":"end","reason":"triple-fault"}"#);
    let halted = format!("{without_end}\n{}", SHUTDOWN_REPORT.replace("system-off", "halt"));
    check(x86, &format!("{X86_VTL2}\n{SHUTDOWN}"), &halted, Some(2), None);
    check(x86, &format!("{X86_VTL2}\n{SHUTDOWN}"), &halted.replace("halt", "triple-fault"), Some(2), no);
}

#[test]
fn what_the_disks_loader_says() {
    let at_2 = question(Arch::X86_64, Vtl::Vtl2, AT_2);
    let stopped = Ended::TimeUp(Duration::from_secs(9));
    let told = "BdsDxe: starting Boot0001\nvtlforge: the processor shows no SVM\nBdsDxe: failed";
    let verdict = judged(at_2, told, "", &stopped);
    let diagnosis = verdict.diagnosis.unwrap();
    assert_eq!(diagnosis.code, Code::LoaderFailed);
    assert_eq!(diagnosis.text, "the disk's loader: the processor shows no SVM");
    let good = format!("vtlforge: VTL2 by the monitor\n{X86_VTL2}");
    assert!(judged(at_2, &good, X86_VTL2_REPORT, &ENDED).ok);
}
