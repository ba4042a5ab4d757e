//! An IGVM file with a payload of 40 MB packed and measured, beside hashing the same bytes once with SHA-384 and
//! writing them.

use std::{
    fs::{self, File},
    hint::black_box,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use image::{
    igvm::{
        GuestPolicy, Image, Layout, PlatformKind,
        fit::{Fit, Sizes},
    },
    uki::{KernelPart, Part},
};
use serde_json::json;
use sha2::{Digest as _, Sha384};

use super::{Row, pack::write_noise, stored};
use crate::{
    execute,
    plan::Action,
    profile::device_tree,
    report::Reporter,
    verbs::{Access, Selection, Session, SessionOptions, igvm},
};

const PROFILE: &str = "x86_64-vtl2";
const PAYLOAD_BYTES: usize = 40_000_000;
const RUNS: usize = 9;

pub fn run(options: &SessionOptions) -> Result<Vec<Row>> {
    let selection = Selection { profiles: vec![PROFILE.to_string()], all: false };
    let session = Session::open(&selection, options, Access::Build, Arc::new(Reporter::new(false)))?;
    let forecasts = execute::forecast(&session.context, &session.plan, &session.last)?;
    let is_kernel = |action: &Action| matches!(action, Action::BuildKernel { .. });
    let kernel = stored(&session, &forecasts, PROFILE, is_kernel, "kernel")?;
    let program = igvm::program("vtlforge-igvm")?;

    let folder = tempfile::tempdir()?;
    let out = |name: &str| folder.path().join(name);
    let payload = out("initramfs");
    write_noise(&payload, PAYLOAD_BYTES)?;
    let layout = layout(&session, &kernel)?;
    let sizes = Sizes { kernel: 0, initramfs_unpacked: 0, unpacking: 0, reserve: 0 };
    let request = json!({
        "layout": layout,
        "memory": Fit::new(&layout, &sizes),
        "sources": { "kernel": kernel, "initramfs": payload },
        "file": out("vtl2.igvm"),
        "map": out("vtl2.map.json"),
        "measurements": out("measurements.json"),
        "endorsements": {},
        "security-version": 1,
    });
    let path = out("request.json");
    fs::write(&path, serde_json::to_vec(&request)?)?;

    let pack = || {
        let mut command = Command::new(&program);
        command.arg("pack").arg(&path).stdin(Stdio::null());
        command
    };
    let peak_bytes = peak_bytes(pack())?;
    // In turns, so that what else the machine does meets them all.
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..RUNS {
        times[0].push(timed(|| succeed(pack()))?);
        times[1].push(timed(|| hash_and_write(&[&kernel, &payload], &out("copy")))?);
        let mut sum = Command::new("sha384sum");
        sum.args([&kernel, &payload]);
        times[2].push(timed(|| succeed(sum))?);
    }
    times.iter_mut().for_each(|times| times.sort());
    let [ours, theirs, sum] = times.each_ref().map(|times| times[RUNS / 2]);

    let file_bytes = fs::metadata(out("vtl2.igvm"))?.len();
    let note = format!(
        "peak memory {:.1} MB, {:.3} of the file; best of each {:.1?} and {:.1?}; sha384sum alone {sum:.1?}",
        peak_bytes as f64 / 1e6,
        peak_bytes as f64 / file_bytes as f64,
        times[0][0],
        times[1][0]
    );
    let name = format!("IGVM of {:.1} MB, whole process", file_bytes as f64 / 1e6);
    Ok(vec![Row::new(&name, ours, Some(("SHA-384 and write", theirs)), note)])
}

/// As the profile's build has it, but for the initramfs: for VTL2 of Hyper-V alone, the kernel started directly.
fn layout(session: &Session, kernel: &Path) -> Result<Layout> {
    let packing = session.plan.steps.iter().find_map(|step| match &step.action {
        Action::PackIgvm { arch, vtl, described, command_line, .. } => {
            Some((*arch, *vtl, described, command_line))
        }
        _ => None,
    });
    let (arch, vtl, described, command_line) = packing.context("the profile has no IGVM file")?;
    let machine = device_tree::describe(arch, vtl, described, command_line);
    let tree = fdt::to_dtb(&machine.tree(described.dialect.data()))?;
    let mut head = Vec::new();
    File::open(kernel)?.take(image::kernel::HEAD_BYTES as u64).read_to_end(&mut head)?;
    let part = |source: &str, length_bytes| Part { source: source.to_string(), length_bytes };
    let image = Image {
        arch: arch.into(),
        platforms: vec![PlatformKind::VsmIsolation],
        policy: GuestPolicy::Release,
        shared_gpa_boundary: None,
        memory: device_tree::own_memory(&machine),
        command_line,
        kernel: KernelPart { head: &head, part: part("kernel", fs::metadata(kernel)?.len()) },
        initramfs: part("initramfs", PAYLOAD_BYTES as u64),
        shim: None,
    };
    Ok(image::igvm::layout(&image, |_| tree)?)
}

/// What it takes at least, by the library of digests that measures, optimised alike.
fn hash_and_write(sources: &[&Path], to: &Path) -> Result<()> {
    let mut out = File::create(to)?;
    let mut digest = Sha384::new();
    let mut chunk = vec![0; 1 << 18];
    for path in sources {
        let mut source = File::open(path)?;
        loop {
            let read = source.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            digest.update(&chunk[..read]);
            out.write_all(&chunk[..read])?;
        }
    }
    black_box(digest.finalize());
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

fn succeed(mut command: Command) -> Result<()> {
    let output = command.output().with_context(|| format!("can't run {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The most memory that the program has resident, looked at each millisecond: it is gone with the process, and never
/// sinks before.
fn peak_bytes(mut command: Command) -> Result<u64> {
    let mut child = command.spawn().with_context(|| format!("can't run {:?}", command.get_program()))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Some(end) = child.try_wait()? {
            ensure!(end.success() && peak > 0, "the program that packs failed: {end}");
            return Ok(peak);
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        peak = peak.max(kib.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0) * 1024);
        thread::sleep(Duration::from_millis(1));
    }
}
