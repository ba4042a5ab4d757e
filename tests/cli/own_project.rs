//! A copy of the project in a folder of its own, with a profile `mine` that nothing else can change under the
//! snapshots, and what a command says in it with this machine's paths and the pins' versions taken out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{self, Said};

/// A whole profile without the project's layers: a guest that is started by UEFI.
const MINE: &str = "\
description: A profile of the tests.
inherit: [mine]
kernel:
  fragments: [one, other]
payload:
  recipes: [vtl2-init]
";

const LAYER: &str = "\
description: What the tests share.
arch: x86_64
vtl: 0
firmware: uefi
console: ttyS0
kernel:
  source: {pin: linux-7.3}
  command-line: [panic=-1]
disk:
  efi-stub: efi-stub-x86_64
";

const ONE: &str = "# One.\nCONFIG_SMP=y\n\n# Enough for the tests.\nCONFIG_NR_CPUS=8\n";

const OTHER: &str = "# Other.\nCONFIG_HYPERV=y\n";

/// What a case does to the project before it runs.
pub enum Edit {
    Write(&'static str, &'static str),
    /// In a file, a text that is there once, by another.
    Replace(&'static str, &'static str, &'static str),
    Remove(&'static str),
}

pub struct OwnProject {
    /// Holds the project, and the store once there is one.
    folder: tempfile::TempDir,
}

impl OwnProject {
    pub fn new(edits: &[Edit]) -> OwnProject {
        // Not below the target directory: from there the real project would be found.
        let project = OwnProject { folder: tempfile::tempdir().unwrap() };
        harness::copy_project(&project.root());
        let own = [
            ("profiles/mine.yaml", MINE),
            ("profiles/layers/mine.yaml", LAYER),
            ("configs/one.config", ONE),
            ("configs/other.config", OTHER),
        ];
        own.into_iter().for_each(|(path, text)| project.write(path, text));
        edits.iter().for_each(|edit| project.edit(edit));
        project
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn edit(&self, edit: &Edit) {
        match edit {
            Edit::Write(path, text) => self.write(path, text),
            Edit::Replace(path, from, to) => {
                let text = fs::read_to_string(self.root().join(path)).unwrap();
                assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}");
                self.write(path, &text.replace(from, to));
            }
            Edit::Remove(path) => fs::remove_file(self.root().join(path)).unwrap(),
        }
    }

    /// Runs the command line in the project, with an environment that changes nothing of what it says.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_in(&self.root(), arguments)
    }

    pub fn run_in(&self, folder: &Path, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(folder).env("VTLFORGE_STORE", self.store());
        // The width at which clap breaks lines; what CI and terminals set beside it.
        command.env("COLUMNS", "100").env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
        let said = harness::run(&mut command);
        Said { stdout: self.shown(&said.stdout), stderr: self.shown(&said.stderr), status: said.status }
    }

    /// Without what differs between machines or when a pin is renewed.
    fn shown(&self, text: &str) -> String {
        let path = self.folder.path().canonicalize().unwrap();
        let text = text.replace(path.to_str().unwrap(), "TMP");
        // Rules come and go, and lines move.
        let rules = regex_lite::Regex::new(r"configs/rules\.yaml:[0-9]+:[0-9]+").unwrap();
        hide_digests(&hide_pins(&rules.replace_all(&text, "configs/rules.yaml:LINE")))
    }
}

fn hide_pins(text: &str) -> String {
    let pins = fs::read_to_string(harness::project().join("profiles/pins.yaml")).unwrap();
    let value = |line: &str, key: &str| {
        line.trim_start().strip_prefix(key).map(|value| value.trim().trim_matches('"').to_string())
    };
    let mut hidden = text.to_string();
    for line in pins.lines() {
        if let Some(version) = value(line, "version:") {
            // File names leave the epoch out.
            let short = version.split_once(':').map_or(version.as_str(), |(_, short)| short);
            hidden = hidden.replace(&version, "VERSION").replace(short, "VERSION");
        }
        if let Some(size) = value(line, "size:") {
            hidden = hidden.replace(&format!("{size} bytes"), "SIZE bytes");
        }
    }
    hidden
}

/// Runs of 64 hexadecimal digits.
fn hide_digests(text: &str) -> String {
    let mut shown = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            run.push(c);
            continue;
        }
        shown += if run.len() == 64 { "DIGEST" } else { &run };
        run.clear();
        shown.push(c);
    }
    shown.pop();
    shown
}
