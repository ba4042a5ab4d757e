//! What a machine is to become, whoever says so. Names and keys are checked when they are made, so that nothing
//! behind this module can meet one that steps out of its file or folder.

use std::fmt;

/// More users or keys than a machine of this kind has are a mistake or an attack.
const MOST_USERS: usize = 16;
const MOST_KEYS: usize = 64;

/// All that a source asks for, and what of it can't be had.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Changes when a machine is cloned; None where the source has none.
    pub instance_id: Option<String>,
    pub hostname: Option<Hostname>,
    pub users: Vec<User>,
    /// Keys and values that are not applied, with the reason where it isn't that nobody here knows them.
    pub not_applied: Vec<String>,
}

/// Somebody who may log in, by key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: UserName,
    pub keys: Vec<PublicKey>,
    /// May become root, with `sudo`.
    pub administrator: bool,
}

impl Wish {
    pub fn leave_out(&mut self, what: impl Into<String>) {
        self.not_applied.push(what.into());
    }

    /// `value` if it is good; otherwise `at` and the reason go to what isn't applied.
    pub fn checked<T>(&mut self, at: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|reason| self.leave_out(format!("{at}: {reason}"))).ok()
    }

    /// Adds a user, unless that makes no sense.
    pub fn add(&mut self, at: &str, mut user: User) {
        let mut seen = Vec::new();
        user.keys.retain(|key| {
            !seen.contains(key) && {
                seen.push(key.clone());
                true
            }
        });
        if user.keys.is_empty() {
            self.leave_out(format!("{at}: {} has no key and could not log in", user.name));
        } else if self.users.iter().any(|known| known.name == user.name) {
            self.leave_out(format!("{at}: {} stands there twice", user.name));
        } else if self.users.len() == MOST_USERS || user.keys.len() > MOST_KEYS {
            self.leave_out(format!("{at}: more than {MOST_USERS} users, or {MOST_KEYS} keys of one"));
        } else {
            self.users.push(user);
        }
    }
}

/// A host name: one label or several (RFC 1123, section 2.1), as long as Linux takes (64 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    pub fn parse(text: &str) -> Result<Self, String> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        match text.len() <= 64 && text.split('.').all(label) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("{} is no host name", quoted(text))),
        }
    }
}

/// A name for /etc/passwd that is also safe as the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(String);

impl UserName {
    pub fn parse(text: &str) -> Result<Self, String> {
        let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let rest = |byte: u8| first(byte) || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=32).contains(&text.len())
            && text.bytes().next().is_some_and(first)
            && text.bytes().all(rest);
        match (fits, text) {
            (_, "root") => Err("root has no login here: make a user with `sudo`".to_owned()),
            (true, _) => Ok(Self(text.to_owned())),
            (false, _) => Err(format!(
                "{} is no user name: up to 32 of a-z, 0-9, - and _, and a letter or _ in front",
                quoted(text)
            )),
        }
    }
}

/// A line of authorized_keys: kind, key and comment, without options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

/// Those that the SSH server knows.
const KEY_KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
const LONGEST_KEY_BYTES: usize = 8192;

impl PublicKey {
    pub fn parse(text: &str) -> Result<Self, String> {
        // Azure wraps long keys in some of its answers, with a line end of its own.
        let text = text.replace("\r\n", "").trim().to_owned();
        let bad = |what: &str| Err(format!("{}: {what}", quoted(&text)));
        if text.len() > LONGEST_KEY_BYTES || text.contains(|c: char| c.is_control()) {
            return bad("not one line of a reasonable length");
        }
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !KEY_KINDS.contains(&kind) {
            return bad("not a public key that begins with its kind, such as ssh-ed25519");
        }
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        match key.len() >= 40 && key.bytes().all(base64) {
            true => Ok(Self(text)),
            false => bad("no key stands behind its kind"),
        }
    }
}

macro_rules! text {
    ($($name:ident)*) => { $(
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}
text!(Hostname UserName PublicKey);

/// As it can stand in a message: short, and without what moves a terminal's cursor.
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(40).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        let good = |text: &str| Hostname::parse(text).is_ok();
        assert!(good("web-1") && good("a.example.org") && good(&"x".repeat(63)));
        for bad in ["", "-a", "a-", "a..b", ".", "a b", "a/b", "a\nb", "ä", "a_b", &"x".repeat(64)] {
            assert!(!good(bad), "{bad:?}");
        }
    }

    #[test]
    fn user_names() {
        let good = |text: &str| UserName::parse(text).is_ok();
        assert!(good("admin") && good("_apt-1") && good(&"x".repeat(32)));
        for bad in ["", "root", "..", "a/b", "a:b", "A", "1a", "-a", "a\n", "a.b", &"x".repeat(33)] {
            assert!(!good(bad), "{bad:?}");
        }
    }

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEOEIuRH+XZugLVXax5y4MyzZKlQJ5xmNcid5caBLtp7 me@here";

    #[test]
    fn public_keys() {
        assert_eq!(PublicKey::parse(&format!(" {KEY}\n")).unwrap().as_str(), KEY);
        let wrapped = KEY.replace("XZug", "XZ\r\nug");
        assert_eq!(PublicKey::parse(&wrapped).unwrap().as_str(), KEY);
        let two = format!("{KEY}\n{KEY}");
        let forced = format!("command=\"/bin/sh\" {KEY}");
        for bad in ["", "ssh-ed25519", "ssh-ed25519 short", "ssh-dss AAAA", &two, &forced, &"x".repeat(9000)]
        {
            assert!(PublicKey::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn users_that_make_no_sense() {
        let mut wish = Wish::default();
        let user = |name: &str, keys: usize| User {
            name: UserName::parse(name).unwrap(),
            keys: (0..keys).map(|key| PublicKey::parse(&format!("{KEY}{key}")).unwrap()).collect(),
            administrator: false,
        };
        wish.add("users[0]", user("a", 1));
        wish.add("users[1]", user("a", 1));
        wish.add("users[2]", user("b", 0));
        wish.add("users[3]", user("c", MOST_KEYS + 1));
        assert_eq!(wish.users.len(), 1);
        assert_eq!(wish.not_applied.len(), 3, "{:?}", wish.not_applied);
        for number in 0..2 * MOST_USERS {
            wish.add("many", user(&format!("u{number}"), 1));
        }
        assert_eq!(wish.users.len(), MOST_USERS);
    }

    #[test]
    fn messages_stay_on_their_line() {
        assert_eq!(quoted("a\n\u{1b}[2J"), r#""a\n\u{1b}[2J""#);
        assert_eq!(quoted(&"x".repeat(50)), format!("\"{}\"…", "x".repeat(40)));
    }
}
