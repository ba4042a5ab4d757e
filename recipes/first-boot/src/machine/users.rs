//! Users as a wish names them: accounts, folders, keys, and `sudo` for those who may.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use super::program::{BUSYBOX, run};
use crate::{
    accounts::{ADMINISTRATORS, Accounts},
    wish::User,
};

const ME: &str = "/proc/self/exe";
const SUDO: &str = "/usr/bin/sudo";

/// Makes the users, as far as they aren't there, and gives each exactly the keys of the wish.
pub fn make(users: &[User]) -> Result<(), String> {
    let mut accounts = read_accounts()?;
    for user in users {
        let ids = accounts.add(&user.name, user.administrator)?;
        write_accounts(&accounts)?;
        home(user, ids.user)?;
    }
    if users.iter().any(|user| user.administrator) {
        sudo(&accounts)?;
    }
    // The shell's commands, where there is somebody to type them.
    run(BUSYBOX, &["--install", "-s", "/bin"]).map(drop)
}

fn read_accounts() -> Result<Accounts, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    Ok(Accounts { passwd: read("/etc/passwd")?, group: read("/etc/group")?, shadow: read("/etc/shadow")? })
}

/// The longest first: whoever is in passwd is in the others as well.
fn write_accounts(accounts: &Accounts) -> Result<(), String> {
    replace("/etc/group", &accounts.group, 0o644)?;
    replace("/etc/shadow", &accounts.shadow, 0o600)?;
    replace("/etc/passwd", &accounts.passwd, 0o644)
}

/// Puts a file in place whole.
pub fn replace(path: &str, text: &str, mode: u32) -> Result<(), String> {
    let beside = format!("{path}.new");
    let written = (|| {
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&beside, path)
    })();
    written.map_err(|error| format!("{path}: {error}"))
}

/// The user's folder with the keys. The root is memory and nobody has logged in yet, so nobody can have put links there.
fn home(user: &User, id: u32) -> Result<(), String> {
    let home = PathBuf::from(format!("/home/{}", user.name));
    let ssh = home.join(".ssh");
    let keys = ssh.join("authorized_keys");
    let text: String = user.keys.iter().map(|key| format!("{key}\n")).collect();
    let made = (|| {
        fs::create_dir_all(&ssh)?;
        fs::write(&keys, text)?;
        for (path, mode) in [(&home, 0o700), (&ssh, 0o700), (&keys, 0o600)] {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            chown(path, Some(id), Some(id))?;
        }
        Ok::<(), std::io::Error>(())
    })();
    made.map_err(|error| format!("{}: {error}", home.display()))
}

/// This program under another name, which the kernel lets the administrators' group alone start, as root.
fn sudo(accounts: &Accounts) -> Result<(), String> {
    let group = accounts.group_id(ADMINISTRATORS).ok_or("/etc/group: no group sudo")?;
    let path = Path::new(SUDO);
    let made = (|| {
        let beside = Path::new("/usr/bin/sudo.new");
        fs::copy(ME, beside)?;
        // In this order: changing the owner takes the bits away, and before it nobody else may start it.
        fs::set_permissions(beside, Permissions::from_mode(0o700))?;
        chown(beside, Some(0), Some(group))?;
        fs::set_permissions(beside, Permissions::from_mode(0o4750))?;
        fs::rename(beside, path)
    })();
    made.map_err(|error| format!("{SUDO}: {error}"))
}
