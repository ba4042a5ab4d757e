//! Kernels on the monitor, beside the same kernels without one, under the same QEMU; and what an exit costs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Row;
use crate::verbs::{SessionOptions, session};

const RUNS: usize = 5;

/// What is compared: a profile, the level that the monitor tells, and the same without a monitor.
struct Pair {
    profile: &'static str,
    vtl: &'static str,
    /// What the other is, and the options of `boot` that make it.
    other: &'static str,
    options: &'static [&'static str],
}

const PAIRS: [Pair; 3] = [
    // The one Image runs with and without Hyper-V.
    Pair { profile: "aarch64-vtl2", vtl: "2", other: "no monitor", options: &["--vtl", "none"] },
    Pair { profile: "x86_64-vtl0", vtl: "0", other: "no monitor", options: &["--vtl", "none"] },
    // Without Hyper-V this kernel dies, so it is another one: built the first time, and kept in the store.
    Pair {
        profile: "x86_64-vtl2",
        vtl: "2",
        other: "no VTL, no monitor",
        options: &["--vtl", "none", "--as-normal-guest"],
    },
];

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let logs = tempfile::tempdir()?;
    let booting = Booting { store: session::store_dir(options)?, logs: logs.path() };
    let mut rows = Vec::new();
    let mut overhead = Vec::new();
    for pair in &PAIRS {
        rows.push(booting.compare(pair, &mut overhead)?);
    }
    rows.push(Row::new("boot, all but QEMU", median(overhead), None, "nothing to build"));
    for (profile, exit) in [("x86_64-vtl2", "CPUID"), ("aarch64-vtl2", "SMCCC_VERSION")] {
        let json = booting.boot(profile, &["--self-test"])?;
        let nanoseconds = |what: &str| {
            let measured = json["self_test"][what].as_u64();
            measured.map(Duration::from_nanos).with_context(|| format!("the self-test has no {what}"))
        };
        let note = format!("hypercall {:.1?}", nanoseconds("hypercall_ns")?);
        rows.push(Row::new(&format!("{profile}: {exit} exit"), nanoseconds("exit_ns")?, None, note));
    }
    Ok(rows)
}

struct Booting<'a> {
    store: PathBuf,
    logs: &'a Path,
}

impl Booting<'_> {
    /// The last line of one boot, which must have gone well.
    fn boot(&self, profile: &str, options: &[&str]) -> Result<Value> {
        let mut command = Command::new(std::env::current_exe().context("can't find this program")?);
        command.args(["boot", profile, "--json"]).args(options).arg("--store").arg(&self.store);
        let output = command.arg("--logs").arg(self.logs).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "boot {profile} {} failed\n{stderr}{text}", options.join(" "));
        Ok(serde_json::from_str(text.lines().last().context("boot said nothing")?)?)
    }

    /// By the kernel's own clock, which begins with the kernel: firmware and loaders are QEMU's affair.
    fn compare(&self, pair: &Pair, overhead: &mut Vec<f64>) -> Result<Row> {
        let monitored = ["--vtl", pair.vtl];
        let sides: [&[&str]; 2] = [&monitored, pair.options];
        // Builds what is missing.
        for options in sides {
            self.boot(pair.profile, options)?;
        }
        let mut ready = [Vec::new(), Vec::new()];
        let mut since_start = [Vec::new(), Vec::new()];
        // In turns, so that a busy moment hits both.
        for _ in 0..RUNS {
            for (side, options) in sides.into_iter().enumerate() {
                let json = self.boot(pair.profile, options)?;
                let seconds = |value: &Value| value.as_f64().context("no time at the ready line");
                ready[side].push(seconds(&json["payload_kernel_seconds"])?);
                let milestones = json["milestones"].as_array().context("no milestones")?;
                let last = milestones.iter().find(|milestone| milestone["name"] == "payload-ready");
                since_start[side].push(seconds(&last.context("no ready line")?["seconds"])?);
                overhead.push(seconds(&json["other_seconds"])?);
            }
        }
        let [ours, others] = ready.map(median);
        let [our_start, other_start] = since_start.map(median);
        let what = format!("{} to payload-ready, told of VTL {}", pair.profile, pair.vtl);
        let note = format!("since QEMU's start {our_start:.2?} and {other_start:.2?}");
        Ok(Row::new(&what, ours, Some((pair.other, others)), note))
    }
}

fn median(mut seconds: Vec<f64>) -> Duration {
    seconds.sort_by(f64::total_cmp);
    Duration::from_secs_f64(seconds[seconds.len() / 2])
}
