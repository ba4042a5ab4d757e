//! /etc/passwd, /etc/group and /etc/shadow as texts (passwd(5), group(5), shadow(5)).

use crate::wish::UserName;

/// Those whose members may run `sudo`.
pub const ADMINISTRATORS: &str = "sudo";
pub const SHELL: &str = "/bin/sh";
/// Where ordinary users begin.
const FIRST_ID: u32 = 1000;

/// The three files.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Accounts {
    pub passwd: String,
    pub group: String,
    pub shadow: String,
}

/// What a user got; the group has the same number.
#[derive(Debug, PartialEq, Eq)]
pub struct Ids {
    pub user: u32,
    /// Whether the user is new.
    pub is_new: bool,
}

impl Accounts {
    /// The user's number; added where there is no such user yet. The name of a system account is refused.
    pub fn add(&mut self, name: &UserName, administrator: bool) -> Result<Ids, String> {
        let known = number_of(&self.passwd, name.as_str());
        if known.is_some_and(|id| id < FIRST_ID) {
            return Err(format!("{name} is an account of the system"));
        }
        if known.is_none() && number_of(&self.group, name.as_str()).is_some() {
            return Err(format!("{name} is a group of the system"));
        }
        let id = known.unwrap_or_else(|| self.free_id());
        if known.is_none() {
            push_line(&mut self.passwd, &format!("{name}:x:{id}:{id}:{name}:/home/{name}:{SHELL}"));
            push_line(&mut self.group, &format!("{name}:x:{id}:"));
            // `*`: no password fits; keys do.
            push_line(&mut self.shadow, &format!("{name}:*:0:0:99999:7:::"));
        }
        if administrator {
            self.join(ADMINISTRATORS, name);
        }
        Ok(Ids { user: id, is_new: known.is_none() })
    }

    /// Number of a group.
    pub fn group_id(&self, group: &str) -> Option<u32> {
        number_of(&self.group, group)
    }

    fn free_id(&self) -> u32 {
        let used =
            |id: &u32| [&self.passwd, &self.group].iter().any(|text| numbers(text).any(|other| other == *id));
        (FIRST_ID..).find(|id| !used(id)).unwrap_or(u32::MAX)
    }

    fn join(&mut self, group: &str, name: &UserName) {
        let prefix = format!("{group}:");
        let line = |line: &str| {
            let Some(members) = line.strip_prefix(&prefix).and_then(|rest| rest.rsplit(':').next()) else {
                return line.to_owned();
            };
            match (members.is_empty(), members.split(',').any(|member| member == name.as_str())) {
                (_, true) => line.to_owned(),
                (true, _) => format!("{line}{name}"),
                (false, _) => format!("{line},{name}"),
            }
        };
        self.group = self.group.lines().map(|text| line(text) + "\n").collect();
    }
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
}

fn fields(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse().ok()?))
    })
}

fn number_of(text: &str, name: &str) -> Option<u32> {
    fields(text).find(|(known, _)| *known == name).map(|(_, id)| id)
}

fn numbers(text: &str) -> impl Iterator<Item = u32> {
    fields(text).map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    #[test]
    fn users_are_added_once() {
        let mut accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nold:x:1000:1000::/home/old:/bin/sh".into(),
            group: "root:x:0:\nsudo:x:27:\nold:x:1001:\n".into(),
            shadow: "root:*::::::\n".into(),
        };
        assert_eq!(accounts.add(&name("ann"), true), Ok(Ids { user: 1002, is_new: true }));
        assert_eq!(accounts.add(&name("bob"), true), Ok(Ids { user: 1003, is_new: true }));
        let before = accounts.clone();
        assert_eq!(accounts.add(&name("ann"), true), Ok(Ids { user: 1002, is_new: false }));
        assert_eq!(accounts, before);
        assert_eq!(
            accounts.passwd,
            "root:x:0:0:root:/root:/bin/sh\nold:x:1000:1000::/home/old:/bin/sh\n\
             ann:x:1002:1002:ann:/home/ann:/bin/sh\nbob:x:1003:1003:bob:/home/bob:/bin/sh\n"
        );
        assert_eq!(accounts.group, "root:x:0:\nsudo:x:27:ann,bob\nold:x:1001:\nann:x:1002:\nbob:x:1003:\n");
        assert!(accounts.shadow.ends_with("ann:*:0:0:99999:7:::\nbob:*:0:0:99999:7:::\n"));
        assert_eq!(accounts.group_id("sudo"), Some(27));
    }

    #[test]
    fn accounts_of_the_system_are_not_for_others() {
        let mut accounts = Accounts {
            passwd: "daemon:x:1:1::/:/bin/false\n".into(),
            group: "daemon:x:1:\nsudo:x:27:\n".into(),
            ..Accounts::default()
        };
        let before = accounts.clone();
        assert!(accounts.add(&name("daemon"), false).is_err());
        assert!(accounts.add(&name("sudo"), false).is_err());
        assert_eq!(accounts, before);
    }
}
