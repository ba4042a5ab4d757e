//! The verdict for people and for programs.

use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    boot::{
        Below as Level, Question,
        evidence::Evidence,
        lower::{Lower, Vtl0},
        verdict::Verdict,
    },
    report::bytes,
};

/// Everything that is told about a boot.
pub struct Shown<'a> {
    pub profile: &'a str,
    pub question: &'a Question,
    pub memory_bytes: u64,
    pub evidence: &'a Evidence,
    pub verdict: &'a Verdict,
    pub vtl0: Option<Below<'a>>,
    pub console: PathBuf,
    pub report: PathBuf,
    pub qemu_seconds: f64,
    /// All the rest: looking at the profile, building nothing or something, judging.
    pub other_seconds: f64,
}

/// The guest at VTL0.
pub struct Below<'a> {
    pub guest: &'a Vtl0,
    pub lower: &'a Lower,
    pub memory_bytes: u64,
    pub console: PathBuf,
}

impl Below<'_> {
    fn json(&self, counts: &Option<Value>) -> Value {
        let Lower { evidence, started_seconds, end, error, touched, found, .. } = self.lower;
        json!({
            "guest": self.guest.name(),
            "memory_bytes": self.memory_bytes,
            "started_seconds": started_seconds,
            "milestones": evidence.milestones,
            "payload_kernel_seconds": evidence.payload_kernel_seconds,
            "payload": evidence.payload,
            "ended": self.lower.ended(),
            "end": end,
            "error": error,
            "intercepts": end.as_ref().map(|end| &end["intercepts"]),
            "counts": counts,
            "touched": touched,
            "found": found,
            "console": self.console,
            "last_lines": evidence.last_lines,
        })
    }

    fn text(&self, text: &mut String) {
        let Lower { evidence, started_seconds, .. } = self.lower;
        _ = writeln!(text, "  at VTL0: {} ({})", self.guest.name(), bytes(self.memory_bytes));
        if let Some(seconds) = started_seconds {
            _ = writeln!(text, "    {:<16} after {seconds:.2} s", "started");
        }
        for milestone in &evidence.milestones {
            _ = writeln!(text, "    {:<16} after {:.2} s", milestone.name, milestone.seconds);
        }
        if let Some(payload) = &evidence.payload {
            _ = writeln!(text, "    {:<16} {payload}", "payload");
        }
        if let Some(ended) = self.lower.ended() {
            _ = writeln!(text, "    {:<16} {ended}", "ended");
        }
        let intercepts = self.lower.end.as_ref().and_then(|end| end["intercepts"].as_object());
        if let Some(intercepts) = intercepts {
            let counts: Vec<String> =
                intercepts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            _ = writeln!(text, "    {:<16} {}", "intercepts", counts.join(", "));
        }
        _ = writeln!(text, "    {:<16} {}", "console", self.console.display());
    }
}

/// One line, the last of the output.
pub fn json(shown: &Shown) -> Result<()> {
    let Shown { question, evidence, verdict, .. } = shown;
    let below = match question.below {
        Level::Nothing => json!("none"),
        Level::Monitor { vtl } => json!(vtl),
    };
    let line = json!({
        "event": "boot-finished",
        "profile": shown.profile,
        "arch": question.arch,
        "vtl": below,
        "smp": question.cpus,
        "memory_bytes": shown.memory_bytes,
        "ok": verdict.ok,
        "level": verdict.level,
        "diagnosis": verdict.diagnosis,
        "findings": verdict.findings,
        "milestones": evidence.milestones,
        "payload_kernel_seconds": evidence.payload_kernel_seconds,
        "payload": evidence.payload,
        "counts": evidence.counts,
        "self_test": evidence.self_test,
        "vtl0": shown.vtl0.as_ref().map(|below| below.json(&evidence.lower_counts)),
        "last_lines": if verdict.ok { &[][..] } else { &evidence.last_lines },
        "console": shown.console,
        "report": shown.report,
        "qemu_seconds": shown.qemu_seconds,
        "other_seconds": shown.other_seconds,
    });
    let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string(&line)?);
    Ok(())
}

pub fn text(shown: &Shown) {
    let Shown { question, evidence, verdict, .. } = shown;
    let below = match question.below {
        Level::Nothing => "no monitor".to_string(),
        Level::Monitor { vtl } => format!("told of VTL {vtl}"),
    };
    let level = verdict.level.map_or(String::new(), |level| format!(" at VTL {level}"));
    let mut text = String::new();
    let word = if verdict.ok && question.is_self_test {
        "the monitor holds".to_string()
    } else if verdict.ok {
        format!("boots{level}")
    } else {
        "FAILS".to_string()
    };
    let processors =
        if question.cpus == 1 { "1 processor".to_string() } else { format!("{} processors", question.cpus) };
    _ = writeln!(text, "{}: {word} ({below}, {processors}, {})", shown.profile, bytes(shown.memory_bytes));
    for finding in &verdict.findings {
        _ = writeln!(text, "  {:<18} {}", finding.what, finding.said);
    }
    for milestone in &evidence.milestones {
        _ = writeln!(text, "  {:<18} after {:.2} s", milestone.name, milestone.seconds);
    }
    if let Some(payload) = &evidence.payload {
        _ = writeln!(text, "  {:<18} {payload}", "payload");
    }
    if let Some(below) = &shown.vtl0 {
        below.text(&mut text);
    }
    _ = writeln!(text, "  {:<18} {}", "console", shown.console.display());
    if question.below != Level::Nothing {
        _ = writeln!(text, "  {:<18} {}", "report", shown.report.display());
    }
    _ = writeln!(
        text,
        "  {:<18} QEMU {:.2} s, the rest {:.3} s",
        "time", shown.qemu_seconds, shown.other_seconds
    );
    // A reader that went away has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let Some(diagnosis) = &verdict.diagnosis else { return };
    eprintln!("error: {}", diagnosis.text);
    if let Some(hint) = &diagnosis.hint {
        eprintln!("  hint: {hint}");
    }
    if !evidence.last_lines.is_empty() {
        eprintln!("  the last lines of the console:");
        evidence.last_lines.iter().for_each(|line| eprintln!("  | {line}"));
    }
}
