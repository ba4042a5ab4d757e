use std::time::{Duration, SystemTime};

use super::apt::*;
use super::*;

#[test]
fn install_command_lines() {
    let cases = [
        (
            None,
            "install -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 qemu-system-x86 qemu-utils",
        ),
        (
            Some(("qemu-utils", "1:7.2")),
            "install -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 --allow-downgrades \
             qemu-system-x86 qemu-utils=1:7.2",
        ),
    ];
    for (pin, expected) in cases {
        assert_eq!(install_arguments(&["qemu-system-x86", "qemu-utils"], pin).join(" "), expected);
    }
}

#[test]
fn troubles_are_told_by_apts_words() {
    let unmet = "The following packages have unmet dependencies:\n qemu-utils : Breaks: qemu-system-common (< 1:8)\n\
                 E: Unable to correct problems, you have held broken packages.\n";
    let shown = "  The following packages have unmet dependencies:\n   qemu-utils : Breaks: qemu-system-common (< 1:8)\n  \
                 E: Unable to correct problems, you have held broken packages.";
    let removal = "Reading package lists...\nE: Packages need to be removed but remove is disabled.\n";
    let cases = [
        (
            "Reading package lists...\nE: Unable to locate package genimage\n",
            Trouble::UnknownPackage("Unable to locate package genimage".to_owned()),
        ),
        (
            "E: Package 'genimage' has no installation candidate",
            Trouble::UnknownPackage("Package 'genimage' has no installation candidate".to_owned()),
        ),
        (
            "E: Version '1:9' for 'qemu-utils' was not found",
            Trouble::UnknownPackage("Version '1:9' for 'qemu-utils' was not found".to_owned()),
        ),
        ("Some packages could not be installed.\nThe following information\n", Trouble::Other),
        (unmet, Trouble::Unsatisfied(shown.to_owned())),
        (
            removal,
            Trouble::Unsatisfied("  E: Packages need to be removed but remove is disabled.".to_owned()),
        ),
        (
            "E: Failed to fetch http://x/y.deb  404  Not Found\nE: Unable to fetch some archives",
            Trouble::NotFetched,
        ),
        (
            "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)\n\
             E: Unable to lock directory /var/lib/apt/lists/",
            Trouble::Locked,
        ),
        ("", Trouble::Other),
    ];
    for (output, expected) in cases {
        assert_eq!(Trouble::of(output), expected, "{output:?}");
    }
}

#[test]
fn policies_are_read() {
    let text = "qemu-utils:\n  Installed: 1:10.0.2+ds-2\n  Candidate: 1:7.2+dfsg-7\n  Version table:\n";
    let known =
        Policy { installed: Some("1:10.0.2+ds-2".to_owned()), candidate: Some("1:7.2+dfsg-7".to_owned()) };
    let absent = Policy { installed: None, candidate: None };
    let cases =
        [(text, Some(known)), ("x:\n  Installed: (none)\n  Candidate: (none)\n", Some(absent)), ("", None)];
    for (text, expected) in cases {
        assert_eq!(Policy::parse(text), expected, "{text:?}");
    }
}

#[test]
fn lists_are_fresh_when_there_and_lately_touched() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    assert!(!lists_are_fresh(&folder.path().join("none"), now));
    assert!(!lists_are_fresh(folder.path(), now), "no lists");
    std::fs::write(folder.path().join("mirror_dists_bookworm_main_binary-amd64_Packages.lz4"), "").unwrap();
    assert!(lists_are_fresh(folder.path(), now));
    assert!(!lists_are_fresh(folder.path(), now + LISTS_AGE + Duration::from_secs(60)), "old");
}

#[test]
fn other_families_get_the_command_instead() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host { is_root: false, ..Host::current(folder.path()).unwrap() };
    let cancel = AtomicBool::new(false);
    let mut say = |line: &str| panic!("{line}");
    let mut installer =
        Installer { host: &host, log: folder.path().join("log"), cancel: &cancel, say: &mut say };
    let told = |error: InstallError| error.to_string();
    let fedora = installer.install(Some(Family::Fedora), &["dtc", "mtools"]).map_err(told).unwrap_err();
    assert_eq!(
        fedora,
        "packages can only be installed through apt, on Debian or Ubuntu\nhint: run sudo dnf install -y dtc mtools"
    );
    let unknown = installer.install(None, &["dtc"]).map_err(told).unwrap_err();
    assert_eq!(unknown, "packages can only be installed through apt, on Debian or Ubuntu");
}
