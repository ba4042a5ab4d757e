//! ResolveKconfig: the fragments through the kernel's own conf, and the proof that they survived it and that the
//! result breaks no rule.
//!
//! conf has the last word, but not the first: while make builds it, this tool's own engine solves the same requests,
//! and what doesn't survive fails at once. Where both come to an end they have to agree to the byte.

use std::{
    fmt, fs,
    panic::resume_unwind,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use document::Origin;
use thiserror::Error;

use super::{
    engine::{engine_of_checked, kernel_tree},
    kernel,
    run::Job,
};
use crate::{
    kernel::{
        Composed, DotConfig, agreement,
        command::Invocation,
        elsewhere::declared_anywhere,
        engine::{Ask, Engine, EngineError},
        image,
        lint::{Broken, CommandLine, Rules, Severity, Subject, Symbols, judge as judge_by_rules},
        verify::{LostSymbols, verify},
    },
    profile::types::{Arch, Vtl},
    store::OutputKind,
};

/// How often somebody looks whether make is still wanted.
const WATCH: Duration = Duration::from_millis(10);

const FINAL: &str = "kernel.config";

/// What a final configuration has to be.
#[derive(Clone, Copy, Debug)]
pub struct Demands<'a> {
    pub arch: Arch,
    pub vtl: Vtl,
    pub composed: &'a Composed,
    pub rules: &'a Rules,
    /// What the loader will give the kernel, where somebody knows it.
    pub command_line: Option<&'a str>,
}

pub fn resolve(job: &Job, all_config: &str, demands: &Demands) -> Result<Vec<(&'static str, OutputKind)>> {
    let arch = demands.arch;
    let folder = kernel::build_folder(job)?;
    let requests = folder.path().join("requests.config");
    fs::write(&requests, all_config).with_context(|| format!("can't write {}", requests.display()))?;
    let configure = kernel::describe(job, arch, folder.path()).configure(&job.toolbox.seen(&requests))?;
    let source = job.input("source");
    let engine = beside_make(job, &configure, || {
        let engine = engine(job, arch, Ask::Missing)?;
        if let Some(engine) = &engine {
            judge(&engine.solve(all_config).dot_config(), demands, Some((engine, source)))?;
        }
        Ok(engine)
    })?;

    let path = folder.path().join(image::DOT_CONFIG);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    if engine.as_ref().is_some_and(|engine| engine.solve(all_config).dot_config() != text) {
        // Something may have been installed that answers remembered from before don't know of.
        let anew = self::engine(job, arch, Ask::Everything)?;
        anew.map_or(Ok(()), |anew| agreement::check(&anew.solve(all_config).dot_config(), &text))?;
    }
    let warnings = judge(&text, demands, engine.as_ref().map(|engine| (engine, source)))?;
    for warning in warnings {
        job.progress.note(warning.problem.to_string().trim_end());
    }
    job.write(FINAL, text.as_bytes())?;
    Ok(vec![(FINAL, OutputKind::File)])
}

/// Why a final configuration is none to build a kernel with. Whoever mends one thing wants to know of all.
#[derive(Debug, Error)]
pub struct Refused {
    pub lost: Option<LostSymbols>,
    pub broken: Vec<Broken>,
    pub warnings: Vec<Broken>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken: Vec<String> = self.broken.iter().map(|broken| broken.problem.to_string()).collect();
        let lost = self.lost.iter().map(LostSymbols::to_string);
        let texts: Vec<String> = broken.into_iter().chain(lost).collect();
        f.write_str(texts.concat().trim_end())
    }
}

/// Whether a final configuration is what the profile asks for, and breaks no rule but those that only warn: these are
/// returned. With the engine and the source tree that it read, what is missing is explained.
pub fn judge(text: &str, demands: &Demands, reader: Option<(&Engine, &Path)>) -> Result<Vec<Broken>> {
    let Demands { composed, .. } = demands;
    let dot_config = DotConfig::parse(&Arc::from(FINAL), text)?;
    let explained = |lost: LostSymbols| match reader {
        Some((engine, source)) => {
            lost.explained(engine.graph(), composed, |name| declared_anywhere(source, name))
        }
        None => lost,
    };
    let lost = verify(composed, &dot_config).map_err(explained).err();
    let (broken, warnings) = broken_rules(&dot_config, demands);
    match lost.is_none() && broken.is_empty() {
        true => Ok(warnings),
        false => Err(Refused { lost, broken, warnings }.into()),
    }
}

/// What the rules forbid, and what they warn of.
fn broken_rules(dot_config: &DotConfig, demands: &Demands) -> (Vec<Broken>, Vec<Broken>) {
    let Demands { arch, vtl, composed, rules, command_line } = *demands;
    let subject = Subject {
        arch,
        vtl,
        linux: dot_config.series(),
        symbols: Symbols::Final(dot_config),
        command_line: CommandLine::of(dot_config, arch, command_line),
    };
    // The final configuration is not there for people to look into: lines in it would say nothing.
    let file = Origin::file(&FINAL.into());
    let verdict = judge_by_rules(rules, &subject);
    let of = |severity| verdict.of(severity).map(|finding| finding.broken_in(composed, &file)).collect();
    (of(Severity::Error), of(Severity::Warning))
}

/// The engine for the kernel's Kconfig files; `None` if it can't read them, which conf may well be able to.
fn engine(job: &Job, arch: Arch, ask: Ask) -> Result<Option<Engine>> {
    let folder = job.work.scratch().join("kconfig");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let made_by = |number: usize| job.upstream.get(&number).map(|(key, record)| (*key, record));
    let tree =
        kernel_tree(job.context, job.plan, job.step, made_by)?.context("the source tree is an input")?;
    match engine_of_checked(job.context, &tree, arch, &folder, ask) {
        Ok(engine) => Ok(Some(engine)),
        Err(error) => match error.downcast_ref() {
            Some(EngineError::Rejected(why)) => {
                let first = why.errors().next().map(ToString::to_string).unwrap_or_default();
                job.progress.note(&format!("not checked before conf, which decides alone: {first}"));
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// Runs make, and `check` at the same time. If that fails, make isn't waited for.
fn beside_make<T>(job: &Job, make: &Invocation, check: impl FnOnce() -> Result<T>) -> Result<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let make = scope.spawn(|| kernel::make(job, make, &stop, None));
        let checked = check();
        stop.store(checked.is_err(), Ordering::Relaxed);
        while !make.is_finished() {
            if job.context.cancelled.load(Ordering::Relaxed) {
                stop.store(true, Ordering::Relaxed);
            }
            thread::sleep(WATCH);
        }
        let made = make.join().unwrap_or_else(|panic| resume_unwind(panic));
        let value = checked?;
        made.map(|()| value)
    })
}
