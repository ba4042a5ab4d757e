//! Kernels on the monitor, beside the same kernels without one, under the same QEMU; and what an exit costs.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Row;
use crate::verbs::{SessionOptions, session};

const RUNS: usize = 5;

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let store = session::store_dir(options)?;
    let folder = tempfile::tempdir()?;
    let boot = |profile: &str, more: &[&str]| -> Result<Value> {
        let mut command = Command::new(std::env::current_exe().context("can't find this program")?);
        command.args(["boot", profile, "--json"]).args(more).arg("--store").arg(&store);
        let output = command.arg("--logs").arg(folder.path()).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(serde_json::from_str(text.lines().last().context("boot said nothing")?)?)
    };
    let mut rows = Vec::new();
    let mut other = Vec::new();
    // By the kernel's own clock, which begins with the kernel: firmware and loaders are QEMU's affair.
    for (profile, vtl) in [("aarch64-vtl2", "2"), ("x86_64-vtl0", "0")] {
        let mut times = [Vec::new(), Vec::new()];
        // In turns, so that a busy moment hits both.
        for _ in 0..RUNS {
            for (below, times) in [vtl, "none"].into_iter().zip(&mut times) {
                let json = boot(profile, &["--vtl", below])?;
                times.push(json["payload_kernel_seconds"].as_f64().context("no time at the ready line")?);
                other.push(json["other_seconds"].as_f64().unwrap_or_default());
            }
        }
        let [monitored, plain] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            (Duration::from_secs_f64(times[0]), Duration::from_secs_f64(times[RUNS / 2]))
        });
        let what = format!("{profile} to payload-ready, told of VTL {vtl}");
        let note = format!("best of each {:.2?} and {:.2?}", monitored.0, plain.0);
        rows.push(Row::new(&what, monitored.1, Some(("no monitor", plain.1)), note));
    }
    let json = boot("x86_64-vtl2", &[])?;
    let ready = json["payload_kernel_seconds"].as_f64().context("no time at the ready line")?;
    rows.push(Row::new("x86_64-vtl2 to payload-ready", Duration::from_secs_f64(ready), None, ""));
    other.sort_by(f64::total_cmp);
    let other = Duration::from_secs_f64(other[other.len() / 2]);
    rows.push(Row::new("boot, all but QEMU", other, None, "nothing to build"));
    for (profile, exit) in [("x86_64-vtl2", "CPUID"), ("aarch64-vtl2", "SMCCC_VERSION")] {
        let json = boot(profile, &["--self-test"])?;
        let nanoseconds =
            |what: &str| Duration::from_nanos(json["self_test"][what].as_u64().unwrap_or_default());
        let note = format!("hypercall {:.1?}", nanoseconds("hypercall_ns"));
        rows.push(Row::new(&format!("{profile}: {exit} exit"), nanoseconds("exit_ns"), None, note));
    }
    Ok(rows)
}
