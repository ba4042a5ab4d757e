//! `provision azure image`: the template is judged by grammars of Bicep and by Azure's own library, the script by shellcheck and
//! by what it says to `az`, and both have to make the same.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    account::judges,
    harness::{Said, folder, judge, project, run, xtask},
};

fn provision(arguments: &[&str], to: &Path) -> Said {
    run(xtask().args(["provision", "azure", "image"]).args(arguments).arg("--to").arg(to))
}

fn made(test: &str, arguments: &[&str]) -> PathBuf {
    let to = folder(&format!("azure-image-{test}"));
    provision(arguments, &to).expect("provision azure image");
    to
}

/// What the template makes with its parameters, or what is wrong with it.
fn judged(to: &Path) -> Result<Value, String> {
    let mut judge = judges().python();
    judge.arg(project().join("tests/azure/bicep.py"));
    let said = run(judge.arg(to.join("main.bicep")).arg(to.join("main.parameters.json")));
    match said.status {
        0 => Ok(serde_json::from_str(&said.stdout).unwrap()),
        _ => Err(said.stderr),
    }
}

/// Runs the script with an `az` that writes down what it is told, one word a line and a line `=end` behind, and
/// answers questions with `ANSWER/`.
fn told(to: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> (Said, Vec<Vec<String>>) {
    let bin = to.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let log = to.join("log");
    fs::write(&log, "").unwrap();
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" =end >>'{}'\ncase \"$*\" in *--query*) echo ANSWER/ ;; esac\n",
        log.display()
    );
    fs::write(bin.join("az"), script).unwrap();
    fs::set_permissions(bin.join("az"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new(to.join("azure.sh"));
    command.args(arguments).env("PATH", path.unwrap()).envs(variables.iter().copied());
    let said = run(&mut command);
    let log = fs::read_to_string(log).unwrap();
    let mut calls: Vec<Vec<String>> = vec![Vec::new()];
    for line in log.lines() {
        match line {
            "=end" => calls.push(Vec::new()),
            word => calls.last_mut().unwrap().push(word.to_owned()),
        }
    }
    calls.pop();
    (said, calls)
}

/// The value behind an option of the call that begins with these words.
#[track_caller]
fn option<'a>(calls: &'a [Vec<String>], call: &[&str], name: &str) -> &'a str {
    let words = calls
        .iter()
        .find(|words| words.starts_with(&call.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()));
    let words = words.unwrap_or_else(|| panic!("no {call:?} in {calls:?}"));
    let at = words.iter().position(|word| word == name).unwrap_or_else(|| panic!("no {name} in {words:?}"));
    &words[at + 1]
}

#[test]
fn template_and_script_make_the_same_image() {
    for (name, arguments, architecture, security, os_state) in [
        ("default", &["x86_64-vtl0"][..], "x64", "ConfidentialVMSupported", "Generalized"),
        (
            "specialized",
            &["x86_64-vtl0", "--os-state", "specialized"],
            "x64",
            "ConfidentialVMSupported",
            "Specialized",
        ),
        (
            "trusted",
            &["x86_64-vtl0", "--security", "trusted-launch"],
            "x64",
            "TrustedLaunchSupported",
            "Generalized",
        ),
        (
            "aarch64",
            &["aarch64-vtl0", "--image-version", "2.30.4"],
            "Arm64",
            "TrustedLaunchSupported",
            "Generalized",
        ),
    ] {
        let to = made(name, arguments);
        let said = judged(&to).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        assert_eq!(said["asked"], serde_json::json!(["storageAccountName"]));
        let (image, version) = (&said["deployed"]["image"], &said["deployed"]["version"]);
        let properties = &image["properties"];
        assert_eq!(properties["architecture"], architecture);
        assert_eq!(properties["features"], serde_json::json!([{"name": "SecurityType", "value": security}]));
        assert_eq!(
            (&properties["hyperVGeneration"], &properties["osState"]),
            (&"V2".into(), &os_state.into())
        );

        judge("shellcheck", &["--enable=quote-safe-variables", to.join("azure.sh").to_str().unwrap()]);
        let (said, calls) = told(&to, &[("STORAGE_ACCOUNT", "mine")], &["image"]);
        assert_eq!(said.expect("azure.sh image").trim(), "ANSWER/");
        let definition = ["sig", "image-definition", "create"];
        let identifier = &properties["identifier"];
        for (option_name, wanted) in [
            ("--architecture", &properties["architecture"]),
            ("--os-state", &properties["osState"]),
            ("--os-type", &properties["osType"]),
            ("--hyper-v-generation", &properties["hyperVGeneration"]),
            ("--gallery-image-definition", &image["name"]),
            ("--gallery-name", &said_gallery(&to)),
            ("--publisher", &identifier["publisher"]),
            ("--offer", &identifier["offer"]),
            ("--sku", &identifier["sku"]),
        ] {
            assert_eq!(
                option(&calls, &definition, option_name),
                wanted.as_str().unwrap(),
                "{name} {option_name}"
            );
        }
        assert_eq!(option(&calls, &definition, "--features"), format!("SecurityType={security}"));
        let create = ["sig", "image-version", "create"];
        assert_eq!(option(&calls, &create, "--gallery-image-version"), version["name"].as_str().unwrap());
        let uri = option(&calls, &create, "--os-vhd-uri").replace("ANSWER/", "");
        let wanted =
            version["properties"]["storageProfile"]["osDiskImage"]["source"]["uri"].as_str().unwrap();
        assert_eq!(wanted, format!("${{storageAccount.properties.primaryEndpoints.blob}}{uri}"));
    }
}

fn said_gallery(to: &Path) -> Value {
    let parameters = fs::read(to.join("main.parameters.json")).unwrap();
    serde_json::from_slice::<Value>(&parameters).unwrap()["parameters"]["galleryName"]["value"].clone()
}

#[test]
fn machines_are_what_the_image_is_for() {
    let confidential = made("confidential-vm", &["x86_64-vtl0", "--os-state", "specialized"]);
    let (_, calls) =
        told(&confidential, &[("LOCATION", "a b;c"), ("GROUP", "$(id)")], &["vm", "it's", "--tags", "a b"]);
    let create = ["vm", "create"];
    for (name, wanted) in [
        ("--security-type", "ConfidentialVM"),
        ("--os-disk-security-encryption-type", "VMGuestStateOnly"),
        ("--enable-secure-boot", "false"),
        ("--location", "a b;c"),
        ("--resource-group", "$(id)"),
        ("--name", "it's"),
        ("--tags", "a b"),
        ("--image", "ANSWER/"),
    ] {
        assert_eq!(option(&calls, &create, name), wanted);
    }
    assert!(calls.iter().any(|words| words.contains(&"--specialized".to_owned())), "{calls:?}");
    let arm = made("arm-vm", &["aarch64-vtl0"]);
    let (_, calls) = told(&arm, &[], &["vm", "guest"]);
    assert_eq!(option(&calls, &create, "--security-type"), "Standard");
    assert!(!calls.iter().any(|words| words.contains(&"--specialized".to_owned())), "{calls:?}");
}

#[test]
fn the_script_says_what_it_needs_and_stops_at_the_first_failure() {
    let to = made("script", &["x86_64-vtl0"]);
    for (arguments, status, wanted) in [
        (&["storage"][..], 1, "STORAGE_ACCOUNT: set it to the name"),
        (&["image", "more"], 2, "image takes no more words"),
        (&["vm"], 2, "vm needs the name"),
        (&["fly"], 2, "there is no command fly"),
        (&[], 2, ""),
    ] {
        let (said, calls) = told(&to, &[], arguments);
        assert_eq!((said.status, calls.len()), (status, 0), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(wanted), "{arguments:?}: {}", said.stderr);
    }
    assert!(told(&to, &[], &["--help"]).0.expect("--help").contains("remove-vm NAME"));
    // A version that others follow keeps the definition and the gallery.
    let (_, calls) = told(&to, &[("STORAGE_ACCOUNT", "mine")], &["remove"]);
    assert!(
        !calls.iter().any(|words| words.starts_with(&["sig".to_owned(), "delete".to_owned()])),
        "{calls:?}"
    );
    let failing = "#!/bin/sh\necho \"$@\" >>\"${0%/*}/../log\"\nexit 3\n";
    told(&to, &[], &["--help"]);
    fs::write(to.join("bin/az"), failing).unwrap();
    let path = format!("{}:{}", to.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(to.join("azure.sh"));
    let said = run(command.arg("image").env("PATH", path).env("STORAGE_ACCOUNT", "mine"));
    assert_eq!((said.status, fs::read_to_string(to.join("log")).unwrap().lines().count()), (3, 1));
}

/// The judge isn't asleep.
#[test]
fn mistakes_in_a_template_are_found() {
    let to = made("mistakes", &["x86_64-vtl0"]);
    let good = fs::read_to_string(to.join("main.bicep")).unwrap();
    for (what, instead, wanted) in [
        ("osState: osState", "osSate: osState", "image.properties has no osSate"),
        ("hyperVGeneration: 'V2'", "hyperVGeneration: 'V3'", "hyperVGeneration can't be V3"),
        ("storageAccountId: storage", "storageAccount: storage", "source has no storageAccount"),
        ("          name: location", "          region: location", "targetRegions[0] has no region"),
        ("parent: gallery", "parent: galery", "a parent that is not there"),
        ("param offer string", "param ofer string", "there is no parameter offer"),
        ("'x64', 'Arm64'", "'x86', 'Arm64'", "architecture can't be x64"),
        ("  properties: {}\n}", "  properties: {}\n", "not by the grammar"),
    ] {
        assert!(good.contains(what), "{what}");
        fs::write(to.join("main.bicep"), good.replacen(what, instead, 1)).unwrap();
        let wrong = judged(&to).expect_err(wanted);
        assert!(wrong.contains(wanted), "{wanted}: {wrong}");
    }
}

#[test]
fn what_azure_has_no_machines_for_is_refused_before_anything_is_written() {
    let to = folder("azure-image-refused").join("to");
    for (arguments, status, wanted) in [
        (&["x86_64-vtl2"][..], 1, "takes none from a tenant"),
        (&["aarch64-vtl0", "--security", "confidential"], 1, "confidential machines are x86_64"),
        (&["x86_64-vtl0", "--image-version", "1.0"], 2, "three numbers"),
        (&["x86_64-vtl0", "--image-version", "1.0.01"], 2, "three numbers"),
    ] {
        let said = provision(arguments, &to);
        assert_eq!(said.status, status, "{arguments:?}");
        assert!(said.stderr.contains(wanted), "{arguments:?}: {}", said.stderr);
    }
    assert!(!to.exists());
}
