//! What the second build was and made, as it says itself in a file, and what both builds are known by.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use difference::{Comparison, Side, Sides};
use serde::{Deserialize, Serialize};

use super::{Aspect, Perturbation, Place, judge::Made};
use crate::{
    digest::Digest,
    execute::{Context, Outcomes, homes},
    plan::{KeyParts, Plan},
    store::{StepRecord, Store},
};

#[derive(Serialize, Deserialize)]
pub struct Second {
    /// As JSON text.
    plan: String,
    /// In order of that plan.
    steps: Vec<SecondStep>,
}

#[derive(Serialize, Deserialize)]
struct SecondStep {
    name: String,
    key: Digest,
    parts: KeyParts,
    record: StepRecord,
}

impl Second {
    pub fn new(plan: &Plan, outcomes: Outcomes) -> Result<Second> {
        let steps = plan.steps.iter().zip(outcomes.0).map(|(step, outcome)| SecondStep {
            name: step.name.clone(),
            key: outcome.key,
            parts: outcome.parts,
            record: outcome.record,
        });
        Ok(Second { steps: steps.collect(), plan: serde_json::to_string_pretty(plan)? })
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_string(self)?)
            .with_context(|| format!("can't write {}", path.display()))
    }

    pub fn read(path: &Path) -> Result<Second> {
        let text = fs::read(path).context("the second build didn't say what it made")?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// In what its plan differs from the first one's.
    pub fn compare_plan(&self, plan: &Plan, sides: &Sides) -> Result<Comparison> {
        Ok(difference::compare(serde_json::to_string_pretty(plan)?.as_bytes(), self.plan.as_bytes(), sides))
    }

    /// What a step's key was made from.
    pub fn parts(&self, step: &str) -> Option<&KeyParts> {
        self.step(step).map(|step| &step.parts)
    }

    /// What a step made in `place`.
    pub fn made(&self, step: &str, place: &Place) -> Option<Made> {
        let store = Store::at(&place.store());
        self.step(step).map(|step| Made::of(step.key, &step.record, &store))
    }

    fn step(&self, name: &str) -> Option<&SecondStep> {
        self.steps.iter().find(|step| step.name == name)
    }
}

/// What both builds are known by; the second one ran from `started` to now.
pub fn sides(context: &Context, perturbation: &Perturbation, place: &Place, started: Duration) -> Sides {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let homes = homes();
    let ours = Side {
        paths: vec![text(context.store.root()), text(&context.root)],
        home: homes.first().map(|home| text(home)),
        real_home: homes.last().map(|home| text(home)),
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
    let theirs = Side {
        home: Some(text(&perturbation.link.join("home"))),
        real_home: Some(text(&perturbation.folder.join("home"))),
        paths: vec![text(&perturbation.folder), text(&perturbation.link), text(place.folder())],
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

/// Since 1970.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
