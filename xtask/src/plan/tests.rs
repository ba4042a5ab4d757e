//! Plans of the project's own profiles, and of these with one thing changed.

mod changed;
mod keys;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use expect_test::expect;

use super::*;
use crate::{
    digest::Digest,
    kernel::compose::compose_sources,
    profile::{
        self, Arch, Builder,
        types::{DiskFormat, Firmware, IgvmEntry},
    },
};

/// Files of a project in memory, by path.
type Tree = BTreeMap<String, Vec<u8>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the project's folder").to_owned()
}

/// The project's own files, those that plans are made from.
fn own() -> Tree {
    let folders = ["profiles", "configs", "recipes"].map(|folder| root().join(folder));
    let entries = folders.iter().flat_map(|folder| {
        walkdir::WalkDir::new(folder).into_iter().filter_entry(|entry| entry.file_name() != "target")
    });
    let files = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            let path = entry.path().strip_prefix(root()).unwrap();
            (path.to_str().unwrap().to_owned(), fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Plan of these profiles on an x86_64 machine; of all of them if none is named.
fn plan_of(tree: &Tree, names: &[&str]) -> Plan {
    let (profiles, host) = inputs(tree, names);
    make(&profiles, &host)
}

/// The profiles with these names, all of them without any, and an x86_64 machine that needs Debian's Rust for aarch64.
fn inputs(tree: &Tree, names: &[&str]) -> (Vec<ProfileInput>, HostFacts) {
    let mut specs = profile::load_all(tree).unwrap_or_else(|problems| panic!("{problems}"));
    specs.retain(|spec| names.is_empty() || names.contains(&spec.name.as_str()));
    let profiles: Vec<ProfileInput> = specs
        .into_iter()
        .map(|spec| {
            let paths = spec.kernel.fragments.iter().map(|name| format!("configs/{name}.config"));
            let fragments: Vec<_> =
                paths.map(|path| (Arc::from(path.as_str()), tree[&path].clone())).collect();
            let composed = compose_sources(&fragments).unwrap_or_else(|problems| panic!("{problems}"));
            ProfileInput { spec, composed }
        })
        .collect();
    let packages = profile::rust_packages(tree).unwrap_or_else(|problems| panic!("{problems}"));
    let rust = [
        (Arch::X86_64, RustWay::Toolchain { target: "x86_64-unknown-linux-gnu".into() }),
        (Arch::Aarch64, RustWay::Debian { target: "aarch64-unknown-linux-gnu".into(), packages }),
    ];
    (profiles, HostFacts { arch: Arch::X86_64, rust: rust.clone().into(), bare: rust.into(), builder: None })
}

fn json(plan: &Plan) -> String {
    serde_json::to_string_pretty(plan).unwrap()
}

fn step<'a>(plan: &'a Plan, name: &str) -> &'a Step {
    let names = || plan.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>();
    plan.steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no {name} in {:?}", names()))
}

fn count(plan: &Plan, kind: &str) -> usize {
    plan.steps.iter().filter(|step| step.action.kind() == kind).count()
}

/// What must hold of any plan.
fn check(plan: &Plan) {
    let mut names = BTreeSet::new();
    let mut identities = BTreeSet::new();
    for (number, step) in plan.steps.iter().enumerate() {
        assert!(names.insert(&step.name), "two steps are called {}", step.name);
        let identity = crate::digest::canonical_json(&(&step.action, &step.inputs));
        assert!(identities.insert(identity), "{} is there twice", step.name);
        for (role, source) in &step.inputs {
            match source {
                Source::Output { step: before, output } => {
                    assert!(*before < number, "{} reads {role} from a later step", step.name);
                    let producer = &plan.steps[*before];
                    assert!(
                        outputs(&producer.action).contains(&output.as_str()),
                        "{}: {output}",
                        producer.name
                    );
                }
                Source::File(path) | Source::Folder(path) => {
                    assert!(Path::new(path).is_relative(), "{}: {path}", step.name);
                }
                Source::Local(_) => assert!(!step.is_hermetic()),
            }
        }
        roles_are_inputs(step);
    }
    let mut artifacts = BTreeSet::new();
    for artifact in &plan.artifacts {
        assert!(artifacts.insert((&artifact.profile, &artifact.name)), "two are called {artifact:?}");
        assert!(
            outputs(&plan.steps[artifact.step].action).contains(&artifact.output.as_str()),
            "{artifact:?}"
        );
    }
    let needed: BTreeSet<usize> =
        plan.artifacts.iter().flat_map(|artifact| plan.steps_of(&artifact.profile)).collect();
    assert_eq!(needed.len(), plan.steps.len(), "no step is made for nothing");
}

/// Entries that take their content from an input name one that there is.
fn roles_are_inputs(step: &Step) {
    let roles: Vec<&String> = match &step.action {
        Action::PackInitramfs { entries, .. } => entries
            .values()
            .filter_map(|entry| match entry {
                InitramfsEntry::File { role, .. } => Some(role),
                _ => None,
            })
            .collect(),
        Action::PackDisk { esp, .. } => esp
            .values()
            .filter_map(|file| match file {
                EspFile::Input(role) => Some(role),
                EspFile::Text(_) => None,
            })
            .collect(),
        _ => return,
    };
    let (roles, inputs): (BTreeSet<_>, BTreeSet<_>) =
        (roles.into_iter().collect(), step.inputs.keys().collect());
    assert_eq!(roles, inputs, "{}", step.name);
}

/// What a kind of step makes, as `Action` documents it.
fn outputs(action: &Action) -> &'static [&'static str] {
    match action {
        Action::FetchDeb(_) | Action::FetchUrl { .. } | Action::ExtractMember { .. } => &["file"],
        Action::FetchGit { .. }
        | Action::UnpackSource { .. }
        | Action::UnpackDebs
        | Action::UnpackRoot { .. } => &["tree"],
        Action::VendorCrates { .. } => &["tree"],
        Action::ResolveKconfig { .. } => &["kernel.config"],
        Action::BuildKernel { .. } => &["kernel", "vmlinux", "System.map", "release"],
        Action::EmitDtb { .. } => &["platform.dtb", "platform.dts"],
        Action::BuildPayload { .. } | Action::BuildMonitor { .. } => {
            &["program", "program.debug", "crates.json"]
        }
        Action::BuildShim { .. } => &["program", "program.debug", "crates.json", "shim"],
        Action::BuildLoader { .. } => &["program", "program.debug", "crates.json", "loader.efi"],
        Action::PackInitramfs { .. } => &["initramfs.cpio.zst"],
        Action::BuildUki { .. } => &["uki.efi"],
        Action::PackDisk { .. } => &["disk.raw"],
        Action::PackIgvm { .. } => {
            &["vtl2.igvm", "vtl2.map.json", "measurements.json", "vsm-isolation.corim"]
        }
        Action::PackVhd { .. } => &["disk.vhd"],
        Action::PackVhdx { .. } => &["disk.vhdx"],
        Action::PackQcow2 { .. } => &["disk.qcow2"],
    }
}

#[test]
fn plans_are_whole() {
    let tree = own();
    check(&plan_of(&tree, &[]));
    for spec in profile::load_all(&tree).unwrap() {
        check(&plan_of(&tree, &[&spec.name]));
    }
}

#[test]
fn steps_that_profiles_share_are_one() {
    let plan = plan_of(&own(), &[]);
    assert_eq!(count(&plan, "unpack-source"), 1, "one kernel source for all");
    assert_eq!(count(&plan, "vendor-crates"), 4, "PID 1, paravisor, first-boot, monitor and loader");
    assert_eq!(
        count(&plan, "build-payload"),
        5,
        "PID 1 and first-boot for each architecture, and the paravisor"
    );
    assert_eq!(count(&plan, "resolve-kconfig"), 4);
    assert_eq!(count(&plan, "build-kernel"), 4);
    assert_eq!(count(&plan, "build-uki"), 2, "none for VTL2");
}

/// Invariant 2: the same from any folder, and nothing in it of the place where it is made.
#[test]
fn a_plan_does_not_know_where_it_is_made() {
    let plan = json(&plan_of(&own(), &[]));
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in own() {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let moved = profile::Project { root: folder.path().to_owned() };
    let specs = profile::load_all(&moved).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(specs.len(), 5);
    let elsewhere: Tree = own()
        .into_keys()
        .map(|path| {
            let content = fs::read(folder.path().join(&path)).unwrap();
            (path, content)
        })
        .collect();
    assert!(plan == json(&plan_of(&elsewhere, &[])));
    for place in [&root(), folder.path()] {
        assert!(!plan.contains(place.to_str().unwrap()), "{}", place.display());
    }
    let home = std::env::home_dir().filter(|home| home.components().count() > 1);
    for text in home.iter().filter_map(|home| home.to_str()) {
        assert!(!plan.contains(&format!("{text}/")), "{text}");
    }
    // An input by absolute path would begin so; paths inside the initramfs are parameters.
    for kind in ["file", "folder", "local"] {
        assert!(!plan.contains(&format!("\"{kind}\": \"/")), "{kind}");
    }
}

#[test]
fn artifacts_follow_the_firmware() {
    let tree = own();
    let plan = plan_of(&tree, &[]);
    for spec in profile::load_all(&tree).unwrap() {
        let artifacts = plan.artifacts.iter().filter(|artifact| artifact.profile == spec.name);
        let names: BTreeSet<&str> = artifacts.map(|artifact| artifact.name.as_str()).collect();
        assert_eq!(names.contains("uki.efi"), spec.firmware == Firmware::Uefi, "{}", spec.name);
        assert_eq!(names.contains("platform.dtb"), spec.device_tree.is_some(), "{}", spec.name);
        for always in ["kernel", "vmlinux", "kernel.config", "initramfs.cpio.zst", "disk.raw"] {
            assert!(names.contains(always), "{}: {always}", spec.name);
        }
    }
}

/// Each from the one disk, and only those that the profile names.
#[test]
fn the_disk_is_in_the_formats_of_the_profile() {
    let (mut profiles, host) = inputs(&own(), &["x86_64-vtl0"]);
    let made = |profiles: &[ProfileInput]| -> Vec<String> {
        let plan = make(profiles, &host);
        let disk = plan.steps.iter().position(|step| step.action.kind() == "pack-disk").unwrap();
        let reads_disk = |step: &&Step| step.inputs.values().any(|input| is_output_of(input, disk));
        let artifact = |step: &Step| {
            let by_name = |artifact: &&Artifact| plan.steps[artifact.step].name == step.name;
            plan.artifacts.iter().find(by_name).unwrap().name.clone()
        };
        plan.steps.iter().filter(reads_disk).map(artifact).collect()
    };
    assert_eq!(made(&profiles), ["disk.vhd", "disk.vhdx", "disk.qcow2"]);
    profiles[0].spec.disk.formats = vec![DiskFormat::Vhdx];
    assert_eq!(made(&profiles), ["disk.vhdx"]);
    profiles[0].spec.disk.formats.clear();
    assert_eq!(made(&profiles), [""; 0]);
}

fn is_output_of(source: &Source, number: usize) -> bool {
    matches!(source, Source::Output { step, .. } if *step == number)
}

/// The boot shim is built for the place that the file gives it, and only where it is asked for.
#[test]
fn files_that_the_boot_shim_starts() {
    let tree = own();
    let (mut profiles, host) = inputs(&tree, &["aarch64-vtl2"]);
    let count = |plan: &Plan| plan.steps.iter().filter(|step| step.action.kind() == "build-shim").count();
    assert_eq!(count(&make(&profiles, &host)), 0);

    profiles[0].spec.igvm.as_mut().unwrap().entry = IgvmEntry::Shim;
    let plan = make(&profiles, &host);
    assert_eq!(count(&plan), 1);
    let shim = plan.steps.iter().find(|step| step.action.kind() == "build-shim").unwrap();
    assert_eq!(shim.name, "boot shim aarch64 at 0x200000");
    let igvm = plan.steps.iter().find(|step| step.action.kind() == "pack-igvm").unwrap();
    assert!(igvm.inputs.contains_key("shim"));
}

/// Booting takes a kernel, an initramfs and the monitor, one of each; no disk, and no device tree of the profile's. With
/// a root for the builder, that builds them.
#[test]
fn a_boot_has_what_it_needs_and_no_more() {
    let tree = own();
    for name in ["x86_64-vtl2", "aarch64-vtl2"] {
        let (profiles, host) = inputs(&tree, &[name]);
        for host in [host.clone(), with_builder(&profiles[0], host)] {
            let way = host.rust[&profiles[0].spec.arch].clone();
            let plan = make_boot(&profiles[0], &host, way);
            assert_eq!(plan.has_builder(), host.builder.is_some());
            for kind in ["build-kernel", "pack-initramfs", "build-monitor"] {
                assert_eq!(count(&plan, kind), 1, "{name}: {kind}");
            }
            for kind in ["pack-disk", "pack-vhd", "pack-vhdx", "pack-qcow2", "build-uki", "emit-dtb"] {
                assert_eq!(count(&plan, kind), 0, "{name}: {kind}");
            }
            // What an image build makes is taken over: the same steps.
            let whole: BTreeSet<Digest> = make(&profiles, &host).identities().into_iter().collect();
            for (number, identity) in plan.identities().iter().enumerate() {
                assert!(whole.contains(identity), "{}", plan.steps[number].name);
            }
        }
    }
}

#[test]
fn parts_of_a_plan_are_closed() {
    let plan = plan_of(&own(), &[]);
    let configs = plan.only(|action| matches!(action, Action::ResolveKconfig { .. }));
    let names: Vec<&str> = configs.steps.iter().map(|step| step.name.as_str()).collect();
    expect![[r#"
        [
            "fetch linux-7.3",
            "unpack linux-7.3",
            "kconfig aarch64-universal",
            "kconfig aarch64-vtl0",
            "kconfig x86_64-vtl0",
            "kconfig x86_64-vtl2",
        ]
    "#]]
    .assert_debug_eq(&names);
    for (number, step) in configs.steps.iter().enumerate() {
        assert!(step.upstream().all(|before| before < number), "{}", step.name);
    }
    assert!(plan.only(|_| false).steps.is_empty());
    assert_eq!(plan.only(|_| true).steps.len(), plan.steps.len());

    let alone = plan_of(&own(), &["x86_64-vtl2"]);
    // A shared step stands where its first user put it, under that one's name.
    let kinds = |steps: &mut dyn Iterator<Item = &Step>| {
        let mut kinds: Vec<&str> = steps.map(|step| step.action.kind()).collect();
        kinds.sort();
        kinds
    };
    let of_profile = plan.steps_of("x86_64-vtl2");
    assert_eq!(
        kinds(&mut of_profile.iter().map(|&number| &plan.steps[number])),
        kinds(&mut alone.steps.iter())
    );
    assert!(plan.steps_of("no such profile").is_empty());
}

#[test]
fn what_a_person_sees_of_an_empty_store() {
    let plan = plan_of(&own(), &["x86_64-vtl2"]);
    let statuses: Vec<Status> = plan
        .steps
        .iter()
        .map(|step| match step.upstream().next() {
            None => Status::Run { key: Digest::of(b""), why: vec!["not built before".into()] },
            Some(_) => Status::Waits,
        })
        .collect();
    expect![[r#"
        run    fetch linux-7.3           not built before
        run?   unpack linux-7.3          depends on fetch linux-7.3
        run?   kconfig x86_64-vtl2       depends on unpack linux-7.3
        run?   kernel x86_64-vtl2        depends on kconfig x86_64-vtl2, unpack linux-7.3
        run    device-tree x86_64-vtl2   not built before
        run    vendor vtl2-init          not built before
        run?   payload vtl2-init x86_64  depends on vendor vtl2-init
        run    vendor paravisor          not built before
        run?   payload paravisor x86_64  depends on vendor paravisor
        run?   initramfs x86_64-vtl2     depends on payload paravisor x86_64, payload vtl2-init x86_64
        run?   igvm x86_64-vtl2          depends on initramfs x86_64-vtl2, kernel x86_64-vtl2
        run    vendor bare               not built before
        run?   loader x86_64             depends on vendor bare
        run?   monitor x86_64            depends on vendor bare
        run?   disk x86_64-vtl2          depends on device-tree x86_64-vtl2, initramfs x86_64-vtl2, kernel x86_64-vtl2, loader x86_64, monitor x86_64
        run?   vhd x86_64-vtl2           depends on disk x86_64-vtl2
        run?   vhdx x86_64-vtl2          depends on disk x86_64-vtl2
        run?   qcow2 x86_64-vtl2         depends on disk x86_64-vtl2
        0 to reuse, 5 to run, 13 decided by what those make
    "#]]
    .assert_eq(&show(&plan, &statuses, Format::Human));
    let shown: serde_json::Value = serde_json::from_str(&show(&plan, &statuses, Format::Json)).unwrap();
    assert_eq!(shown["steps"].as_array().unwrap().len(), plan.steps.len());
    let graph = show(&plan, &statuses, Format::Dot);
    assert_eq!(graph.matches(" [label=").count(), plan.steps.len() + edges(&plan));
}

fn edges(plan: &Plan) -> usize {
    plan.steps.iter().map(|step| step.upstream().count()).sum()
}

#[test]
fn a_profile_planned_alone_has_the_steps_that_it_has_among_others() {
    let tree = own();
    let whole = plan_of(&tree, &[]);
    let identities = whole.identities();
    assert_eq!(identities.iter().collect::<BTreeSet<_>>().len(), whole.steps.len(), "no two steps are one");
    for name in ["aarch64-vtl0", "aarch64-vtl2", "x86_64-vtl0", "x86_64-vtl2"] {
        let alone = plan_of(&tree, &[name]);
        let among: BTreeSet<Digest> = whole.steps_of(name).into_iter().map(|step| identities[step]).collect();
        assert_eq!(alone.identities().into_iter().collect::<BTreeSet<_>>(), among, "{name}");
    }
}

/// The same machine, with a root for the builder.
fn with_builder(profile: &ProfileInput, host: HostFacts) -> HostFacts {
    let pin = profile.spec.kernel.pin.as_ref().unwrap().deb.clone();
    let links = [("usr/bin/cc".to_string(), "gcc".to_string())].into();
    let builder = Builder { arch: Arch::X86_64, packages: vec![pin], links };
    let way = |arch: Arch| (arch, RustWay::Builder { target: format!("{}-unknown-linux-gnu", arch.name()) });
    let rust = [way(Arch::X86_64), way(Arch::Aarch64)];
    HostFacts { builder: Some(builder), rust: rust.clone().into(), bare: rust.into(), ..host }
}

/// With a root for the builder, every step that runs programs reads it, and no program of this machine is in any key.
#[test]
fn a_hermetic_plan_names_no_tool_of_the_machine() {
    let (profiles, host) = inputs(&own(), &["x86_64-vtl2", "aarch64-vtl0"]);
    let host = with_builder(&profiles[0], host);
    let plan = make(&profiles, &host);
    assert!(plan.has_builder());
    let root = plan.steps.iter().position(|step| matches!(step.action, Action::UnpackRoot { .. })).unwrap();
    for step in &plan.steps {
        assert_eq!(step.tools, [], "{}", step.name);
        let reads =
            step.inputs.get(BUILDER) == Some(&Source::Output { step: root, output: "tree".to_string() });
        assert_eq!(reads, step.action.runs_tools(), "{}", step.name);
        assert!(!matches!(step.action, Action::UnpackDebs), "the root has a compiler of its own");
    }
    let roots = plan.steps.iter().filter(|step| matches!(step.action, Action::UnpackRoot { .. }));
    assert_eq!(roots.count(), 1);
}
