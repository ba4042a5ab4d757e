//! VTL0 images provision themselves: from a NoCloud seed, from Azure's disc and metadata service, and not at all. Each
//! machine is booted under emulation; who may log in does, over the network, runs commands and switches it off.

#[path = "first_boot/azure.rs"]
mod azure;
mod harness;
#[path = "first_boot/machine.rs"]
mod machine;

use std::{fs, path::Path};

use harness::{folder, judge};
use machine::{AARCH64, Guest, Key, Options, X86_64, iso, vfat};

const META_DATA: &str = "instance-id: i-test-1\nlocal-hostname: seeded\n";

fn user_data(key: &Key) -> String {
    let public = &key.public;
    format!(
        "#cloud-config\nusers:\n  - default\n  - name: guest\n    ssh_authorized_keys: ['{public}']\n\
         ssh_authorized_keys:\n  - {public}\npackages: [vim]\n"
    )
}

/// Logs in as the administrator, looks around, and switches the machine off; root and passwords get nobody in.
fn log_in_and_power_off(
    guest: &mut Guest,
    key: &Key,
    report: &serde_json::Value,
    hostname: &str,
    user: &str,
) {
    let said = guest.ssh(
        key,
        user,
        "hostname; id -un; sudo id -u; stat -c %a:%U ~ ~/.ssh/authorized_keys /usr/bin/sudo",
    );
    let wanted = format!("{hostname}\n{user}\n0\n700:{user}\n600:{user}\n4750:root\n");
    assert_eq!(said, Ok(wanted), "{report:#}");
    // The server's key is the one that the report names.
    assert_eq!(Some(guest.host_key().as_str()), report["host_key"].as_str());
    guest.ssh(key, "root", "true").expect_err("root does not log in");
    guest
        .ssh(&Key::new(&guest.folder.join("stranger")), user, "true")
        .expect_err("a stranger does not log in");
    // The connection may end with the machine before it has an answer.
    let _ = guest.ssh(key, user, "sudo poweroff");
    guest.wait_for("reboot: Power down");
}

#[test]
fn a_seed_on_vfat_provisions_x86_64() {
    let folder = folder("first-boot-vfat");
    let key = Key::new(&folder.join("key"));
    let seed = vfat(&folder, "cidata", &[("meta-data", META_DATA), ("user-data", &user_data(&key))]);
    let mut guest = Guest::start(&X86_64, &folder, &Options { disks: &[&seed], ..Options::default() });
    let report = guest.provisioned();
    assert_eq!(report["source"], "nocloud");
    assert_eq!(report["instance_id"], "i-test-1");
    assert_eq!(report["not_applied"], serde_json::json!(["packages"]));
    // A user who is no administrator can't become root.
    let refused = guest.ssh(&key, "guest", "sudo id -u 2>&1; touch /etc/x 2>&1");
    let refused = refused.expect_err("not for everybody");
    assert!(refused.contains("ermission denied"), "{refused}");
    log_in_and_power_off(&mut guest, &key, &report, "seeded", "admin");
}

#[test]
fn a_seed_on_iso9660_provisions_aarch64() {
    let folder = folder("first-boot-iso");
    let key = Key::new(&folder.join("key"));
    let seed = iso(&folder, "CIDATA", &[], &[("meta-data", META_DATA), ("user-data", &user_data(&key))]);
    let mut guest = Guest::start(&AARCH64, &folder, &Options { discs: &[&seed], ..Options::default() });
    let report = guest.provisioned();
    assert_eq!((&report["source"], &report["device"]), (&"nocloud".into(), &"/dev/sr0".into()));
    log_in_and_power_off(&mut guest, &key, &report, "seeded", "admin");
}

/// The image as Azure has it: its disk under UEFI firmware, a chassis with Azure's tag, the provisioning disc in UDF, and
/// both services on their own addresses in the machine's network.
#[test]
fn azure_provisions_the_disk_and_hears_that_it_is_ready() {
    let folder = folder("first-boot-azure");
    let (key, other) = (Key::new(&folder.join("key")), Key::new(&folder.join("other")));
    let disc = iso(
        &folder,
        "rd_rdfe_stable",
        &["-udf"],
        &[("ovf-env.xml", &azure::ovf("azure-vm", "azureuser", &key.public))],
    );
    let services = azure::Services::start(&folder, "azure-vm", "azureuser", &other.public);
    let options = Options { discs: &[&disc], azure: Some(&services), from_disk: true, ..Options::default() };
    let mut guest = Guest::start(&X86_64, &folder, &options);
    let report = guest.provisioned();
    assert_eq!(report["source"], "azure");
    assert_eq!(report["instance_id"], azure::VM_ID);
    assert_eq!(report["users"], serde_json::json!([{"name": "azureuser", "keys": 2, "administrator": true}]));
    guest.wait_for("the host knows that the machine is ready");
    let requests = services.requests();
    let health = requests.last().unwrap();
    assert!(health.starts_with("POST /machine?comp=health"), "{requests:#?}");
    for wanted in ["<State>Ready</State>", azure::CONTAINER, azure::INSTANCE, "<GoalStateIncarnation>7<"] {
        assert!(health.contains(wanted), "{health}");
    }
    // The key of the service counts like that of the disc.
    assert_eq!(guest.ssh(&other, "azureuser", "id -un"), Ok("azureuser\n".to_owned()));
    log_in_and_power_off(&mut guest, &key, &report, "azure-vm", "azureuser");
}

/// The server's key outlives a restart where there is a volume for it, and not a reset.
#[test]
fn a_state_volume_keeps_the_servers_key_until_it_is_reset() {
    let folder = folder("first-boot-state");
    let key = Key::new(&folder.join("key"));
    let state = folder.join("state.img");
    fs::File::create(&state).unwrap().set_len(16 << 20).unwrap();
    judge("mkfs.ext4", &["-q", "-L", "first-boot", &state.to_string_lossy()]);
    let boot = |instance: &str, end: &str| {
        let meta_data = META_DATA.replace("i-test-1", instance);
        let seed = vfat(&folder, "CIDATA", &[("meta-data", &meta_data), ("user-data", &user_data(&key))]);
        let mut guest =
            Guest::start(&X86_64, &folder, &Options { disks: &[&seed, &state], ..Options::default() });
        let report = guest.provisioned();
        let said = guest.ssh(&key, "admin", end);
        guest.wait_for("reboot: Power down");
        (report["host_key"].as_str().unwrap().to_owned(), said.unwrap_or_else(|said| said))
    };
    let (first, _) = boot("i-1", "sudo poweroff");
    let (second, said) = boot("i-1", "sudo first-boot reset");
    assert_eq!(first, second, "the same machine has the same key");
    assert!(
        said.contains("removed instance-id, host-key-ed25519, host-key-ed25519.pub; powering off"),
        "{said}"
    );
    let left = judge("debugfs", &["-R", "ls -p /", &state.to_string_lossy()]);
    let left: Vec<&str> = left.lines().filter_map(|line| line.split('/').nth(5)).collect();
    assert_eq!(left, [".", "..", "lost+found"], "nothing is left behind");
    let (third, _) = boot("i-1", "sudo poweroff");
    assert_ne!(second, third, "a reset machine makes a new key");
    let (fourth, _) = boot("i-2", "sudo poweroff");
    assert_ne!(third, fourth, "a clone makes a new key");
}

/// Without a seed, and with one that is wrong, the machine comes up as ever; what is wrong is told.
#[test]
fn no_seed_and_wrong_seeds_are_told_and_the_boot_goes_on() {
    let check = |name: &str, files: &[(&str, &str)], wanted: &str| {
        let folder = folder(&format!("first-boot-{name}"));
        let seed = (!files.is_empty()).then(|| vfat(&folder, "cidata", files));
        let disks: Vec<&Path> = seed.iter().map(|path| path.as_path()).collect();
        let mut guest = Guest::start(&X86_64, &folder, &Options { disks: &disks, ..Options::default() });
        let console = guest.wait_for(wanted);
        assert!(console.contains("payload-ready "), "the payload reports first: {console}");
        let console = guest.wait_for("vtl2-init: first-boot ended");
        assert!(!console.contains("provisioned {"), "{console}");
    };
    check("none", &[], "first-boot: nobody says what this machine is to be");
    check("half", &[("user-data", "")], "first-boot: not provisioned: /dev/vda: there is no file meta-data");
    let script = [("meta-data", META_DATA), ("user-data", "#!/bin/sh\npoweroff\n")];
    check("script", &script, "user-data: begins with \"#!/bin/sh\"; only #cloud-config is understood");
    let bomb = [("meta-data", META_DATA), ("user-data", "#cloud-config\na: &a [x]\nb: [*a, *a]\n")];
    check("bomb", &bomb, "user-data: line 2: tags and anchors are refused");
}
