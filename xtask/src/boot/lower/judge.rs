//! What VTL2's payload and its guest said, and what follows from it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Ending, Vtl0};
use crate::boot::{
    evidence::{self, ConsoleLine, Evidence, split_time},
    verdict::{Code, Diagnosis, Verdict},
};

/// Name of the payload's service in front of its lines, and of a line of the guest's console in front of that
/// (recipes/paravisor).
const SERVICE: &str = "paravisor: ";
const CONSOLE: &str = "vtl0| ";

/// Of VTL0.
#[derive(Clone, Debug, Default)]
pub struct Lower {
    /// Its console, as VTL2's payload handed it on.
    pub console: Vec<ConsoleLine>,
    pub evidence: Evidence,
    /// When the payload began to run it, counted from QEMU's start.
    pub started_seconds: Option<f64>,
    /// The payload's last word: how the guest ended, with its count of intercepts.
    pub end: Option<Value>,
    /// What the payload couldn't do.
    pub error: Option<String>,
    /// Ports, MSRs and pages that the guest touched.
    pub touched: BTreeMap<String, String>,
    /// What the test guest found, by name: numbers.
    pub found: BTreeMap<String, u64>,
}

pub fn gather(console: &[ConsoleLine]) -> Lower {
    let mut lower = Lower::default();
    for line in console {
        let Some(said) = split_time(line.text.trim_end()).0.strip_prefix(SERVICE) else { continue };
        match said.strip_prefix(CONSOLE) {
            Some(text) => lower.console.push(ConsoleLine { at: line.at, text: text.to_string() }),
            None => read_event(&mut lower, line, said),
        }
    }
    for line in &lower.console {
        if let Some((name, number)) = line.text.split_once(' ')
            && let Ok(number) = u64::from_str_radix(number, 16)
        {
            lower.found.insert(name.to_string(), number);
        }
    }
    lower.evidence = evidence::gather(&lower.console, "");
    lower
}

fn read_event(lower: &mut Lower, line: &ConsoleLine, said: &str) {
    let Ok(event) = serde_json::from_str::<Value>(said) else { return };
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_string();
    match text("event").as_str() {
        "start" => lower.started_seconds = Some(line.at.as_secs_f64()),
        "error" => lower.error = Some(text("what")),
        "no-guest" => lower.error = Some(format!("there is no {}", text("looked_at"))),
        "touched" => {
            lower.touched.insert(text("what"), text("numbers"));
        }
        "end" => lower.end = Some(event),
        _ => {}
    }
}

impl Lower {
    /// Its console.
    pub fn text(&self) -> String {
        self.console.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// How the guest ended, in the payload's words.
    pub fn ended(&self) -> Option<&str> {
        self.end.as_ref()?["reason"].as_str()
    }
}

/// The verdict over both levels: what is wrong with VTL2 comes first, since VTL0 depends on it.
pub fn judge(verdict: Verdict, guest: &Vtl0, lower: &Lower) -> Verdict {
    let diagnosis = verdict.diagnosis.or_else(|| trouble(guest, lower));
    Verdict { ok: diagnosis.is_none(), diagnosis, ..verdict }
}

fn trouble(guest: &Vtl0, lower: &Lower) -> Option<Diagnosis> {
    let say = |code, text: String, hint: Option<&str>| {
        Some(Diagnosis { code, text, hint: hint.map(str::to_string) })
    };
    if let Some(error) = &lower.error {
        return say(Code::Vtl0Failed, format!("the payload of VTL2 could not run VTL0: {error}"), None);
    }
    if lower.started_seconds.is_none() {
        let hint = Some("is the recipe `paravisor` in the profile's payload?");
        return say(Code::Vtl0Failed, "the payload of VTL2 did not start a guest at VTL0".to_string(), hint);
    }
    if let Some(panic) = &lower.evidence.panic {
        return say(Code::Vtl0Panic, format!("VTL0's kernel panicked: {panic}"), None);
    }
    if let Some(oops) = &lower.evidence.oops {
        return say(Code::Vtl0Panic, format!("VTL0's kernel oopsed: {oops}"), None);
    }
    let Some(reason) = lower.ended() else {
        let last = lower.console.last().map(|line| line.text.as_str()).unwrap_or_default();
        let hint = Some("more time with --timeout");
        return say(Code::Vtl0Hang, format!("VTL0 did not end; its last line is {last:?}"), hint);
    };
    let end = lower.end.as_ref()?;
    let at = end["rip"].as_str().unwrap_or("unknown");
    let what = match reason {
        "triple-fault" => Some("it could not handle its own exceptions (triple fault)".to_string()),
        "halted-for-good" => Some("it halted with nothing to wake it".to_string()),
        "invalid-state" => Some("its processor's state is none that there is".to_string()),
        "unhandled" => end["what"].as_str().map(|what| format!("VTL2 has no answer to {what}")),
        _ => None,
    };
    if let Some(what) = what {
        return say(Code::Vtl0Crashed, format!("VTL0 crashed at {at}: {what}"), None);
    }
    match guest {
        Vtl0::Profile(_) => {
            let vtl = lower.evidence.payload.as_ref().map(|payload| payload["vtl"].as_u64());
            match vtl {
                Some(Some(0)) => None,
                Some(other) => {
                    say(Code::WrongVtl, format!("the payload at VTL0 reports level {other:?}"), None)
                }
                None => {
                    let last = lower.console.last().map(|line| line.text.as_str()).unwrap_or_default();
                    let text = format!(
                        "VTL0 ended ({reason}) before its payload reported; its last line is {last:?}"
                    );
                    say(Code::Vtl0Crashed, text, None)
                }
            }
        }
        Vtl0::TestGuest(Ending::Reset) => wrong_in_test_guest(lower)
            .and_then(|what| say(Code::Vtl0Crashed, format!("the test guest at VTL0 found {what}"), None)),
        Vtl0::TestGuest(_) => say(Code::Vtl0Crashed, format!("the test guest ended by {reason}"), None),
    }
}

/// What the test guest found otherwise than it must be. The answer to CPUID is the payload's own; foreign memory reads as
/// ones; VTL call, VTL return and VMRUN are undefined; a call for the monitor's registers is none for VTL0; calls and
/// MSRs at random harm nobody.
fn wrong_in_test_guest(lower: &Lower) -> Option<String> {
    const WANTED: [(&str, u64); 8] = [
        ("cpuid", 0x7674_6c30),
        ("apic-base", 0xfee0_0d00),
        ("protection-faults", 1),
        ("foreign-memory", 0xffff_ffff),
        ("undefined-instructions", 3),
        ("hypercall-status", 2),
        ("random-calls", 500),
        ("ticks", 2),
    ];
    WANTED.iter().find_map(|(name, wanted)| match lower.found.get(*name) {
        Some(found) if found == wanted => None,
        Some(found) => Some(format!("{name} {found:#x}, where {wanted:#x} is right")),
        None => Some(format!("no {name}")),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: &str = r#"{"event":"start","guest":"linux","memory_bytes":1}"#;
    const READY: &str = "vtl0| [    1.5] payload-ready {\"vtl\":0}";

    fn lower(lines: &[&str]) -> Lower {
        let line = |text: &&str| ConsoleLine {
            at: Duration::from_secs(2),
            text: format!("[    0.873] paravisor: {text}"),
        };
        gather(&lines.iter().map(line).collect::<Vec<_>>())
    }

    fn check(guest: &Vtl0, lines: &[&str], wanted: Option<(Code, &str)>) {
        let good = Verdict { ok: true, level: Some(2), findings: Vec::new(), diagnosis: None };
        let verdict = judge(good, guest, &lower(lines));
        let diagnosis = verdict.diagnosis.as_ref().map(|diagnosis| (diagnosis.code, diagnosis.text.as_str()));
        match (diagnosis, wanted) {
            (None, None) => assert!(verdict.ok),
            (Some((code, text)), Some((wanted, part))) => {
                assert!(!verdict.ok && code == wanted && text.contains(part), "{code:?} {text}");
            }
            (seen, wanted) => panic!("{seen:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn a_kernel_at_vtl0() {
        let guest = Vtl0::Profile("x86_64-vtl0".to_string());
        let end =
            |reason: &str| format!(r#"{{"event":"end","reason":"{reason}","rip":"0x7","what":"Fmul"}}"#);
        let [off, fault, unhandled] = ["power-off", "triple-fault", "unhandled"].map(end);
        check(&guest, &[START, READY, &off], None);
        check(&guest, &[START, READY, &fault], Some((Code::Vtl0Crashed, "at 0x7: it could not handle")));
        check(&guest, &[START, READY, &unhandled], Some((Code::Vtl0Crashed, "no answer to Fmul")));
        check(&guest, &[START, &off], Some((Code::Vtl0Crashed, "before its payload reported")));
        check(&guest, &[START, READY], Some((Code::Vtl0Hang, "payload-ready")));
        check(&guest, &[], Some((Code::Vtl0Failed, "did not start")));
        let error = r#"{"event":"error","what":"/dev/mshv is not there: … (CONFIG_MSHV_VTL)"}"#;
        check(&guest, &[error], Some((Code::Vtl0Failed, "CONFIG_MSHV_VTL")));
        let panic = "vtl0| [    1.0] Kernel panic - not syncing: No working init found.";
        check(&guest, &[START, panic, &off], Some((Code::Vtl0Panic, "No working init")));
    }

    #[test]
    fn the_test_guest() {
        let guest = Vtl0::TestGuest(Ending::Reset);
        let end = r#"{"event":"end","reason":"reset","rip":"0x7","intercepts":{"cpuid":1}}"#;
        let good = [
            "cpuid 76746c30",
            "apic-base fee00d00",
            "protection-faults 1",
            "foreign-memory ffffffff",
            "undefined-instructions 3",
            "hypercall-status 2",
            "random-calls 1f4",
            "ticks 2",
        ];
        let lines = |changed: Option<(usize, &str)>| -> Vec<String> {
            let mut lines: Vec<String> = good.iter().map(|line| format!("vtl0| {line}")).collect();
            if let Some((number, line)) = changed {
                lines[number] = format!("vtl0| {line}");
            }
            lines
        };
        let run = |lines: Vec<String>, wanted| {
            let mut all = vec![START];
            all.extend(lines.iter().map(String::as_str));
            all.push(end);
            check(&guest, &all, wanted);
        };
        run(lines(None), None);
        run(lines(Some((3, "foreign-memory 0"))), Some((Code::Vtl0Crashed, "foreign-memory 0x0")));
        run(lines(Some((7, "nothing"))), Some((Code::Vtl0Crashed, "no ticks")));
    }
}
