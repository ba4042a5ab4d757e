//! A shutdown that the host asks for over VMBus, stage by stage: what showed of it, and where it stopped. Pure.

use serde_json::Value;

use super::verdict::{Code, Diagnosis, Finding};
use crate::profile::Arch;

/// What was seen, in the order in which it happens.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    /// The guest's driver opened the channel.
    opened: Option<String>,
    /// Version of the service that both know.
    negotiated: Option<String>,
    asked: Option<String>,
    answered: Option<String>,
    /// The driver's words.
    received: Option<String>,
    /// The payload's.
    payload: Option<String>,
    /// The kernel's last.
    kernel: Option<String>,
    /// How the machine ended.
    machine: Option<String>,
}

impl Stages {
    /// Takes a message of the kernel log.
    pub fn read_console(&mut self, message: &str) {
        let first = |slot: &mut Option<String>, begin: &str| {
            if let Some(rest) = message.strip_prefix(begin) {
                slot.get_or_insert_with(|| rest.to_string());
            }
        };
        first(&mut self.received, "hv_utils: Shutdown request received - ");
        first(&mut self.kernel, "reboot: ");
        if self.received.is_some() {
            first(&mut self.payload, "vtl2-init: ");
        }
    }

    /// Takes a line of the monitor's report.
    pub fn read_report(&mut self, line: &Value) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_string();
        let number = |name: &str| line[name].as_u64().unwrap_or_default();
        match line["event"].as_str() {
            Some("channel-opened") => self.opened = Some(format!("by processor {}", number("vp"))),
            Some("shutdown-negotiated") if text("answer") == "accepted" => {
                self.negotiated = Some(format!("shutdown service {}.{}", number("major"), number("minor")));
            }
            Some("shutdown-asked") => self.asked = Some(text("wish")),
            Some("shutdown-answered") => self.answered = Some(text("answer")),
            Some("end") => self.machine = Some(text("reason")),
            _ => {}
        }
    }

    fn all(&self) -> [(&'static str, &Option<String>); 8] {
        [
            ("channel-opened", &self.opened),
            ("negotiated", &self.negotiated),
            ("asked", &self.asked),
            ("answered", &self.answered),
            ("driver", &self.received),
            ("payload", &self.payload),
            ("kernel-end", &self.kernel),
            ("machine-end", &self.machine),
        ]
    }

    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let said = |(what, said): (_, &Option<String>)| said.clone().map(|said| Finding { what, said });
        self.all().into_iter().filter_map(said)
    }

    /// The stage where it stopped, or at which something else happened than what it is about.
    pub fn trouble(&self, arch: Arch) -> Option<Diagnosis> {
        let hint = "the monitor's report and the console say how far it got; more time with --timeout";
        let say =
            |text: String| Some(Diagnosis { code: Code::NoShutdown, text, hint: Some(hint.to_string()) });
        if let Some((stage, _)) = self.all().into_iter().find(|(_, said)| said.is_none()) {
            let about = match stage {
                "channel-opened" => "the guest's driver did not open the channel of the shutdown service",
                "negotiated" => "host and guest agreed on no version of the shutdown service",
                "asked" => "the guest was not asked to switch off, for it never idled",
                "answered" => "the guest did not answer when it was asked to switch off",
                "driver" => "the guest's driver did not say that it was asked to switch off",
                "payload" => "the kernel did not get its payload to end",
                "kernel-end" => "the payload ended, and the kernel did not switch off",
                _ => "the kernel ended, and the machine ran on",
            };
            return say(about.to_string());
        }
        if self.answered.as_deref() != Some("accepted") {
            return say("the guest refused to switch off".to_string());
        }
        // A VTL2 kernel on x86-64 has nothing to switch a machine off with: it stops.
        let wanted = match arch {
            Arch::X86_64 => "halt",
            Arch::Aarch64 => "system-off",
        };
        let ended = self.machine.as_deref().unwrap_or_default();
        if ended == wanted { None } else { say(format!("the machine ended by {ended}, not by {wanted}")) }
    }
}
