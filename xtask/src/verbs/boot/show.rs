//! The verdict for people and for programs.

use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::{
    boot::{Below, Question, evidence::Evidence, verdict::Verdict},
    report::bytes,
};

/// Everything that is told about a boot.
pub struct Shown<'a> {
    pub profile: &'a str,
    pub question: &'a Question,
    pub memory_bytes: u64,
    pub evidence: &'a Evidence,
    pub verdict: &'a Verdict,
    pub console: PathBuf,
    pub report: PathBuf,
    pub qemu_seconds: f64,
    /// All the rest: looking at the profile, building nothing or something, judging.
    pub other_seconds: f64,
}

/// One line, the last of the output.
pub fn json(shown: &Shown) -> Result<()> {
    let Shown { question, evidence, verdict, .. } = shown;
    let below = match question.below {
        Below::Nothing => json!("none"),
        Below::Monitor { vtl } => json!(vtl),
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
        Below::Nothing => "no monitor".to_string(),
        Below::Monitor { vtl } => format!("told of VTL {vtl}"),
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
    _ = writeln!(text, "  {:<18} {}", "console", shown.console.display());
    if question.below != Below::Nothing {
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
