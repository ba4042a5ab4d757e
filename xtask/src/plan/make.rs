//! From specs to a plan. Steps that several profiles share appear once.

mod programs;
mod sources;

use std::collections::{BTreeMap, HashMap};

use self::sources::file_name;
use super::{Action, Artifact, EspFile, InitramfsEntry, InitramfsNode, Plan, Source, Step, tools::tools_of};
use crate::{
    digest::canonical_json,
    kernel::Composed,
    profile::{
        Builder, FileMode, Name, device_tree,
        spec::Spec,
        types::{Arch, DebPin, DiskFormat, Firmware, IgvmEntry, IgvmPolicy, Pin, Recipe},
    },
};

/// A profile that passed every check.
pub struct ProfileInput {
    pub spec: Spec,
    /// Its fragments, composed.
    pub composed: Composed,
}

/// What a plan has to know of the machine that will carry it out.
#[derive(Clone, Debug)]
pub struct HostFacts {
    pub arch: Arch,
    /// How each architecture's payload gets its compiler and standard library.
    pub rust: BTreeMap<Arch, RustWay>,
    /// The same for programs that have no system below.
    pub bare: BTreeMap<Arch, RustWay>,
    /// The root whose programs are run; those of this machine where there is none.
    pub builder: Option<Builder>,
}

#[derive(Clone, Debug)]
pub enum RustWay {
    Toolchain {
        target: String,
    },
    /// These packages, unpacked over each other.
    Debian {
        target: String,
        packages: Vec<(String, DebPin)>,
    },
    /// The builder's root has it.
    Builder {
        target: String,
    },
}

pub fn make(profiles: &[ProfileInput], host: &HostFacts) -> Plan {
    let mut maker =
        Maker { host, plan: Plan { steps: Vec::new(), artifacts: Vec::new() }, known: HashMap::new() };
    for profile in profiles {
        maker.profile(profile);
    }
    maker.plan
}

/// The kernel and the initramfs of one profile, and the monitor that they are booted on, compiled the way `rust`.
/// Finds its steps by their actions: there is one of each.
pub fn make_boot(profile: &ProfileInput, host: &HostFacts, rust: RustWay) -> Plan {
    let mut maker =
        Maker { host, plan: Plan { steps: Vec::new(), artifacts: Vec::new() }, known: HashMap::new() };
    maker.kernel(&profile.spec, &profile.composed);
    maker.initramfs(&profile.spec);
    maker.monitor(profile.spec.arch, rust);
    maker.plan
}

/// The disk of one profile, and what it is made of.
pub fn make_disk(profile: &ProfileInput, host: &HostFacts) -> Plan {
    let mut maker =
        Maker { host, plan: Plan { steps: Vec::new(), artifacts: Vec::new() }, known: HashMap::new() };
    let spec = &profile.spec;
    let kernel = maker.kernel(spec, &profile.composed);
    let device_tree = maker.device_tree(spec);
    let initramfs = maker.initramfs(spec);
    let uki = (spec.firmware == Firmware::Uefi).then(|| maker.uki(spec, kernel, initramfs));
    maker.disk(spec, kernel, initramfs, device_tree, uki);
    maker.plan
}

/// The monitor alone.
pub fn make_monitor(arch: Arch, host: &HostFacts, rust: RustWay) -> Plan {
    let mut maker =
        Maker { host, plan: Plan { steps: Vec::new(), artifacts: Vec::new() }, known: HashMap::new() };
    maker.monitor(arch, rust);
    maker.plan
}

struct Maker<'a> {
    host: &'a HostFacts,
    plan: Plan,
    /// Canonical text of action and inputs → number of the step.
    known: HashMap<String, usize>,
}

type Inputs = BTreeMap<String, Source>;

/// The role of the builder's root.
pub const BUILDER: &str = "builder";

// Permissions where a recipe names none.
const PROGRAM: FileMode = FileMode(0o755);
const PLAIN_FILE: FileMode = FileMode(0o644);
const DEVICE: FileMode = FileMode(0o600);

impl Maker<'_> {
    fn profile(&mut self, ProfileInput { spec, composed }: &ProfileInput) {
        let kernel = self.kernel(spec, composed);
        let device_tree = self.device_tree(spec);
        let initramfs = self.initramfs(spec);
        let uki = (spec.firmware == Firmware::Uefi).then(|| self.uki(spec, kernel, initramfs));
        let igvm = self.igvm(spec, kernel, initramfs);
        let disk = self.disk(spec, kernel, initramfs, device_tree, uki);
        let config = self.plan.steps[kernel].inputs["config"].clone();
        self.artifact(spec, "kernel", kernel, "kernel");
        self.artifact(spec, "vmlinux", kernel, "vmlinux");
        if let Source::Output { step, output } = config {
            self.artifact(spec, "kernel.config", step, &output);
        }
        if let Some(device_tree) = device_tree {
            self.artifact(spec, "platform.dtb", device_tree, "platform.dtb");
            self.artifact(spec, "platform.dts", device_tree, "platform.dts");
        }
        self.artifact(spec, "initramfs.cpio.zst", initramfs, "initramfs.cpio.zst");
        if let Some(uki) = uki {
            self.artifact(spec, "uki.efi", uki, "uki.efi");
        }
        if let Some(igvm) = igvm {
            self.igvm_artifacts(spec, igvm);
        }
        self.artifact(spec, "disk.raw", disk, "disk.raw");
        for format in &spec.disk.formats {
            self.disk_in(spec, *format, disk);
        }
    }

    fn kernel(&mut self, spec: &Spec, composed: &Composed) -> usize {
        let source = self.kernel_source(spec);
        let config = self.step(
            format!("kconfig {}", spec.name),
            Action::ResolveKconfig {
                arch: spec.arch,
                vtl: spec.vtl,
                all_config: composed.to_allconfig(),
                rules: spec.kernel.rules.clone(),
                composed: composed.clone(),
            },
            [("source".into(), source.clone())].into(),
        );
        self.step(
            format!("kernel {}", spec.name),
            Action::BuildKernel { arch: spec.arch },
            [("source".into(), source), ("config".into(), output(config, "kernel.config"))].into(),
        )
    }

    fn device_tree(&mut self, spec: &Spec) -> Option<usize> {
        let device_tree = spec.device_tree.as_ref()?;
        let action = Action::EmitDtb {
            arch: spec.arch,
            vtl: spec.vtl,
            described: Box::new(device_tree.clone()),
            command_line: spec.kernel.command_line.clone(),
        };
        Some(self.step(format!("device-tree {}", spec.name), action, Inputs::new()))
    }

    fn initramfs(&mut self, spec: &Spec) -> usize {
        let mut entries = BTreeMap::new();
        let mut inputs = Inputs::new();
        for (name, recipe) in &spec.payload.recipes {
            self.recipe(spec.arch, name, recipe, &mut entries, &mut inputs);
            self.packages(recipe, &spec.payload.pins, &mut entries, &mut inputs);
        }
        let compression_level = spec.payload.compression_level;
        let name = format!("initramfs {}", spec.name);
        self.step(name, Action::PackInitramfs { entries, compression_level }, inputs)
    }

    fn recipe(
        &mut self,
        arch: Arch,
        name: &str,
        recipe: &Recipe,
        entries: &mut BTreeMap<String, InitramfsEntry>,
        inputs: &mut Inputs,
    ) {
        let mut add_file = |path: &str, mode: FileMode, source: Source| {
            let role = path.to_string();
            inputs.insert(role.clone(), source);
            entries.insert(path.to_string(), InitramfsEntry::File { role, mode });
        };
        if let Some(build) = &recipe.cargo {
            let program = self.payload(arch, name, build);
            add_file(build.install.as_str(), PROGRAM, output(program, "program"));
        }
        for prebuilt in recipe.prebuilt.iter().flatten().filter(|prebuilt| prebuilt.arch == arch) {
            let file = file_name(&prebuilt.url.to_string());
            let action = Action::FetchUrl {
                url: prebuilt.url.to_string(),
                sha256: prebuilt.sha256.clone(),
                size_bytes: prebuilt.size,
            };
            let fetched = self.step(format!("fetch {file}"), action, Inputs::new());
            add_file(prebuilt.install.as_str(), prebuilt.mode.unwrap_or(PROGRAM), output(fetched, "file"));
        }
        for file in recipe.files.iter().flatten() {
            let source = Source::File(format!("recipes/{name}/{}", file.source));
            add_file(file.target.as_str(), file.mode.unwrap_or(PLAIN_FILE), source);
        }
        for directory in recipe.directories.iter().flatten() {
            let mode = directory.mode.unwrap_or(PROGRAM);
            entries.insert(directory.path.to_string(), InitramfsEntry::Directory { mode });
        }
        for link in recipe.links.iter().flatten() {
            entries.insert(link.path.to_string(), InitramfsEntry::Link { to: link.to.to_string() });
        }
        for node in recipe.nodes.iter().flatten() {
            let mode = node.mode.unwrap_or(DEVICE);
            let node_entry = InitramfsNode { kind: node.kind, major: node.major, minor: node.minor, mode };
            entries.insert(node.path.to_string(), InitramfsEntry::Node(node_entry));
        }
    }

    /// Files that a recipe takes out of pinned packages.
    fn packages(
        &mut self,
        recipe: &Recipe,
        pins: &BTreeMap<Name, Pin>,
        entries: &mut BTreeMap<String, InitramfsEntry>,
        inputs: &mut Inputs,
    ) {
        for file in recipe.packages.iter().flatten() {
            let package = self.fetch_pin(file.pin.as_str(), &pins[&file.pin]);
            let extracted = self.step(
                format!("extract {} {}", file.pin, file_name(file.member.as_str())),
                Action::ExtractMember { member: file.member.to_string() },
                [("package".into(), output(package, "file"))].into(),
            );
            let role = file.install.to_string();
            inputs.insert(role.clone(), output(extracted, "file"));
            entries.insert(role.clone(), InitramfsEntry::File { role, mode: file.mode.unwrap_or(PROGRAM) });
        }
    }

    fn uki(&mut self, spec: &Spec, kernel: usize, initramfs: usize) -> usize {
        let pin = &spec.disk.efi_stub_pin;
        let package = self.fetch_pin(&spec.disk.efi_stub, pin);
        let member = pin.member.clone().expect("a resolved stub pin has its member").to_string();
        let stub = self.step(
            format!("extract {}", spec.disk.efi_stub),
            Action::ExtractMember { member },
            [("package".into(), output(package, "file"))].into(),
        );
        let inputs: Inputs = [
            ("stub".to_string(), output(stub, "file")),
            ("kernel".to_string(), output(kernel, "kernel")),
            ("release".to_string(), output(kernel, "release")),
            ("initramfs".to_string(), output(initramfs, "initramfs.cpio.zst")),
        ]
        .into();
        let action = Action::BuildUki {
            arch: spec.arch,
            profile: spec.name.clone(),
            command_line: spec.kernel.command_line.clone(),
        };
        self.step(format!("uki {}", spec.name), action, inputs)
    }

    /// What the host of a VTL2 loads.
    fn igvm(&mut self, spec: &Spec, kernel: usize, initramfs: usize) -> Option<usize> {
        let described = spec.device_tree.as_ref()?;
        let action = Action::PackIgvm {
            arch: spec.arch,
            vtl: spec.vtl,
            described: Box::new(described.clone()),
            command_line: spec.kernel.command_line.clone(),
            igvm: spec.igvm.clone()?,
        };
        let mut inputs: Inputs = [
            ("kernel".to_string(), output(kernel, "kernel")),
            ("initramfs".to_string(), output(initramfs, "initramfs.cpio.zst")),
        ]
        .into();
        if spec.igvm.as_ref().is_some_and(|igvm| igvm.entry == IgvmEntry::Shim) {
            let machine = device_tree::describe(spec.arch, spec.vtl, described, &spec.kernel.command_line);
            inputs.insert("shim".to_string(), output(self.shim(spec.arch, &machine), "shim"));
        }
        Some(self.step(format!("igvm {}", spec.name), action, inputs))
    }

    /// A file that the host may look into must not be taken for one that it may not: its name says it.
    fn igvm_artifacts(&mut self, spec: &Spec, step: usize) {
        let Some(igvm) = &spec.igvm else { return };
        let stem = match igvm.policy {
            IgvmPolicy::Release => "vtl2",
            IgvmPolicy::Debug => "vtl2-debug",
        };
        for (suffix, output) in [("igvm", "vtl2.igvm"), ("map.json", "vtl2.map.json")] {
            self.artifact(spec, &format!("{stem}.{suffix}"), step, output);
        }
        self.artifact(spec, "measurements.json", step, "measurements.json");
        for output in igvm.platforms.iter().filter_map(|platform| platform.corim()) {
            self.artifact(spec, &format!("{stem}.{output}"), step, output);
        }
    }

    /// The disk: what UEFI starts; for VTL2 that is a loader, which takes the monitor and the guest's parts from the ESP.
    fn disk(
        &mut self,
        spec: &Spec,
        kernel: usize,
        initramfs: usize,
        device_tree: Option<usize>,
        uki: Option<usize>,
    ) -> usize {
        let boot = uki.is_none().then(|| {
            let way = self.host.bare[&spec.arch].clone();
            (self.loader(spec.arch, way.clone()), self.monitor(spec.arch, way))
        });
        let mut inputs = Inputs::new();
        let mut esp = BTreeMap::new();
        let mut add = |path: &str, role: &str, source: Source| {
            inputs.insert(role.to_string(), source);
            esp.insert(path.to_string(), EspFile::Input(role.to_string()));
        };
        match (uki, boot) {
            (Some(uki), _) => add(boot_path(spec.arch), "uki", output(uki, "uki.efi")),
            (None, boot) => {
                if let Some((loader, monitor)) = boot {
                    add(boot_path(spec.arch), "loader", output(loader, "loader.efi"));
                    add("vtl2/monitor", "monitor", output(monitor, "program"));
                }
                add("vtl2/kernel", "kernel", output(kernel, "kernel"));
                add("vtl2/initramfs.cpio.zst", "initramfs", output(initramfs, "initramfs.cpio.zst"));
                if let Some(device_tree) = device_tree {
                    add("vtl2/platform.dtb", "dtb", output(device_tree, "platform.dtb"));
                }
                let command_line = EspFile::Text(format!("{}\n", spec.kernel.command_line));
                esp.insert("vtl2/cmdline.txt".to_string(), command_line);
            }
        }
        let action = Action::PackDisk {
            profile: spec.name.clone(),
            size_bytes: spec.disk.size_bytes,
            label: spec.disk.label.clone(),
            esp,
        };
        self.step(format!("disk {}", spec.name), action, inputs)
    }

    /// The disk in another format.
    fn disk_in(&mut self, spec: &Spec, format: DiskFormat, disk: usize) {
        let profile = spec.name.clone();
        let compression = spec.disk.qcow2_compression;
        let (what, file, action) = match format {
            DiskFormat::Vhd => {
                ("vhd", "disk.vhd", Action::PackVhd { profile, size_bytes: spec.disk.size_bytes })
            }
            DiskFormat::Vhdx => ("vhdx", "disk.vhdx", Action::PackVhdx { profile }),
            DiskFormat::Qcow2 => ("qcow2", "disk.qcow2", Action::PackQcow2 { compression }),
        };
        let inputs = [("disk".to_string(), output(disk, "disk.raw"))].into();
        let step = self.step(format!("{what} {}", spec.name), action, inputs);
        self.artifact(spec, file, step, file);
    }

    /// The root whose programs are run.
    fn root(&mut self, builder: &Builder) -> usize {
        let mut packages = Inputs::new();
        for (number, pin) in builder.packages.iter().enumerate() {
            let name = format!("fetch {}:{}", pin.package, pin.architecture.name());
            let fetched = self.step(name, Action::FetchDeb(pin.clone()), Inputs::new());
            packages.insert(format!("package-{number:03}"), output(fetched, "file"));
        }
        self.step("builder's root".to_string(), Action::UnpackRoot { links: builder.links.clone() }, packages)
    }

    fn artifact(&mut self, spec: &Spec, name: &str, step: usize, output: &str) {
        self.plan.artifacts.push(Artifact {
            profile: spec.name.clone(),
            name: name.to_string(),
            step,
            output: output.to_string(),
        });
    }

    /// Number of the step with this action and these inputs; equal ones are one.
    fn step(&mut self, name: String, action: Action, mut inputs: Inputs) -> usize {
        let builder = self.host.builder.as_ref().filter(|_| action.runs_tools());
        if let Some(builder) = builder {
            inputs.insert(BUILDER.to_string(), output(self.root(builder), "tree"));
        }
        let identity = canonical_json(&(&action, &inputs));
        if let Some(&known) = self.known.get(&identity) {
            return known;
        }
        let number = self.plan.steps.len();
        let tools = if builder.is_some() { Vec::new() } else { tools_of(&action, self.host.arch) };
        let name = self.unique(name);
        self.plan.steps.push(Step { name, action, inputs, tools });
        self.known.insert(identity, number);
        number
    }

    /// Two archives may have one file name, two profiles patch one source differently: then the second is `… (2)`.
    fn unique(&self, name: String) -> String {
        let is_free = |name: &String| self.plan.steps.iter().all(|step| step.name != *name);
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        std::iter::once(name.clone()).chain(numbered).find(is_free).expect("names don't run out")
    }
}

/// Path of the program that UEFI firmware starts from removable media and fixed disks without a boot entry
/// (UEFI 2.10, section 3.5.1.1).
fn boot_path(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "EFI/BOOT/BOOTX64.EFI",
        Arch::Aarch64 => "EFI/BOOT/BOOTAA64.EFI",
    }
}

fn output(step: usize, output: &str) -> Source {
    Source::Output { step, output: output.to_string() }
}
