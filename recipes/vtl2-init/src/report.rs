//! The line that says that the payload runs: `payload-ready {json}`, one record of the kernel log. Pure.
//!
//! A record holds 1024 bytes, so what is worth least is left out of a report that is too long.

use tinyjson::JsonValue;

use crate::facts::Facts;
use crate::kernel_log::LONGEST_TEXT_BYTES;
use crate::trust_level::{Arch, Evidence, TrustLevel};

/// What stands before the JSON.
pub const READY: &str = "payload-ready ";

/// The content of the line. `arch`, `vtl`, `kernel` and `model` are always there; a fact that can't be known is `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub arch: Arch,
    /// `null` when it can't be known.
    pub vtl: Option<u8>,
    pub kernel: String,
    /// Of the device tree, else of the firmware's DMI tables, else "unknown".
    pub model: String,
    pub vtl_evidence: Vec<Evidence>,
    /// Version of this program.
    pub init: &'static str,
    pub cpus_online: Option<u32>,
    pub memory_kib: Option<u64>,
    /// As the kernel names it, "unknown" for one without a name, `null` for none that could be seen.
    pub hypervisor: Option<String>,
    pub device_tree: Option<Tree>,
    /// `/dev/mshv` exists.
    pub mshv: bool,
    pub cmdline: Option<String>,
    /// What was left out for want of room; itself left out when empty.
    pub left_out: Vec<&'static str>,
}

/// The device tree in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub compatible: Vec<String>,
    pub vmbus: Vec<String>,
}

/// Puts the report together. `log` holds the kernel's own messages; `on_hyper_v` is what was concluded from them.
pub fn compose(
    arch: Arch,
    facts: &Facts,
    trust: TrustLevel,
    log: &[String],
    on_hyper_v: Option<bool>,
) -> Report {
    let tree = facts.device_tree.as_ref();
    let model = tree.and_then(|tree| tree.model.clone()).or_else(|| facts.dmi_model.clone());
    Report {
        arch,
        vtl: trust.level,
        kernel: facts.kernel.clone().unwrap_or_else(|| "unknown".to_owned()),
        model: model.unwrap_or_else(|| "unknown".to_owned()),
        vtl_evidence: trust.evidence,
        init: env!("CARGO_PKG_VERSION"),
        cpus_online: facts.cpus_online,
        memory_kib: facts.memory_kib,
        hypervisor: hypervisor(facts, log, on_hyper_v),
        device_tree: tree.map(|tree| Tree { compatible: tree.compatible.clone(), vmbus: tree.vmbus.clone() }),
        mshv: facts.mshv,
        cmdline: Some(facts.cmdline.clone()),
        left_out: Vec::new(),
    }
}

fn hypervisor(facts: &Facts, log: &[String], on_hyper_v: Option<bool>) -> Option<String> {
    if on_hyper_v == Some(true) {
        return Some("Microsoft Hyper-V".to_owned());
    }
    let named = log.iter().find_map(|line| line.strip_prefix("Hypervisor detected: "));
    named.map(str::to_owned).or_else(|| facts.hypervisor_flag.then(|| "unknown".to_owned()))
}

/// The line, without line end, short enough for one record.
pub fn line(mut report: Report) -> String {
    const SHORTEN: [fn(&mut Report); 4] = [
        |report| {
            report.cmdline = None;
            report.left_out.push("cmdline");
        },
        |report| {
            report.device_tree = None;
            report.left_out.push("device_tree");
        },
        |report| {
            report.hypervisor = None;
            report.left_out.push("hypervisor");
        },
        |report| {
            report.model = report.model.chars().take(64).collect();
            report.kernel = report.kernel.chars().take(64).collect();
            report.left_out.push("names");
        },
    ];
    let mut text = render(&report);
    for shorten in SHORTEN {
        if text.len() <= LONGEST_TEXT_BYTES {
            break;
        }
        shorten(&mut report);
        text = render(&report);
    }
    text
}

fn render(report: &Report) -> String {
    let mut object = Object::default();
    object.add("arch", string(report.arch.name()));
    object.add("vtl", or_null(report.vtl));
    object.add("kernel", string(&report.kernel));
    object.add("model", string(&report.model));
    object.add("vtl_evidence", list(report.vtl_evidence.iter().map(|evidence| evidence.name())));
    object.add("init", string(report.init));
    object.add("cpus_online", or_null(report.cpus_online));
    object.add("memory_kib", or_null(report.memory_kib));
    object.add("hypervisor", or_null(report.hypervisor.as_deref().map(string)));
    object.add("device_tree", or_null(report.device_tree.as_ref().map(render_tree)));
    object.add("mshv", report.mshv.to_string());
    object.add("cmdline", or_null(report.cmdline.as_deref().map(string)));
    if !report.left_out.is_empty() {
        object.add("left_out", list(report.left_out.iter().copied()));
    }
    format!("{READY}{}", object.end())
}

fn render_tree(tree: &Tree) -> String {
    let mut object = Object::default();
    object.add("compatible", list(tree.compatible.iter().map(String::as_str)));
    object.add("vmbus", list(tree.vmbus.iter().map(String::as_str)));
    object.end()
}

/// A JSON object whose fields keep their order, which the maps of the JSON crate don't.
#[derive(Default)]
struct Object {
    fields: Vec<String>,
}

impl Object {
    fn add(&mut self, name: &str, json: String) {
        self.fields.push(format!("{}:{json}", string(name)));
    }

    fn end(self) -> String {
        format!("{{{}}}", self.fields.join(","))
    }
}

fn string(text: &str) -> String {
    // Only a number that isn't finite can't be written.
    JsonValue::from(text.to_owned()).stringify().unwrap_or_default()
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(string).collect::<Vec<_>>().join(","))
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::DeviceTree;

    fn trust() -> TrustLevel {
        TrustLevel { level: Some(2), evidence: vec![Evidence::WakeupHook] }
    }

    fn facts(cmdline: &str, model: &str, nodes: usize) -> Facts {
        Facts {
            kernel: Some("7.3.4".to_owned()),
            cmdline: cmdline.to_owned(),
            cpus_online: Some(2),
            memory_kib: Some(243_712),
            device_tree: Some(DeviceTree {
                model: Some(model.to_owned()),
                compatible: vec!["microsoft,openvmm".to_owned()],
                vmbus: vec!["/bus/vmbus@0".to_owned(); nodes],
            }),
            ..Facts::default()
        }
    }

    #[test]
    fn the_whole_line() {
        let report = compose(Arch::X86_64, &facts("noxsave", "board", 1), trust(), &[], Some(true));
        let wanted = concat!(
            r#"payload-ready {"arch":"x86_64","vtl":2,"kernel":"7.3.4","model":"board","vtl_evidence":["wakeup-hook"],"#,
            r#""init":"0.1.0","cpus_online":2,"memory_kib":243712,"hypervisor":"Microsoft Hyper-V","#,
            r#""device_tree":{"compatible":["microsoft,openvmm"],"vmbus":["/bus/vmbus@0"]},"mshv":false,"cmdline":"noxsave"}"#,
        );
        assert_eq!(line(report), wanted);
    }

    #[test]
    fn nothing_known() {
        let trust = TrustLevel { level: None, evidence: vec![Evidence::LogUnreadable] };
        let text = line(compose(Arch::Aarch64, &Facts::default(), trust, &[], None));
        let wanted = r#"{"arch":"aarch64","vtl":null,"kernel":"unknown","model":"unknown","vtl_evidence":["log-unreadable"]"#;
        assert!(text.contains(wanted), "{text}");
    }

    #[test]
    fn fits_into_a_record_whatever_the_machine_says() {
        let check = |cmdline: usize, model: usize, nodes: usize, left_out: &[&str]| {
            // Quotes double in length when written as JSON, control characters grow sixfold.
            let facts = facts(&"\"".repeat(cmdline), &"\u{1}".repeat(model), nodes);
            let text = line(compose(Arch::X86_64, &facts, trust(), &[], Some(true)));
            assert!(text.len() <= LONGEST_TEXT_BYTES, "{} bytes", text.len());
            let json: serde_json::Value = serde_json::from_str(&text[READY.len()..]).expect("JSON");
            let named: Vec<&str> =
                json["left_out"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
            assert_eq!(named, left_out);
            assert_eq!(json["vtl"], 2);
        };
        check(10, 1, 1, &[]);
        check(2048, 1, 1, &["cmdline"]);
        check(2048, 1, 200, &["cmdline", "device_tree"]);
        check(2048, 300, 200, &["cmdline", "device_tree", "hypervisor", "names"]);
    }

    #[test]
    fn hypervisors() {
        let check = |log: &[&str], flag, on_hyper_v, wanted: Option<&str>| {
            let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
            let facts = Facts { hypervisor_flag: flag, ..Facts::default() };
            assert_eq!(hypervisor(&facts, &log, on_hyper_v).as_deref(), wanted);
        };
        check(&[], false, Some(true), Some("Microsoft Hyper-V"));
        check(&["Hypervisor detected: KVM"], true, Some(false), Some("KVM"));
        check(&[], true, Some(false), Some("unknown"));
        check(&[], false, Some(false), None);
    }
}
