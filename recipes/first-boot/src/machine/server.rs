//! The SSH server: Dropbear, with a key made on this machine, for keys alone and never for root.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::program::run;

const SERVER: &str = "/sbin/dropbear";
const KEYS: &str = "/bin/dropbearkey";
const PORT: u16 = 22;
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// Where the kernel lists sockets; asking there leaves no connection in the server's log.
const SOCKETS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Makes the key unless it is there, and returns its fingerprint as ssh shows it.
pub fn host_key(path: &Path) -> Result<String, String> {
    let path = path.to_string_lossy();
    if !Path::new(&*path).exists() {
        run(KEYS, &["-t", "ed25519", "-f", &path])?;
    }
    fingerprint(&run(KEYS, &["-y", "-f", &path])?).ok_or_else(|| format!("{KEYS}: no fingerprint of {path}"))
}

fn fingerprint(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("Fingerprint: ")).map(str::to_owned)
}

/// Starts the server and returns once it takes connections.
pub fn start(host_key: &Path) -> Result<Child, String> {
    let port = PORT.to_string();
    let mut server = Command::new(SERVER)
        // In the foreground, messages here; no passwords; no root; no forwarding from or to this machine.
        .args(["-F", "-E", "-s", "-w", "-j", "-k", "-p", &port, "-P", "/run/dropbear.pid", "-r"])
        .arg(host_key)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("{SERVER}: {error}"))?;
    let end = Instant::now() + STARTS_WITHIN;
    while !SOCKETS.iter().any(|path| listens(&fs::read_to_string(path).unwrap_or_default(), PORT)) {
        if let Ok(Some(status)) = server.try_wait() {
            return Err(format!("{SERVER}: {status}"));
        }
        if Instant::now() >= end {
            let _ = server.kill();
            return Err(format!("{SERVER}: takes no connections"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

/// Whether somebody takes connections on the port: in a table of the kernel's (proc_net_tcp), a local address that ends
/// in `:PORT` with state 0A.
fn listens(table: &str, port: u16) -> bool {
    let end = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&end)) && words.nth(1) == Some("0A")
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn listening_sockets() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000\n\
                     1: 0100007F:0050 0100007F:0016 01 00000000:00000000 00:00000000\n";
        assert!(super::listens(table, 22));
        assert!(!super::listens(table, 80) && !super::listens("", 22));
    }

    #[test]
    fn fingerprints() {
        let said = "Public key portion is:\nssh-ed25519 AAAA root@vm\nFingerprint: SHA256:xGeL\n";
        assert_eq!(super::fingerprint(said).as_deref(), Some("SHA256:xGeL"));
        assert_eq!(super::fingerprint("nothing"), None);
    }
}
