//! The line that says what became of the machine: `provisioned {json}`, in the kernel log and so on the console.

use serde_json::{Value, json};

use crate::wish::Wish;

const PREFIX: &str = "provisioned ";
/// A record of the kernel log, without its priority and line end.
const LONGEST_BYTES: usize = 1020;

/// All that is told.
pub struct Report<'a> {
    /// `nocloud` or `azure`.
    pub source: &'a str,
    /// Where a seed was found, such as `/dev/vdb`.
    pub device: Option<&'a str>,
    pub wish: &'a Wish,
    /// SHA-256 of the SSH server's key, as ssh shows it; None: nobody may log in, and no server runs.
    pub host_key: Option<&'a str>,
    /// First address that the machine got.
    pub address: Option<&'a str>,
    /// Since the kernel started.
    pub seconds: f64,
}

impl Report<'_> {
    pub fn json(&self) -> Value {
        let users: Vec<Value> = self.wish.users.iter().map(|user| {
            json!({"name": user.name.as_str(), "keys": user.keys.len(), "administrator": user.administrator})
        }).collect();
        json!({
            "source": self.source,
            "device": self.device,
            "instance_id": self.wish.instance_id,
            "hostname": self.wish.hostname.as_ref().map(|name| name.as_str()),
            "users": users,
            "address": self.address,
            "host_key": self.host_key,
            "seconds": (self.seconds * 100.0).round() / 100.0,
            "not_applied": self.wish.not_applied,
        })
    }

    /// The line. Where it would be too long for the kernel log, lists become their lengths.
    pub fn line(&self) -> String {
        let mut json = self.json();
        for key in ["not_applied", "users", "instance_id"] {
            if PREFIX.len() + json.to_string().len() > LONGEST_BYTES {
                json[key] = match &json[key] {
                    Value::Array(items) => items.len().into(),
                    _ => Value::Null,
                };
            }
        }
        format!("{PREFIX}{json}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::cloud_config;

    fn line(users: usize, unknown: usize) -> String {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEOEIuRH+XZugLVXax5y4MyzZKlQJ5xmNcid5caBLtp7";
        let users: String = (0..users)
            .map(|n| format!("  - {{name: {}{n}, ssh_authorized_keys: ['{key}']}}\n", "u".repeat(30)))
            .collect();
        let unknown: String = (0..unknown).map(|n| format!("unknown_key_of_a_seed_{n}: 1\n")).collect();
        let wish = cloud_config::read(
            "instance-id: i-1\nlocal-hostname: h\n",
            &format!("#cloud-config\nusers:\n{users}{unknown}"),
        );
        let wish = wish.unwrap();
        let report = Report {
            source: "nocloud",
            device: Some("/dev/vdb"),
            wish: &wish,
            host_key: Some("SHA256:x"),
            address: Some("10.0.2.15"),
            seconds: 1.234,
        };
        report.line()
    }

    #[test]
    fn the_whole_line() {
        let wanted = r#"{"address":"10.0.2.15","device":"/dev/vdb","host_key":"SHA256:x","hostname":"h","instance_id":"i-1","not_applied":["unknown_key_of_a_seed_0"],"seconds":1.23,"source":"nocloud","users":[{"administrator":false,"keys":1,"name":"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu0"}]}"#;
        assert_eq!(line(1, 1), format!("provisioned {wanted}"));
    }

    #[test]
    fn fits_into_a_record_whatever_the_seed_says() {
        for (users, unknown) in [(0, 0), (16, 0), (0, 500), (16, 500)] {
            let line = line(users, unknown);
            assert!(line.len() <= LONGEST_BYTES, "{} bytes", line.len());
            let json: Value = serde_json::from_str(line.strip_prefix(PREFIX).unwrap()).unwrap();
            assert_eq!(json["hostname"], "h");
            // With no user at all, `users:` itself is told.
            if unknown > 100 {
                assert_eq!(json["not_applied"], unknown + usize::from(users == 0));
            }
        }
    }
}
