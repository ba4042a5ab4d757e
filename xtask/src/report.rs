//! What the user sees while steps run: bars on a terminal, plain lines elsewhere, JSON lines with --json.
//! Talk goes to standard error; JSON lines are data and go to standard output.

mod failure;
mod units;

use std::{
    io::{IsTerminal, Write as _},
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use release::upload::Uploaded;
use serde::Serialize;

pub use failure::failure;
pub use units::{bytes, seconds};

/// Without a terminal, a step that takes long says so this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

pub struct Reporter {
    mode: Mode,
    started: Instant,
}

enum Mode {
    Bars(MultiProgress),
    Plain,
    Json,
}

/// What a step counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Bytes,
    Objects,
}

/// One JSON line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    StepReused { step: &'a str, key: &'a str },
    StepStarted { step: &'a str, key: &'a str, why: &'a [String] },
    StepWaiting { step: &'a str, key: &'a str },
    StepProgress { step: &'a str, done: u64, total: Option<u64>, unit: Unit },
    StepFinished { step: &'a str, key: &'a str, seconds: f64 },
    StepFailed { step: &'a str, error: &'a str, log: Option<&'a str> },
    Note { text: &'a str },
    ProfileFinished { profile: &'a str, out: &'a str, artifacts: &'a [ArtifactLine], hermetic: bool },
    UploadFinished(&'a Uploaded),
    Finished { reused: usize, built: usize, seconds: f64 },
    Failed { error: &'a str },
}

#[derive(Clone, Debug, Serialize)]
pub struct ArtifactLine {
    pub name: String,
    pub size_bytes: u64,
    pub sha256: String,
}

impl Reporter {
    pub fn new(json: bool) -> Reporter {
        let mode = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Json,
            (false, true) => Mode::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
            (false, false) => Mode::Plain,
        };
        Reporter { mode, started: Instant::now() }
    }

    /// One that shows nothing.
    #[cfg(test)]
    pub fn hidden() -> Reporter {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Reporter { mode: Mode::Bars(bars), started: Instant::now() }
    }

    pub fn is_json(&self) -> bool {
        matches!(self.mode, Mode::Json)
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A line for people; in JSON, a note.
    pub fn note(&self, text: &str) {
        match &self.mode {
            Mode::Json => self.event(&Event::Note { text }),
            Mode::Bars(bars) => drop(bars.println(text)),
            Mode::Plain => eprintln!("{text}"),
        }
    }

    /// A JSON line; nothing in the other modes.
    pub fn event(&self, event: &Event<'_>) {
        if let Mode::Json = self.mode {
            let line = serde_json::to_string(event).expect("our own types serialise");
            // A reader that went away doesn't stop a build.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
    }

    /// Data on standard output, outside the bars.
    pub fn print(&self, text: &str) {
        let print = || drop(writeln!(std::io::stdout().lock(), "{text}"));
        match &self.mode {
            Mode::Bars(bars) => bars.suspend(print),
            Mode::Plain | Mode::Json => print(),
        }
    }

    pub fn step_reused(&self, step: &str, key: &str) {
        self.event(&Event::StepReused { step, key });
    }

    pub fn step_started(self: &Arc<Self>, step: &str, key: &str, why: &[String]) -> StepProgress {
        match &self.mode {
            Mode::Json => self.event(&Event::StepStarted { step, key, why }),
            Mode::Bars(_) | Mode::Plain => self.note(&format!("  start  {step}{}", because(why))),
        }
        let bar = match &self.mode {
            Mode::Bars(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix} {elapsed} {msg}"));
                bar.set_prefix(step.to_string());
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            Mode::Plain | Mode::Json => None,
        };
        StepProgress {
            reporter: self.clone(),
            step: step.to_string(),
            bar,
            started: Instant::now(),
            last_said_ms: AtomicU64::new(0),
        }
    }
}

fn because(why: &[String]) -> String {
    match why {
        [] => String::new(),
        [only] => format!(" ({only})"),
        [first, rest @ ..] => format!(" ({first}; and {} more)", rest.len()),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are ours").progress_chars("=> ")
}

/// The progress of one running step; shared with whatever thread knows about it.
pub struct StepProgress {
    reporter: Arc<Reporter>,
    step: String,
    bar: Option<ProgressBar>,
    started: Instant,
    last_said_ms: AtomicU64,
}

impl StepProgress {
    /// `done` of `total` units, where the total is known.
    pub fn update(&self, done: u64, total: Option<u64>, unit: Unit) {
        if let Some(bar) = &self.bar {
            if let Some(total) = total
                && bar.length() != Some(total.max(done))
            {
                bar.set_length(total.max(done));
                bar.set_style(style(match unit {
                    Unit::Bytes => {
                        "{spinner} {prefix} {elapsed} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}"
                    }
                    Unit::Objects => "{spinner} {prefix} {elapsed} [{bar:30}] {pos}/{len} objects",
                }));
            }
            if total.is_none() {
                bar.set_message(count(done, unit));
            }
            bar.set_position(done);
            return;
        }
        let now_ms = self.started.elapsed().as_millis() as u64;
        let last_ms = self.last_said_ms.load(Ordering::Relaxed);
        let interval = if self.reporter.is_json() { Duration::from_secs(1) } else { PLAIN_INTERVAL };
        if now_ms < last_ms + interval.as_millis() as u64 {
            return;
        }
        self.last_said_ms.store(now_ms, Ordering::Relaxed);
        match self.reporter.mode {
            Mode::Json => {
                self.reporter.event(&Event::StepProgress { step: &self.step, done, total, unit });
            }
            Mode::Plain | Mode::Bars(_) => {
                let elapsed = seconds(self.started.elapsed());
                let counted = match (total, unit) {
                    (None, _) => count(done, unit),
                    (Some(total), Unit::Bytes) => format!("{} of {}", count(done, unit), count(total, unit)),
                    (Some(total), Unit::Objects) => format!("{done} of {}", count(total, unit)),
                };
                self.reporter.note(&format!("  ...    {}: {counted}, {elapsed}", self.step));
            }
        }
    }

    pub fn note(&self, text: &str) {
        self.reporter.note(&format!("  note   {}: {text}", self.step));
    }

    pub fn waiting(&self, key: &str) {
        match self.reporter.mode {
            Mode::Json => self.reporter.event(&Event::StepWaiting { step: &self.step, key }),
            _ => self.reporter.note(&format!("  wait   {}: another build is making it", self.step)),
        }
    }

    pub fn finished(self, key: &str) -> Duration {
        let took = self.started.elapsed();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let event = Event::StepFinished { step: &self.step, key, seconds: took.as_secs_f64() };
        match self.reporter.mode {
            Mode::Json => self.reporter.event(&event),
            _ => self.reporter.note(&format!("  done   {} in {}", self.step, seconds(took))),
        }
        took
    }

    /// It ended early through no fault of its own: the user wants to stop, or an input has to be made again.
    pub fn stopped(self, why: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        match self.reporter.mode {
            Mode::Json => self.reporter.event(&Event::StepFailed { step: &self.step, error: why, log: None }),
            _ => self.reporter.note(&format!("  stop   {}", self.step)),
        }
    }

    pub fn failed(self, error: &str, log: Option<&str>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        match self.reporter.mode {
            Mode::Json => self.reporter.event(&Event::StepFailed { step: &self.step, error, log }),
            _ => self.reporter.note(&format!("  FAILED {}", self.step)),
        }
    }
}

fn count(number: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => bytes(number),
        Unit::Objects => format!("{number} objects"),
    }
}
