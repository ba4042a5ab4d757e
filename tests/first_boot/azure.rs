//! The two services that Azure's hosts offer their machines, on their own addresses: a web server here, to which QEMU's
//! network leads what a machine sends there. They answer as Microsoft's documentation says, and refuse what it says.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

pub const CHASSIS: &str = "7783-7084-3265-9085-8269-3286-77";
pub const VM_ID: &str = "02aab8a4-74ef-476e-8182-f6d2ba4166a6";
pub const CONTAINER: &str = "f5940043-dbed-419c-9122-d77a4ac854b7";
pub const INSTANCE: &str = "79247837-105c-4470-b893-52eda4b10942._azure-vm";

/// The file on the disc of a machine's first start.
pub fn ovf(hostname: &str, user: &str, key: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
<wa:ProvisioningSection><wa:Version>1.0</wa:Version>
<LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure">
<ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
<HostName>{hostname}</HostName><UserName>{user}</UserName><UserPassword></UserPassword>
<DisableSshPasswordAuthentication>true</DisableSshPasswordAuthentication>
<SSH><PublicKeys><PublicKey><Fingerprint>EB0C</Fingerprint><Path>/home/{user}/.ssh/authorized_keys</Path><Value>{key}</Value>
</PublicKey></PublicKeys></SSH></LinuxProvisioningConfigurationSet></wa:ProvisioningSection></Environment>
"#
    )
}

/// Both services, and all that was asked of them.
pub struct Services {
    relay: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Services {
    pub fn start(folder: &Path, hostname: &str, user: &str, key: &str) -> Services {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // QEMU starts it for each connection, with the connection as its standard streams.
        let relay = folder.join("relay");
        let script = format!("#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{port}\ncat <&3 &\ncat >&3\nwait\n");
        fs::write(&relay, script).unwrap();
        fs::set_permissions(&relay, fs::Permissions::from_mode(0o755)).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&requests);
        let metadata = serde_json::json!({"compute": {
            "azEnvironment": "AzurePublicCloud",
            "customData": "",
            "osProfile": {"adminUsername": user, "computerName": hostname, "disablePasswordAuthentication": "true"},
            "publicKeys": [{"keyData": format!("{key}\r\n"), "path": format!("/home/{user}/.ssh/authorized_keys")}],
            "vmId": VM_ID,
        }});
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (known, metadata) = (Arc::clone(&known), metadata.to_string());
                std::thread::spawn(move || serve(connection, &known, &metadata));
            }
        });
        Services { relay, requests }
    }

    /// For QEMU's network: both addresses are in it, and lead here.
    pub fn network(&self) -> String {
        let relay = self.relay.display();
        let leads = |address: &str| format!(",guestfwd=tcp:{address}:80-cmd:{relay}");
        format!(",net=168.0.0.0/7,dhcpstart=168.1.0.15{}{}", leads("169.254.169.254"), leads("168.63.129.16"))
    }

    /// First line, headers and body of each request, in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut connection: TcpStream, known: &Mutex<Vec<String>>, metadata: &str) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let lower = head.to_lowercase();
        let header = |name: &str| {
            let value = lower.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            value.map(|value| value.trim().to_owned())
        };
        let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let asked_before = {
            let mut known = known.lock().unwrap();
            known.push(format!("{head}{}", String::from_utf8_lossy(&body)));
            known.len() > 1
        };
        let goal_state = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><GoalState><Version>2012-11-30</Version><Incarnation>7</Incarnation>\
             <Container><ContainerId>{CONTAINER}</ContainerId><RoleInstanceList><RoleInstance><InstanceId>{INSTANCE}</InstanceId>\
             </RoleInstance></RoleInstanceList></Container></GoalState>"
        );
        let at = |host: &str, start: &str| header("host").as_deref() == Some(host) && head.starts_with(start);
        let (status, answer) = if at("169.254.169.254", "GET /metadata/instance?api-version=") {
            match (header("metadata").as_deref(), asked_before) {
                // It is busy at first, as it may be.
                (Some("true"), false) => ("429 Too Many Requests", ""),
                (Some("true"), true) => ("200 OK", metadata),
                _ => ("400 Bad Request", "no Metadata: true"),
            }
        } else if header("x-ms-version").is_none() {
            ("400 Bad Request", "no x-ms-version")
        } else if at("168.63.129.16", "GET /machine?comp=goalstate ") {
            ("200 OK", goal_state.as_str())
        } else if at("168.63.129.16", "POST /machine?comp=health ") {
            ("200 OK", "")
        } else {
            ("404 Not Found", "")
        };
        let length = answer.len();
        write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{answer}").ok()?;
    }
}
