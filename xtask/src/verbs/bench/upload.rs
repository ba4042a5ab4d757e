//! A sparse disk of 1 GiB with 64 MiB of data uploaded to Microsoft's emulator, beside Put Page of the same ranges in parallel
//! and nothing else, and beside sending all of the file. The emulator is one process: what costs it time costs all of them.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::AtomicBool,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use image::{
    ident,
    vhd::{self, Vhd},
};
use release::upload::{Bare, Event, Request, SecretFile, Uploaded, Verify};

use super::Row;
use crate::{
    profile::Project,
    report::{bytes, seconds},
    verbs::provision::azure::uploader,
};

const DISK_BYTES: u64 = 1 << 30;
const PIECE_BYTES: u64 = 4 << 20;
const PIECES: u64 = 16;
const RUNS: usize = 5;
const PARALLEL: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the emulator; Microsoft's documentation has both.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub fn run() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let azurite = Azurite::start(folder.path())?;
    let (file, key) = (folder.path().join("disk.vhd"), folder.path().join("key"));
    fs::write(&key, KEY)?;
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    write_disk(&file)?;
    let mut count = 0;
    let mut put = |verify: Verify, bare: Option<Bare>| {
        count += 1;
        azurite.put(&file, &key, &format!("{count}.vhd"), verify, bare)
    };
    // In turns, so that what else the machine does meets all of them.
    let mut best: [Option<Uploaded>; 4] = [const { None }; 4];
    for _ in 0..RUNS {
        let cases = [
            (Verify::Full, Some(Bare::Data)),
            (Verify::Sample, None),
            (Verify::Ranges, None),
            (Verify::Full, None),
        ];
        for (best, (verify, bare)) in best.iter_mut().zip(cases) {
            let uploaded = put(verify, bare)?;
            if best.as_ref().is_none_or(|best| uploaded.milliseconds < best.milliseconds) {
                *best = Some(uploaded);
            }
        }
    }
    let whole = put(Verify::Full, Some(Bare::Whole))?;
    let [Some(data), Some(sample), Some(ranges), Some(full)] = best else { bail!("nothing was uploaded") };
    let took = |uploaded: &Uploaded| Duration::from_millis(uploaded.milliseconds);
    let note = |uploaded: &Uploaded| {
        format!(
            "best of {RUNS}; {} sent, {} read back",
            bytes(uploaded.sent_bytes),
            bytes(uploaded.read_back_bytes)
        )
    };
    let row = |what: &str, ours: &Uploaded, name: &str, other: &Uploaded| {
        Row::new(what, took(ours), Some((name, took(other))), note(ours))
    };
    ensure!(whole.sent_bytes == DISK_BYTES + 512, "all of the file was to be sent");
    Ok(vec![
        row("upload 64 MiB of 1 GiB", &sample, "put data alone", &data),
        row("upload 64 MiB of 1 GiB", &sample, "put whole file", &whole),
        row("the same, --verify ranges", &ranges, "put data alone", &data),
        row("the same, --verify full", &full, "put data alone", &data),
    ])
}

/// A fixed VHD with data here and there.
fn write_disk(path: &Path) -> Result<()> {
    let file = File::create(path)?;
    file.set_len(DISK_BYTES)?;
    let mut state = 1u64;
    for piece in 0..PIECES {
        // Xorshift (Marsaglia, 2003): nothing that compresses, and no zeros to speak of.
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(PIECE_BYTES as usize / 8)
        .flatten()
        .collect();
        file.write_all_at(&noise, piece * (DISK_BYTES / PIECES))?;
    }
    let id = ident::guid(&[0; 32], "vhd");
    let footer = vhd::footer(&Vhd { disk_bytes: DISK_BYTES, id, timestamp: 0 })?;
    Ok(file.write_all_at(&footer, DISK_BYTES)?)
}

struct Azurite {
    process: Child,
    endpoint: String,
}

impl Azurite {
    /// Installs it into the folder, and starts it with a container `images`.
    fn start(folder: &Path) -> Result<Azurite> {
        let tests = Project::find()?.root.join("tests/remote");
        let installed = installed(&tests, folder)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut node = Command::new("node");
        node.arg(installed.join("node_modules/azurite/dist/src/blob/main.js"));
        node.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"]).arg(folder);
        node.args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
        let process = node.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("can't run node")?;
        let azurite = Azurite { process, endpoint: format!("http://127.0.0.1:{port}/{ACCOUNT}") };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(started.elapsed() < PATIENCE, "azurite doesn't answer within {}", seconds(PATIENCE));
            sleep(Duration::from_millis(50));
        }
        let mut container = Command::new("node");
        container.arg(tests.join("container.js")).args([&azurite.endpoint, ACCOUNT, "images"]);
        ensure!(container.status()?.success(), "azurite makes no container");
        Ok(azurite)
    }

    fn put(
        &self,
        file: &Path,
        key: &Path,
        name: &str,
        verify: Verify,
        bare: Option<Bare>,
    ) -> Result<Uploaded> {
        let request = Request {
            file: file.to_owned(),
            address: Some(format!("{}/images/{name}", self.endpoint)),
            secret: SecretFile::Key(key.to_owned()),
            parallel: PARALLEL,
            replace: false,
            verify,
            patience_seconds: 0,
            bare,
        };
        match uploader::run(&request, &AtomicBool::new(false), &mut |_| {})? {
            Event::Finished(uploaded) => Ok(uploaded),
            other => bail!("the upload ends with {other:?}"),
        }
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// By the lock file of the tests, which has every package's digest.
fn installed(tests: &Path, folder: &Path) -> Result<PathBuf> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(tests.join(file), folder.join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(folder);
    ensure!(npm.status().context("can't run npm")?.success(), "npm can't bring azurite");
    Ok(folder.to_owned())
}
