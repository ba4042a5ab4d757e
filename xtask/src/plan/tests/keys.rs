//! Keys: everything that decides outputs counts, nothing else does.

use expect_test::{Expect, expect};

use super::*;

/// As if every output had its own content, and every file.
fn parts_of(step: &Step) -> KeyParts {
    let content = |source: &Source| Digest::of(format!("{source:?}").as_bytes());
    let inputs = step.inputs.iter().map(|(role, source)| (role.clone(), content(source))).collect();
    let tools = step.tools.iter().map(|tool| (tool.name(), Digest::of(tool.name().as_bytes()))).collect();
    KeyParts::new(step, inputs, tools)
}

/// Everything in a JSON value that can differ, by its path.
fn leaves(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) if !map.is_empty() => {
            map.iter()
                .for_each(|(key, value)| leaves(value, &format!("{path}/{}", key.replace('/', "~1")), found));
        }
        serde_json::Value::Array(items) if !items.is_empty() => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| leaves(value, &format!("{path}/{index}"), found));
        }
        // Without inputs or tools there is none that could change.
        serde_json::Value::Object(_) => {}
        _ => found.push(path.to_string()),
    }
}

#[test]
fn every_part_counts() {
    let plan = plan_of(&own(), &[]);
    let mut seen = BTreeMap::new();
    for step in &plan.steps {
        let parts = parts_of(step);
        let own_key = key(&parts);
        assert_eq!(own_key, key(&parts_of(step)), "{}: equal parts, equal keys", step.name);
        if let Some(other) = seen.insert(own_key, &step.name) {
            panic!("{} and {other} have one key", step.name);
        }
        let whole = serde_json::to_value(&parts).unwrap();
        let mut paths = Vec::new();
        leaves(&whole, "", &mut paths);
        for path in paths {
            let mut changed = whole.clone();
            // Another digest is a digest; anything else becomes something that it never is.
            let leaf = changed.pointer_mut(&path).unwrap();
            *leaf = serde_json::to_value(Digest::of(path.as_bytes())).unwrap();
            if path == "/format" {
                *leaf = 999.into();
            }
            let changed: KeyParts = serde_json::from_value(changed).unwrap();
            assert_ne!(key(&changed), own_key, "{}: {path} doesn't count", step.name);
            assert!(!changed.changes_since(&parts).is_empty() || path == "/kind", "{}: {path}", step.name);
        }
    }
}

/// A file that moves, or a newer description of it, is the same download.
#[test]
fn a_download_is_known_by_its_content() {
    let plan = plan_of(&own(), &["x86_64-vtl2"]);
    let mut fetch = step(&plan, "fetch linux-7.3").clone();
    let before = key(&parts_of(&fetch));
    let Action::FetchDeb(pin) = &mut fetch.action else { panic!("a package") };
    let other = match &step(&plan_of(&own(), &["x86_64-vtl0"]), "fetch efi-stub-x86_64").action {
        Action::FetchDeb(pin) => pin.clone(),
        _ => panic!("a package"),
    };
    (pin.pool, pin.snapshot, pin.suite) = (other.pool.clone(), other.snapshot.clone(), other.suite.clone());
    assert_eq!(key(&parts_of(&fetch)), before);
    let Action::FetchDeb(pin) = &mut fetch.action else { panic!("a package") };
    pin.sha256 = other.sha256;
    assert_ne!(key(&parts_of(&fetch)), before);
}

/// Reports say where a request stands; that alone doesn't build a kernel.
#[test]
fn a_comment_in_a_fragment_does_not_count() {
    let mut tree = own();
    let plan = plan_of(&tree, &["x86_64-vtl2"]);
    let fragment = tree.get_mut("configs/base.config").unwrap();
    *fragment = [b"# Another comment.\n\n", fragment.as_slice()].concat();
    let commented = plan_of(&tree, &["x86_64-vtl2"]);
    assert!(json(&plan) == json(&commented));
    let name = "kconfig x86_64-vtl2";
    assert_eq!(key(&parts_of(step(&plan, name))), key(&parts_of(step(&commented, name))));
}

/// A kernel is configured again when a rule over it changes. What comes of that decides whether it is built again.
#[test]
fn a_rule_counts_for_the_configuration_of_its_kernels() {
    const RULES: &str = "configs/rules.yaml";
    let key_of = |tree: &Tree, name: &str| {
        let profile = name.split(' ').nth(1).unwrap();
        key(&parts_of(step(&plan_of(tree, &[profile]), name)))
    };
    let with = |rule: &str| {
        let mut tree = own();
        tree.get_mut(RULES).unwrap().extend(rule.as_bytes());
        tree
    };
    let changed = |tree: &Tree, name: &str| key_of(tree, name) != key_of(&own(), name);
    let arm = with("  - {arch: aarch64, off: [A_NEW_SYMBOL], reason: why}\n");
    assert!(changed(&arm, "kconfig aarch64-vtl2"));
    assert!(!changed(&arm, "kconfig x86_64-vtl2"));
    assert!(!changed(&arm, "kernel aarch64-vtl2"), "only by way of its configuration");
    assert!(!changed(&with("  # A comment.\n"), "kconfig aarch64-vtl2"));
    let foreign = with("  - {only-foreign: true, off: [A_NEW_SYMBOL], reason: why}\n");
    assert!(!changed(&foreign, "kconfig aarch64-vtl2"));
}

/// What the programs without a system below share is in the one folder that each of them and its crates are keyed by.
#[test]
fn what_bare_programs_share_counts_for_each() {
    let (mut profiles, host) = inputs(&own(), &["x86_64-vtl2", "aarch64-vtl2"]);
    for profile in &mut profiles {
        profile.spec.igvm.as_mut().unwrap().entry = IgvmEntry::Shim;
    }
    let plan = make(&profiles, &host);
    let folder = Source::Folder("bare".to_string());
    let kinds = ["build-monitor", "build-loader", "build-shim"];
    let programs: Vec<&Step> = plan.steps.iter().filter(|step| kinds.contains(&step.action.kind())).collect();
    assert_eq!(programs.len(), 6);
    for program in programs {
        let Source::Output { step: vendor, .. } = &program.inputs["vendor"] else { panic!("{program:?}") };
        assert_eq!((&program.inputs["crate"], &plan.steps[*vendor].inputs["crate"]), (&folder, &folder));
    }
    // Nothing that they are built from lies elsewhere.
    let bare = root().join("bare");
    let manifests =
        walkdir::WalkDir::new(&bare).max_depth(2).into_iter().map(|entry| entry.unwrap().into_path());
    for manifest in manifests.filter(|path| path.ends_with("Cargo.toml")) {
        let text = fs::read_to_string(&manifest).unwrap();
        for path in text.lines().filter_map(|line| line.split_once("path = \"")?.1.split('"').next()) {
            let place = manifest.with_file_name(path).canonicalize().unwrap();
            assert!(place.starts_with(bare.canonicalize().unwrap()), "{}: {path}", manifest.display());
        }
    }
}

#[track_caller]
fn check(before: &Step, change: impl Fn(&mut serde_json::Value), phrases: Expect) {
    let before = parts_of(before);
    let mut after = serde_json::to_value(&before).unwrap();
    change(&mut after);
    let after: KeyParts = serde_json::from_value(after).unwrap();
    phrases.assert_eq(&after.changes_since(&before).join("\n"));
}

#[test]
fn changes_are_told_in_a_phrase() {
    let plan = plan_of(&own(), &["x86_64-vtl2"]);
    let digest = serde_json::to_value(Digest::of(b"other")).unwrap();
    let remove = |value: &mut serde_json::Value, key: &str| value.as_object_mut().unwrap().remove(key);
    let payload = step(&plan, "payload vtl2-init x86_64");
    check(payload, |_| (), expect![""]);
    check(
        payload,
        |parts| parts["version"] = "99".into(),
        expect!["this tool's own code for the step changed"],
    );
    check(payload, |parts| parts["inputs"]["crate"] = digest.clone(), expect!["input crate changed"]);
    check(payload, |parts| parts["inputs"]["more"] = digest.clone(), expect!["input more is new"]);
    check(payload, |parts| _ = remove(&mut parts["inputs"], "vendor"), expect!["input vendor is gone"]);
    check(payload, |parts| parts["tools"]["cargo"] = digest.clone(), expect!["tool cargo changed"]);
    check(
        payload,
        |parts| parts["parameters"]["rust"]["toolchain"]["target"] = "x86_64-unknown-linux-musl".into(),
        expect![[r#"rust.toolchain.target: "x86_64-unknown-linux-gnu" → "x86_64-unknown-linux-musl""#]],
    );
    check(
        payload,
        |parts| _ = remove(&mut parts["parameters"], "binary"),
        expect![[r#"binary: "vtl2-init" → null"#]],
    );
    check(
        step(&plan, "kconfig x86_64-vtl2"),
        |parts| {
            let text = parts["parameters"]["all_config"].as_str().unwrap();
            let text = text.replace("CONFIG_SMP=y\n", "# CONFIG_SMP is not set\n") + "CONFIG_NEW=m\n";
            parts["parameters"]["all_config"] = text.into();
        },
        expect![[r#"
            all_config: - CONFIG_SMP=y
            all_config: + # CONFIG_SMP is not set
            all_config: + CONFIG_NEW=m"#]],
    );
    let kconfig = step(&plan, "kconfig x86_64-vtl2");
    check(
        kconfig,
        |parts| parts["parameters"]["more"] = "a=1\nb=2\n".into(),
        expect![[r#"
        more: + a=1
        more: + b=2"#]],
    );
    let mut more = serde_json::to_value(parts_of(kconfig)).unwrap();
    more["parameters"]["more"] = "a=1\nb=2\n".into();
    let more: KeyParts = serde_json::from_value(more).unwrap();
    expect![[r#"
        more: - a=1
        more: - b=2"#]]
    .assert_eq(&parts_of(kconfig).changes_since(&more).join("\n"));
}
