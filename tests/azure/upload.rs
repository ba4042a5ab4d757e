//! What is sent, over lines that hold and lines that don't.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    account::{Account, KEY, failed, uploaded},
    azurite,
    harness::run,
};

const MIB: u64 = 1 << 20;
/// Requests, headers and answers of an upload here are less than that.
const TALK_BYTES: u64 = 256 << 10;

#[test]
fn of_a_gibibyte_only_the_data_is_sent_and_a_cut_line_is_taken_up_again() {
    let account = Account::new("gibibyte");
    // 64 MiB in pieces that begin and end anywhere.
    let data: Vec<_> = (0..16).map(|n| n * 64 * MIB + n * 4096 + 512).map(|at| at..at + 4 * MIB).collect();
    let disk = account.disk("disk", 1024 * MIB, &data);
    account.proxy.cut_after(20 * MIB, false);
    let said = uploaded(run(account.upload(&disk.path, "disk.vhd").args(["--verify", "full"])));
    disk.check(&account.show("disk.vhd"));
    assert_eq!(
        (&said["data-bytes"], &said["sent-bytes"], &said["read-back-bytes"], &said["found-bytes"]),
        (&disk.data_bytes().into(), &disk.data_bytes().into(), &disk.data_bytes().into(), &0.into())
    );
    assert!(said["retries"].as_u64().unwrap() >= 1, "{said}");
    // At most what was on the line when it was cut has gone twice.
    let up_bytes = account.proxy.up_bytes();
    assert!((disk.data_bytes()..disk.data_bytes() + 33 * MIB).contains(&up_bytes), "{up_bytes}");

    // Once more: all is there, and is looked at.
    let said = uploaded(run(&mut account.upload(&disk.path, "disk.vhd")));
    assert_eq!((&said["sent-bytes"], &said["found-bytes"]), (&0.into(), &disk.data_bytes().into()));
    assert!(account.proxy.up_bytes() - up_bytes < TALK_BYTES);
}

#[test]
fn a_line_that_breaks_for_good_leaves_what_is_marked_and_goes_on() {
    let account = Account::new("broken");
    let disk = account.disk("disk", 64 * MIB, &[4 * MIB..16 * MIB, 32 * MIB..44 * MIB]);
    account.proxy.cut_after(13 * MIB, true);
    let said = run(account.upload(&disk.path, "disk.vhd").args(["--parallel", "2"]));
    let told = failed(&said, &[]);
    for wanted in
        ["is incomplete, and marked so", "of 24.0 MiB are there", "the same command goes on from there"]
    {
        assert!(told.contains(wanted), "{told}");
    }
    let there = account.show("disk.vhd");
    assert_eq!(there["metadata"]["vtlforge_state"], "uploading");
    let there = there["ranges"].as_array().unwrap();
    let there_bytes: u64 =
        there.iter().map(|range| range[1].as_u64().unwrap() - range[0].as_u64().unwrap()).sum();
    assert!(there_bytes > 0 && there_bytes < disk.data_bytes(), "{there_bytes}");

    // The lease of the first ends by itself; only what is missing is sent.
    account.proxy.mend();
    let before = account.proxy.up_bytes();
    let said = run(&mut account.upload(&disk.path, "disk.vhd"));
    assert!(said.stdout.contains("waiting for its lease to end"), "{}", said.stdout);
    let said = uploaded(said);
    disk.check(&account.show("disk.vhd"));
    let missing = disk.data_bytes() - there_bytes;
    assert_eq!((&said["sent-bytes"], &said["found-bytes"]), (&missing.into(), &there_bytes.into()));
    let up_bytes = account.proxy.up_bytes() - before;
    assert!((missing..missing + TALK_BYTES).contains(&up_bytes), "{up_bytes} for {missing}");
}

#[test]
fn what_arrived_wrong_is_sent_again_and_what_was_complete_is_not_mended_in_silence() {
    let account = Account::new("damaged");
    let disk = account.disk("disk", 16 * MIB, &[MIB..9 * MIB]);
    account.proxy.cut_after(6 * MIB, true);
    failed(&run(account.upload(&disk.path, "disk.vhd").args(["--parallel", "1"])), &[]);
    account.proxy.mend();
    account.judge(&["break", "disk.vhd"]);
    account.judge(&["write", "disk.vhd", &(2 * MIB).to_string(), "7"]);
    let said = uploaded(run(&mut account.upload(&disk.path, "disk.vhd")));
    disk.check(&account.show("disk.vhd"));
    assert_eq!(
        said["sent-bytes"].as_u64().unwrap() + said["found-bytes"].as_u64().unwrap(),
        disk.data_bytes()
    );

    account.judge(&["write", "disk.vhd", &(5 * MIB).to_string(), "7"]);
    let told = failed(&run(&mut account.upload(&disk.path, "disk.vhd")), &[]);
    assert!(told.contains("marked as complete, but is not the file"), "{told}");
    uploaded(run(account.upload(&disk.path, "disk.vhd").arg("--replace")));
    disk.check(&account.show("disk.vhd"));

    // Data where the file has none.
    account.judge(&["write", "disk.vhd", &(12 * MIB).to_string(), "7"]);
    for how in ["full", "sample", "ranges"] {
        let told = failed(&run(account.upload(&disk.path, "disk.vhd").args(["--verify", how])), &[]);
        assert!(told.contains("has data that the file doesn't have"), "{told}");
    }
}

/// A line that changes a byte of what is sent, and a service that says that it got something else.
#[test]
fn each_way_to_verify_shows_what_it_says() {
    let account = Account::new("verify");
    let disk = account.disk("disk", 64 * MIB, &[0..40 * MIB]);
    let data_bytes = disk.data_bytes();
    let upload = |how: &str| {
        let mut command = account.upload(&disk.path, &format!("{how}.vhd"));
        command.args(["--parallel", "1", "--verify", how]);
        command
    };
    for (how, read_back_bytes) in [
        ("full", data_bytes..=data_bytes),
        // Both ends, of which one is the footer, and one or two between.
        ("sample", 2 * (64 << 10)..=4 * (64 << 10)),
        ("ranges", 0..=0),
    ] {
        let said = uploaded(run(&mut upload(how)));
        assert!(read_back_bytes.contains(&said["read-back-bytes"].as_u64().unwrap()), "{how}: {said}");
        // The emulator says nothing of what it got.
        assert_eq!((&said["confirmed-bytes"], &said["sent-bytes"]), (&0.into(), &data_bytes.into()), "{how}");
        disk.check(&account.show(&format!("{how}.vhd")));
    }
    // In the first range, and in the middle, where a sample needn't look.
    for (at, shown_by) in [(32 << 10, &["full", "sample"][..]), (21 * MIB, &["full"])] {
        for how in shown_by {
            account.proxy.damage_after(at);
            let told = failed(&run(upload(how).arg("--replace")), &[]);
            assert!(told.contains("gives back other bytes than it was sent"), "{how}: {told}");
            assert_eq!(account.show(&format!("{how}.vhd"))["metadata"]["vtlforge_state"], "uploading");
            // What is there is not believed.
            let said = uploaded(run(&mut upload(how)));
            assert!(said["sent-bytes"].as_u64().unwrap() >= 4 * MIB, "{how}: {said}");
            disk.check(&account.show(&format!("{how}.vhd")));
        }
    }
    account.proxy.answer_with_another_digest(true);
    for how in ["full", "sample", "ranges"] {
        let told = failed(&run(upload(how).arg("--replace")), &[]);
        assert!(told.contains("has got other bytes than it was sent"), "{how}: {told}");
    }
}

#[test]
fn every_kind_of_secret_opens() {
    let account = Account::new("secrets");
    let disk = account.disk("disk", 2 * MIB, &[0..4096]);
    let token = account.judge(&["token", "rcw", "2100-01-01T00:00:00+00:00"]);
    let token = token.as_str().unwrap();
    let url = format!("{}?{token}", account.url("by-url.vhd"));
    let connection = format!(
        "DefaultEndpointsProtocol=http;AccountName={};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:1/x;",
        azurite::ACCOUNT
    );
    for (name, variable) in [
        ("AZURE_STORAGE_KEY", KEY),
        ("AZURE_STORAGE_SAS_TOKEN", token),
        ("AZURE_STORAGE_CONNECTION_STRING", &connection),
    ] {
        let said = run(account.bare_upload(&disk.path, &format!("{name}.vhd")).env(name, variable));
        assert_eq!(said.expect(name).trim(), account.url(&format!("{name}.vhd")));
        disk.check(&account.show(&format!("{name}.vhd")));
    }
    for (option, text) in [("--key-file", KEY), ("--sas-file", token)] {
        let path = account.secret(option, &format!("{text}\n"));
        run(account.bare_upload(&disk.path, &format!("{option}.vhd")).arg(option).arg(path)).expect(option);
        disk.check(&account.show(&format!("{option}.vhd")));
    }
    // A URL says where to as well. Whoever leaves the file open to others is told.
    let path = account.secret("url", &url);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = crate::harness::xtask();
    command.args(["provision", "azure", "upload"]).arg(&disk.path).arg("--sas-file").arg(&path);
    let said = run(&mut command);
    assert!(said.stderr.contains("chmod 600") && !said.stderr.contains("sig="), "{}", said.stderr);
    said.expect("by a URL");
    disk.check(&account.show("by-url.vhd"));
}
