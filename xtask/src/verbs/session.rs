//! What every verb that plans or builds sets up first: the project, the checked profiles, the store, the plan.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use document::{Origin, Problem, Problems};

use crate::{
    execute::{self, Context, LastBuild, Outcomes, Tools},
    fetch::Location,
    host::{
        rust_target::{Aarch64Rust, decide, has_target, native_target},
        toolbox,
    },
    kernel::{
        self, Composed,
        lint::{CommandLine, Finding, Series, Severity, Subject, Symbols, judge},
    },
    plan::{self, HostFacts, Plan, ProfileInput, RustWay},
    profile::{self, Arch, Pair, Project, Spec, types::Firmware},
    report::Reporter,
    store::{FileMemo, Store},
};

/// Which profiles.
#[derive(Args, Clone, Debug)]
pub struct Selection {
    /// Names of files in profiles/ [default: x86_64-vtl2]
    #[arg(value_name = "PROFILE", conflicts_with = "all")]
    pub profiles: Vec<String>,
    /// Every profile; pairs have nothing beside their parts
    #[arg(long)]
    pub all: bool,
}

pub const DEFAULT_PROFILE: &str = "x86_64-vtl2";

/// Options that planning and building verbs share.
#[derive(Args, Clone, Debug, Default)]
pub struct SessionOptions {
    /// Where finished steps are kept [default: $VTLFORGE_STORE, else $XDG_CACHE_HOME/vtlforge]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Never touch the network; say what is missing
    #[arg(long)]
    pub offline: bool,
    /// Base address or folder of a package mirror, tried before the machine's own; may be repeated
    #[arg(long = "mirror", value_name = "URL")]
    pub mirrors: Vec<String>,
    /// Cores to keep busy [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Read every byte again instead of trusting what file times say
    #[arg(long)]
    pub paranoid: bool,
    /// Run the programs that profiles/builder.lock.yaml pins, in a root of their own, instead of this machine's
    #[arg(long)]
    pub hermetic: bool,
}

/// Whether a verb may make folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Looks only: a store that isn't there stays so.
    Look,
    Build,
}

pub struct Session {
    pub profiles: Vec<ProfileInput>,
    pub host: HostFacts,
    pub plan: Plan,
    pub context: Context,
    pub last: LastBuild,
}

impl Session {
    /// Checks everything that can be wrong before the first effect, then opens the store.
    pub fn open(
        selection: &Selection,
        options: &SessionOptions,
        access: Access,
        reporter: Arc<Reporter>,
    ) -> Result<Session> {
        let project = Project::find()?;
        let profiles = load(&project, selection)?;
        Session::with(project, profiles, options, access, reporter)
    }

    /// The same for profiles that have been loaded already.
    pub fn with(
        project: Project,
        profiles: Vec<ProfileInput>,
        options: &SessionOptions,
        access: Access,
        reporter: Arc<Reporter>,
    ) -> Result<Session> {
        let mirrors = options.mirrors.iter().map(|mirror| Location::parse(mirror));
        let mirrors = mirrors.collect::<Result<Vec<_>, _>>().context("--mirror")?;
        let store = Store::at(&store_dir(options)?);
        store.check()?;
        if access == Access::Build {
            store.create()?;
        }
        let memo = FileMemo::load(&store.memo_dir(), options.paranoid);
        let tools = Tools::new(&project.root, &store.memo_dir(), options.paranoid)?;
        let host = match options.hermetic {
            true => hermetic_facts(&project, &profiles, &tools)?,
            false => host_facts(&project, &profiles, &tools)?,
        };
        let plan = plan::make(&profiles, &host);
        if options.hermetic {
            refuse_local(&plan)?;
            if access == Access::Build {
                toolbox::check_entering(tools.host())?;
            }
        }
        let last = LastBuild::load(&store.memo_dir());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let context = Context {
            root: project.root,
            store,
            memo,
            tools,
            reporter,
            jobs: options.jobs.map_or(cores, usize::from),
            offline: options.offline,
            mirrors,
            remote: None,
            cancelled: Arc::new(AtomicBool::new(false)),
        };
        Ok(Session { profiles, host, plan, context, last })
    }
}

impl Session {
    /// Builds everything, and hands the outcomes to `take`, which copies them to where they are wanted.
    ///
    /// What is wrong with the profiles' configurations, or can't be had offline, is told before anything runs.
    pub fn build(&mut self, take: impl Fn(&Session, &Outcomes) -> Result<()>) -> Result<Outcomes> {
        if self.context.offline {
            execute::check_offline(&self.context, &self.plan, &self.last)?;
        }
        execute::refuse_doomed(&self.context, &self.plan, &self.last)?;
        // An artifact's step may turn out damaged only when it is copied out: then the build begins again.
        let mut tries = execute::tries(&self.plan);
        loop {
            let outcomes = execute::execute(&self.context, &self.plan, &mut self.last)?;
            let taken = take(self, &outcomes);
            self.context.memo.save();
            match taken {
                Ok(()) => {
                    if let Some(remote) = &self.context.remote {
                        remote.share(&self.context.store, &self.plan, &outcomes);
                    }
                    return Ok(outcomes);
                }
                Err(error) if tries > 0 => execute::recover(&self.context, error)?,
                Err(error) => return Err(error),
            }
            tries -= 1;
        }
    }

    /// The part of the plan that the steps of these names need.
    pub fn needed_for(&self, steps: &[String]) -> Result<Plan> {
        self.plan.needed_for(steps).map_err(|unknown| {
            let profiles: Vec<&str> =
                self.profiles.iter().map(|profile| profile.spec.name.as_str()).collect();
            let names = self.plan.steps.iter().map(|step| format!("\n  {}", step.name));
            anyhow!(
                "{} has no step `{}`\nhint: its steps are{}",
                profiles.join(", "),
                unknown.join("`, `"),
                names.collect::<String>()
            )
        })
    }

    /// The plan of one profile alone, with its outcomes: what is said of it doesn't depend on what else was built.
    pub fn part<'a>(
        &'a self,
        profile: &ProfileInput,
        outcomes: &'a Outcomes,
    ) -> (Cow<'a, Plan>, Cow<'a, Outcomes>) {
        if self.profiles.len() == 1 {
            return (Cow::Borrowed(&self.plan), Cow::Borrowed(outcomes));
        }
        let plan = plan::make(std::slice::from_ref(profile), &self.host);
        let outcomes = outcomes.of_part(&self.plan, &plan);
        (Cow::Owned(plan), Cow::Owned(outcomes))
    }
}

/// The profiles asked for, with their fragments, or everything that is wrong with any of them.
pub fn load(project: &Project, selection: &Selection) -> Result<Vec<ProfileInput>, Problems> {
    let specs = specs(project, selection)?;
    let mut problems = Problems::default();
    let mut inputs = Vec::new();
    for spec in specs {
        match compose(project, &spec, |_| None) {
            Ok(composed) => inputs.push(ProfileInput { spec, composed }),
            Err(wrong) => wrong.0.into_iter().for_each(|problem| problems.push(problem)),
        }
    }
    problems.into_result(inputs)
}

/// The pair of this name; None if it is a profile that builds something, or none at all.
pub fn pair(project: &Project, name: &str) -> Result<Option<Pair>, Problems> {
    profile::pair_named(project, name)
}

/// For what is about one image.
pub fn refuse_pair(project: &Project, name: &str) -> Result<()> {
    if let Some(pair) = pair(project, name)? {
        let [upper, lower] = pair.parts();
        bail!("{name} is a pair, and this is about one profile\n  hint: name {upper} or {lower}");
    }
    Ok(())
}

/// PROFILE, or PROFILE@PIN with the kernel of another pin, which becomes the profile's name.
pub fn operand(project: &Project, operand: &str) -> Result<ProfileInput> {
    let (name, pin) = match operand.split_once('@') {
        Some((name, pin)) => (name, Some(pin)),
        None => (operand, None),
    };
    refuse_pair(project, name)?;
    let selection = Selection { profiles: vec![name.to_string()], all: false };
    let mut profile = load(project, &selection)?.remove(0);
    if let Some(pin) = pin {
        profile.spec = profile::with_kernel(project, &profile.spec, pin)?;
    }
    profile.spec.name = operand.to_string();
    Ok(profile)
}

pub fn specs(project: &Project, selection: &Selection) -> Result<Vec<Spec>, Problems> {
    match (selection.all, selection.profiles.is_empty()) {
        (true, _) => profile::load_all(project),
        (false, true) => profile::load(project, &[DEFAULT_PROFILE.to_string()]),
        (false, false) => {
            let mut names = Vec::new();
            for name in &selection.profiles {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            profile::load(project, &names)
        }
    }
}

/// The file of a fragment, relative to the project.
pub fn fragment_path(name: &str) -> String {
    format!("configs/{name}.config")
}

/// The profile's fragments, composed. `instead` has the texts of files that aren't read.
pub fn compose<'t>(
    project: &Project,
    spec: &Spec,
    instead: impl Fn(&str) -> Option<&'t str>,
) -> Result<Composed, Problems> {
    let paths = spec.kernel.fragments.iter().map(|name| fragment_path(name));
    let sources: Vec<(Arc<str>, Vec<u8>)> = paths
        .filter_map(|path| {
            let bytes = match instead(&path) {
                Some(text) => text.as_bytes().to_vec(),
                // That the file is there has been checked; one that vanished since asks for nothing and is lost
                // loudly.
                None => std::fs::read(project.root.join(&path)).ok()?,
            };
            Some((Arc::from(path), bytes))
        })
        .collect();
    let composed = kernel::compose::compose_sources(&sources)?;
    Problems(requests_against_rules(spec, &composed)).into_result(composed)
}

/// Requests that no configuration of this profile can have. What fragments don't mention is judged when Kconfig has
/// decided on it.
fn requests_against_rules(spec: &Spec, composed: &Composed) -> Vec<Problem> {
    let version = spec.kernel.pin.as_ref().and_then(|pin| pin.linux.as_ref());
    let subject = Subject {
        arch: spec.arch,
        vtl: spec.vtl,
        linux: version.and_then(|version| Series::parse(version.as_str())),
        symbols: Symbols::Requested(composed),
        command_line: CommandLine::default(),
    };
    let verdict = judge(&spec.kernel.rules, &subject);
    // What is about no symbol has been judged with the profile.
    let requested = verdict.of(Severity::Error).filter(|finding| finding.symbol().is_some());
    let file = Origin::file(&spec.file);
    let problem =
        |finding: &Finding| finding.problem_in(composed, &file).related(file.clone(), "in this profile");
    requested.map(problem).collect()
}

fn host_facts(project: &Project, profiles: &[ProfileInput], tools: &Tools) -> Result<HostFacts> {
    let (mut rust, mut bare) = (BTreeMap::new(), BTreeMap::new());
    for arch in profiles.iter().map(|profile| profile.spec.arch) {
        if let Entry::Vacant(entry) = rust.entry(arch) {
            entry.insert(rust_way(project, arch, tools)?);
        }
    }
    // The boot shim, and the monitor with its loader on the disk.
    let is_vtl2 = |profile: &&ProfileInput| profile.spec.firmware == Firmware::Igvm;
    for arch in profiles.iter().filter(is_vtl2).map(|profile| profile.spec.arch) {
        if let Entry::Vacant(entry) = bare.entry(arch) {
            entry.insert(bare_rust(project, arch, tools)?);
        }
    }
    Ok(HostFacts { arch: tools.host().arch, rust, bare, builder: None })
}

/// The same where nothing but the pinned programs is run.
fn hermetic_facts(project: &Project, profiles: &[ProfileInput], tools: &Tools) -> Result<HostFacts> {
    let builder = profile::builder(project)?;
    let arch = tools.host().arch;
    if builder.arch != arch {
        bail!(
            "the programs of profiles/builder.lock.yaml are for {}, and this machine is {}\n  hint: build with the tools of this \
             machine: without --hermetic, and for `release` with --host-tools",
            builder.arch.name(),
            arch.name()
        );
    }
    let way = |profile: &ProfileInput| {
        (profile.spec.arch, RustWay::Builder { target: native_target(profile.spec.arch) })
    };
    let rust: BTreeMap<Arch, RustWay> = profiles.iter().map(way).collect();
    Ok(HostFacts { arch, bare: rust.clone(), rust, builder: Some(builder) })
}

/// A tree that its owner works on is built where it is, with what its owner has.
fn refuse_local(plan: &Plan) -> Result<()> {
    match plan.steps.iter().find(|step| !step.is_hermetic()) {
        Some(step) => bail!(
            "step `{}` reads a local tree, which no hermetic build can\n  hint: pin the source (pin, archive or git), or build with \
             the tools of this machine: without --hermetic, and for `release` with --host-tools",
            step.name
        ),
        None => Ok(()),
    }
}

/// How programs without a system below are compiled: for the target without one where the toolchain has it, else for the
/// payload's, without its library.
pub fn bare_rust(project: &Project, arch: Arch, tools: &Tools) -> Result<RustWay> {
    let bare = format!("{}-unknown-none", arch.name());
    let native = native_target(arch);
    let toolchain = tools.toolchain()?;
    Ok(match [bare, native.clone()].into_iter().find(|target| has_target(&toolchain, target)) {
        Some(target) => RustWay::Toolchain { target },
        None => RustWay::Debian { target: native, packages: profile::rust_packages(project)? },
    })
}

/// How a payload for `arch` is compiled on this machine.
fn rust_way(project: &Project, arch: Arch, tools: &Tools) -> Result<RustWay> {
    if arch == tools.host().arch {
        return Ok(RustWay::Toolchain { target: native_target(arch) });
    }
    match (arch, decide(&tools.toolchain()?)) {
        (Arch::Aarch64, Aarch64Rust::Rustup { target }) => {
            Ok(RustWay::Toolchain { target: target.to_string() })
        }
        (Arch::Aarch64, Aarch64Rust::DebianPackages) => {
            let packages = profile::rust_packages(project)?;
            Ok(RustWay::Debian { target: native_target(arch), packages })
        }
        // Debian packages no cross standard library in this direction; rustup has one.
        (Arch::X86_64, _) => Ok(RustWay::Toolchain { target: native_target(arch) }),
    }
}

/// $XDG_CACHE_HOME/vtlforge, as the XDG Base Directory Specification says, unless told otherwise.
pub fn store_dir(options: &SessionOptions) -> Result<PathBuf> {
    let given = options.store.clone().or_else(|| std::env::var_os("VTLFORGE_STORE").map(PathBuf::from));
    if let Some(given) = given {
        return std::path::absolute(&given)
            .with_context(|| format!("--store {} is no path", given.display()));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    Ok(cache
        .context("there is no home folder to keep the store in\n  hint: name a place with --store DIR")?
        .join("vtlforge"))
}
