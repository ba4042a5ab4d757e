//! What ends an upload before it has begun.

use std::fs;

use crate::{
    account::{Account, failed, uploaded},
    harness::{self, run, xtask},
};

const MIB: u64 = 1 << 20;

#[test]
fn secrets_that_open_nothing_are_told_and_not_shown() {
    let account = Account::new("closed");
    let disk = account.disk("disk", 2 * MIB, &[0..4096]);
    let expired = account.judge(&["token", "rcw", "2020-01-01T00:00:00+00:00"]);
    let reading = account.judge(&["token", "r", "2100-01-01T00:00:00+00:00"]);
    let (expired, reading) = (expired.as_str().unwrap(), reading.as_str().unwrap());
    let forged = reading.replace("sp=r", "sp=rcw");
    let wrong = "d3Jvbmcga2V5IHRoYXQgbXVzdCBub3QgYmUgdG9sZA==";
    for (name, value, wanted) in [
        ("AZURE_STORAGE_SAS_TOKEN", expired, "expired at 2020-01-01T00:00:00Z"),
        ("AZURE_STORAGE_SAS_TOKEN", reading, "permissions r, c and w"),
        ("AZURE_STORAGE_SAS_TOKEN", &forged, "the token in AZURE_STORAGE_SAS_TOKEN is refused"),
        ("AZURE_STORAGE_KEY", wrong, "the key in AZURE_STORAGE_KEY is refused"),
        ("AZURE_STORAGE_KEY", "no key", "no account key"),
    ] {
        let said = run(account.bare_upload(&disk.path, "disk.vhd").env(name, value));
        let signature = value.split("sig=").nth(1).unwrap_or(value);
        let told = failed(&said, &[value, signature]);
        assert!(told.contains(wanted), "{told}");
        assert!(account.show("disk.vhd").is_null());
    }
    let said = run(&mut account.bare_upload(&disk.path, "disk.vhd"));
    assert!(failed(&said, &[]).contains("there is no key or token"), "{}", said.stderr);
    let url = format!("{}?{reading}", account.url("disk.vhd"));
    let said = run(xtask().args(["provision", "azure", "upload"]).arg(&disk.path).args(["--to", &url]));
    assert!(failed(&said, &[reading]).contains("has no secret in it"), "{}", said.stderr);
    let mut command = account.upload(&disk.path, "x");
    command.args(["--to", &account.url("disk.vhd").replace("/images/", "/nowhere/")]);
    let told = failed(&run(&mut without_first_address(command)), &[]);
    assert!(told.contains("no container `nowhere`"), "{told}");
}

/// clap takes an option once.
fn without_first_address(command: std::process::Command) -> std::process::Command {
    let mut arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let at = arguments.iter().position(|argument| argument == "--to").unwrap();
    arguments.drain(at..at + 2);
    let mut fewer = xtask();
    fewer.args(arguments);
    command.get_envs().for_each(|(name, value)| match value {
        Some(value) => _ = fewer.env(name, value),
        None => _ = fewer.env_remove(name),
    });
    fewer
}

#[test]
fn a_blob_that_is_something_else_stays_so() {
    let account = Account::new("other");
    let disk = account.disk("disk", 2 * MIB, &[0..4096]);
    let other = account.disk("other", 2 * MIB, &[8192..16384]);
    account.judge(&["page-blob", "size.vhd", &(4 * MIB).to_string()]);
    account.judge(&["page-blob", "foreign.vhd", &disk.size_bytes.to_string()]);
    account.judge(&["block-blob", "block.vhd", "text"]);
    uploaded(run(&mut account.upload(&other.path, "source.vhd")));
    for (name, wanted) in [
        ("size.vhd", "it has 4194304 bytes, the file has 2097664"),
        ("foreign.vhd", "no upload of this tool made it"),
        ("block.vhd", "it is no page blob"),
        ("source.vhd", "it is another file"),
    ] {
        let before = account.show(name);
        let told = failed(&run(&mut account.upload(&disk.path, name)), &[]);
        assert!(told.contains(wanted) && told.contains("--replace overwrites it"), "{told}");
        assert_eq!(account.show(name), before);
        uploaded(run(account.upload(&disk.path, name).arg("--replace")));
        disk.check(&account.show(name));
    }
}

#[test]
fn a_blob_that_somebody_holds_is_left_alone() {
    let account = Account::new("held");
    let disk = account.disk("disk", 2 * MIB, &[0..4096]);
    let other = account.disk("other", 2 * MIB, &[8192..16384]);
    uploaded(run(&mut account.upload(&other.path, "disk.vhd")));
    account.judge(&["lease", "disk.vhd", "-1"]);
    let before = account.show("disk.vhd");
    for (file, replace) in [(&disk.path, true), (&other.path, false), (&other.path, true)] {
        let mut command = account.upload(file, "disk.vhd");
        if replace {
            command.arg("--replace");
        }
        let told = failed(&run(&mut command), &[]);
        assert!(told.contains("somebody holds a lease on it"), "{told}");
    }
    assert_eq!(account.show("disk.vhd"), before);
    account.judge(&["break", "disk.vhd"]);
    uploaded(run(account.upload(&disk.path, "disk.vhd").arg("--replace")));
    disk.check(&account.show("disk.vhd"));
}

#[test]
fn what_azure_does_not_take_is_not_sent() {
    let folder = harness::folder("azure-files");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let make = |kind: &str, size: &str, name: &str| {
        let options = format!("subformat={kind},force_size=on");
        harness::judge("qemu-img", &["create", "-q", "-f", "vpc", "-o", &options, &path(name), size]);
    };
    make("dynamic", "4M", "dynamic.vhd");
    make("fixed", "4097K", "odd.vhd");
    make("fixed", "4M", "cut.vhd");
    fs::File::options().write(true).open(path("cut.vhd")).unwrap().set_len(4 * MIB).unwrap();
    fs::write(path("short.vhd"), "conectix").unwrap();
    for (what, wanted) in [
        (path("dynamic.vhd"), "it is a dynamic VHD"),
        (path("odd.vhd"), "has a multiple of 1 MiB, but"),
        (path("cut.vhd"), "no VHD footer"),
        (path("short.vhd"), "can't read"),
        (path("missing.vhd"), "can't read"),
        ("x86_64-vtl2".to_owned(), "takes none from a tenant"),
        ("no-such-profile".to_owned(), "no-such-profile"),
    ] {
        let mut command = xtask();
        command.args([
            "provision",
            "azure",
            "upload",
            &what,
            "--to",
            "https://a.blob.core.windows.net/c/d.vhd",
        ]);
        let said = run(&mut command);
        assert_eq!(said.status, 1, "{what}: {}", said.stderr);
        assert!(said.stderr.contains(wanted), "{what}: {}", said.stderr);
    }
}
