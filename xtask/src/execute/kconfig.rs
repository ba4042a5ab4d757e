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
        command::{Invocation, source_arch},
        engine::{Ask, EngineError},
        image,
        kconfig_text::read_tree,
        trust_level::check_trust_level,
        verify::verify,
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
    let expected = beside_make(job, &configure, || {
        let expected = solve(job, arch, all_config, Ask::Missing)?;
        if let Some(text) = &expected {
            judge(text, arch, vtl, composed, source)?;
        }
        Ok(expected)
    })?;

    let path = folder.path().join(image::DOT_CONFIG);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    if expected.is_some_and(|expected| expected != text) {
        // Something may have been installed that answers remembered from before don't know of.
        let anew = solve(job, arch, all_config, Ask::Everything)?;
        anew.map_or(Ok(()), |anew| agreement::check(&anew, &text))?;
    }
    judge(&text, arch, vtl, composed, source)?;
    job.write("kernel.config", text.as_bytes())?;
    Ok(vec![("kernel.config", OutputKind::File)])
}

/// Whether a final configuration is what the profile asks for.
pub fn judge(text: &str, arch: Arch, vtl: Vtl, composed: &Composed, source: &Path) -> Result<()> {
    let dot_config = DotConfig::parse(&Arc::from("kernel.config"), text)?;
    // Both judgements are about the same file: whoever mends one wants to know of the other.
    let survived = verify(composed, &dot_config, || read_tree(source, source_arch(arch)));
    let level = check_trust_level(vtl, &dot_config);
    match (survived, level) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(lost), Ok(())) => Err(lost.into()),
        (Ok(()), Err(wrong)) => Err(wrong.into()),
        (Err(lost), Err(wrong)) => bail!("{wrong}\n{lost}"),
    }
}

/// The configuration that conf is expected to write; `None` if the engine can't read this kernel's Kconfig files,
/// which conf may well be able to.
fn solve(job: &Job, arch: Arch, all_config: &str, ask: Ask) -> Result<Option<String>> {
    let folder = job.work.scratch().join("kconfig");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let made_by = |number: usize| job.upstream.get(&number).map(|(key, record)| (*key, record));
    let tree =
        kernel_tree(job.context, job.plan, job.step, made_by)?.context("the source tree is an input")?;
    match engine_of_checked(job.context, &tree, arch, &folder, ask) {
        Ok(engine) => Ok(Some(engine.solve(all_config).dot_config())),
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
