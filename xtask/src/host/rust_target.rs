//! The Rust toolchain that builds payloads, and how it comes by the standard library for aarch64.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::command::{CommandError, Limits};
use super::memo::Memo;
use super::{Arch, Host};

/// rustup downloads about 40 MB; where its servers can't be reached it never comes back by itself.
const RUSTUP_LIMIT: Duration = Duration::from_secs(30);
/// For how long a rustup that couldn't is not asked again.
const RUSTUP_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

/// A real toolchain: rustup's proxies are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Folder with bin/, lib/ and lib/rustlib/.
    pub sysroot: PathBuf,
    pub rustc: PathBuf,
    pub cargo: PathBuf,
}

/// Which way the aarch64 payload is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aarch64Rust {
    /// By the user's own toolchain, which has the standard library for this target.
    Rustup { target: &'static str },
    /// By Debian's rustc and its arm64 library, unpacked into the store (pins.yaml has the packages).
    DebianPackages,
}

impl Aarch64Rust {
    /// The Rust target triple that cargo is asked for.
    pub fn target(self) -> &'static str {
        match self {
            Aarch64Rust::Rustup { target } => target,
            Aarch64Rust::DebianPackages => "aarch64-unknown-linux-gnu",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    #[error("no {program} on PATH\nhint: install Rust with rustup, https://rustup.rs")]
    Missing { program: &'static str },
    #[error("asking rustc for its toolchain: {0}")]
    Rustc(#[from] CommandError),
}

/// The toolchain that `cargo` and `rustc` mean in the project's folder. Runs nothing when rustup has already
/// chosen (it sets RUSTUP_TOOLCHAIN for everything it starts) or when the memo knows.
pub fn toolchain(host: &Host, memo: &mut Memo) -> Result<Toolchain, ToolchainError> {
    let sysroot = match chosen_by_rustup(host) {
        Some(sysroot) => sysroot,
        None => ask_rustc(host, memo)?,
    };
    let program = |name: &'static str| {
        let own = sysroot.join("bin").join(name);
        if own.is_file() { Ok(own) } else { host.find(name).ok_or(ToolchainError::Missing { program: name }) }
    };
    let (rustc, cargo) = (program("rustc")?, program("cargo")?);
    Ok(Toolchain { sysroot, rustc, cargo })
}

/// What can be done without installing anything. musl first: it needs no C library for the target.
pub fn decide(toolchain: &Toolchain) -> Aarch64Rust {
    const TARGETS: [&str; 2] = ["aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu"];
    TARGETS
        .into_iter()
        .find(|target| has_target(toolchain, target))
        .map_or(Aarch64Rust::DebianPackages, |target| Aarch64Rust::Rustup { target })
}

/// With `--install-deps`: lets rustup add the target where it can. It is not tried when the user has told
/// rustup not to install by itself (RUSTUP_AUTO_INSTALL=0), nor for a day after it failed.
///
/// # Errors
/// Cancelled. That rustup failed is not an error: Debian's packages are the answer then.
pub fn decide_installing(
    host: &Host,
    memo: &mut Memo,
    toolchain: &Toolchain,
    log: &Path,
    cancel: &AtomicBool,
) -> Result<Aarch64Rust, CommandError> {
    let limits = Limits { timeout: Some(RUSTUP_LIMIT), cancel: Some(cancel) };
    decide_within(limits, host, memo, toolchain, log)
}

fn decide_within(
    limits: Limits,
    host: &Host,
    memo: &mut Memo,
    toolchain: &Toolchain,
    log: &Path,
) -> Result<Aarch64Rust, CommandError> {
    let decided = decide(toolchain);
    let event = format!("rustup-cannot-add-aarch64 {}", toolchain.sysroot.display());
    let wanted = decided == Aarch64Rust::DebianPackages && rustup_may_install(host);
    let Some(rustup) = host.find("rustup").filter(|_| wanted) else { return Ok(decided) };
    if memo.noted(&event, RUSTUP_RETRY, SystemTime::now()) {
        return Ok(decided);
    }
    let add =
        host.rust_command(rustup).envs(host.network()).args(["target", "add", "aarch64-unknown-linux-musl"]);
    match add.run(log, limits, None) {
        Err(error) if error.is_cancelled() => Err(error),
        Ok(()) => Ok(decide(toolchain)),
        Err(_) => {
            memo.note(&event, SystemTime::now());
            Ok(decided)
        }
    }
}

/// The target that rustc and cargo are asked for when they build for their own architecture.
pub fn native_target(arch: Arch) -> String {
    format!("{}-unknown-linux-gnu", arch.name())
}

/// Is the standard library for this target there?
pub fn has_target(toolchain: &Toolchain, target: &str) -> bool {
    let library = toolchain.sysroot.join("lib/rustlib").join(target).join("lib");
    let Ok(files) = std::fs::read_dir(library) else { return false };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn rustup_may_install(host: &Host) -> bool {
    host.variables.get("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0")
}

fn rustup_home(host: &Host) -> Option<PathBuf> {
    let home = || host.variables.get("HOME").map(|home| Path::new(home).join(".rustup"));
    host.variables.get("RUSTUP_HOME").map(PathBuf::from).or_else(home)
}

fn chosen_by_rustup(host: &Host) -> Option<PathBuf> {
    // Joining an absolute path replaces the folder: RUSTUP_TOOLCHAIN may be one.
    let sysroot = rustup_home(host)?.join("toolchains").join(host.variables.get("RUSTUP_TOOLCHAIN")?);
    // A short name, such as `stable`, has no folder; rustc knows what it stands for.
    sysroot.join("bin/rustc").is_file().then_some(sysroot)
}

fn ask_rustc(host: &Host, memo: &mut Memo) -> Result<PathBuf, ToolchainError> {
    let rustc = host.find("rustc").ok_or(ToolchainError::Missing { program: "rustc" })?;
    let chosen =
        host.variables.get("RUSTUP_TOOLCHAIN").map(|name| name.to_string_lossy()).unwrap_or_default();
    let home = rustup_home(host).unwrap_or_default();
    let key = format!("sysroot {} {} {chosen}", rustc.display(), home.display());
    let sysroot = memo.get(&key, |watch| {
        watch.on(&rustc);
        // Everything that rustup's choice depends on: its settings, and the overrides of the project and above.
        watch.on(&home.join("settings.toml"));
        for folder in host.project.ancestors() {
            watch.on(&folder.join("rust-toolchain.toml"));
            watch.on(&folder.join("rust-toolchain"));
        }
        let limits = Limits { timeout: Some(RUSTUP_LIMIT), cancel: None };
        host.rust_command(&rustc).args(["--print", "sysroot"]).read(limits)
    })?;
    Ok(PathBuf::from(sysroot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::memo::Trust;
    use crate::host::testing::FakeHost;

    fn fake() -> (FakeHost, Toolchain) {
        let mut fake = FakeHost::new(Arch::X86_64);
        let home = fake.folder.path().join("home");
        fake.host.variables.insert("HOME".to_owned(), home.into());
        fake.file("sysroot/lib/rustlib/x86_64-unknown-linux-gnu/lib/libstd-0123.rlib", "");
        let sysroot = fake.folder.path().join("sysroot");
        fake.script(
            "rustc",
            &format!("echo asked >> {0}/asked\necho {0}/sysroot", fake.folder.path().display()),
        );
        fake.tool("cargo", "cargo 1.95.0");
        let (rustc, cargo) = (fake.folder.path().join("bin/rustc"), fake.folder.path().join("bin/cargo"));
        (fake, Toolchain { sysroot, rustc, cargo })
    }

    fn memo(fake: &FakeHost) -> Memo {
        Memo::load(&fake.folder.path().join("memo"), Trust::TimeStamps)
    }

    #[test]
    fn toolchain_is_what_rustup_chose_else_what_rustc_says() {
        let (mut fake, expected) = fake();
        assert_eq!(toolchain(&fake.host, &mut memo(&fake)).unwrap(), expected);
        fake.host.variables.insert("RUSTUP_TOOLCHAIN".to_owned(), "stable".into());
        assert_eq!(toolchain(&fake.host, &mut memo(&fake)).unwrap(), expected);
        fake.host.variables.insert("RUSTUP_TOOLCHAIN".to_owned(), "stable-x86_64-unknown-linux-gnu".into());
        fake.file("home/.rustup/toolchains/stable-x86_64-unknown-linux-gnu/bin/rustc", "");
        let found = toolchain(&fake.host, &mut memo(&fake)).unwrap();
        assert!(found.sysroot.ends_with("toolchains/stable-x86_64-unknown-linux-gnu"), "{found:?}");
        let asked = std::fs::read_to_string(fake.folder.path().join("asked")).unwrap();
        assert_eq!(asked.lines().count(), 2, "rustc is not run once rustup has chosen");
    }

    #[test]
    fn musl_goes_before_gnu_before_debian() {
        let (fake, toolchain) = fake();
        assert_eq!(decide(&toolchain), Aarch64Rust::DebianPackages);
        for target in ["aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl"] {
            // A folder without the library (rustup makes it before it unpacks) does not count.
            let before = decide(&toolchain);
            fake.file(&format!("sysroot/lib/rustlib/{target}/lib/self-contained/crt1.o"), "");
            assert_eq!(decide(&toolchain), before);
            fake.file(&format!("sysroot/lib/rustlib/{target}/lib/libstd-4567.rlib"), "");
            assert_eq!(decide(&toolchain), Aarch64Rust::Rustup { target });
        }
    }

    #[test]
    fn rustup_is_tried_once_a_day_and_not_against_the_users_will() {
        let (mut fake, toolchain) = fake();
        let root = fake.folder.path().to_owned();
        let (memo_path, count) = (root.join("memo"), root.join("count"));
        fake.script("rustup", &format!("echo \"$@\" >> {}; exit 1", count.display()));
        let decided = |fake: &FakeHost| {
            let mut memo = Memo::load(&memo_path, Trust::TimeStamps);
            let cancel = AtomicBool::new(false);
            let decided =
                decide_installing(&fake.host, &mut memo, &toolchain, &root.join("log"), &cancel).unwrap();
            memo.save().unwrap();
            decided
        };
        fake.host.variables.insert("RUSTUP_AUTO_INSTALL".to_owned(), "0".into());
        assert_eq!(decided(&fake), Aarch64Rust::DebianPackages);
        assert!(!count.exists());
        fake.host.variables.remove("RUSTUP_AUTO_INSTALL");
        assert_eq!(
            (decided(&fake), decided(&fake)),
            (Aarch64Rust::DebianPackages, Aarch64Rust::DebianPackages)
        );
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "target add aarch64-unknown-linux-musl\n");
        std::fs::remove_file(&memo_path).unwrap();
        let library = root.join("sysroot/lib/rustlib/aarch64-unknown-linux-musl/lib");
        fake.script("rustup", &format!("mkdir -p {0}; : > {0}/libstd-1.rlib", library.display()));
        assert_eq!(decided(&fake), Aarch64Rust::Rustup { target: "aarch64-unknown-linux-musl" });
    }

    #[test]
    fn a_rustup_that_hangs_is_stopped() {
        let (fake, toolchain) = fake();
        fake.script("rustup", "sleep 66.5");
        let limits = Limits { timeout: Some(Duration::from_millis(200)), cancel: None };
        let log = fake.folder.path().join("log");
        let started = std::time::Instant::now();
        let decided = decide_within(limits, &fake.host, &mut memo(&fake), &toolchain, &log).unwrap();
        assert_eq!(decided, Aarch64Rust::DebianPackages);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn rustc_is_asked_once_for_each_rustup_home() {
        let (mut fake, expected) = fake();
        // The memo trusts no file of the last two seconds.
        std::thread::sleep(Duration::from_secs(3));
        let mut memo = memo(&fake);
        for (home, asked) in [("one", 1), ("one", 1), ("two", 2), ("one", 2)] {
            fake.host.variables.insert("RUSTUP_HOME".to_owned(), fake.folder.path().join(home).into());
            assert_eq!(toolchain(&fake.host, &mut memo).unwrap(), expected);
            let count = std::fs::read_to_string(fake.folder.path().join("asked")).unwrap().lines().count();
            assert_eq!(count, asked, "{home}");
        }
    }
}
