//! A store that has the downloads of one profile and nothing else, for what is measured from nothing.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    execute::Forecast,
    reproduce::is_download,
    verbs::{Session, SessionOptions},
};

/// Goes away with this value.
pub struct ColdStore {
    folder: tempfile::TempDir,
    jobs: usize,
}

impl ColdStore {
    /// Links the downloads that the user's store has.
    pub fn new(session: &Session, forecasts: &[Forecast], options: &SessionOptions) -> Result<ColdStore> {
        // Beside the store, since a temporary folder may be in memory or on another disk.
        let folder = tempfile::tempdir_in(crate::verbs::session::store_dir(options)?)?;
        let cold = ColdStore { folder, jobs: session.context.jobs };
        let steps = cold.store().join("v1/steps");
        fs::create_dir_all(&steps)?;
        for (step, forecast) in session.plan.steps.iter().zip(forecasts) {
            if let (true, Forecast::Reuse { key, .. }) = (is_download(&step.action), forecast) {
                let from = session.context.store.step_dir(key);
                let status = Command::new("cp").arg("-al").arg(from).arg(&steps).status()?;
                ensure!(status.success(), "can't link the downloads");
            }
        }
        Ok(cold)
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Runs a verb of this program in the store. What it prints would get between the lines of the table.
    pub fn time(&self, arguments: &[&str]) -> Result<Duration> {
        let started = Instant::now();
        let mut command = Command::new(std::env::current_exe().context("can't find this program")?);
        command.args(arguments).arg("--offline").arg("--store").arg(self.store());
        command.arg(format!("--jobs={}", self.jobs)).stdin(Stdio::null()).stdout(Stdio::null());
        ensure!(command.status()?.success(), "{} failed", arguments.join(" "));
        Ok(started.elapsed())
    }

    /// A build of everything.
    pub fn build(&self, profile: &str) -> Result<Duration> {
        let out = self.out();
        self.time(&["build-image", profile, "--out", out.to_str().context("a path that is no UTF-8")?])
    }
}
