//! The verdict: what the evidence says about the question, and where it isn't good, why and what to do. Pure.
//!
//! Levels are judged by what the kernel does. On x86-64 the kernel's line about its level is no evidence: it is written
//! before the kernel has asked, and always says 0 (Linux, arch/x86/hyperv/hv_vtl.c). There, level 2 shows in three
//! things: the replaced wake-up call of processors, VMBus messages to the connection of VTL2, and a restart by triple
//! fault. On 64-bit Arm the line is written after asking, for levels above 0 only. On both the monitor has a record of
//! what it answered.

use serde::Serialize;

use super::{
    Below, Question,
    evidence::{Ended, Evidence},
};
use crate::profile::{Arch, types::Vtl};

#[cfg(test)]
mod tests;

/// Connection of the VMBus host for VTL2 (Linux, include/linux/hyperv.h).
const VTL2_CONNECTION: u64 = 0x80_0074;

/// The loader's words (bare/monitor/src/loader) before it leaves firmware.
const LOADER_SUCCESS: &str = "VTL2 by the monitor";

#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub ok: bool,
    /// The level that the kernel showed; null where it showed none, for want of Hyper-V or of a boot.
    pub level: Option<u8>,
    pub findings: Vec<Finding>,
    pub diagnosis: Option<Diagnosis>,
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: &'static str,
    /// Words of whoever showed it.
    pub said: String,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub code: Code,
    pub text: String,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    QemuFailed,
    MonitorFailed,
    /// The boot shim did not start the kernel.
    ShimRefused,
    /// The program on the disk that brings the monitor into memory.
    LoaderFailed,
    /// A VTL2 kernel with XSAVE.
    XsavePanic,
    /// MSHV without Hyper-V below.
    NoHyperV,
    KernelPanic,
    KernelOops,
    EarlySilence,
    Hang,
    EndedEarly,
    /// Processors started the way of a PC by a kernel that has given that up.
    OwnProcessorStart,
    MissingProcessors,
    WrongVtl,
    /// Asked to switch off over VMBus, it did not.
    NoShutdown,
    /// VTL2's payload could not run a guest at VTL0.
    Vtl0Failed,
    Vtl0Panic,
    Vtl0Crashed,
    Vtl0Hang,
}

pub fn judge(question: &Question, evidence: &Evidence, ended: &Ended) -> Verdict {
    if question.is_self_test {
        return judge_self_test(evidence);
    }
    let level = level(question.arch, evidence);
    let diagnosis =
        trouble(question, evidence, ended).or_else(|| wrong_level(question, evidence, level, ended));
    let shutdown = || evidence.shutdown.trouble(question.arch);
    let diagnosis = diagnosis.or_else(|| question.is_shutdown.then(shutdown).flatten());
    let mut findings = findings(question.arch, evidence);
    if question.is_shutdown {
        findings.extend(evidence.shutdown.findings());
    }
    Verdict { ok: diagnosis.is_none(), level: evidence.payload.as_ref().and(level), findings, diagnosis }
}

/// The monitor outlived its own guest, and says so.
fn judge_self_test(evidence: &Evidence) -> Verdict {
    let diagnosis = match (&evidence.self_test, &evidence.monitor_error, &evidence.qemu) {
        (Some(found), None, _) => {
            // Each call came back with one answer, or the guest's own registers are not what they were.
            let number = |name: &str| found[name].as_u64().unwrap_or_default();
            let is_whole = number("good") + number("bad") == number("rounds");
            (!is_whole).then(|| format!("the monitor's own guest lost its registers: {found}"))
        }
        (_, Some(error), _) => Some(format!("the monitor gave up: {error}")),
        (None, None, Some(complaint)) => Some(format!("QEMU: {complaint}")),
        (None, None, None) => Some("the monitor's own guest did not come to its end".to_string()),
    };
    let diagnosis = diagnosis.map(|text| Diagnosis { code: Code::MonitorFailed, text, hint: None });
    let said = evidence.self_test.as_ref().map(ToString::to_string);
    let findings = said.map(|said| Finding { what: "self-test", said }).into_iter().collect();
    Verdict { ok: diagnosis.is_none(), level: None, findings, diagnosis }
}

/// The level that shows; `None` without Hyper-V.
fn level(arch: Arch, evidence: &Evidence) -> Option<u8> {
    if !evidence.hyper_v_detected {
        return None;
    }
    match arch {
        Arch::X86_64 => Some(if signs_of_vtl2(evidence).iter().any(|(_, shows)| *shows) { 2 } else { 0 }),
        Arch::Aarch64 => Some(evidence.stated_level.unwrap_or(0)),
    }
}

/// x86-64: what a kernel does at VTL2 alone, and whether this one did it.
fn signs_of_vtl2(evidence: &Evidence) -> [(&'static str, bool); 2] {
    let hook = evidence.wakeup_hook.as_deref().is_some_and(|hook| hook.starts_with("hv_vtl_"));
    [
        ("wake-up call of processors replaced", hook),
        ("VMBus connection 0x800074", evidence.vmbus_connection == Some(VTL2_CONNECTION)),
    ]
}

fn findings(arch: Arch, evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |what, said: Option<String>| findings.extend(said.map(|said| Finding { what, said }));
    if arch == Arch::X86_64 {
        add("wakeup-hook", evidence.wakeup_hook.clone());
    } else {
        add("stated-level", evidence.stated_level.map(|level| level.to_string()));
    }
    add("vsm-vp-status", evidence.vsm_vp_status.map(|value| format!("{value:#x}")));
    add("vmbus-connection", evidence.vmbus_connection.map(|value| format!("{value:#x}")));
    add("vmbus-version", evidence.vmbus_version.clone());
    add("guest-ended", evidence.end.clone());
    if !evidence.unimplemented.is_empty() {
        add("unimplemented", Some(evidence.unimplemented.join(", ")));
    }
    add("panic", evidence.panic.clone());
    add("oops", evidence.oops.clone());
    findings
}

/// Whatever kept the payload from reporting, or a processor from running.
fn trouble(question: &Question, evidence: &Evidence, ended: &Ended) -> Option<Diagnosis> {
    let say = |code, text: String, hint: Option<&str>| {
        Some(Diagnosis { code, text, hint: hint.map(str::to_string) })
    };
    if let (Some(complaint), 0) = (&evidence.qemu, evidence.console_lines) {
        let hint = match () {
            () if complaint.contains("Address already in use") => {
                Some("another process has the port: --gdb PORT")
            }
            () if complaint.contains("cannot set up guest memory") => Some("less with --memory"),
            () => None,
        };
        return say(Code::QemuFailed, format!("QEMU: {complaint}"), hint);
    }
    if let Some(problem) = evidence.loader.as_ref().filter(|said| *said != LOADER_SUCCESS) {
        return say(Code::LoaderFailed, format!("the disk's loader: {problem}"), None);
    }
    if let Some(error) = &evidence.monitor_error {
        if error.contains("started a processor by itself") {
            return say(
                Code::OwnProcessorStart,
                "told of level 0, the kernel starts processors as on a PC, through real mode, which a kernel \
                 with HYPERV_VTL_MODE has given up on x86-64"
                    .to_string(),
                Some("boot it at VTL2, or with --smp 1"),
            );
        }
        return say(Code::MonitorFailed, format!("the monitor gave up: {error}"), None);
    }
    if let Some(reason) = &evidence.shim {
        return say(Code::ShimRefused, format!("the boot shim did not start the kernel: {reason}"), None);
    }
    if let Some(panic) =
        evidence.panic.as_deref().filter(|panic| panic.starts_with("XSAVE has to be disabled"))
    {
        return say(
            Code::XsavePanic,
            format!("the kernel panicked: {panic}"),
            Some(
                "add `noxsave` to the profile's kernel.command-line: a VTL2 kernel on x86-64 can't do with XSAVE",
            ),
        );
    }
    let in_hypercall = evidence.oops_in.as_deref().is_some_and(|place| place.starts_with("hv_"));
    if let (true, false, Some(oops)) = (in_hypercall, evidence.hyper_v_detected, &evidence.oops) {
        return say(
            Code::NoHyperV,
            format!(
                "the kernel oopsed in {}, and found no Hyper-V below it: {oops}",
                evidence.oops_in.as_deref().unwrap_or("a hypercall")
            ),
            Some("its MSHV_VTL driver needs Hyper-V: boot it on the monitor, with --vtl 2"),
        );
    }
    if let Some(oops) = &evidence.oops {
        let place = evidence.oops_in.as_deref().map(|place| format!(" in {place}")).unwrap_or_default();
        return say(Code::KernelOops, format!("the kernel oopsed{place}: {oops}"), None);
    }
    if let Some(panic) = &evidence.panic {
        let hint = ["No working init found", "VFS: Unable to mount root fs"]
            .iter()
            .any(|begin| panic.starts_with(begin))
            .then_some("it found no /init: look at the profile's payload");
        return say(Code::KernelPanic, format!("the kernel panicked: {panic}"), hint);
    }
    if evidence.payload.is_none() {
        return no_payload(evidence, ended);
    }
    let online = evidence.payload.as_ref().and_then(|payload| payload["cpus_online"].as_u64());
    if let Some(online) = online.filter(|online| *online < u64::from(question.cpus)) {
        // A kernel for VTL2 knows of processors from Hyper-V's device tree, and on a PC has none.
        let text = format!("{online} of {} processors run", question.cpus);
        return say(Code::MissingProcessors, text, None);
    }
    None
}

fn no_payload(evidence: &Evidence, ended: &Ended) -> Option<Diagnosis> {
    let say = |code, text: String, hint: Option<&str>| {
        Some(Diagnosis { code, text, hint: hint.map(str::to_string) })
    };
    let how = match ended {
        Ended::TimeUp(limit) => format!("within {} s", limit.as_secs()),
        Ended::Status(status) => format!("before the machine ended (QEMU's exit status {status})"),
        Ended::Signal | Ended::Stopped => "before QEMU was killed".to_string(),
    };
    if evidence.console_lines == 0 {
        return say(
            Code::EarlySilence,
            format!("the kernel said nothing on the console {how}{}", {
                if evidence.vsm_vp_status.is_some() { ", though the monitor saw it run" } else { "" }
            }),
            Some("does `console` of the profile fit the machine? `earlycon` on the command line shows more"),
        );
    }
    let last = evidence.last_lines.last().map(String::as_str).unwrap_or_default();
    match ended {
        Ended::TimeUp(_) => say(
            Code::Hang,
            format!("no payload-ready line {how}; the last line is {last:?}"),
            Some("more time with --timeout, a debugger with --gdb"),
        ),
        Ended::Status(_) | Ended::Signal | Ended::Stopped => {
            say(Code::EndedEarly, format!("no payload-ready line {how}; the last line is {last:?}"), None)
        }
    }
}

/// A boot that went well at another level than the one asked for.
fn wrong_level(
    question: &Question,
    evidence: &Evidence,
    level: Option<u8>,
    ended: &Ended,
) -> Option<Diagnosis> {
    let wrong = |text: String, hint: Option<&str>| {
        Some(Diagnosis { code: Code::WrongVtl, text, hint: hint.map(str::to_string) })
    };
    let reported = evidence.payload.as_ref().and_then(|payload| payload["vtl"].as_u64());
    let vtl = match question.below {
        Below::Nothing if evidence.hyper_v_detected => {
            return wrong("the kernel found a Hyper-V that isn't there".to_string(), None);
        }
        Below::Nothing => 0,
        Below::Monitor { vtl } => vtl,
    };
    if vtl > 0 && question.kernel == Vtl::Vtl0 && evidence.vsm_vp_status.is_none() {
        return wrong(
            format!("told of level {vtl}, the kernel never asked: it isn't built for VTL mode and runs at 0"),
            Some("a kernel with HYPERV_VTL_MODE does ask"),
        );
    }
    if question.below != Below::Nothing && !evidence.hyper_v_detected {
        return wrong("the kernel did not find Hyper-V".to_string(), None);
    }
    if level.unwrap_or(0) != vtl {
        return wrong(
            format!("told of level {vtl}, the kernel behaves as at level {}", level.unwrap_or(0)),
            None,
        );
    }
    if evidence.vsm_vp_status.is_some_and(|answer| answer & 0xf != u64::from(vtl)) {
        return wrong("the monitor answered with another level than it was to".to_string(), None);
    }
    if question.arch == Arch::X86_64 && vtl == 2 {
        let mut missing: Vec<&str> =
            signs_of_vtl2(evidence).iter().filter(|(_, shows)| !shows).map(|(what, _)| *what).collect();
        // One that was stopped had no chance to restart.
        let ended_itself =
            !question.is_interactive && !question.is_shutdown && matches!(ended, Ended::Status(_));
        if ended_itself && evidence.end.as_deref() != Some("triple-fault") {
            missing.push("restart by triple fault");
        }
        if !missing.is_empty() {
            return wrong(format!("of what a kernel does at VTL2 it did not: {}", missing.join(", ")), None);
        }
    }
    if reported != Some(u64::from(vtl)) {
        let reported = reported.map_or("unknown".to_string(), |level| level.to_string());
        return wrong(format!("the payload reports level {reported}, the kernel shows {vtl}"), None);
    }
    None
}
