//! Microsoft's emulator of Azure Blob Storage, from the npm registry, every package by its digest.

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::harness::{
    self,
    judges::{cached, digest, short},
    project, run, store,
};

/// The emulator's own account.
pub const ACCOUNT: &str = "devstoreaccount1";

pub struct Azurite {
    process: Child,
    pub port: u16,
}

impl Azurite {
    /// Starts it on this machine alone, for a test of this name, with one container `steps`.
    pub fn start(test: &str) -> Azurite {
        let folder = harness::folder(&format!("azurite-{test}"));
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut node = Command::new("node");
        node.arg(installed().join("node_modules/azurite/dist/src/blob/main.js"));
        node.args([
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &port.to_string(),
            "--silent",
            "--disableTelemetry",
        ]);
        node.args(["--skipApiVersionCheck", "--location"]).arg(&folder);
        node.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = node.spawn().expect("node; `cargo xtask doctor --install` brings it");
        let said = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || said.lines().for_each(drop));
        let azurite = Azurite { process, port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "azurite doesn't answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        azurite.make_container();
        azurite
    }

    /// Environment of a command that uses it.
    pub fn configure(&self, command: &mut Command) {
        command.env("AZURE_STORAGE_USE_EMULATOR", "true");
        command.env("AZURITE_BLOB_STORAGE_URL", format!("http://127.0.0.1:{}", self.port));
    }

    /// Where its account is.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    fn make_container(&self) {
        let mut node = Command::new("node");
        node.arg(project().join("tests/remote/container.js")).args([&self.endpoint(), ACCOUNT, "steps"]);
        run(&mut node).expect("a container");
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the packages are, which are installed once.
fn installed() -> PathBuf {
    let here = project().join("tests/remote");
    let name = format!("azurite-{}", short(&digest(&here.join("package-lock.json"))));
    cached(&store().join("judges").join(name), |folder| {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(here.join(file), folder.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(folder);
        run(&mut npm).expect("npm brings azurite, for which it needs the network once");
    })
}
