//! Provisions the machine it runs on (`first-boot`), makes it ready to be cloned (`first-boot reset`), and is what
//! administrators become root with (`sudo`).

use std::{ffi::OsString, path::Path, process::ExitCode};

use first_boot::machine::{administrator, program, provision, state::State};
use nix::unistd::getuid;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let name = if arguments.is_empty() { OsString::new() } else { arguments.remove(0) };
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let problem = match (name.as_str(), &arguments[..]) {
        ("sudo", arguments) => administrator::run(arguments),
        _ if !getuid().is_root() => "has to be started by root".to_owned(),
        (_, []) => return provision::run(),
        (_, [verb]) if verb == "reset" => match reset() {
            Ok(()) => return ExitCode::SUCCESS,
            Err(problem) => problem,
        },
        _ => "usage: first-boot, or first-boot reset".to_owned(),
    };
    eprintln!("{name}: {problem}");
    ExitCode::FAILURE
}

/// Removes what outlives the machine's run, and ends the run: users, keys and names are in memory, and a server that
/// went on would have its key no more.
fn reset() -> Result<(), String> {
    let state = State::open()?;
    let removed = state.clear()?;
    let list = if removed.is_empty() { "nothing".to_owned() } else { removed.join(", ") };
    match &state.device {
        Some(device) => println!("{}: removed {list}; powering off", device.display()),
        None => println!("no volume with the label first-boot: nothing outlives this machine; powering off"),
    }
    nix::unistd::sync();
    program::run("/sbin/poweroff", &[]).map(drop)
}
