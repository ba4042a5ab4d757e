//! Reading and solving a kernel's Kconfig files, beside make and conf doing the same; the best time of each.

use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Row, repeat};
use crate::{
    execute::Engines,
    host::command,
    kernel::{
        command::{Invocation, KernelBuild},
        environment,
    },
    plan::Action,
    report::Reporter,
    verbs::{Access, Selection, Session, SessionOptions, session},
};

const PROFILE: &str = "x86_64-vtl2";
const RUNS: usize = 15;
/// make and conf ask the compiler anew each time.
const SLOW_RUNS: usize = 3;

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let mut session = open(options)?;
    // Brings the source if need be, and the answers of the compiler.
    let engines = Engines::open(&session.context, &session.plan, &mut session.last)?;
    let number = session.plan.steps.iter().position(|step| step.action.is_resolve_kconfig());
    let number = number.context("the profile has a kernel")?;
    let Action::ResolveKconfig { arch, all_config, .. } = &session.plan.steps[number].action else {
        unreachable!("it was looked for")
    };
    let host = session.context.tools.host();
    let folder = tempfile::tempdir_in(session::store_dir(options)?)?;
    let build = KernelBuild {
        arch: *arch,
        host: host.arch,
        source: engines.of(number).1.path.clone(),
        build: folder.path().join("build"),
        search_path: host.path_variable().to_string_lossy().into_owned(),
        jobs: 1,
    };
    let requests = folder.path().join("requests.config");
    fs::write(&requests, all_config)?;
    let make = |invocation: &Invocation| -> Result<()> {
        let program = host.find(invocation.program).context("make is not installed")?;
        let make = command::Command::new(program).args(&invocation.arguments);
        make.envs(invocation.environment.iter().cloned()).run(
            &folder.path().join("log"),
            Default::default(),
            None,
        )?;
        Ok(())
    };
    fs::create_dir(&build.build)?;
    make(&build.configure(&requests)?)?;
    let ours = engines.of(number).0.solve(all_config).dot_config();
    ensure!(fs::read_to_string(build.build.join(".config"))? == ours, "the two do not agree");

    let again = build.complete()?;
    let (by_make, _) = repeat(SLOW_RUNS, || make(&again))?;
    let (by_conf, _) = repeat(SLOW_RUNS, || conf(&build))?;
    drop(engines);

    let xtask = std::env::current_exe().context("can't find this program")?;
    let store = session::store_dir(options)?;
    let mut said = String::new();
    let mut inside = Vec::new();
    for _ in 0..RUNS {
        let output =
            Command::new(&xtask).args(["bench", "--kconfig-once", "--store"]).arg(&store).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        let seconds = said.split_whitespace().next().and_then(|word| word.parse().ok());
        inside.push(Duration::from_secs_f64(seconds.context("no seconds in what it said")?));
    }
    let inside = inside.into_iter().min().unwrap_or_default();
    let check = |arguments: &[&str]| -> Result<Duration> {
        let one = || -> Result<()> {
            let mut command = Command::new(&xtask);
            command
                .args(["config", "check"])
                .args(arguments)
                .arg("--store")
                .arg(&store)
                .stdout(Stdio::null());
            ensure!(command.status()?.success(), "config check failed");
            Ok(())
        };
        one()?;
        Ok(repeat(RUNS, one)?.0)
    };
    let (one, all) = (check(&[PROFILE])?, check(&["--all"])?);
    let note = said.split_once(' ').map_or("", |(_, note)| note).trim();
    Ok(vec![
        Row::new("read and solve Kconfig of one profile", inside, Some(("make olddefconfig", by_make)), note),
        Row::new(
            "  the same",
            inside,
            Some(("conf --olddefconfig", by_conf)),
            "conf asks the compiler each time",
        ),
        Row::new("config check, one profile, whole process", one, Some(("make olddefconfig", by_make)), ""),
        Row::new("config check --all, whole process", all, None, ""),
    ])
}

fn open(options: &SessionOptions) -> Result<Session> {
    let selection = Selection { profiles: vec![PROFILE.to_string()], all: false };
    Session::open(&selection, options, Access::Build, Arc::new(Reporter::new(false)))
}

/// conf as make starts it, without make.
fn conf(build: &KernelBuild) -> Result<()> {
    let makefile = fs::read_to_string(build.source.join("Makefile"))?;
    let mut variables = environment::of_machine(build);
    variables.extend(environment::of_tree(&build.source, &makefile)?);
    let mut conf = Command::new(build.build.join("scripts/kconfig/conf"));
    conf.args(["--olddefconfig", "Kconfig"]).current_dir(&build.build).env_clear().envs(&variables);
    for variable in environment::ASKED {
        // make finds them out before it starts conf.
        let question = environment::question(variable, &variables);
        let said = Command::new("sh").arg("-c").arg(question).env_clear().envs(&variables).output()?;
        conf.env(variable, environment::answer(&said.stdout));
    }
    let status = conf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "conf failed");
    Ok(())
}

/// What the first rows measure, in a process of its own: seconds, and the peak of resident memory.
pub fn once(options: &SessionOptions) -> Result<()> {
    let mut session = open(options)?;
    let started = Instant::now();
    let engines = Engines::open(&session.context, &session.plan, &mut session.last)?;
    for (number, step) in session.plan.steps.iter().enumerate() {
        if let Action::ResolveKconfig { all_config, .. } = &step.action {
            let (engine, _) = engines.of(number);
            ensure!(engine.asked() == 0, "answers of the compiler are not remembered");
            ensure!(!engine.solve(all_config).dot_config().is_empty(), "there is no configuration");
        }
    }
    let took = started.elapsed().as_secs_f64();
    println!("{took} {}", super::peak_memory()?);
    Ok(())
}
