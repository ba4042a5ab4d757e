//! An emulated account with a container `images`, a proxy before it, and disks to send there.

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    azurite::{self, Azurite},
    harness::{self, Random, Said, folder, judges::Judges, run, xtask},
    proxy::Proxy,
};

/// Of every emulator; it is in Microsoft's documentation.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub fn judges() -> Judges {
    Judges::install("azure", "tests/azure/judges.txt")
}

pub struct Account {
    azurite: Azurite,
    pub proxy: Proxy,
    judges: Judges,
    pub folder: PathBuf,
}

impl Account {
    pub fn new(test: &str) -> Account {
        let azurite = Azurite::start(test);
        let proxy = Proxy::start(azurite.port);
        let judges = judges();
        let account = Account { azurite, proxy, judges, folder: folder(&format!("azure-{test}")) };
        account.judge(&["container"]);
        account
    }

    /// What the official library says, without the proxy.
    pub fn judge(&self, arguments: &[&str]) -> Value {
        let mut judge = self.judges.python();
        judge.arg(harness::project().join("tests/azure/judge.py"));
        judge.args([&self.azurite.endpoint(), azurite::ACCOUNT, KEY]).args(arguments);
        serde_json::from_str(&run(&mut judge).expect("the judge")).unwrap()
    }

    pub fn show(&self, name: &str) -> Value {
        self.judge(&["show", name])
    }

    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{}/images/{name}", self.proxy.port, azurite::ACCOUNT)
    }

    /// An upload without a secret.
    pub fn bare_upload(&self, file: &Path, name: &str) -> Command {
        let mut command = xtask();
        command.args(["provision", "azure", "upload"]).arg(file).args([
            "--to",
            &self.url(name),
            "--patience",
            "2",
        ]);
        for name in ["CONNECTION_STRING", "SAS_TOKEN", "KEY", "ACCOUNT"] {
            command.env_remove(format!("AZURE_STORAGE_{name}"));
        }
        command
    }

    /// An upload with the account's key, as JSON.
    pub fn upload(&self, file: &Path, name: &str) -> Command {
        let mut command = self.bare_upload(file, name);
        command.arg("--json").env("AZURE_STORAGE_KEY", KEY);
        command
    }

    /// A file that only its owner can read.
    pub fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A fixed VHD that qemu-img makes, with data in these ranges, its holes kept.
    pub fn disk(&self, name: &str, size_bytes: u64, data: &[Range<u64>]) -> Disk {
        let raw = self.folder.join(format!("{name}.raw"));
        let file = File::create(&raw).unwrap();
        file.set_len(size_bytes).unwrap();
        let mut random = Random::new(name.bytes().map(u64::from).sum());
        for range in data {
            // No byte of it is zero.
            let bytes: Vec<u8> = range.clone().map(|_| 1 + random.below(255) as u8).collect();
            file.write_all_at(&bytes, range.start).unwrap();
        }
        let path = self.folder.join(format!("{name}.vhd"));
        let (from, to) = (raw.to_str().unwrap(), path.to_str().unwrap());
        let options = "subformat=fixed,force_size=on";
        harness::judge("qemu-img", &["convert", "-f", "raw", "-O", "vpc", "-o", options, from, to]);
        let footer = size_bytes..size_bytes + 512;
        Disk { path, size_bytes: footer.end, ranges: data.iter().cloned().chain([footer]).collect() }
    }
}

pub struct Disk {
    pub path: PathBuf,
    pub size_bytes: u64,
    /// Where it isn't zeros.
    pub ranges: Vec<Range<u64>>,
}

impl Disk {
    pub fn data_bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// The blob is this disk, whole and marked so, and nobody holds it.
    #[track_caller]
    pub fn check(&self, blob: &Value) {
        let mut wanted = std::process::Command::new("python3");
        let ranges: Vec<String> =
            self.ranges.iter().map(|range| format!("{}-{}", range.start, range.end)).collect();
        let script = "import sys,hashlib\nf=open(sys.argv[1],'rb')\nd=hashlib.sha256()\nfor r in sys.argv[2:]:\n \
                      a,b=map(int,r.split('-'))\n f.seek(a)\n d.update(f.read(b-a))\nprint(d.hexdigest())";
        let digest = run(wanted.args(["-c", script]).arg(&self.path).args(ranges)).expect("python3");
        assert_eq!(blob["sha256"], digest.trim(), "{blob}");
        let ranges: Vec<[u64; 2]> = self.ranges.iter().map(|range| [range.start, range.end]).collect();
        assert_eq!(blob["ranges"], serde_json::to_value(ranges).unwrap(), "{blob}");
        assert_eq!((&blob["kind"], &blob["size"]), (&"PageBlob".into(), &self.size_bytes.into()));
        assert_eq!(blob["content-type"], "application/octet-stream");
        assert_eq!(
            (&blob["metadata"]["vtlforge_state"], &blob["lease"]),
            (&"complete".into(), &"available".into())
        );
    }
}

/// The last event of an upload that went well.
#[track_caller]
pub fn uploaded(said: Said) -> Value {
    let out = said.expect("provision azure upload");
    let last = out.lines().last().unwrap_or_default();
    let last: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{out}"));
    assert_eq!(last["event"], "upload-finished", "{out}");
    last
}

/// What an upload that failed says; nobody's secret is in it.
#[track_caller]
pub fn failed(said: &Said, secrets: &[&str]) -> String {
    assert_eq!(said.status, 1, "{}{}", said.stdout, said.stderr);
    let all = format!("{}{}", said.stdout, said.stderr);
    for secret in secrets.iter().chain(&[KEY]) {
        assert!(!all.contains(secret), "{all}");
    }
    said.stderr.clone()
}
