//! IGVM files of real profiles before readers and calculators that share no code with what wrote them, and what the
//! command line says of them.

mod harness;

#[path = "igvm/command_line.rs"]
mod command_line;
#[path = "igvm/judge.rs"]
mod judge;
#[path = "igvm/memory.rs"]
mod memory;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{Said, folder, run, xtask};

/// A copy of the project with a profile `mine` that is one of its own but for a few keys: kernel and payload are in
/// the store already.
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// x86_64-vtl2, and these keys behind its own.
    pub fn new(name: &str, keys: &str) -> Project {
        Project::of("x86_64-vtl2", name, keys)
    }

    pub fn of(profile: &str, name: &str, keys: &str) -> Project {
        // Not below the target directory: from there the real project would be found.
        let root = tempfile::Builder::new().prefix(name).tempdir().unwrap().keep();
        harness::copy_project(&root);
        let profiles = root.join("profiles");
        let text = fs::read_to_string(profiles.join(format!("{profile}.yaml"))).unwrap();
        fs::write(profiles.join("mine.yaml"), text + keys).unwrap();
        Project { root }
    }

    /// In the profile, a text that is there once, by another.
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.root.join("profiles/mine.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    pub fn build(&self) -> Said {
        let mut command = xtask();
        run(command.current_dir(&self.root).args(["build-image", "mine"]))
    }

    /// The folder of what was built.
    pub fn out(&self) -> PathBuf {
        self.root.join("out/mine")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A verb about IGVM files.
pub fn igvm(arguments: &[&str]) -> Said {
    run(xtask().args(arguments))
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// All platforms of x86_64.
pub const ALL: &str = "igvm:\n  platforms: [vsm-isolation, native, sev-snp, tdx]\n";
