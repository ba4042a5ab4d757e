//! `cargo xtask verify`: builds a profile again from nothing but downloads, perturbed, and compares every byte.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use difference::{Comparison, Side, Sides};
use serde::{Deserialize, Serialize};

use super::{Access, Selection, Session, SessionOptions, session};
use crate::{
    digest::Digest,
    execute::{self, Context, Outcomes},
    host::command::{Command, CommandError, Limits},
    plan::{KeyParts, Plan},
    profile::Project,
    report::{Reporter, seconds},
    reproduce::{
        Aspect, Perturbation, Place, Told,
        inside::{self, Inside},
        is_download, json,
        judge::{Judged, Made, Verdict, compare, judge},
        reference::Reference,
        show,
    },
    store::{OutputKind, StepRecord, Store},
};

#[derive(Args, Debug)]
pub struct Verify {
    /// Name of a file in profiles/
    #[arg(value_name = "PROFILE", default_value = session::DEFAULT_PROFILE)]
    pub profile: String,
    /// Compare with somebody else's manifest.json (or the folder of a release) instead of this store's build
    #[arg(long, value_name = "MANIFEST")]
    pub against: Option<PathBuf>,
    /// Only this step and what it needs; may be repeated
    #[arg(long = "step", value_name = "NAME")]
    pub steps: Vec<String>,
    /// Repeat the perturbation of another run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Result as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub options: SessionOptions,
    /// The process that perturbs itself as FILE says and becomes the second build
    #[arg(long, hide = true, value_name = "FILE")]
    pub inside: Option<PathBuf>,
    /// The second build: make the steps and write the plan to FILE
    #[arg(long, hide = true, value_name = "FILE")]
    pub rebuild: Option<PathBuf>,
}

pub fn run(arguments: &Verify) -> Result<ExitCode> {
    if let Some(file) = &arguments.inside {
        return inside::become_the_build(file).map(|()| ExitCode::FAILURE);
    }
    if let Some(file) = &arguments.rebuild {
        return rebuild(arguments, file);
    }
    if arguments.against.is_some() {
        session::refuse_pair(&Project::find()?, &arguments.profile)?;
    }
    let reference = arguments.against.as_deref();
    let reference = reference.map(|path| Reference::read(path, &arguments.profile)).transpose()?;
    let reporter = Arc::new(Reporter::new(false));
    let mut session = open(arguments, &arguments.options, Access::Build, &reporter)?;
    let plan = part(&session, arguments)?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    execute::refuse_doomed(&session.context, &plan, &session.last)?;

    // Somebody else's release is compared with what is made now, so here only downloads are needed.
    let (first, outcomes) = match &reference {
        Some(_) => {
            let downloads = plan.only(is_download);
            let outcomes = execute::execute(&session.context, &downloads, &mut session.last)?;
            (downloads, outcomes)
        }
        None => (plan.clone(), execute::execute(&session.context, &plan, &mut session.last)?),
    };
    let seed = arguments.seed.unwrap_or_else(|| now().as_secs());
    let mut perturbation = Perturbation::new(seed, session.context.tools.host(), session.context.jobs);
    let place = Place::new(&session.context, &mut perturbation)?;
    place.adopt_downloads(&session.context, &first, &outcomes.0)?;
    reporter.note("building again, from downloads alone, perturbed");
    let started = now();
    build_again(&session.context, arguments, &place, &mut perturbation)?;
    reporter.note(&format!("built again in {}", seconds(now() - started)));

    let sides = sides(&session.context, &perturbation, &place, started);
    let second = Second::read(&place)?;
    let plans = second.compare_plan(&plan, &sides)?;
    let judged = match &reference {
        Some(reference) => against(reference, &plan, &second, &place, &sides)?,
        None => again(&session.context, &plan, &outcomes, &second, &place, &sides)?,
    };
    let reference =
        arguments.against.as_ref().map_or("before".to_string(), |path| format!("in {}", path.display()));
    let told = Told {
        profile: &arguments.profile,
        plan: &plan,
        perturbation: &perturbation,
        plans: &plans,
        judged: &judged,
        reference: &reference,
    };
    match arguments.json {
        true => println!("{:#}", json(&told)),
        false => print!("{perturbation}{}", show(&told)),
    }
    Ok(if told.is_reproducible() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open(
    arguments: &Verify,
    options: &SessionOptions,
    access: Access,
    reporter: &Arc<Reporter>,
) -> Result<Session> {
    let selection = Selection { profiles: vec![arguments.profile.clone()], all: false };
    Session::open(&selection, options, access, reporter.clone())
}

/// The steps that are verified.
fn part(session: &Session, arguments: &Verify) -> Result<Plan> {
    let plan = match arguments.steps.is_empty() {
        true => session.plan.clone(),
        false => session.plan.needed_for(&arguments.steps).map_err(|unknown| {
            let names = session.plan.steps.iter().map(|step| format!("\n  {}", step.name));
            anyhow::anyhow!(
                "{} has no step `{}`\nhint: its steps are{}",
                arguments.profile,
                unknown.join("`, `"),
                names.collect::<String>()
            )
        })?,
    };
    let local: Vec<&str> =
        plan.steps.iter().filter(|step| !step.is_hermetic()).map(|step| step.name.as_str()).collect();
    if !local.is_empty() {
        bail!(
            "{} reads a local tree (step `{}`): what it gives depends on that tree's state and can't be verified\n\
             hint: pin the source (pin, archive or git), or verify other steps with --step",
            arguments.profile,
            local.join("`, `")
        );
    }
    Ok(plan)
}

/// The second build itself: runs in the copy of the project, with nothing of the first one's surroundings.
fn rebuild(arguments: &Verify, file: &Path) -> Result<ExitCode> {
    let reporter = Arc::new(Reporter::new(false));
    let mut session = open(arguments, &arguments.options, Access::Build, &reporter)?;
    let plan = part(&session, arguments)?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    let outcomes = execute::execute(&session.context, &plan, &mut session.last)?;
    let steps = outcomes.0.into_iter().map(|outcome| SecondStep {
        key: outcome.key,
        parts: outcome.parts,
        record: outcome.record,
    });
    let second = Second { plan: serde_json::to_string_pretty(&plan)?, steps: steps.collect() };
    fs::write(file, serde_json::to_string(&second)?)
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

const INSIDE: &str = "inside.json";
const REFUSED: &str = "refused.json";
const SECOND: &str = "second.json";
const LOG: &str = "log";

fn build_again(
    context: &Context,
    arguments: &Verify,
    place: &Place,
    perturbation: &mut Perturbation,
) -> Result<()> {
    let program = std::env::current_exe().context("can't find this program")?;
    let program = program.to_str().context("this program's path is not UTF-8")?.to_string();
    let mut command = vec![program.clone(), "verify".to_string(), arguments.profile.clone()];
    command.extend(arguments.steps.iter().map(|step| format!("--step={step}")));
    command.extend(
        ["--rebuild", "{folder}/second.json", "--store", "{folder}/store", "--offline"].map(String::from),
    );
    command.push(format!("--jobs={}", perturbation.jobs));
    let inside = Inside {
        perturbation: perturbation.clone(),
        folder: place.folder().to_path_buf(),
        elsewhere: place.elsewhere.clone(),
        report: place.file(REFUSED),
        command,
        environment: tools_environment(context)?,
    };
    let file = place.file(INSIDE);
    fs::write(&file, serde_json::to_string(&inside)?)
        .with_context(|| format!("can't write {}", file.display()))?;
    let (log, limits) = (place.file(LOG), Limits { timeout: None, cancel: Some(&context.cancelled) });
    // Indented lines tell of steps; what else there is comes with the error.
    let mut on_line = |line: &str| {
        if line.starts_with("  ") {
            context.reporter.note(line);
        }
    };
    let process = Command::new(&program).args(["verify", "--inside"]).arg(&file);
    match process.run(&log, limits, Some(&mut on_line)) {
        Ok(()) => {}
        Err(CommandError::Cancelled { .. }) => return Err(execute::Cancelled.into()),
        Err(error) => {
            let kept = context.store.root().join("failed/verify.log");
            let _ = fs::create_dir_all(kept.parent().unwrap_or(&kept)).and_then(|()| fs::copy(&log, &kept));
            return Err(error).with_context(|| {
                format!(
                    "the second build failed where the first one didn't (seed {}); its log is {}",
                    perturbation.seed,
                    kept.display()
                )
            });
        }
    }
    let refused =
        fs::read(place.file(REFUSED)).context("the second build didn't say what it could perturb")?;
    perturbation.left_out.extend(serde_json::from_slice::<Vec<_>>(&refused)?);
    perturbation.left_out.sort_by_key(|left_out| left_out.aspect);
    Ok(())
}

/// Where tools are: the same for both builds.
fn tools_environment(context: &Context) -> Result<BTreeMap<String, String>> {
    let host = context.tools.host();
    let home = host.variables.get("HOME").map(PathBuf::from).unwrap_or_default();
    let mut environment = BTreeMap::new();
    for (name, usual) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")] {
        let place = host.variables.get(name).map_or_else(|| home.join(usual), PathBuf::from);
        environment.insert(name.to_string(), place.to_string_lossy().into_owned());
    }
    // rustup would look for a choice in a home that is empty.
    let sysroot = context.tools.toolchain()?.sysroot;
    environment.insert("RUSTUP_TOOLCHAIN".to_string(), sysroot.to_string_lossy().into_owned());
    environment.insert("PATH".to_string(), host.path_variable().to_string_lossy().into_owned());
    Ok(environment)
}

/// What the second build was and made, as it says itself.
#[derive(Serialize, Deserialize)]
struct Second {
    /// As JSON text.
    plan: String,
    /// In order of the plan.
    steps: Vec<SecondStep>,
}

#[derive(Serialize, Deserialize)]
struct SecondStep {
    key: Digest,
    parts: KeyParts,
    record: StepRecord,
}

impl Second {
    fn read(place: &Place) -> Result<Second> {
        let text = fs::read(place.file(SECOND)).context("the second build didn't say what it made")?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn compare_plan(&self, plan: &Plan, sides: &Sides) -> Result<Comparison> {
        Ok(difference::compare(serde_json::to_string_pretty(plan)?.as_bytes(), self.plan.as_bytes(), sides))
    }

    fn made(&self, place: &Place) -> Vec<Option<Made>> {
        let store = Store::at(&place.store());
        self.steps.iter().map(|step| Some(Made::of(step.key, &step.record, &store))).collect()
    }
}

/// Compares with this store's build.
fn again(
    context: &Context,
    plan: &Plan,
    outcomes: &Outcomes,
    second: &Second,
    place: &Place,
    sides: &Sides,
) -> Result<Vec<Judged>> {
    let ours: Vec<Option<Made>> = outcomes
        .0
        .iter()
        .map(|outcome| Some(Made::of(outcome.key, &outcome.record, &context.store)))
        .collect();
    let why = |number: usize| match second.steps.get(number) {
        Some(theirs) => theirs.parts.changes_since(&outcomes.0[number].parts),
        None => Vec::new(),
    };
    judge(plan, &ours, &second.made(place), sides, why)
}

/// Compares the second build, which is ours now, with what a manifest says.
fn against(
    reference: &Reference,
    plan: &Plan,
    second: &Second,
    place: &Place,
    sides: &Sides,
) -> Result<Vec<Judged>> {
    let (made, theirs) = (second.made(place), plan.steps.iter().map(|step| reference.made(&step.name)));
    let sides = Sides { ours: sides.theirs.clone(), theirs: Side::default() };
    let why = |number: usize| reference.differences(&plan.steps[number].name, &second.steps[number].parts);
    let mut judged = judge(plan, &made, &theirs.collect::<Vec<_>>(), &sides, why)?;
    // Steps know digests alone; an artifact beside the manifest can be looked into.
    for artifact in &plan.artifacts {
        let Some(output) = reference.output(&artifact.name) else { continue };
        let Some(theirs) = reference.file(output, &place.file("theirs"))? else { continue };
        let Some(folder) = made[artifact.step].as_ref().and_then(|made| made.folder.as_ref()) else {
            continue;
        };
        let ours = folder.join(&artifact.output);
        let outputs = match &mut judged[artifact.step].verdict {
            Verdict::Differs { outputs } => outputs,
            _ => continue,
        };
        for output in outputs.iter_mut().filter(|output| output.output == artifact.output) {
            output.comparison = Some(compare(OutputKind::File, &ours, &theirs, &sides)?);
        }
    }
    Ok(judged)
}

/// What both builds are known by.
fn sides(context: &Context, perturbation: &Perturbation, place: &Place, started: Duration) -> Sides {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let ours = Side {
        paths: vec![text(context.store.root()), text(&context.root)],
        home: std::env::home_dir().map(|home| text(&home)),
        user: variable("USER").or_else(|| variable("LOGNAME")),
        host_name: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        uid: Some(rustix::process::geteuid().as_raw()),
        gid: Some(rustix::process::getegid().as_raw()),
        umask: umask(),
        jobs: Some(context.jobs),
        locale: variable("LC_ALL").or_else(|| variable("LANG")),
        time_zone: variable("TZ"),
        environment: Vec::new(),
        // The store may have it from another day.
        clock: None,
    };
    let is_perturbed =
        |aspect: Aspect| perturbation.left_out.iter().all(|left_out| left_out.aspect != aspect);
    let ahead = if is_perturbed(Aspect::Clock) { perturbation.clock_seconds() } else { 0 };
    let folder = text(&perturbation.folder);
    let theirs = Side {
        home: Some(format!("{folder}/home")),
        paths: vec![folder, text(place.folder())],
        user: Some(perturbation.user.clone()),
        host_name: is_perturbed(Aspect::HostName).then(|| perturbation.host_name.clone()),
        uid: is_perturbed(Aspect::Owner).then_some(perturbation.uid),
        gid: is_perturbed(Aspect::Owner).then_some(perturbation.gid),
        umask: Some(perturbation.umask),
        jobs: Some(perturbation.jobs),
        locale: Some(perturbation.locale.clone()),
        time_zone: Some(perturbation.time_zone.clone()),
        environment: perturbation
            .environment
            .iter()
            .filter(|(name, _)| name.starts_with("NOISE_"))
            .map(|(_, value)| value.clone())
            .collect(),
        clock: Some(started.as_secs() + ahead..now().as_secs() + ahead + 1),
    };
    Sides { ours, theirs }
}

/// This process's; asking the system call for it would change it.
fn umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
