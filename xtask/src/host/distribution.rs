//! Which family of distributions this machine belongs to, read from /etc/os-release (os-release(5)), and
//! the command that installs packages there.

use std::fmt;

use serde::Serialize;

use super::Host;

/// Distributions that share package names and an installer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian, Ubuntu and what derives from them: apt.
    Debian,
    /// Fedora, CentOS Stream, RHEL: dnf.
    Fedora,
    /// Arch Linux and what derives from it: pacman.
    Arch,
}

pub const FAMILIES: [Family; 3] = [Family::Debian, Family::Fedora, Family::Arch];

/// What os-release says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// PRETTY_NAME, or "unknown Linux".
    pub name: String,
    pub family: Option<Family>,
}

impl Distribution {
    pub fn of(host: &Host) -> Distribution {
        let read = |path| std::fs::read_to_string(host.system(path)).ok();
        // os-release(5): the second place counts when the first is not there.
        let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default();
        Distribution::parse(&text)
    }

    pub fn parse(os_release: &str) -> Distribution {
        let value = |wanted: &str| {
            os_release.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == wanted).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
            })
        };
        let id = value("ID").unwrap_or_default();
        let like = value("ID_LIKE").unwrap_or_default();
        // ID first, then ID_LIKE "in order of closeness".
        let family = std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(family_of);
        Distribution { name: value("PRETTY_NAME").unwrap_or_else(|| "unknown Linux".to_owned()), family }
    }
}

/// The one line that installs these packages, for a person to type.
pub fn install_line(family: Family, packages: &[&str], is_root: bool) -> String {
    // Slim images where one is root have no sudo.
    let sudo = if is_root { "" } else { "sudo " };
    let installer = match family {
        Family::Debian => "apt-get install -y --no-install-recommends",
        Family::Fedora => "dnf install -y",
        Family::Arch => "pacman -S --needed",
    };
    format!("{sudo}{installer} {}", packages.join(" "))
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Family::Debian => "Debian/Ubuntu",
            Family::Fedora => "Fedora",
            Family::Arch => "Arch",
        })
    }
}

fn family_of(id: &str) -> Option<Family> {
    match id {
        "debian" | "ubuntu" => Some(Family::Debian),
        "fedora" | "rhel" | "centos" => Some(Family::Fedora),
        "arch" | "archlinux" | "archarm" => Some(Family::Arch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_id_then_by_likeness() {
        let cases = [
            ("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", Some(Family::Debian)),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", Some(Family::Debian)),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some(Family::Debian)),
            ("ID=fedora\nVERSION_ID=42\n", Some(Family::Fedora)),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Some(Family::Fedora)),
            ("ID=arch\n", Some(Family::Arch)),
            ("ID=manjaro\nID_LIKE=arch\n", Some(Family::Arch)),
            ("ID='endeavouros'\nID_LIKE='arch'\n", Some(Family::Arch)),
            ("ID=alpine\n", None),
            ("ID=nixos\nID_LIKE=\"\"\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Distribution::parse(text).family, expected, "{text:?}");
        }
        assert_eq!(Distribution::parse(cases[0].0).name, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(Distribution::parse("").name, "unknown Linux");
    }
}
