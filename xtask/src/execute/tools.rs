//! The tools of this machine, each identified once and remembered.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, MutexGuard},
};

use anyhow::{Result, bail};

use crate::{
    digest::Digest,
    host::{
        Host,
        identity::{Identity, Subject, identify, identify_all},
        memo::{Memo, Trust},
        rust_target::{Toolchain, toolchain},
    },
    plan::Plan,
};

pub struct Tools {
    host: Host,
    memo: Mutex<Memo>,
}

impl Tools {
    pub fn new(project: &Path, memo_dir: &Path, paranoid: bool) -> Result<Tools> {
        let trust = if paranoid { Trust::Nothing } else { Trust::TimeStamps };
        let memo = Mutex::new(Memo::load(&memo_dir.join("tools"), trust));
        Ok(Tools { host: Host::current(project)?, memo })
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn toolchain(&self) -> Result<Toolchain> {
        Ok(toolchain(&self.host, &mut self.memo())?)
    }

    pub fn identity(&self, subject: &Subject) -> Result<Identity> {
        Ok(identify(&self.host, &mut self.memo(), subject)?.identity)
    }

    /// Digest of what a tool is, for a key.
    pub fn digest(&self, subject: &Subject) -> Result<Digest> {
        Ok(Digest::of_json(&self.identity(subject)?))
    }

    /// Fails with every tool of the plan that can't be found, at once.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        self.require(plan.steps.iter().flat_map(|step| step.tools.clone()))
    }

    /// The same for these tools.
    pub fn require(&self, subjects: impl IntoIterator<Item = Subject>) -> Result<()> {
        let subjects: BTreeSet<Subject> = subjects.into_iter().collect();
        let subjects: Vec<Subject> = subjects.into_iter().collect();
        if let Err(errors) = identify_all(&self.host, &mut self.memo(), &subjects) {
            // One hint for all of them in place of each one's own.
            let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let mut missing: Vec<&str> =
                text.iter().map(|text| text.split("\nhint:").next().unwrap_or(text)).collect();
            missing.dedup();
            bail!(
                "this machine lacks tools that the build needs:\n  {}\nhint: `cargo xtask doctor` lists all of them; \
                 `--install-deps` installs them on Debian and Ubuntu",
                missing.join("\n  ")
            );
        }
        Ok(())
    }

    /// Remembers what was found out. It only saves time: failing to write it fails nothing.
    pub fn save(&self) {
        let _ = self.memo().save();
    }

    pub fn memo(&self) -> MutexGuard<'_, Memo> {
        // A memo of which a part is missing is a smaller memo.
        self.memo.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
