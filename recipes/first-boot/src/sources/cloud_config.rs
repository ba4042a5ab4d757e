//! A NoCloud seed: `meta-data` and `user-data`, the part of cloud-init's formats that a machine like this can do.
//! Whatever else stands there is named, not passed over.
//!
//! Source: cloud-init's documentation, "NoCloud" (data sources) and "Cloud config" (modules hostname, users and
//! groups, SSH).

use crate::{
    wish::{Hostname, PublicKey, User, UserName, Wish, quoted},
    yaml::{self, Value},
};

/// Whom top-level keys are for, where a seed names nobody.
const DEFAULT_USER: &str = "admin";
/// What the first line of `user-data` has to be for it to be read at all.
const CLOUD_CONFIG: &str = "#cloud-config";

/// What both files ask for. An error names the file and the line, and nothing of the seed counts then.
pub fn read(meta_data: &str, user_data: &str) -> Result<Wish, String> {
    let mut seed = Seed::default();
    seed.meta_data(&map("meta-data", meta_data)?);
    if !user_data.trim().is_empty() {
        let first = user_data.lines().next().unwrap_or_default().trim_end();
        if first != CLOUD_CONFIG {
            return Err(format!(
                "user-data: begins with {}; only {CLOUD_CONFIG} is understood",
                quoted(first)
            ));
        }
        seed.user_data(&map("user-data", user_data)?);
    }
    Ok(seed.finish())
}

type Map = Vec<(String, Value)>;

fn map(file: &str, text: &str) -> Result<Map, String> {
    match yaml::parse(text).map_err(|problem| format!("{file}: {problem}"))? {
        Value::Map(entries) => Ok(entries),
        Value::Text { .. } | Value::List(_) => Err(format!("{file}: not a map of keys and values")),
    }
}

#[derive(Default)]
struct Seed {
    wish: Wish,
    /// For the default user.
    keys: Vec<PublicKey>,
    default_user: Option<UserName>,
    /// None: `users` isn't there, which means the default user.
    users: Option<Vec<Entry>>,
    fqdn: Option<Hostname>,
}

/// An item of `users`.
enum Entry {
    Default,
    User(String, User),
}

impl Seed {
    fn meta_data(&mut self, entries: &Map) {
        for (key, value) in entries {
            let at = format!("meta-data: {key}");
            match key.as_str() {
                "instance-id" => {
                    let id = value.text().filter(|id| (1..=128).contains(&id.len()));
                    let id = id.ok_or("not a text of at most 128 bytes".to_owned());
                    self.wish.instance_id = self.wish.checked(&at, id).map(str::to_owned);
                }
                "local-hostname" => self.wish.hostname = self.hostname(&at, value),
                "public-keys" => {
                    // A list, or a map of names; each has one key or several.
                    let values: Vec<&Value> = match value {
                        Value::Map(named) => named.iter().map(|(_, value)| value).collect(),
                        Value::List(items) => items.iter().collect(),
                        Value::Text { .. } => vec![value],
                    };
                    for value in values {
                        let keys = self.public_keys(&at, value);
                        self.keys.extend(keys);
                    }
                }
                _ => self.wish.leave_out(at),
            }
        }
    }

    fn user_data(&mut self, entries: &Map) {
        for (key, value) in entries {
            match key.as_str() {
                "hostname" => self.wish.hostname = self.hostname(key, value).or(self.wish.hostname.take()),
                "fqdn" => self.fqdn = self.hostname(key, value),
                "ssh_authorized_keys" => {
                    let keys = self.public_keys(key, value);
                    self.keys.extend(keys);
                }
                "user" => {
                    let name = match value {
                        Value::Map(entries) => {
                            entries.iter().find(|(key, _)| key == "name").map(|(_, name)| name)
                        }
                        _ => Some(value),
                    };
                    self.default_user = name.and_then(|name| self.user_name(key, name));
                    if matches!(value, Value::Map(entries) if entries.iter().any(|(key, _)| key != "name")) {
                        self.wish.leave_out("user: all but its name");
                    }
                }
                "users" => self.users = Some(self.entries(value)),
                // What holds here anyway.
                "ssh_pwauth" if value.truth() == Some(false) => {}
                "disable_root" if value.truth() == Some(true) => {}
                _ => self.wish.leave_out(key.as_str()),
            }
        }
    }

    fn entries(&mut self, value: &Value) -> Vec<Entry> {
        let Value::List(items) = value else {
            self.wish.leave_out("users: not a list");
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("users[{index}]");
            match item {
                Value::Text { text, .. } if text == "default" => entries.push(Entry::Default),
                Value::Map(fields) => {
                    entries.extend(self.user(&at, fields).map(|user| Entry::User(at, user)));
                }
                Value::Text { .. } | Value::List(_) => {
                    self.wish.leave_out(format!("{at}: neither `default` nor a map"))
                }
            }
        }
        entries
    }

    fn user(&mut self, at: &str, fields: &Map) -> Option<User> {
        let (mut name, mut keys, mut administrator) = (None, Vec::new(), false);
        for (key, value) in fields {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "name" => name = self.user_name(&at, value),
                "ssh_authorized_keys" | "ssh-authorized-keys" => keys.extend(self.public_keys(&at, value)),
                "sudo" => match sudo(value) {
                    Some(may) => administrator = may,
                    None => self.wish.leave_out(format!("{at}: only `ALL=(ALL) NOPASSWD:ALL` and `false`")),
                },
                "lock_passwd" if value.truth() == Some(true) => {}
                "shell" if value.text() == Some(crate::accounts::SHELL) => {}
                _ => self.wish.leave_out(at),
            }
        }
        if name.is_none() && !fields.iter().any(|(key, _)| key == "name") {
            self.wish.leave_out(format!("{at}: it has no name"));
        }
        Some(User { name: name?, keys, administrator })
    }

    fn finish(self) -> Wish {
        let Seed { mut wish, keys, default_user, users, fqdn } = self;
        wish.hostname = wish.hostname.or(fqdn);
        let name = default_user.or(UserName::parse(DEFAULT_USER).ok());
        let is_asked_for = users.is_some();
        let mut takes_keys = false;
        for entry in users.unwrap_or(vec![Entry::Default]) {
            match entry {
                Entry::User(at, user) => wish.add(&at, user),
                Entry::Default => {
                    takes_keys = true;
                    let Some(name) = name.clone() else { continue };
                    // A seed that says nothing of users and keys means nobody.
                    if is_asked_for || !keys.is_empty() {
                        wish.add("the default user", User { name, keys: keys.clone(), administrator: true });
                    }
                }
            }
        }
        if !takes_keys && !keys.is_empty() {
            wish.leave_out("ssh_authorized_keys: `users` leaves the default user out");
        }
        wish
    }

    fn hostname(&mut self, at: &str, value: &Value) -> Option<Hostname> {
        let parsed = Hostname::parse(value.text().unwrap_or_default());
        self.wish.checked(at, parsed)
    }

    fn user_name(&mut self, at: &str, value: &Value) -> Option<UserName> {
        let parsed = UserName::parse(value.text().unwrap_or_default());
        self.wish.checked(at, parsed)
    }

    fn public_keys(&mut self, at: &str, value: &Value) -> Vec<PublicKey> {
        let Some(texts) = value.texts() else {
            self.wish.leave_out(format!("{at}: not a list of keys"));
            return Vec::new();
        };
        texts.into_iter().filter_map(|text| self.wish.checked(at, PublicKey::parse(text))).collect()
    }
}

/// Whether a rule of sudoers(5) gives everything without a password; None where it says something in between.
fn sudo(value: &Value) -> Option<bool> {
    if value.truth() == Some(false) || value.is_null() {
        return Some(false);
    }
    let rules = value.texts()?;
    let all = |rule: &&str| {
        let rule: String = rule.chars().filter(|c| !c.is_whitespace()).collect();
        rule == "ALL=(ALL)NOPASSWD:ALL" || rule == "ALL=(ALL:ALL)NOPASSWD:ALL"
    };
    (!rules.is_empty() && rules.iter().all(all)).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEOEIuRH+XZugLVXax5y4MyzZKlQJ5xmNcid5caBLtp7";
    const OTHER: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDJEOEIuRHXZugLVXax5y4MyzZKlQJ5xmNcid5caBLtp7";

    /// Host name, users as `name keys administrator`, and what isn't applied.
    fn check(meta_data: &str, user_data: &str, hostname: Option<&str>, users: &[&str], not_applied: &[&str]) {
        let user_data = user_data.replace("KEY", KEY).replace("OTHER", OTHER);
        let wish = read(meta_data, &user_data).unwrap();
        assert_eq!(wish.hostname.as_ref().map(Hostname::as_str), hostname);
        let shown = |user: &User| format!("{} {} {}", user.name, user.keys.len(), user.administrator);
        assert_eq!(wish.users.iter().map(shown).collect::<Vec<_>>(), users);
        assert_eq!(wish.not_applied, not_applied);
    }

    #[test]
    fn whom_a_seed_makes() {
        check("instance-id: i-1\nlocal-hostname: seeded\n", "", Some("seeded"), &[], &[]);
        check("", "#cloud-config\nssh_authorized_keys: [KEY]\n", None, &["admin 1 true"], &[]);
        check("", "#cloud-config\nuser: ann\nssh_authorized_keys: [KEY, KEY]\n", None, &["ann 1 true"], &[]);
        check(&format!("public-keys: {{one: [{KEY}]}}"), "", None, &["admin 1 true"], &[]);
        check(&format!("public-keys: [{KEY}]"), "#cloud-config\n", None, &["admin 1 true"], &[]);
        let both = "#cloud-config\nhostname: mine\nfqdn: mine.example.org\nssh_authorized_keys: [OTHER]\nusers:\n  \
                    - default\n  - name: bob\n    ssh_authorized_keys: KEY\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    \
                    lock_passwd: true\n  - {name: eve, sudo: false, ssh-authorized-keys: [KEY, OTHER]}\n";
        let users = ["admin 1 true", "bob 1 true", "eve 2 false"];
        check("local-hostname: seeded", both, Some("mine"), &users, &[]);
        check("", "#cloud-config\nfqdn: a.example.org\n", Some("a.example.org"), &[], &[]);
        check("", "#cloud-config\nssh_pwauth: false\ndisable_root: true\nusers: []\n", None, &[], &[]);
    }

    #[test]
    fn what_is_not_applied_is_named() {
        let rest = "#cloud-config\npackages: [vim]\nruncmd:\n  - [rm, -rf, /]\nssh_pwauth: true\nhostname: a_b\n\
                    ssh_authorized_keys: [KEY, nonsense]\nusers:\n  - {name: ../x, ssh_authorized_keys: [KEY]}\n  \
                    - {name: bob, passwd: secret, groups: sudo, ssh_authorized_keys: [KEY], sudo: ALL=(ALL) ALL}\n  \
                    - {name: eve}\n  - {ssh_authorized_keys: [KEY]}\n  - 7\n";
        let named = [
            "meta-data: dsmode",
            "packages",
            "runcmd",
            "ssh_pwauth",
            "hostname: \"a_b\" is no host name",
            "ssh_authorized_keys: \"nonsense\": not a public key that begins with its kind, such as ssh-ed25519",
            "users[0].name: \"../x\" is no user name: up to 32 of a-z, 0-9, - and _, and a letter or _ in front",
            "users[1].passwd",
            "users[1].groups",
            "users[1].sudo: only `ALL=(ALL) NOPASSWD:ALL` and `false`",
            "users[3]: it has no name",
            "users[4]: neither `default` nor a map",
            "users[2]: eve has no key and could not log in",
            "ssh_authorized_keys: `users` leaves the default user out",
        ];
        check("dsmode: local\nlocal-hostname: kept\n", rest, Some("kept"), &["bob 1 false"], &named);
    }

    #[test]
    fn a_seed_that_is_none_is_refused_as_a_whole() {
        let refused = |meta_data: &str, user_data: &str, wanted: &str| {
            let problem = read(meta_data, user_data).expect_err(user_data);
            assert!(problem.contains(wanted), "{problem}");
        };
        refused("", "#!/bin/sh\nreboot\n", "begins with \"#!/bin/sh\"");
        refused("", "Content-Type: multipart/mixed\n", "only #cloud-config");
        refused("", "#cloud-config\nusers: [\n", "user-data: line ");
        refused("", "#cloud-config\n- a\n", "user-data: not a map");
        refused("local-hostname: [a\n", "", "meta-data: line ");
        refused("a: &a [b]\nc: [*a, *a]\n", "", "meta-data: line 1: tags and anchors");
    }
}
