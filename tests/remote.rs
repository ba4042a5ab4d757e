//! Machines that share a store: the second one rebuilds nothing, and nothing that is wrong there gets into an image.

#[path = "remote/azurite.rs"]
mod azurite;
mod harness;
#[path = "remote/s3.rs"]
mod s3;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use azurite::Azurite;
use harness::{Said, built, folder, run, xtask};
use s3::S3;
use serde_json::Value;

const PROFILE: &str = "x86_64-vtl2";

/// A folder that a machine with the user's warm store has shared its steps in.
fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        let shared = folder("remote-shared");
        built(PROFILE);
        let said = run(machine(&harness::store(), &folder("remote-first"))
            .arg("--remote-write")
            .arg("--remote")
            .arg(&shared));
        assert!(said.stdout.contains("steps put there"), "{}{}", said.stdout, said.stderr);
        said.expect("the first machine");
        shared
    })
}

/// A build on a machine with this store.
fn machine(store: &Path, out: &Path) -> Command {
    let mut command = xtask();
    command.args(["build-image", PROFILE, "--json", "--store"]).arg(store).arg("--out").arg(out);
    command.env_remove("VTLFORGE_REMOTE").env_remove("VTLFORGE_REMOTE_WRITE");
    command
}

/// A build on a machine whose store is empty.
struct Second {
    said: Said,
    root: PathBuf,
}

impl Second {
    fn build(name: &str, configure: impl FnOnce(&mut Command)) -> Second {
        let root = folder(name);
        let mut command = machine(&root.join("store"), &root.join("out"));
        configure(&mut command);
        Second { said: run(&mut command), root }
    }

    fn events(&self) -> Vec<Value> {
        self.said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn steps(&self, event: &str) -> Vec<String> {
        let events = self.events();
        let events = events.iter().filter(|found| found["event"] == event);
        events.map(|found| found["step"].as_str().unwrap().to_owned()).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let events = self.events();
        let notes = events.iter().filter_map(|event| event["text"].as_str());
        notes.filter(|text| text.contains("remote warning")).map(str::to_owned).collect()
    }

    /// The same images as on the first machine, disks with their holes.
    fn check_images(&self) {
        assert_eq!(self.said.status, 0, "{}{}", self.said.stdout, self.said.stderr);
        let sums = |out: &Path| fs::read_to_string(out.join("SHA256SUMS")).unwrap();
        let out = self.root.join("out").join(PROFILE);
        assert_eq!(sums(&out), sums(&built(PROFILE)));
        let script = format!("cd '{}' && sha256sum --quiet --strict --check SHA256SUMS", out.display());
        harness::judge("sh", &["-c", &script]);
        use std::os::unix::fs::MetadataExt as _;
        assert!(fs::metadata(out.join("disk.raw")).unwrap().blocks() * 512 < 32 << 20);
    }
}

#[test]
fn a_second_machine_rebuilds_nothing() {
    let second = Second::build("remote-second", |command| _ = command.arg("--remote").arg(shared()));
    second.check_images();
    assert_eq!((second.steps("step-started"), second.warnings()), (Vec::new(), Vec::new()));
    // What nothing needs is not fetched: neither the kernel's source nor its tree.
    let kept = fs::read_dir(second.root.join("store/v1/steps")).unwrap().count();
    assert!(kept < second.steps("step-reused").len(), "{kept} of {:?}", second.steps("step-reused"));
    // The variable does as well as the option, and a folder that is only read stays as it was.
    let before = listing(shared());
    let third = Second::build("remote-third", |command| _ = command.env("VTLFORGE_REMOTE", shared()));
    third.check_images();
    assert_eq!(listing(shared()), before);
}

fn listing(folder: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    files.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().modified().unwrap())).collect()
}

/// The shared folder once more, and what is said of each step in it.
struct Poisoned {
    folder: PathBuf,
    keys: Vec<(String, String)>,
}

impl Poisoned {
    fn new() -> Poisoned {
        let poisoned = folder("remote-poisoned");
        harness::copy_tree(shared(), &poisoned);
        let plan = run(xtask().args(["plan", PROFILE, "--format", "json"])).expect("plan");
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let steps = plan["steps"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let keys = steps.map(|step| (text(&step["action"]["kind"]), text(&step["key"]))).collect();
        Poisoned { folder: poisoned, keys }
    }

    fn entry_path(&self, kind: &str) -> PathBuf {
        let (_, key) =
            self.keys.iter().find(|(known, _)| known == kind).unwrap_or_else(|| panic!("no {kind}"));
        self.folder.join(format!("v1/steps/{key}.json"))
    }

    fn entry(&self, kind: &str) -> Value {
        serde_json::from_slice(&fs::read(self.entry_path(kind)).unwrap()).unwrap()
    }

    fn archive_path(&self, kind: &str) -> PathBuf {
        let entry = self.entry(kind);
        self.folder.join(format!("v1/archives/{}", entry["archive"]["sha256"].as_str().unwrap()))
    }

    fn write_entry(&self, kind: &str, entry: &Value) {
        fs::write(self.entry_path(kind), entry.to_string()).unwrap();
    }
}

#[test]
fn nothing_that_is_wrong_there_is_used() {
    let remote = Poisoned::new();
    // Another byte in the middle.
    let path = remote.archive_path("pack-initramfs");
    let mut content = fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&path, content).unwrap();
    // Cut off.
    let path = remote.archive_path("pack-disk");
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[..content.len() / 2]).unwrap();
    // Gone: nobody's fault, and nothing to warn of.
    fs::remove_file(remote.archive_path("pack-vhd")).unwrap();
    // Another content that was packed well, by somebody who may write there.
    let (other, entry) = (remote.entry("pack-initramfs"), remote.entry("emit-dtb"));
    let mut forged = entry.clone();
    let own = folder("remote-forged");
    fs::write(own.join("platform.dtb"), "mine").unwrap();
    fs::write(own.join("platform.dts"), "mine").unwrap();
    let script = "cd \"$1\" && tar -c platform.dtb platform.dts | zstd -q > forged && sha256sum forged";
    let sum = harness::judge("sh", &["-c", script, "sh", own.to_str().unwrap()]);
    let sum = sum.split_whitespace().next().unwrap();
    fs::copy(own.join("forged"), remote.folder.join("v1/archives").join(sum)).unwrap();
    forged["archive"]["sha256"] = sum.into();
    forged["archive"]["size-bytes"] = fs::metadata(own.join("forged")).unwrap().len().into();
    remote.write_entry("emit-dtb", &forged);
    // The entry of another step.
    remote.write_entry("pack-igvm", &other);

    let second = Second::build("remote-distrust", |command| _ = command.arg("--remote").arg(&remote.folder));
    second.check_images();
    let warnings = second.warnings();
    for wanted in
        ["it has another digest than its entry says", "is not what its entry says", "is that of another step"]
    {
        assert!(warnings.iter().any(|warning| warning.contains(wanted)), "{wanted}: {warnings:#?}");
    }
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    let mut made = second.steps("step-started");
    made.sort();
    made.dedup();
    let kinds = ["device-tree", "disk", "igvm", "initramfs", "vhd"];
    assert_eq!(made, kinds.map(|kind| format!("{kind} {PROFILE}")));
}

/// With the user's store there is nothing to be made, so that these take no time.
#[test]
fn a_store_that_can_t_be_used_is_told_once_and_the_build_goes_on() {
    built(PROFILE);
    let nowhere = folder("remote-nowhere");
    let missing = nowhere.join("missing");
    let emulator = |command: &mut Command| {
        command
            .env("AZURE_STORAGE_USE_EMULATOR", "true")
            .env("AZURITE_BLOB_STORAGE_URL", "http://127.0.0.1:9");
    };
    type Configure<'a> = &'a dyn Fn(&mut Command);
    let cases: [(&str, &str, Configure); 4] = [
        ("no folder", missing.to_str().unwrap(), &|_| {}),
        ("a kind that is unknown", "gs://bucket/steps", &|_| {}),
        ("nobody answers", "az://steps/here", &emulator),
        ("no secrets", "az://steps/here", &|command| {
            _ = command.env("VTLFORGE_REMOTE_SECRETS", nowhere.join("secrets"))
        }),
    ];
    for (name, address, configure) in cases {
        let out = folder("remote-unusable");
        let mut command = machine(&harness::store(), &out);
        command.args(["--remote-write", "--remote", address]);
        configure(&mut command);
        let second = Second { said: run(&mut command), root: out.clone() };
        assert_eq!(second.said.status, 0, "{name}: {}", second.said.stderr);
        assert_eq!(second.warnings().len(), 1, "{name}: {:?}", second.warnings());
        assert!(out.join(PROFILE).join("SHA256SUMS").exists(), "{name}");
    }
}

#[test]
fn an_address_with_a_secret_is_refused_and_not_repeated() {
    let address = "https://account.blob.core.windows.net/steps?sv=2026&sig=VERYSECRET";
    for by_variable in [false, true] {
        let mut command = machine(&harness::store(), &folder("remote-secret"));
        match by_variable {
            true => command.env("VTLFORGE_REMOTE", address),
            false => command.args(["--remote", address]),
        };
        let said = run(&mut command);
        assert_eq!(said.status, 1);
        assert!(said.stderr.contains("has no secret in it"), "{}", said.stderr);
        assert!(!(said.stdout + &said.stderr).contains("VERYSECRET"));
    }
}

#[test]
fn azure_blob_storage_is_a_store_and_a_token_that_has_expired_no_calamity() {
    let azurite = Azurite::start("steps");
    let address = "az://steps/one/project";
    let mut first = machine(&harness::store(), &folder("remote-azure-first"));
    first.args(["--remote-write", "--remote", address]);
    azurite.configure(&mut first);
    built(PROFILE);
    run(&mut first).expect("the first machine");
    let second = Second::build("remote-azure", |command| {
        command.args(["--remote", address]);
        azurite.configure(command);
    });
    second.check_images();
    assert_eq!((second.steps("step-started"), second.warnings()), (Vec::new(), Vec::new()));

    // Keys in a file do as well as in the environment; a wrong one is a warning that doesn't repeat it.
    let (secrets, wrong) =
        (folder("remote-secrets").join("secrets"), "d3Jvbmcga2V5IHRoYXQgbXVzdCBub3QgYmUgdG9sZA==");
    let account = azurite::ACCOUNT;
    fs::write(
        &secrets,
        format!(
            "# For the tests.\nAZURE_STORAGE_ACCOUNT_NAME={account}\nAZURE_STORAGE_ACCOUNT_KEY={wrong}\n"
        ),
    )
    .unwrap();
    let expired = format!(
        "sv=2022-11-02&ss=b&srt=sco&sp=rwl&st=2020-01-01T00%3A00%3A00Z&se=2020-01-02T00%3A00%3A00Z&sig={wrong}"
    );
    let endpoint = azurite.endpoint();
    let out = folder("remote-azure-refused");
    for case in ["wrong key", "expired token"] {
        let mut command = machine(&harness::store(), &out);
        command.args(["--remote-write", "--remote", address]).env("AZURE_STORAGE_ENDPOINT", &endpoint);
        command.env("AZURE_ALLOW_HTTP", "true");
        match case {
            "wrong key" => command.env("VTLFORGE_REMOTE_SECRETS", &secrets),
            _ => command.env("AZURE_STORAGE_ACCOUNT_NAME", account).env("AZURE_STORAGE_SAS_TOKEN", &expired),
        };
        let refused = Second { said: run(&mut command), root: out.clone() };
        assert_eq!(refused.said.status, 0, "{case}: {}", refused.said.stderr);
        assert_eq!(refused.warnings().len(), 1, "{case}: {:?}", refused.warnings());
        let all = format!("{}{}", refused.said.stdout, refused.said.stderr);
        assert!(!all.contains(wrong), "{case}: {all}");
    }
}

#[test]
fn s3_is_a_store_and_a_wrong_key_no_calamity() {
    let s3 = S3::start();
    let address = "s3://steps/one/project";
    let build = |name: &str, secret: &str| {
        let mut command = machine(&harness::store(), &folder(name));
        command.args(["--remote-write", "--remote", address]);
        s3.configure(&mut command, secret);
        command
    };
    built(PROFILE);
    let said = run(&mut build("remote-s3-first", &s3.key.1));
    assert!(said.stdout.contains("steps put there"), "{}{}", said.stdout, said.stderr);
    let second = Second::build("remote-s3", |command| {
        command.args(["--remote", address]);
        s3.configure(command, &s3.key.1);
    });
    second.check_images();
    assert_eq!((second.steps("step-started"), second.warnings()), (Vec::new(), Vec::new()));

    let wrong = "wrongKEYthatMUSTnotBEtold";
    let refused = Second { said: run(&mut build("remote-s3-wrong", wrong)), root: folder("remote-s3-wrong") };
    assert_eq!(refused.said.status, 0, "{}", refused.said.stderr);
    assert_eq!(refused.warnings().len(), 1, "{:?}", refused.warnings());
    assert!(!format!("{}{}", refused.said.stdout, refused.said.stderr).contains(wrong));
}
