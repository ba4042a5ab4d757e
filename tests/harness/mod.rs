//! What the whole-program tests share: this tool's own command line, images built through the user's store,
//! and the outside tools that judge them. A tool that is missing fails the test and says how to get it.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

mod console;
pub mod judges;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

pub use console::Console;

pub const PROFILES: [&str; 4] = ["x86_64-vtl0", "x86_64-vtl2", "aarch64-vtl0", "aarch64-vtl2"];

/// What a finished program said.
pub struct Said {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    fn of(output: Output) -> Said {
        Said {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output of a success; anything else fails the test with all that was said.
    #[track_caller]
    pub fn expect(self, what: &str) -> String {
        assert_eq!(self.status, 0, "{what}\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

pub fn project() -> PathBuf {
    // The manifest is xtask's; the project is the folder above.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project").to_path_buf()
}

/// A fresh folder of this test, below the target directory.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

pub fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(project());
    command
}

pub fn run(command: &mut Command) -> Said {
    match command.output() {
        Ok(output) => Said::of(output),
        Err(error) => panic!(
            "can't run {:?}: {error}\n`cargo xtask doctor --install` brings what the tests need",
            command.get_program()
        ),
    }
}

/// Runs an outside judge, which must be there and must be content.
#[track_caller]
pub fn judge(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(find(program));
    command.args(arguments);
    run(&mut command).expect(&format!("{program} {}", arguments.join(" ")))
}

/// Debian leaves the folders of administration tools out of a user's PATH.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut found = folders.map(|folder| folder.join(program)).filter(|path| path.is_file());
    found.next().unwrap_or_else(|| panic!("{program} is missing; `cargo xtask doctor --install` brings it"))
}

/// The artifacts of a profile, from the store or built now.
pub fn built(profile: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("out");
    let mut command = xtask();
    command.args(["build-image", profile, "--out"]).arg(&out);
    run(&mut command).expect(&format!("build-image {profile}"));
    out.join(profile)
}

/// Whether long tests run in full rather than as a sample.
pub fn is_exhaustive() -> bool {
    std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some()
}

/// A small generator with a seed, so that a sample can be repeated (Marsaglia, "Xorshift RNGs", 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.max(1))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// Copies files and folders, without what building left in them.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true if entry.file_name() == "target" => {}
            true => copy_tree(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).unwrap(),
        }
    }
}

/// What builds read of the project, for a test to change.
pub fn copy_project(to: &Path) {
    for name in ["profiles", "configs", "recipes", "bare"] {
        copy_tree(&project().join(name), &to.join(name));
    }
}

/// Where builds without --store keep their steps.
pub fn store() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(store) = variable("VTLFORGE_STORE") {
        return std::path::absolute(store).unwrap();
    }
    let cache = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    cache.unwrap_or_else(|| std::env::home_dir().expect("a home folder").join(".cache")).join("vtlforge")
}
