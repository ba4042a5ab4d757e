//! A sparse disk turned into the formats of others, beside qemu-img with the same disk.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::Row;

const MIB: u64 = 1 << 20;
const DISK_BYTES: u64 = 4096 * MIB;
const RUNS: usize = 5;

/// What is made, the end of its name, our options, and qemu-img's.
const WAYS: [(&str, &str, &[&str], &[&str]); 3] = [
    ("raw to vhdx", "vhdx", &[], &["-O", "vhdx"]),
    ("raw to qcow2", "qcow2", &[], &["-O", "qcow2"]),
    ("raw to qcow2, zstd", "qcow2", &["--compress"], &["-O", "qcow2", "-c", "-o", "compression_type=zstd"]),
];

pub fn run() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let raw = folder.path().join("disk.raw");
    let data_bytes = write_disk(&raw)?;
    let xtask = std::env::current_exe().context("can't find this program")?;
    let mut rows = Vec::new();
    for (what, suffix, ours, theirs) in WAYS {
        let [mine, other] = ["ours", "other"].map(|name| folder.path().join(format!("{name}.{suffix}")));
        let mut convert = Command::new(&xtask);
        convert.args(["image", "convert"]).args(ours).arg(&raw).arg(&mine);
        let mut qemu_img = Command::new("qemu-img");
        qemu_img.args(["convert", "-f", "raw"]).args(theirs).arg(&raw).arg(&other).stdout(Stdio::null());
        let (mut mine_took, mut other_took) = (Vec::new(), Vec::new());
        let mut processor = [Duration::ZERO; 2];
        // By turns, so that what else the machine does troubles both.
        for _ in 0..RUNS {
            let before = processor_time()?;
            mine_took.push(timed(&mut convert, &mine)?);
            let between = processor_time()?;
            other_took.push(timed(&mut qemu_img, &other)?);
            processor[0] += between - before;
            processor[1] += processor_time()? - between;
        }
        let [(best, middle), (other_best, other_middle)] = [mine_took, other_took].map(|mut times| {
            times.sort();
            (times[0], times[RUNS / 2])
        });
        let [ours_bytes, other_bytes] =
            [&mine, &other].map(|path| fs::metadata(path).map_or(0, |file| file.len()));
        let note = format!(
            "best {best:.2?} and {other_best:.2?}, processors busy {:.2?} and {:.2?}; {} MiB of data, files of {} and {} MiB",
            processor[0] / RUNS as u32,
            processor[1] / RUNS as u32,
            data_bytes / MIB,
            ours_bytes / MIB,
            other_bytes / MIB
        );
        rows.push(Row::new(what, middle, Some(("qemu-img convert", other_middle)), note));
        [&mine, &other].into_iter().try_for_each(fs::remove_file)?;
    }
    Ok(rows)
}

/// Runs a command that makes a file, which isn't there before.
fn timed(command: &mut Command, makes: &Path) -> Result<Duration> {
    let _ = fs::remove_file(makes);
    let started = Instant::now();
    let status =
        command.status().with_context(|| format!("can't run {}", command.get_program().display()))?;
    let took = started.elapsed();
    ensure!(status.success(), "{} failed", command.get_program().display());
    Ok(took)
}

/// What processes that have ended have kept processors busy (proc(5), fields 16 and 17 of stat, in hundredths of a second).
fn processor_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok());
    Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
}

/// A disk as a machine's is: files of all sizes between holes, a third of them packed already, a third like text, a third
/// with zeros between. Returns how much is in it.
fn write_disk(path: &Path) -> Result<u64> {
    let file = File::create(path)?;
    file.set_len(DISK_BYTES)?;
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let (mut offset, mut data_bytes) = (MIB, 0);
    let mut bytes = Vec::new();
    for number in 0.. {
        let length = 4096 << (next() % 13);
        if offset + length > DISK_BYTES || data_bytes > DISK_BYTES / 5 {
            break;
        }
        bytes.clear();
        while (bytes.len() as u64) < length {
            let noise = next() as u32;
            match number % 3 {
                0 => bytes.extend(noise.to_le_bytes()),
                1 => bytes.extend(format!("{} option_{} = value\n", noise % 100, noise % 7).bytes()),
                _ if noise.is_multiple_of(4) => bytes.extend([0; 8192]),
                _ => bytes.extend((0..2048).flat_map(|at: u32| (noise ^ (at % 97)).to_le_bytes())),
            }
        }
        bytes.truncate(length as usize);
        file.write_all_at(&bytes, offset)?;
        data_bytes += length;
        offset += (length + next() % (2 * length)).next_multiple_of(4096);
    }
    Ok(data_bytes)
}
