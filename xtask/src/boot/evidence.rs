//! What kernel, payload and monitor said, read out of the console and the monitor's report. Pure; nothing is concluded
//! here.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::shutdown::Stages;

/// A line of the console and when it came, counted from QEMU's start.
#[derive(Clone, Debug)]
pub struct ConsoleLine {
    pub at: Duration,
    pub text: String,
}

/// How QEMU ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Status(i32),
    Signal,
    TimeUp(Duration),
    /// Stopped, since the payload had reported and doesn't end by itself.
    Stopped,
}

/// First time that something showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Milestone {
    pub name: &'static str,
    /// Since QEMU's start. The first of them includes what the kernel said before it had a console.
    pub seconds: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub milestones: Vec<Milestone>,
    /// The JSON of the payload's line.
    pub payload: Option<Value>,
    /// The kernel's own time at that line, in seconds.
    pub payload_kernel_seconds: Option<f64>,
    /// The kernel's words, each with its prefix taken off.
    pub panic: Option<String>,
    pub oops: Option<String>,
    /// The function that the first oops was in.
    pub oops_in: Option<String>,
    /// x86-64: what the wake-up call of processors was replaced with.
    pub wakeup_hook: Option<String>,
    /// The level of the kernel's line about it.
    pub stated_level: Option<u8>,
    pub hyper_v_detected: bool,
    pub vmbus_version: Option<String>,
    /// How the monitor answered when asked for the level.
    pub vsm_vp_status: Option<u64>,
    /// Where the guest's VMBus driver sent its first message.
    pub vmbus_connection: Option<u64>,
    /// The monitor's word for how the guest ended.
    pub end: Option<String>,
    /// Why the boot shim did not start the kernel.
    pub shim: Option<String>,
    /// The monitor's own trouble.
    pub monitor_error: Option<String>,
    /// What the program that firmware started from the disk had to say.
    pub loader: Option<String>,
    /// Things asked for that the monitor doesn't have: kind and number.
    pub unimplemented: Vec<String>,
    /// The monitor's last line, with its counts.
    pub counts: Option<Value>,
    /// A shutdown over VMBus, as far as it got.
    pub shutdown: Stages,
    /// The monitor's counts of what the level below the guest did.
    pub lower_counts: Option<Value>,
    /// What the monitor's own guest found.
    pub self_test: Option<Value>,
    /// The guest's lines on the console; QEMU's own are in `qemu`.
    pub console_lines: usize,
    /// What QEMU complained about.
    pub qemu: Option<String>,
    /// Of the console; that QEMU was told to end is not among them.
    pub last_lines: Vec<String>,
}

const LAST_LINES: usize = 20;
pub const READY: &str = "payload-ready ";

/// A line of the console and the name of the milestone that it is.
const MILESTONES: [(&str, &str); 7] = [
    ("Linux version ", "first-line"),
    ("Hypervisor detected: Microsoft Hyper-V", "hyper-v-detected"),
    ("hv_vmbus: Vmbus version:", "vmbus-connected"),
    ("Run /init as init process", "init-started"),
    (READY, "payload-ready"),
    ("hv_utils: Shutdown request received", "shutdown-received"),
    ("reboot: ", "kernel-ended"),
];

pub fn gather(console: &[ConsoleLine], report: &str) -> Evidence {
    let mut evidence = Evidence::default();
    for line in console {
        read_console(&mut evidence, line);
    }
    for line in report.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        read_report(&mut evidence, &line);
    }
    let said =
        console.iter().rev().filter(|line| !qemu_says(&line.text).is_some_and(is_end)).take(LAST_LINES);
    evidence.last_lines = said.map(|line| line.text.clone()).collect();
    evidence.last_lines.reverse();
    evidence
}

/// The message of a kernel line without `[    0.123456] `, and the time in it.
pub fn split_time(line: &str) -> (&str, Option<f64>) {
    let inside = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match inside.and_then(|(time, message)| Some((message, time.trim().parse().ok()?))) {
        Some((message, time)) => (message, Some(time)),
        None => (line, None),
    }
}

/// What a line of QEMU's own says.
fn qemu_says(line: &str) -> Option<&str> {
    Some(line.strip_prefix("qemu-system-")?.split_once(": ")?.1)
}

/// That it was told to end is no complaint.
fn is_end(said: &str) -> bool {
    said.starts_with("terminating on signal")
}

fn read_console(evidence: &mut Evidence, line: &ConsoleLine) {
    let text = line.text.trim_end();
    if let Some(complaint) = qemu_says(text) {
        if !is_end(complaint) {
            evidence.qemu.get_or_insert_with(|| complaint.to_string());
        }
        return;
    }
    evidence.console_lines += 1;
    let (message, time) = split_time(text);
    for (begin, name) in MILESTONES {
        let is_first = evidence.milestones.iter().all(|milestone| milestone.name != name);
        if message.starts_with(begin) && is_first {
            evidence.milestones.push(Milestone { name, seconds: line.at.as_secs_f64() });
        }
    }
    let first = |slot: &mut Option<String>, begin: &str| {
        if let Some(rest) = message.strip_prefix(begin) {
            slot.get_or_insert_with(|| rest.to_string());
        }
    };
    evidence.shutdown.read_console(message);
    first(&mut evidence.panic, "Kernel panic - not syncing: ");
    first(&mut evidence.loader, "vtlforge: ");
    first(&mut evidence.wakeup_hook, "APIC: wakeup_secondary_cpu_64() replaced with ");
    first(&mut evidence.vmbus_version, "hv_vmbus: Vmbus version:");
    if let Some(json) = message.strip_prefix(READY) {
        evidence.payload = serde_json::from_str(json).ok();
        evidence.payload_kernel_seconds = time;
    }
    if let Some(level) = message.strip_prefix("Linux runs in Hyper-V Virtual Trust Level ") {
        evidence.stated_level = level.trim().parse().ok();
    }
    // x86-64 says the former, arm64 as soon as it has read the features the latter.
    evidence.hyper_v_detected |= message.starts_with("Hypervisor detected: Microsoft Hyper-V")
        || message.starts_with("Hyper-V: privilege flags");
    let is_oops = ["BUG: ", "Oops", "Unable to handle kernel", "Internal error: "]
        .iter()
        .any(|begin| message.starts_with(begin));
    if is_oops && evidence.oops.is_none() {
        evidence.oops = Some(message.to_string());
    }
    let place = message.strip_prefix("RIP: 0010:").or_else(|| message.strip_prefix("pc : "));
    if let (Some(place), Some(_), None) = (place, &evidence.oops, &evidence.oops_in) {
        evidence.oops_in = place.split('+').next().map(str::to_string);
    }
}

fn read_report(evidence: &mut Evidence, line: &Value) {
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    let hex = |name: &str| u64::from_str_radix(text(name).strip_prefix("0x")?, 16).ok();
    evidence.shutdown.read_report(line);
    match text("event") {
        "register-read" if text("name") == "vsm-vp-status" => {
            evidence.vsm_vp_status = evidence.vsm_vp_status.or(hex("value"));
        }
        "vmbus" if text("message") == "initiate-contact" => {
            evidence.vmbus_connection = evidence.vmbus_connection.or(hex("connection"));
        }
        "unimplemented" => evidence.unimplemented.push(format!("{} {}", text("what"), text("number"))),
        "end" => {
            evidence.end = Some(text("reason").to_string());
            evidence.counts = Some(line.clone());
        }
        "lower-level" => evidence.lower_counts = Some(line.clone()),
        // "VTLSHIM" (bare/shim/src/main.rs).
        "guest-crash" if hex("p0") == Some(u64::from_le_bytes(*b"VTLSHIM\0")) => {
            evidence.shim = Some(text("message").to_string());
        }
        "self-test" => evidence.self_test = Some(line.clone()),
        "error" => evidence.monitor_error = Some(text("what").to_string()),
        "monitor-panic" | "monitor-fault" | "unexpected-exit" => {
            evidence.monitor_error.get_or_insert_with(|| line.to_string());
        }
        _ => {}
    }
}
