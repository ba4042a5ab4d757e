//! A profile with every layer merged, every default applied and every rule checked: what the plan is
//! made from. Total: nothing is optional that a build needs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::types::{
    Arch, Console, Firmware, KernelSource, Machine, Pin, Recipe, Vtl,
};
use crate::document::Origin;

/// Everything a build of one profile needs to know.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spec {
    pub name: String,
    pub description: String,
    pub arch: Arch,
    pub vtl: Vtl,
    pub firmware: Firmware,
    pub console: Console,
    pub kernel: KernelSpec,
    pub device_tree: DeviceTreeSpec,
    pub payload: PayloadSpec,
    pub disk: DiskSpec,
    /// Dotted key (`kernel.source`, `kernel.fragments.3`) → where it was set; keys that came from a default are absent.
    #[serde(skip)]
    pub origins: BTreeMap<String, Origin>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KernelSpec {
    pub source: KernelSource,
    /// The pin that `source` names, if it names one.
    #[serde(skip)]
    pub pin: Option<Pin>,
    pub patches: Vec<String>,
    pub fragments: Vec<String>,
    /// Whole command line, console first.
    pub command_line: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceTreeSpec {
    pub machine: Machine,
    pub cpus: u32,
    pub memory_bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PayloadSpec {
    /// Name and content of each recipe, in order.
    #[serde(serialize_with = "names_only")]
    pub recipes: Vec<(String, Recipe)>,
    pub compression_level: u8,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskSpec {
    pub size_bytes: u64,
    pub label: String,
    /// Name of the pin.
    pub efi_stub: String,
    #[serde(skip)]
    pub efi_stub_pin: Pin,
}

fn names_only<S: serde::Serializer>(recipes: &[(String, Recipe)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(recipes.iter().map(|(name, _)| name))
}
