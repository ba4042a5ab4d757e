//! A small machine to run PID 1 in: a user, mount and PID namespace with a root of its own.
//!
//! `/dev/kmsg` is a file there: what is put in beforehand is what the kernel said, what is appended is what init wrote.
//! Nothing needs root. `devtmpfs` and `sysfs` can't be mounted in such a namespace, which init has to live with.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What `reboot(2)` makes of PID 1 in a namespace (`reboot_pid_ns`): the signal that seems to have ended it.
pub const POWERED_OFF: i32 = 2;
pub const RESTARTED: i32 = 1;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a machine is made of.
pub struct Setup<'a> {
    pub cmdline: &'a str,
    pub config: Option<&'a str>,
    /// The kernel log so far; `None` for a machine without `/dev/kmsg`.
    pub kernel_log: Option<&'a str>,
    /// Redirections of init's own standard streams, in the shell's words.
    pub streams: &'a str,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { cmdline: "quiet", config: None, kernel_log: Some("5,0,0,-;Linux version\n"), streams: "" }
    }
}

pub struct Machine {
    root: TempDir,
    log: PathBuf,
    /// `unshare`, whose only child is PID 1.
    outside: Child,
}

const START: &str = r#"
set -e
cd "$1"
mount --rbind /usr usr
mount -t proc proc proc
mount --bind cmdline proc/cmdline
mount --bind /dev/null dev/null
# How the host's own kernel was built is no fact of this machine.
[ ! -e proc/config.gz ] || mount --bind /dev/null proc/config.gz
exec chroot . /init STREAMS
"#;

impl Machine {
    pub fn start(setup: &Setup) -> Self {
        let root = tempfile::tempdir().expect("temporary directory");
        let log = furnish(root.path(), setup);
        let outside = Command::new("unshare")
            .args(["--user", "--map-root-user", "--pid", "--mount", "--fork", "--kill-child"])
            .args(["sh", "-c", &START.replace("STREAMS", setup.streams), "start"])
            .arg(root.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare runs: install util-linux");
        Self { root, log, outside }
    }

    /// What is in the log, init's own records last.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("log")
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Waits until the log contains `text`, `times` times.
    pub fn wait_for(&mut self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(text).count() < times {
            let ended = self.outside.try_wait().expect("waited");
            assert!(
                ended.is_none(),
                "ended ({ended:?}) before {text:?}; user namespaces must be allowed:\n{}",
                self.log()
            );
            assert!(Instant::now() < deadline, "no {text:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to PID 1 from outside.
    pub fn signal(&self, name: &str) {
        let init = child_of(self.outside.id()).expect("init runs").to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "kill", name, &init]).status();
        assert!(status.expect("sh runs").success());
    }

    /// Waits for the machine's end and returns the signal that stands for how.
    pub fn end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.outside.try_wait().expect("waited") {
                let code = status.code().map(|code| code - 128);
                return status.signal().or(code).expect("a signal or a status");
            }
            assert!(Instant::now() < deadline, "still up:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With --kill-child PID 1 goes with it, and everything in the namespace with PID 1.
        let _ = self.outside.kill();
        let _ = self.outside.wait();
    }
}

/// Fills the root; returns the file that init's records go to.
fn furnish(root: &Path, setup: &Setup) -> PathBuf {
    for directory in ["dev", "etc", "proc", "usr"] {
        fs::create_dir(root.join(directory)).expect("directory");
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("link");
    }
    fs::copy(env!("CARGO_BIN_EXE_vtl2-init"), root.join("init")).expect("init");
    // In /sbin of an image.
    for name in ["poweroff", "reboot", "halt"] {
        symlink("/init", root.join(name)).expect("link");
    }
    fs::write(root.join("cmdline"), setup.cmdline).expect("command line");
    fs::write(root.join("dev/null"), "").expect("to mount over");
    if let Some(config) = setup.config {
        fs::write(root.join("etc/vtl2-init.json"), config).expect("configuration");
    }
    let (log, content) = match setup.kernel_log {
        Some(content) => (root.join("dev/kmsg"), content),
        None => (root.join("dev/console"), ""),
    };
    fs::write(&log, content).expect("log");
    log
}

fn child_of(parent: u32) -> Option<u32> {
    fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // pid (name) state parent …; the name may hold anything.
        let after_name = stat.rsplit_once(')')?.1;
        let found: u32 = after_name.split_whitespace().nth(1)?.parse().ok()?;
        (found == parent).then_some(pid)
    })
}
