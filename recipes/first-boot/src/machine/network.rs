//! The network: one interface, by DHCP. BusyBox's client keeps the lease for as long as the machine runs.

use std::{fs, path::Path, time::Duration};

use super::program::{BUSYBOX, run};
use crate::wish::Hostname;

/// The script that the client starts with each event.
const SCRIPT: &str = "/etc/first-boot/lease";
/// Process id of the client.
const CLIENT: &str = "/run/udhcpc.pid";
const INTERFACES: &str = "/sys/class/net";
/// ARPHRD_ETHER.
const ETHERNET: &str = "1";
/// An adapter of the bus may come a moment after the kernel has started the payload.
const WAIT_FOR_ADAPTER: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// Brings up the first adapter that gets a lease, and returns its address. `hostname` is told to the server.
pub fn up(hostname: Option<&Hostname>) -> Result<String, String> {
    let ip = |arguments: &[&str]| run(BUSYBOX, &[&["ip"], arguments].concat());
    let shown = |adapter: &str| address(&ip(&["-4", "-o", "addr", "show", "dev", adapter])?);
    ip(&["link", "set", "lo", "up"])?;
    let mut adapters = adapters(Path::new(INTERFACES));
    let mut waited = Duration::ZERO;
    while adapters.is_empty() && waited < WAIT_FOR_ADAPTER {
        std::thread::sleep(POLL);
        waited += POLL;
        adapters = self::adapters(Path::new(INTERFACES));
    }
    let mut problem = "no network adapter".to_owned();
    // Started again after the server's end, this program finds the client at work.
    if let Some(address) =
        is_running(CLIENT).then(|| adapters.iter().find_map(|name| shown(name).ok())).flatten()
    {
        return Ok(address);
    }
    for adapter in adapters {
        let told = hostname.map(|name| format!("hostname:{name}"));
        // 8 tries, 2 s between them; then it is over with this adapter.
        let mut arguments =
            vec!["udhcpc", "-i", &adapter, "-s", SCRIPT, "-n", "-t", "8", "-T", "2", "-p", CLIENT];
        arguments.extend(told.iter().flat_map(|told| ["-x", told]));
        match run(BUSYBOX, &arguments) {
            Ok(_) => return shown(&adapter),
            Err(_) => problem = format!("{adapter}: no DHCP server answers"),
        }
    }
    Err(problem)
}

fn is_running(pid_file: &str) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap_or_default();
    pid.trim().parse::<u32>().is_ok_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
}

/// Ethernet adapters with a device below them, in the order of their names; those that work for another one
/// (accelerated networking) are that one's affair.
fn adapters(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| {
            let path = entry.path();
            let kind = fs::read_to_string(path.join("type")).unwrap_or_default();
            kind.trim() == ETHERNET && path.join("device").exists() && !path.join("master").exists()
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The address in a line of `ip -o addr`.
fn address(line: &str) -> Result<String, String> {
    let word = line.split_whitespace().skip_while(|word| *word != "inet").nth(1);
    let address = word.and_then(|word| word.split('/').next());
    address.map(str::to_owned).ok_or_else(|| "a lease without an address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_adapters_count() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, more) in [
            ("eth1", "1", vec!["device"]),
            ("eth0", "1", vec!["device"]),
            ("lo", "772", vec![]),
            ("dummy0", "1", vec![]),
            ("vf", "1", vec!["device", "master"]),
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("type"), format!("{kind}\n")).unwrap();
            for entry in more {
                fs::create_dir(folder.path().join(name).join(entry)).unwrap();
            }
        }
        assert_eq!(adapters(folder.path()), ["eth0", "eth1"]);
    }

    #[test]
    fn addresses() {
        let line = "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\\       valid_lft forever";
        assert_eq!(address(line), Ok("10.0.2.15".to_owned()));
        assert!(address("").is_err());
    }
}
