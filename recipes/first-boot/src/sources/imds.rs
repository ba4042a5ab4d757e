//! What Azure's instance metadata service says of a machine.
//!
//! Source: Microsoft, "Azure Instance Metadata Service", the category `instance`, its part `compute`.

use serde_json::Value;

use crate::wish::{Hostname, PublicKey, User, UserName, Wish};

pub const URL: &str = "http://169.254.169.254/metadata/instance?api-version=2021-02-01";
/// Without it the service doesn't answer: no page that somebody is sent to can ask it.
pub const HEADER: (&str, &str) = ("Metadata", "true");

/// What the answer asks for.
pub fn read(text: &str) -> Result<Wish, String> {
    // The parser refuses what is nested more than 128 levels deep.
    let json: Value = serde_json::from_str(text).map_err(|problem| format!("metadata service: {problem}"))?;
    let compute = json.get("compute").ok_or("metadata service: the answer has no `compute`")?;
    let text = |path: &str| compute.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let instance_id = text("/vmId").filter(|id| id.len() <= 128).map(str::to_owned);
    let mut wish = Wish { instance_id, ..Wish::default() };
    if let Some(name) = text("/osProfile/computerName") {
        wish.hostname = wish.checked("metadata service: computerName", Hostname::parse(name));
    }
    let mut keys = Vec::new();
    for key in compute.get("publicKeys").and_then(Value::as_array).into_iter().flatten() {
        let key = PublicKey::parse(key.get("keyData").and_then(Value::as_str).unwrap_or_default());
        keys.extend(wish.checked("metadata service: publicKeys", key));
    }
    if let Some(name) = text("/osProfile/adminUsername") {
        let name = wish.checked("metadata service: adminUsername", UserName::parse(name));
        wish.users.extend(name.map(|name| User { name, keys, administrator: true }));
    }
    for key in ["customData", "userData"] {
        if text(&format!("/{key}")).is_some() {
            wish.leave_out(format!("metadata service: {key}"));
        }
    }
    Ok(wish)
}

/// Both of Azure's answers as one. The disc is there at a machine's first start alone; keys come from both.
pub fn merge(disc: Option<Wish>, service: Wish) -> Wish {
    let disc = disc.unwrap_or_default();
    let mut merged = Wish {
        instance_id: service.instance_id.or(disc.instance_id),
        hostname: disc.hostname.or(service.hostname),
        users: Vec::new(),
        not_applied: disc.not_applied.into_iter().chain(service.not_applied).collect(),
    };
    let mut users = disc.users;
    for user in service.users {
        match users.iter_mut().find(|known| known.name == user.name) {
            Some(known) => known.keys.extend(user.keys),
            None => users.push(user),
        }
    }
    for user in users {
        merged.add("Azure", user);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDJEOEIuRHXZugLVXax5y4MyzZKlQJ5xmNcid5caBLtp7";

    fn answer() -> String {
        format!(
            r#"{{"compute": {{"azEnvironment": "AzurePublicCloud", "customData": "", "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
            "osProfile": {{"adminUsername": "azureuser", "computerName": "vm-1", "disablePasswordAuthentication": "true"}},
            "publicKeys": [{{"keyData": "{KEY}\r\n", "path": "/home/azureuser/.ssh/authorized_keys"}}]}}, "network": {{}}}}"#
        )
    }

    #[test]
    fn what_the_service_says() {
        let wish = read(&answer()).unwrap();
        assert_eq!(wish.instance_id.as_deref(), Some("02aab8a4-74ef-476e-8182-f6d2ba4166a6"));
        assert_eq!(wish.hostname.as_ref().map(Hostname::as_str), Some("vm-1"));
        assert_eq!((wish.users[0].name.as_str(), wish.users[0].keys.len()), ("azureuser", 1));
        assert_eq!(wish.not_applied, [""; 0]);
    }

    #[test]
    fn disc_and_service_together() {
        let service = || read(&answer()).unwrap();
        let disc = || {
            let name = UserName::parse("azureuser").unwrap();
            let users = vec![User { name, keys: Vec::new(), administrator: true }];
            Wish { hostname: Hostname::parse("disc").ok(), users, ..Wish::default() }
        };
        let both = merge(Some(disc()), service());
        assert_eq!(both.hostname.as_ref().map(Hostname::as_str), Some("disc"));
        assert_eq!((both.users.len(), both.users[0].keys.len()), (1, 1));
        assert_eq!(merge(None, service()).users, service().users);
        assert_eq!(
            merge(Some(disc()), Wish::default()).not_applied,
            ["Azure: azureuser has no key and could not log in"]
        );
    }

    #[test]
    fn hostile_answers_are_refused_or_told() {
        for text in ["", "[]", "{\"compute\"", "{}", &"[".repeat(100_000)] {
            assert!(read(text).is_err(), "{:.40}", text);
        }
        let odd = read(
            r#"{"compute": {"osProfile": {"adminUsername": "root"}, "publicKeys": [7, {"keyData": "x"}], "userData": "eA=="}}"#,
        );
        assert_eq!(odd.unwrap().not_applied.len(), 4);
    }
}
