//! The device tree of a machine as large as they get, beside dtc compiling the same tree from our text.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use fdt::{
    Range,
    machine::{Chosen, MAINLINE, Machine, Memory, hyperv_vtl2_aarch64},
};

use super::{Row, repeat};

const CPUS: u32 = 2048;
const MEMORY_RANGES: u64 = 1024;
const NUMA_NODES: u32 = 8;
const RUNS: usize = 31;

pub fn run() -> Result<Vec<Row>> {
    let described = large();
    let tree = described.tree(&MAINLINE);
    let blob = fdt::to_dtb(&tree)?;
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("large.dts");
    fs::write(&source, fdt::to_dts(&tree))?;

    // From the description: the tree, every check, and the blob.
    let ours = repeat(RUNS, || {
        ensure!(fdt::to_dtb(&described.tree(&MAINLINE))? == blob, "the same tree twice, two blobs");
        Ok(())
    })?;
    let compiled = folder.path().join("large.dtb");
    let theirs = repeat(RUNS, || {
        let mut dtc = Command::new("dtc");
        dtc.args(["-I", "dts", "-O", "dtb", "-o"]).arg(&compiled).arg(&source);
        let status = dtc.stderr(Stdio::null()).status();
        ensure!(
            status.context("can't run dtc; `cargo xtask doctor --install` brings it")?.success(),
            "dtc failed"
        );
        Ok(())
    })?;
    let difference = fdt::differences(&fdt::read_dtb(&fs::read(&compiled)?)?, &tree);
    ensure!(difference.is_empty(), "dtc made another tree");

    let xtask = std::env::current_exe().context("can't find this program")?;
    let output = Command::new(&xtask).args(["bench", "--fdt-once"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let note =
        format!("{} bytes; whole process: {}", blob.len(), String::from_utf8_lossy(&output.stdout).trim());
    let made = Row::new("device tree, 2048 CPUs, 1024 RAM ranges", ours.1, Some(("dtc", theirs.1)), note);

    let read = repeat(RUNS, || {
        fdt::read_dtb(&blob)?;
        Ok(())
    })?;
    let text = repeat(RUNS, || {
        ensure!(!fdt::to_dts(&tree).is_empty());
        Ok(())
    })?;
    Ok(vec![
        made,
        Row::new("the same read back", read.1, None, "types guessed, not checked"),
        Row::new("the same as text", text.1, None, ""),
    ])
}

/// One run by itself: time and the peak of resident memory on standard output.
pub fn once() -> Result<()> {
    let started = Instant::now();
    let blob = fdt::to_dtb(&large().tree(&MAINLINE))?;
    let took = started.elapsed();
    println!("{:.1} ms, {} ({} bytes)", took.as_secs_f64() * 1000.0, super::peak_memory()?, blob.len());
    Ok(())
}

/// aarch64, whose kernels take 2 MiB; on NUMA nodes, so that nothing is left out.
fn large() -> Machine {
    let mut machine = hyperv_vtl2_aarch64(CPUS, Vec::new(), Chosen::default());
    for (index, cpu) in machine.cpus.iter_mut().enumerate() {
        cpu.numa_node = Some(index as u32 * NUMA_NODES / CPUS);
    }
    let memory = |index: u64| Memory {
        numa_node: Some((index % u64::from(NUMA_NODES)) as u32),
        ..Memory::new(Range::new((64 + 2 * index) << 30, 1 << 30))
    };
    machine.memory = (0..MEMORY_RANGES).map(memory).collect();
    machine
}
