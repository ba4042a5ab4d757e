//! What the machine looks like from user space: read once, below a root so that tests can hand in a tree of files.
//!
//! Gathers and parses; what follows from it is decided elsewhere. Each missing file is a missing fact, never an error.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// Facts about the running kernel and the machine below it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As `uname -r`.
    pub kernel: Option<String>,
    pub cmdline: String,
    pub cpus_online: Option<u32>,
    pub memory_kib: Option<u64>,
    /// System vendor and product of the firmware's DMI tables.
    pub dmi_model: Option<String>,
    pub device_tree: Option<DeviceTree>,
    /// `CONFIG_HYPERV_VTL_MODE`, where the kernel carries its configuration.
    pub built_with_vtl_mode: Option<bool>,
    /// The CPU says that there is a hypervisor (x86 only).
    pub hypervisor_flag: bool,
    /// The VMBus driver runs.
    pub vmbus: bool,
    /// `/dev/mshv`: this kernel can manage VTL 0.
    pub mshv: bool,
    /// `/dev/mshv_vtl_low`: it has configured it.
    pub mshv_vtl_low: bool,
}

/// The device tree the kernel was started with.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DeviceTree {
    pub model: Option<String>,
    /// Of the root node, most specific first.
    pub compatible: Vec<String>,
    /// Paths of the nodes compatible with `microsoft,vmbus`, sorted.
    pub vmbus: Vec<String>,
}

/// Reads all facts below `root` (`/` on the real machine).
pub fn gather(root: &Path) -> Facts {
    let text = |path: &str| read_text(&root.join(path));
    let exists = |path: &str| root.join(path).exists();
    Facts {
        kernel: text("proc/sys/kernel/osrelease"),
        cmdline: text("proc/cmdline").unwrap_or_default(),
        cpus_online: text("sys/devices/system/cpu/online").and_then(|list| count_cpus(&list)),
        memory_kib: text("proc/meminfo").and_then(|meminfo| memory_total_kib(&meminfo)),
        dmi_model: dmi_model(text("sys/class/dmi/id/sys_vendor"), text("sys/class/dmi/id/product_name")),
        device_tree: device_tree(&root.join("sys/firmware/devicetree/base"))
            .or_else(|| device_tree(&root.join("proc/device-tree"))),
        built_with_vtl_mode: kernel_config(&root.join("proc/config.gz")).map(|config| sets_vtl_mode(&config)),
        hypervisor_flag: text("proc/cpuinfo").is_some_and(|cpuinfo| has_hypervisor_flag(&cpuinfo)),
        vmbus: exists("sys/bus/vmbus"),
        mshv: exists("dev/mshv"),
        mshv_vtl_low: exists("dev/mshv_vtl_low"),
    }
}

/// Text without white space and NUL at its ends; empty counts as missing.
fn read_text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    Some(trimmed.to_owned()).filter(|text| !text.is_empty())
}

/// Counts a list such as `0-3,8`.
fn count_cpus(list: &str) -> Option<u32> {
    list.split(',').try_fold(0_u32, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

fn memory_total_kib(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.split_whitespace().next()?.parse().ok()
}

fn dmi_model(vendor: Option<String>, product: Option<String>) -> Option<String> {
    match (vendor, product) {
        (Some(vendor), Some(product)) => Some(format!("{vendor} {product}")),
        (vendor, product) => vendor.or(product),
    }
}

fn has_hypervisor_flag(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
}

fn kernel_config(path: &Path) -> Option<String> {
    let mut config = String::new();
    GzDecoder::new(File::open(path).ok()?).read_to_string(&mut config).ok()?;
    Some(config)
}

fn sets_vtl_mode(config: &str) -> bool {
    config.lines().any(|line| line == "CONFIG_HYPERV_VTL_MODE=y")
}

/// `None` without a tree; so is the empty root node that an ACPI kernel makes for itself.
fn device_tree(base: &Path) -> Option<DeviceTree> {
    let compatible = string_list(&base.join("compatible"));
    let model = read_text(&base.join("model"));
    if compatible.is_empty() && model.is_none() {
        return None;
    }
    let mut vmbus = Vec::new();
    find_compatible(base, "", "microsoft,vmbus", &mut vmbus);
    vmbus.sort();
    Some(DeviceTree { model, compatible, vmbus })
}

/// A property that is a list of NUL-terminated strings.
fn string_list(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|string| !string.is_empty())
        .map(|string| String::from_utf8_lossy(string).into_owned())
        .collect()
}

fn find_compatible(directory: &Path, node: &str, wanted: &str, found: &mut Vec<String>) {
    if string_list(&directory.join("compatible")).iter().any(|name| name == wanted) {
        found.push(node.to_owned());
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        // Without following links: /proc/device-tree is one, its nodes are not.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let child = format!("{node}/{}", entry.file_name().to_string_lossy());
            find_compatible(&entry.path(), &child, wanted, found);
        }
    }
}

#[cfg(test)]
mod tests;
