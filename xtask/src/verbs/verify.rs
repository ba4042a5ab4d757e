//! `cargo xtask verify`: builds a profile again from nothing but downloads, perturbed, and compares every byte.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use difference::{Side, Sides};

use super::{Access, Selection, Session, SessionOptions, session};
use crate::{
    bundle, execute,
    execute::{Context, Outcomes},
    host::command::{Command, CommandError, Limits},
    manifest,
    plan::Plan,
    profile::Project,
    report::{Reporter, seconds},
    reproduce::{
        Perturbation, Place, Told, With,
        artifacts::{self, JudgedArtifact},
        inside::{self, Inside},
        is_download, json,
        judge::{Judged, Made, judge},
        reference::Reference,
        second::{Second, now, sides},
        show,
    },
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
    // What was built with pinned programs is built again with them.
    let hermetic = arguments.options.hermetic || reference.as_ref().is_some_and(Reference::is_of_root);
    let options = SessionOptions { hermetic, ..arguments.options.clone() };
    let mut session = open(arguments, &options, Access::Build, &reporter)?;
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
    let place = Place::new(&session.context, &mut perturbation, plan.has_builder())?;
    place.adopt_downloads(&session.context, &first, &outcomes.0)?;
    reporter.note("building again, from downloads alone, perturbed");
    let started = now();
    build_again(&session.context, arguments, hermetic, &place, &mut perturbation)?;
    reporter.note(&format!("built again in {}", seconds(now() - started)));

    let sides = sides(&session.context, &perturbation, &place, started);
    let second = Second::read(&place.file(SECOND))?;
    let compared = Compared { context: &session.context, plan: &plan, second: &second, place: &place };
    let (steps, artifacts) = match &reference {
        Some(reference) => compared.against(reference, arguments.steps.is_empty(), &sides)?,
        None => compared.again(&outcomes, &sides)?,
    };
    let with = match &reference {
        None => With::Before,
        Some(reference) => With::Manifest {
            path: reference.path.display().to_string(),
            hint: reference.hint(bundle::source(session.context.tools.host()).ok().as_ref()),
        },
    };
    let plans = second.compare_plan(&plan, &sides)?;
    let told = Told {
        profile: &arguments.profile,
        perturbation: &perturbation,
        plans: &plans,
        steps: &steps,
        artifacts: &artifacts,
        with: &with,
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
        false => session.needed_for(&arguments.steps)?,
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
    Second::new(&plan, outcomes)?.write(file)?;
    Ok(ExitCode::SUCCESS)
}

const INSIDE: &str = "inside.json";
const REFUSED: &str = "refused.json";
const SECOND: &str = "second.json";
const LOG: &str = "log";

fn build_again(
    context: &Context,
    arguments: &Verify,
    hermetic: bool,
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
    command.extend(hermetic.then(|| "--hermetic".to_string()));
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

/// The second build, and what it is compared by.
struct Compared<'a> {
    context: &'a Context,
    plan: &'a Plan,
    second: &'a Second,
    place: &'a Place,
}

impl Compared<'_> {
    /// With this store's build.
    fn again(&self, outcomes: &Outcomes, sides: &Sides) -> Result<(Vec<Judged>, Vec<JudgedArtifact>)> {
        let made = |outcome: &execute::Outcome| Made::of(outcome.key, &outcome.record, &self.context.store);
        let ours: Vec<Made> = outcomes.0.iter().map(made).collect();
        let theirs = self.made();
        let judged = judge(self.plan, &ours, &theirs, sides, |number, known| {
            let parts = self.second.parts(&self.plan.steps[number].name);
            let ours = outcomes.0[number].parts.without_inputs(known);
            parts.map_or(Vec::new(), |parts| parts.without_inputs(known).changes_since(&ours))
        })?;
        Ok((judged, artifacts::again(self.plan, &ours, &theirs)))
    }

    /// With what a manifest says; ours is the second build then.
    fn against(
        &self,
        reference: &Reference,
        is_whole: bool,
        sides: &Sides,
    ) -> Result<(Vec<Judged>, Vec<JudgedArtifact>)> {
        let steps = &self.plan.steps;
        let Some(ours) = self.made().into_iter().collect::<Option<Vec<Made>>>() else {
            bail!("the second build made another plan: `cargo xtask verify` without --against says in what");
        };
        let theirs: Vec<Option<Made>> = steps.iter().map(|step| reference.made(&step.name)).collect();
        let tools = manifest::identities(&self.context.tools, steps.iter().flat_map(|step| &step.tools))?;
        let sides = Sides { ours: sides.theirs.clone(), theirs: Side::default() };
        let judged = judge(self.plan, &ours, &theirs, &sides, |number, known| {
            let name = &steps[number].name;
            let parts = self.second.parts(name);
            parts.map_or(Vec::new(), |parts| reference.reasons(name, parts, &tools, known))
        })?;
        let unpacked = self.place.file("theirs");
        let artifacts = artifacts::against(self.plan, &ours, reference, is_whole, &sides, &unpacked)?;
        Ok((judged, artifacts))
    }

    /// In order of the plan; None for a step that the second build's plan doesn't have.
    fn made(&self) -> Vec<Option<Made>> {
        self.plan.steps.iter().map(|step| self.second.made(&step.name, self.place)).collect()
    }
}
