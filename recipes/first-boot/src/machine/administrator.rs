//! `sudo COMMAND…`: becomes root and runs it. Who may is decided before this program starts: its file can be run by
//! root and the members of the group `sudo` alone.

use std::{os::unix::process::CommandExt, process::Command};

use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};

const PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Returns only what went wrong.
pub fn run(arguments: &[std::ffi::OsString]) -> String {
    let (program, arguments) = match arguments.split_first() {
        Some((option, [])) if option == "-i" => ("/bin/sh".into(), vec!["-l".into()]),
        Some((program, arguments)) if !program.to_string_lossy().starts_with('-') => {
            (program.clone(), arguments.to_vec())
        }
        _ => return "usage: sudo COMMAND [ARGUMENT]…, or sudo -i for a shell".to_owned(),
    };
    if !geteuid().is_root() {
        return "is not allowed to become root: its file has lost its owner or mode".to_owned();
    }
    let root = setgroups(&[]).and_then(|()| setgid(Gid::from_raw(0))).and_then(|()| setuid(Uid::from_raw(0)));
    if let Err(errno) = root {
        return errno.desc().to_owned();
    }
    // Nothing of the caller's environment but how its terminal is called.
    let terminal = std::env::var("TERM")
        .ok()
        .filter(|term| term.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte)));
    let mut command = Command::new(&program);
    command.args(arguments).env_clear();
    command.envs([
        ("PATH", PATH),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SHELL", "/bin/sh"),
    ]);
    command.envs(terminal.map(|term| ("TERM", term)));
    let error = command.exec();
    format!("{}: {error}", program.to_string_lossy())
}
