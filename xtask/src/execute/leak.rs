//! Invariant 7: no build path, home folder or user name inside an output.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::{
    plan::{Action, Step},
    store::{OutputKind, StepRecord, WorkDir},
};

/// Fails if a file that this step built holds a path of this machine.
///
/// Compressed outputs can't be looked into; what they are made of has been.
pub fn check(context: &Context, step: &Step, work: &WorkDir, record: &StepRecord) -> Result<()> {
    if !builds(&step.action) {
        return Ok(());
    }
    let needles = needles(context, work.scratch().parent());
    for output in record.outputs.iter().filter(|output| output.kind == OutputKind::File) {
        let path = work.out().join(&output.name);
        let content = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        for (needle, what) in &needles {
            if let Some(place) = memchr::memmem::find(&content, needle.as_bytes()) {
                bail!(
                    "{} holds {what} at byte {place}: `{}`\n  hint: an output may not tell where it was built; \
                     find what writes it (a macro with __FILE__, a build script, an option) and map the path away",
                    output.name,
                    excerpt(&content, place)
                );
            }
        }
    }
    Ok(())
}

/// Steps that run foreign programs which know paths; the others write bytes of ours.
fn builds(action: &Action) -> bool {
    matches!(action, Action::BuildKernel { .. } | Action::BuildPayload { .. } | Action::ResolveKconfig { .. })
}

fn needles(context: &Context, work: Option<&Path>) -> Vec<(String, &'static str)> {
    let mut needles = Vec::new();
    let mut add = |path: &Path, what| {
        let text = path.to_string_lossy().trim_end_matches('/').to_string();
        // `/` or `/src` is no telling path.
        if text.len() > 4 {
            needles.push((format!("{text}/"), what));
        }
    };
    work.into_iter().for_each(|work| add(work, "the path of its build folder"));
    add(context.store.root(), "the path of the store");
    add(&context.root, "the path of the project");
    if let Some(home) = std::env::home_dir() {
        add(&home, "the path of your home folder");
    }
    // The names `root` and `user` say nothing and stand in every kernel.
    if let Some(user) =
        std::env::var("USER").ok().filter(|user| user.len() > 3 && user != "root" && user != "user")
    {
        needles.push((format!("{user}@"), "your user name"));
    }
    needles
}

fn excerpt(content: &[u8], place: usize) -> String {
    let end = content[place..]
        .iter()
        .position(|byte| !(0x20..0x7f).contains(byte))
        .unwrap_or(content.len() - place);
    String::from_utf8_lossy(&content[place..place + end.min(160)]).into_owned()
}
