//! A profile with every layer merged, every default applied and every rule checked: what the plan is
//! made from. Total: nothing is optional that a build needs.
//!
//! It serialises under the keys of a profile, so that what `explain` prints can be written into one.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use document::{Node, Origin, Problem, did_you_mean, list};
use release::pack::Packing;
use serde::Serialize;

use super::{
    device_tree::{DeviceTree, Dialect, Machine},
    load::Loader,
    merge,
    payload::{self, LoadedRecipe},
    rules,
    scalar::{Address, ByteSize, Name},
    types::{
        Arch, Console, DiskFormat, Firmware, Igvm, IgvmEntry, IgvmPlatform, IgvmPolicy, Kernel, KernelSource,
        Pin, Profile, Qcow2Compression, Recipe, Vtl,
    },
};
use crate::kernel::lint::Rules;

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
    /// None where the machine describes itself by ACPI tables: only ever at VTL0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_tree: Option<DeviceTreeSpec>,
    pub payload: PayloadSpec,
    /// None where UEFI starts the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub igvm: Option<IgvmSpec>,
    pub disk: DiskSpec,
    pub release: ReleaseSpec,
    /// Dotted key (`kernel.source`, `kernel.fragments.3`, counted from 0) → where it was set; keys that came from
    /// a default are absent.
    #[serde(skip)]
    pub origins: BTreeMap<String, Origin>,
    /// The profile's file, for problems that have no better place.
    #[serde(skip)]
    pub file: Arc<str>,
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
    /// Whole command line, console first. No option has a space in it.
    #[serde(serialize_with = "options")]
    pub command_line: String,
    /// What its configuration and command line have to keep, from configs/rules.yaml.
    #[serde(skip)]
    pub rules: Rules,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceTreeSpec {
    pub machine: Machine,
    pub dialect: Dialect,
    /// None where a list takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// RAM; None where a list takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// What the profile changes of the ready machine; the keys above are not in it.
    #[serde(flatten)]
    pub details: DeviceTree,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PayloadSpec {
    /// Name and content of each recipe, in order; of prebuilt programs and packages only those for this architecture.
    #[serde(serialize_with = "names_only")]
    pub recipes: Vec<(String, Recipe)>,
    /// Pins that the recipes take files from.
    #[serde(skip)]
    pub pins: BTreeMap<Name, Pin>,
    pub compression_level: u8,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskSpec {
    #[serde(rename = "size", serialize_with = "size")]
    pub size_bytes: u64,
    pub label: String,
    /// Name of the pin.
    pub efi_stub: String,
    #[serde(skip)]
    pub efi_stub_pin: Pin,
    pub formats: Vec<DiskFormat>,
    pub qcow2_compression: Qcow2Compression,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseSpec {
    pub packing: Packing,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct IgvmSpec {
    pub platforms: Vec<IgvmPlatform>,
    pub entry: IgvmEntry,
    pub host_options: Vec<String>,
    pub policy: IgvmPolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_gpa_boundary: Option<Address>,
    pub reserve: ByteSize,
    pub security_version: u32,
}

/// What a key gets that no file sets.
mod default {
    use super::{ByteSize, DiskFormat};

    /// The best that zstd does at its usual memory; a payload is packed once and unpacked at each boot.
    pub const COMPRESSION_LEVEL: u8 = 19;
    /// A kernel, a payload and as much again for updates; FAT32 needs 36 MiB.
    pub const DISK_SIZE_BYTES: u64 = 256 << 20;
    pub const DISK_LABEL: &str = "ESP";
    pub const DISK_FORMATS: [DiskFormat; 3] = [DiskFormat::Vhd, DiskFormat::Vhdx, DiskFormat::Qcow2];
    /// For a payload that does a little more than report.
    pub const IGVM_RESERVE: ByteSize = ByteSize(16 << 20);
    pub const IGVM_SECURITY_VERSION: u32 = 1;
    pub const CPUS: u32 = 2;
    pub const MEMORY: ByteSize = ByteSize(512 << 20);
}

impl Spec {
    /// Where a key was set; None if it has its default.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }
}

/// Makes the spec of a merged profile; None if something is wrong, which is then reported.
pub(super) fn resolve(loader: &mut Loader, name: &str, file: &Arc<str>, merged: &Node) -> Option<Spec> {
    let profile: Profile = loader.typed(merged)?;
    let before = loader.problems.0.len();
    let mut resolver = Resolver { loader, file, merged, missing: Vec::new() };
    let spec = resolver.spec(name, profile);
    resolver.report_missing();
    let spec = spec?;
    rules::check(&spec, &mut loader.problems);
    (loader.problems.0.len() == before).then_some(spec)
}

struct Resolver<'a, 'b> {
    loader: &'a mut Loader<'b>,
    file: &'a Arc<str>,
    merged: &'a Node,
    /// Mandatory keys that nothing sets.
    missing: Vec<&'static str>,
}

impl Resolver<'_, '_> {
    fn spec(&mut self, name: &str, profile: Profile) -> Option<Spec> {
        let description = self.mandatory("description", profile.description);
        let arch = self.mandatory("arch", profile.arch);
        let vtl = self.mandatory("vtl", profile.vtl);
        let firmware = self.mandatory("firmware", profile.firmware);
        let console = self.mandatory("console", profile.console);
        let kernel = self.kernel(profile.kernel.unwrap_or_default(), console, arch.zip(vtl));
        let payload = profile.payload.unwrap_or_default();
        let recipes =
            self.mandatory("payload.recipes", payload.recipes).and_then(|names| self.recipes(&names));
        let disk = profile.disk.unwrap_or_default();
        let efi_stub = self.mandatory("disk.efi-stub", disk.efi_stub);
        let efi_stub_pin = efi_stub.as_ref().and_then(|name| self.pin(name, "disk.efi-stub"));
        let device_tree = self.device_tree(profile.device_tree, vtl);
        let igvm = self.igvm(profile.igvm, firmware);
        let mut origins = merge::origins(self.merged);
        let (kernel, recipes, arch) = (kernel?, recipes?, arch?);
        let command_line = &kernel.command_line;
        payload::check_together(
            &recipes,
            arch,
            command_line,
            &self.origin("payload.recipes"),
            &mut self.loader.problems,
        );
        shift_command_line(&mut origins);
        Some(Spec {
            name: name.to_owned(),
            description: description?,
            arch,
            vtl: vtl?,
            firmware: firmware?,
            console: console?,
            kernel,
            device_tree: device_tree?,
            payload: PayloadSpec {
                recipes: recipes.iter().map(|recipe| for_arch(recipe, arch)).collect(),
                pins: self.recipe_pins(&recipes, arch),
                compression_level: payload.compression_level.unwrap_or(default::COMPRESSION_LEVEL),
            },
            igvm,
            disk: DiskSpec {
                size_bytes: disk.size.map_or(default::DISK_SIZE_BYTES, |size| size.0),
                label: disk.label.map_or(default::DISK_LABEL.to_owned(), |label| label.to_string()),
                efi_stub: efi_stub?.to_string(),
                efi_stub_pin: efi_stub_pin?,
                formats: disk.formats.unwrap_or_else(|| default::DISK_FORMATS.to_vec()),
                qcow2_compression: disk.qcow2_compression.unwrap_or(Qcow2Compression::None),
            },
            release: ReleaseSpec { packing: profile.release.unwrap_or_default().packing.unwrap_or_default() },
            origins,
            file: self.file.clone(),
        })
    }

    /// VTL2 always has a device tree; at VTL0 it is there if the profile says so.
    fn device_tree(&mut self, tree: Option<DeviceTree>, vtl: Option<Vtl>) -> Option<Option<DeviceTreeSpec>> {
        let tree = match (tree, vtl) {
            (None, Some(Vtl::Vtl2)) => DeviceTree::default(),
            (None, _) => return Some(None),
            (Some(tree), _) => tree,
        };
        let machine = self.mandatory("device-tree.machine", tree.machine)?;
        Some(Some(DeviceTreeSpec {
            machine,
            dialect: tree.dialect.unwrap_or(Dialect::Mainline),
            cpus: tree.cpus.or(tree.cpu_list.is_none().then_some(default::CPUS)),
            memory: tree.memory.or(tree.memory_ranges.is_none().then_some(default::MEMORY)),
            details: DeviceTree { machine: None, dialect: None, cpus: None, memory: None, ..tree },
        }))
    }

    /// Every profile that the host starts has one; in others it has no meaning.
    fn igvm(&mut self, igvm: Option<Igvm>, firmware: Option<Firmware>) -> Option<IgvmSpec> {
        if firmware != Some(Firmware::Igvm) {
            if igvm.is_some() && firmware.is_some() {
                let message = "`igvm` describes a file that nobody would load: UEFI starts this profile";
                let problem = Problem::new(self.origin("igvm"), message);
                self.loader.problems.push(problem.hint("remove it"));
            }
            return None;
        }
        let igvm = igvm.unwrap_or_default();
        Some(IgvmSpec {
            platforms: igvm.platforms.unwrap_or_else(|| vec![IgvmPlatform::VsmIsolation]),
            entry: igvm.entry.unwrap_or(IgvmEntry::Direct),
            host_options: igvm.host_options.into_iter().flatten().map(|option| option.to_string()).collect(),
            policy: igvm.policy.unwrap_or(IgvmPolicy::Release),
            shared_gpa_boundary: igvm.shared_gpa_boundary,
            reserve: igvm.reserve.unwrap_or(default::IGVM_RESERVE),
            security_version: igvm.security_version.unwrap_or(default::IGVM_SECURITY_VERSION),
        })
    }

    fn kernel(
        &mut self,
        kernel: Kernel,
        console: Option<Console>,
        runs_as: Option<(Arch, Vtl)>,
    ) -> Option<KernelSpec> {
        let source = self.mandatory("kernel.source", kernel.source);
        let pin = match &source {
            Some(KernelSource::Pin(name)) => self.pin(name, "kernel.source.pin").map(Some),
            Some(KernelSource::Path(path)) => {
                let makefile = format!("{path}/Makefile");
                let why = "a kernel tree has one";
                self.must_exist(
                    &makefile,
                    "kernel.source.path",
                    why,
                    "a path is absolute or starts at the project's folder",
                );
                Some(None)
            }
            Some(KernelSource::Archive(_) | KernelSource::Git(_)) => Some(None),
            None => None,
        };
        let patches: Vec<_> = kernel.patches.iter().flatten().map(ToString::to_string).collect();
        for (index, patch) in patches.iter().enumerate() {
            let (key, why) = (format!("kernel.patches.{index}"), "a patch of the profile");
            self.must_exist(patch, &key, why, "patches are files, with their path from the project's folder");
        }
        let fragments = self.mandatory("kernel.fragments", kernel.fragments);
        for (index, fragment) in fragments.iter().flatten().enumerate() {
            self.fragment(fragment, &format!("kernel.fragments.{index}"));
        }
        let rules = self.loader.rules();
        let options = kernel.command_line.iter().flatten().map(ToString::to_string);
        let console = console.map(|console| console_option(console).to_owned());
        Some(KernelSpec {
            source: source?,
            pin: pin?,
            patches,
            fragments: fragments?.iter().map(ToString::to_string).collect(),
            command_line: [console?].into_iter().chain(options).collect::<Vec<_>>().join(" "),
            rules: runs_as.zip(rules).map(|((arch, vtl), rules)| rules.for_build(arch, vtl))?,
        })
    }

    /// The value of a key that has no default.
    fn mandatory<T>(&mut self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// One problem for all mandatory keys that nothing sets.
    fn report_missing(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        if missing.is_empty() {
            return;
        }
        let message = format!("nothing sets {}", list(&missing, "and"));
        let mut helpful = Vec::new();
        for key in missing.into_iter().filter(|key| *key != "description") {
            let layers = self.layers_with(key);
            if !layers.is_empty() {
                helpful.push(format!("`{key}` ({})", list(layers, "or")));
            }
        }
        let hint = match helpful.as_slice() {
            [] => "write it in this file".to_owned(),
            helpful => format!("write it in this file, or inherit a layer that sets {}", helpful.join(", ")),
        };
        self.loader.problems.push(Problem::new(self.merged.origin.clone(), message).hint(hint));
    }

    fn layers_with(&mut self, key: &str) -> Vec<String> {
        let mut names = self.loader.layer_names();
        names.retain(|name| self.loader.layer(name).is_some_and(|layer| layer.node.at(key).is_some()));
        names
    }

    fn pin(&mut self, name: &Name, key: &str) -> Option<Pin> {
        let pins = self.loader.pins()?;
        if let Some(pin) = pins.pins.get(name) {
            return Some(pin.clone());
        }
        let problem =
            Problem::new(self.origin(key), format!("there is no pin `{name}` in profiles/pins.yaml"));
        self.loader.problems.push(match did_you_mean(name.as_str(), pins.names()) {
            Some(close) => problem.hint(format!("did you mean `{close}`?")),
            None => problem.hint(format!("pins there are: {}", list(pins.names(), "and"))),
        });
        None
    }

    /// Pins whose files the recipes bring. That they are there is checked with the recipe.
    fn recipe_pins(&mut self, recipes: &[Rc<LoadedRecipe>], arch: Arch) -> BTreeMap<Name, Pin> {
        let Some(pins) = self.loader.pins() else { return BTreeMap::new() };
        let files = recipes.iter().flat_map(|recipe| recipe.recipe.packages.iter().flatten());
        let names = files.filter(|file| file.arch == arch).map(|file| file.pin.clone());
        names.filter_map(|name| Some((name.clone(), pins.pins.get(&name)?.clone()))).collect()
    }

    fn recipes(&mut self, names: &[Name]) -> Option<Vec<Rc<LoadedRecipe>>> {
        let known = self.loader.recipe_names();
        let mut recipes = Vec::new();
        for (index, name) in names.iter().enumerate() {
            recipes.extend(self.loader.recipe(name.as_str()));
            if !known.iter().any(|known| known == name.as_str()) {
                let message = format!("there is no recipe `{name}` (no file recipes/{name}/recipe.yaml)");
                let problem = Problem::new(self.origin(&format!("payload.recipes.{index}")), message);
                let close = did_you_mean(name.as_str(), known.iter().map(String::as_str));
                self.loader.problems.push(match close {
                    Some(close) => problem.hint(format!("did you mean `{close}`?")),
                    None => problem.hint(format!("recipes there are: {}", list(&known, "and"))),
                });
            }
        }
        (recipes.len() == names.len()).then_some(recipes)
    }

    fn fragment(&mut self, name: &Name, key: &str) {
        let path = format!("configs/{name}.config");
        if self.loader.files.is_file(&path) {
            return self.loader.fragment(&path);
        }
        let known = self.loader.files.list("configs").unwrap_or_default();
        let known = known.iter().filter_map(|file| file.strip_suffix(".config"));
        let message = format!("there is no fragment `{name}` (no file configs/{name}.config)");
        let problem = Problem::new(self.origin(key), message);
        self.loader.problems.push(match did_you_mean(name.as_str(), known.clone()) {
            Some(close) => problem.hint(format!("did you mean `{close}`?")),
            None => problem.hint(format!("fragments there are: {}", list(known, "and"))),
        });
    }

    fn must_exist(&mut self, path: &str, key: &str, why: &str, hint: &str) {
        if !self.loader.files.is_file(path) {
            let problem = Problem::new(self.origin(key), format!("there is no file {path} ({why})"));
            self.loader.problems.push(problem.hint(hint));
        }
    }

    fn origin(&self, key: &str) -> Origin {
        self.merged.at(key).map_or_else(|| Origin::new(self.file, 1, 1), |node| node.origin.clone())
    }
}

/// The option that makes a serial port the kernel's console.
fn console_option(console: Console) -> &'static str {
    match console {
        Console::TtyS0 => "console=ttyS0,115200n8",
        Console::TtyS2 => "console=ttyS2,115200n8",
        Console::TtyAma0 => "console=ttyAMA0",
    }
}

/// The command line begins with an option that follows from the key `console`; the written ones come behind it.
fn shift_command_line(origins: &mut BTreeMap<String, Origin>) {
    const PREFIX: &str = "kernel.command-line.";
    let index = |key: &str| key.strip_prefix(PREFIX)?.parse::<usize>().ok();
    let written: Vec<_> = origins.keys().filter_map(|key| index(key)).collect();
    let moved: Vec<_> = written
        .into_iter()
        .filter_map(|index| Some((index + 1, origins.remove(&format!("{PREFIX}{index}"))?)))
        .collect();
    origins.extend(moved.into_iter().map(|(index, origin)| (format!("{PREFIX}{index}"), origin)));
    if let Some(console) = origins.get("console").cloned() {
        origins.insert(format!("{PREFIX}0"), console);
    }
}

fn for_arch(loaded: &LoadedRecipe, arch: Arch) -> (String, Recipe) {
    let mut recipe = loaded.recipe.clone();
    if let Some(prebuilt) = &mut recipe.prebuilt {
        prebuilt.retain(|prebuilt| prebuilt.arch == arch);
    }
    if let Some(packages) = &mut recipe.packages {
        packages.retain(|file| file.arch == arch);
    }
    (loaded.name.clone(), recipe)
}

fn names_only<S: serde::Serializer>(recipes: &[(String, Recipe)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(recipes.iter().map(|(name, _)| name))
}

fn options<S: serde::Serializer>(command_line: &str, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(command_line.split(' '))
}

fn size<S: serde::Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&ByteSize(*bytes))
}
