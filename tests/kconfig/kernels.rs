//! The kernels that are compared: their trees out of the store, conf built from them, and their Kconfig files read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use kconfig::{Probes, Sources, parse};
use sha2::{Digest as _, Sha256};

use super::{
    harness::{self, run, xtask},
    judge::Judge,
    ours::Reading,
    question::hex,
};

/// Pins of profiles/pins.yaml, the newest first.
const VERSIONS: [&str; 2] = ["7.3", "6.12"];
/// vtlforge's name, the kernel's, the console.
const ARCHES: [(&str, &str, &str); 2] = [("x86_64", "x86_64", "ttyS0"), ("aarch64", "arm64", "ttyAMA0")];

pub struct Kernel {
    pub name: String,
    pub version: &'static str,
    pub arch: &'static str,
    pub tree: PathBuf,
    pub judge: Judge,
    pub reading: Reading,
}

/// Each version for each architecture.
pub fn all() -> &'static [Kernel] {
    static ALL: OnceLock<Vec<Kernel>> = OnceLock::new();
    ALL.get_or_init(|| {
        let plan = fetch();
        let all: Vec<_> = VERSIONS
            .iter()
            .flat_map(|version| ARCHES.map(|(arch, name, _)| (*version, arch, name)))
            .collect();
        std::thread::scope(|scope| {
            let read: Vec<_> = all
                .iter()
                .map(|&(version, arch, kernel_arch)| {
                    let plan = &plan;
                    scope.spawn(move || read(plan, version, arch, kernel_arch))
                })
                .collect();
            read.into_iter().map(|thread| thread.join().expect("the kernel is there")).collect()
        })
    })
}

pub fn newest() -> &'static Kernel {
    all().iter().find(|kernel| kernel.version == VERSIONS[0]).expect("each version is there")
}

/// A project with one small profile for each kernel, whose steps bring the trees into the user's store. Its plan.
fn fetch() -> Plan {
    let root = harness::folder("kconfig-kernels");
    for folder in ["profiles", "configs"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    fs::copy(harness::project().join("profiles/pins.yaml"), root.join("profiles/pins.yaml")).unwrap();
    harness::copy_tree(&harness::project().join("recipes"), &root.join("recipes"));
    // A project has the two rules in any case; others would ask for more than is needed here.
    let rules = "trust-level:\n  - {vtl: 0, off: [HYPERV_VTL_MODE], reason: it is a guest}\n  \
                 - {vtl: 2, on: [HYPERV_VTL_MODE], reason: it is none}\ndeterminism: []\n";
    fs::write(root.join("configs/rules.yaml"), rules).unwrap();
    fs::write(root.join("configs/smp.config"), "# Something that all of them have.\nCONFIG_SMP=y\n").unwrap();
    for version in VERSIONS {
        for (arch, _, console) in ARCHES {
            let text = format!(
                "description: The Kconfig files of Linux {version} for {arch}.\n\
                 arch: {arch}\nvtl: 0\nfirmware: uefi\nconsole: {console}\n\
                 kernel:\n  source: {{pin: linux-{version}}}\n  fragments: [smp]\n\
                 payload:\n  recipes: [vtl2-init]\ndisk:\n  efi-stub: efi-stub-{arch}\n"
            );
            fs::write(root.join(format!("profiles/linux-{version}-{arch}.yaml")), text).unwrap();
        }
    }
    let mut check = xtask();
    check.current_dir(&root).args(["config", "check", "--all", "--store"]).arg(harness::store());
    run(&mut check).expect("config check");
    Plan::of(&root)
}

struct Plan(serde_json::Value);

impl Plan {
    fn of(project: &Path) -> Plan {
        let mut plan = xtask();
        plan.current_dir(project)
            .args(["plan", "--all", "--format", "json", "--store"])
            .arg(harness::store());
        Plan(serde_json::from_str(&run(&mut plan).expect("plan")).unwrap())
    }

    fn steps(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.0["steps"].as_array().expect("a plan has steps").iter()
    }

    fn key(&self, step: &str) -> &str {
        let found = self.steps().find(|found| found["name"] == step);
        found.and_then(|step| step["key"].as_str()).unwrap_or_else(|| panic!("no step {step} with a key"))
    }
}

fn read(plan: &Plan, version: &'static str, arch: &'static str, kernel_arch: &str) -> Kernel {
    let name = format!("linux-{version}-{arch}");
    let tree =
        harness::store().join("v1/steps").join(plan.key(&format!("unpack linux-{version}"))).join("out/tree");
    // The key of the step that configures stands for the tree, make, compiler and linker.
    let mut key = Sha256::new();
    key.update(plan.key(&format!("kconfig {name}")));
    for file in ["popen.c", "judge.rs", "question.rs"] {
        key.update(fs::read(harness::project().join("tests/kconfig").join(file)).unwrap());
    }
    let cross_compile =
        if arch == std::env::consts::ARCH { String::new() } else { format!("{arch}-linux-gnu-") };
    let judge = Judge::new(&name, &hex(&key.finalize()), &tree, kernel_arch, &cross_compile);
    let mut probes = Known { judge: &judge, answers: judge.probes(), asked: BTreeSet::new() };
    let (graph, messages) =
        parse("Kconfig", &Tree(&tree), &mut probes).unwrap_or_else(|rejected| panic!("{name}: {rejected}"));
    let known: BTreeSet<&String> = probes.answers.keys().collect();
    let asked: BTreeSet<&String> = probes.asked.iter().collect();
    assert_eq!(asked, known, "{name}: the commands that Kconfig files run");
    let defaults = fs::read(tree.join(&judge.defaults)).expect("defaults of the architecture");
    let reading = Reading { graph, messages, defaults: Some((judge.defaults.clone(), defaults)) };
    Kernel { name, version, arch, tree, judge, reading }
}

/// Files of a source tree, which is where conf looks for all but its input.
struct Tree<'a>(&'a Path);

impl Sources for Tree<'_> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.0.join(path)).ok()
    }
}

/// The answers that conf got.
struct Known<'a> {
    judge: &'a Judge,
    answers: BTreeMap<String, Vec<u8>>,
    asked: BTreeSet<String>,
}

impl Probes for Known<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.judge.environment.get(name).cloned()
    }

    fn shell(&mut self, command: &str) -> Vec<u8> {
        self.asked.insert(command.to_string());
        self.answers.get(command).cloned().unwrap_or_default()
    }
}

/// What the project's profiles ask of their kernels, by architecture.
pub fn requests_of_profiles() -> Vec<(String, String)> {
    let plan = Plan::of(&harness::project());
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_string();
    let configure =
        plan.steps().map(|step| &step["action"]).filter(|action| action["kind"] == "resolve-kconfig");
    let found: Vec<_> =
        configure.map(|action| (text(&action["arch"]), text(&action["all_config"]))).collect();
    assert_eq!(found.len(), harness::PROFILES.len(), "one step for each profile");
    found
}
