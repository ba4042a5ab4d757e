//! A guest at VTL0 below VTL2: what the way up and down costs, and how fast a kernel comes up there.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Row;
use crate::verbs::{SessionOptions, session};

const RUNS: usize = 3;
/// CPUIDs that the test guest of the payload times (recipes/paravisor/src/test_guest.rs).
const ROUNDS: u64 = 2000;

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let store = session::store_dir(options)?;
    let folder = tempfile::tempdir()?;
    let boot = |arguments: &[&str]| -> Result<Value> {
        let mut command = Command::new(std::env::current_exe().context("can't find this program")?);
        command.args(["boot", "--json"]).args(arguments).arg("--store").arg(&store);
        let output = command.arg("--logs").arg(folder.path()).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(serde_json::from_str(text.lines().last().context("boot said nothing")?)?)
    };
    let mut rows = vec![round_trip(&boot, folder.path())?];
    rows.extend(kernels(&boot)?);
    Ok(rows)
}

/// Both are timed by the same guest in the same run, by the time stamp counter.
fn round_trip(boot: &dyn Fn(&[&str]) -> Result<Value>, folder: &std::path::Path) -> Result<Row> {
    let json = boot(&["x86_64-vtl2", "--vtl0", "test-guest"])?;
    let report = std::fs::read_to_string(folder.join("report.jsonl"))?;
    let start = report.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["tsc_hz"].as_u64()
    });
    let hz = start.context("the monitor's report has no frequency")?;
    let each = |name: &str| {
        let ticks = json["vtl0"]["found"][name].as_u64().context("the test guest timed nothing")?;
        anyhow::Ok(Duration::from_nanos((u128::from(ticks) * 1_000_000_000 / u128::from(hz * ROUNDS)) as u64))
    };
    let (trip, plain) = (each("round-trips-tsc")?, each("plain-exits-tsc")?);
    let note = format!("{:.0} and {:.0} a second", 1.0 / trip.as_secs_f64(), 1.0 / plain.as_secs_f64());
    Ok(Row::new("CPUID of VTL0: to VTL2's payload and back", trip, Some(("by the monitor", plain)), note))
}

/// The kernel of x86_64-vtl0 with the same options: at VTL0 from the moment that the payload begins to run it, in plain
/// QEMU from QEMU's start. By the kernel's own clock up to its payload's report.
fn kernels(boot: &dyn Fn(&[&str]) -> Result<Value>) -> Result<Vec<Row>> {
    let first_line = |level: &Value| {
        let milestones = level["milestones"].as_array().into_iter().flatten();
        let first = milestones.into_iter().find(|milestone| milestone["name"] == "first-line");
        first.and_then(|milestone| milestone["seconds"].as_f64()).context("the kernel said nothing")
    };
    let ready = |level: &Value| level["payload_kernel_seconds"].as_f64().context("no report of the payload");
    let mut times: [Vec<f64>; 4] = Default::default();
    // In turns, so that a busy moment hits both.
    for _ in 0..RUNS {
        let json = boot(&["x86_64-vtl2", "--vtl0", "x86_64-vtl0"])?;
        let below = &json["vtl0"];
        let started = below["started_seconds"].as_f64().context("the payload ran no guest")?;
        times[0].push(first_line(below)? - started);
        times[1].push(ready(below)?);
        let plain = boot(&["x86_64-vtl0", "--vtl", "none"])?;
        times[2].push(first_line(&plain)?);
        times[3].push(ready(&plain)?);
    }
    let [first, reported, plain_first, plain_reported] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        Duration::from_secs_f64(times[RUNS / 2])
    });
    Ok(vec![
        Row::new(
            "x86_64-vtl0 at VTL0: first line",
            first,
            Some(("plain QEMU", plain_first)),
            "from its start, and from QEMU's",
        ),
        Row::new(
            "x86_64-vtl0 at VTL0: payload-ready",
            reported,
            Some(("plain QEMU", plain_reported)),
            "by the kernel's clock",
        ),
    ])
}
