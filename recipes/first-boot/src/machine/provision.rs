//! From a source to a machine that somebody can log in to.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{
    azure,
    devices::{self, Mounted},
    kernel_log::{record, say},
    network, server,
    state::State,
    users,
};
use crate::{report::Report, sources::cloud_config, volume::FileSystem, wish::Wish};

/// A disk of the bus may come a moment after the kernel has started the payload. Nothing else waits for this program.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// The whole report, for programs.
const REPORT: &str = "/run/first-boot.json";

/// Who says what the machine is to become.
enum Source {
    NoCloud { device: PathBuf, file_system: FileSystem },
    Azure,
}

/// Does all of it, and stays for as long as the server runs.
pub fn run() -> ExitCode {
    let Some(source) = find() else {
        say("nobody says what this machine is to be: no volume with the label cidata, and not on Azure");
        return ExitCode::SUCCESS;
    };
    match provision(&source) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(mut server)) => {
            let ended = server.wait();
            say(&format!("the SSH server ended: {ended:?}"));
            ExitCode::FAILURE
        }
        // Not a failure of the service: the next try would find the same.
        Err(problem) => {
            say(&format!("not provisioned: {problem}"));
            ExitCode::SUCCESS
        }
    }
}

fn find() -> Option<Source> {
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let seed = devices::volumes().into_iter().find(|(_, volume)| {
            volume.file_system != FileSystem::Ext4 && volume.label.eq_ignore_ascii_case("cidata")
        });
        if let Some((device, volume)) = seed {
            return Some(Source::NoCloud { device, file_system: volume.file_system });
        }
        if azure::is_here() {
            return Some(Source::Azure);
        }
    }
    None
}

fn provision(source: &Source) -> Result<Option<std::process::Child>, String> {
    let state = State::open()?;
    let (wish, address) = match source {
        Source::NoCloud { device, file_system } => {
            let wish =
                seed(device, *file_system).map_err(|problem| format!("{}: {problem}", device.display()))?;
            (wish, None)
        }
        Source::Azure => {
            let disc = azure::disc();
            let hostname = disc.as_ref().and_then(|disc| disc.hostname.clone());
            let address = network::up(hostname.as_ref())?;
            (azure::wish(disc)?, Some(address))
        }
    };
    state.belong_to(wish.instance_id.as_deref())?;
    set_hostname(&wish)?;
    if !wish.users.is_empty() {
        users::make(&wish.users)?;
    }
    let address = match (address, wish.users.is_empty()) {
        (Some(address), _) => Some(address),
        (None, true) => None,
        (None, false) => Some(network::up(wish.hostname.as_ref())?),
    };
    let mut host_key = None;
    let mut running = None;
    if !wish.users.is_empty() {
        host_key = Some(server::host_key(&state.host_key())?);
        running = Some(server::start(&state.host_key())?);
    }
    report(source, &wish, host_key.as_deref(), address.as_deref());
    if matches!(source, Source::Azure) {
        // The machine is what it was to become; a host that doesn't hear of it is told of, not a reason to end the server.
        match azure::report_ready() {
            Ok(()) => say("the host knows that the machine is ready"),
            Err(problem) => say(&format!("the host does not know that the machine is ready: {problem}")),
        }
    }
    Ok(running)
}

fn seed(device: &Path, file_system: FileSystem) -> Result<Wish, String> {
    let seed = Mounted::new(device, &[file_system.name()])?;
    let meta_data = seed.read("meta-data")?.ok_or("there is no file meta-data in the seed")?;
    let user_data = seed.read("user-data")?.ok_or("there is no file user-data in the seed")?;
    let mut wish = cloud_config::read(&meta_data, &user_data)?;
    for name in ["vendor-data", "network-config"] {
        if !matches!(seed.read(name), Ok(None)) {
            wish.leave_out(name);
        }
    }
    Ok(wish)
}

fn set_hostname(wish: &Wish) -> Result<(), String> {
    let Some(name) = &wish.hostname else { return Ok(()) };
    nix::unistd::sethostname(name.as_str()).map_err(|errno| format!("host name: {}", errno.desc()))?;
    users::replace("/etc/hostname", &format!("{name}\n"), 0o644)?;
    users::replace("/etc/hosts", &format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n"), 0o644)
}

fn report(source: &Source, wish: &Wish, host_key: Option<&str>, address: Option<&str>) {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let device = match source {
        Source::NoCloud { device, .. } => Some(device.to_string_lossy()),
        Source::Azure => None,
    };
    let report = Report {
        source: if device.is_some() { "nocloud" } else { "azure" },
        device: device.as_deref(),
        wish,
        host_key,
        address,
        seconds: uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default(),
    };
    if let Err(problem) = users::replace(REPORT, &format!("{}\n", report.json()), 0o644) {
        say(&problem);
    }
    record(&report.line());
}
