//! ResolveKconfig: the fragments through the kernel's own conf, and the proof that they survived it.
//!
//! conf has the last word, but not the first: while make builds it, this tool's own engine solves the same requests,
//! and what doesn't survive fails at once. Where both come to an end they have to agree to the byte.

use std::{
    fs,
    panic::resume_unwind,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

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
        trust_level::check_trust_level,
        verify::{LostSymbols, verify},
    },
    profile::types::{Arch, Vtl},
    store::OutputKind,
};

/// How often somebody looks whether make is still wanted.
const WATCH: Duration = Duration::from_millis(10);

pub fn resolve(
    job: &Job,
    arch: Arch,
    vtl: Vtl,
    all_config: &str,
    composed: &Composed,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let folder = kernel::build_folder(job)?;
    let requests = folder.path().join("requests.config");
    fs::write(&requests, all_config).with_context(|| format!("can't write {}", requests.display()))?;
    let configure = kernel::describe(job, arch, folder.path()).configure(&requests)?;
    let source = job.input("source");
    let engine = beside_make(job, &configure, || {
        let engine = engine(job, arch, Ask::Missing)?;
        if let Some(engine) = &engine {
            judge(&engine.solve(all_config).dot_config(), vtl, composed, Some((engine, source)))?;
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
    judge(&text, vtl, composed, engine.as_ref().map(|engine| (engine, source)))?;
    job.write("kernel.config", text.as_bytes())?;
    Ok(vec![("kernel.config", OutputKind::File)])
}

/// Whether a final configuration is what the profile asks for. With the engine and the source tree that it read, what
/// is missing is explained.
pub fn judge(text: &str, vtl: Vtl, composed: &Composed, reader: Option<(&Engine, &Path)>) -> Result<()> {
    let dot_config = DotConfig::parse(&Arc::from("kernel.config"), text)?;
    let explained = |lost: LostSymbols| match reader {
        Some((engine, source)) => {
            lost.explained(engine.graph(), composed, |name| declared_anywhere(source, name))
        }
        None => lost,
    };
    // Both judgements are about the same file: whoever mends one wants to know of the other.
    let survived = verify(composed, &dot_config).map_err(explained);
    let level = check_trust_level(vtl, &dot_config);
    match (survived, level) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(lost), Ok(())) => Err(lost.into()),
        (Ok(()), Err(wrong)) => Err(wrong.into()),
        (Err(lost), Err(wrong)) => bail!("{wrong}\n{lost}"),
    }
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
