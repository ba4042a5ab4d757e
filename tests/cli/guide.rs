//! What docs/guide.md shows works.

use std::fs;

use crate::{VERBS, harness, own_project::OwnProject};

fn guide() -> String {
    fs::read_to_string(harness::project().join("docs/guide.md")).unwrap()
}

/// The YAML example in which `wanted` stands.
fn example(wanted: &str) -> String {
    let guide = guide();
    let blocks = guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut found = blocks.filter(|block| block.contains(wanted));
    found.next().unwrap_or_else(|| panic!("no example with {wanted:?} in the guide")).to_string()
}

#[test]
fn examples_are_taken_as_they_stand() {
    let project = OwnProject::new(&[]);
    project.write("profiles/paravisor.yaml", &example("A paravisor of my own"));
    project.write("patches/fix.patch", "--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a\n+b\n");
    project.write("recipes/monitor/recipe.yaml", &example("A monitor with its configuration"));
    for file in ["Cargo.toml", "Cargo.lock", "monitor.toml"] {
        project.write(&format!("recipes/monitor/{file}"), "");
    }
    project.write("profiles/my-guest.yaml", &example("The stock guest with a larger disk"));
    project.write("profiles/beside.yaml", &example("VTL2 beside a guest, word by word"));
    project.write("profiles/virt.yaml", &example("QEMU's machine, word by word"));
    project.write("profiles/my-machine.yaml", &example("My paravisor and the guest below it"));
    for profile in ["paravisor", "my-guest", "beside", "virt", "my-machine"] {
        project.run(&["explain", profile]).expect(profile);
    }
    let stay = "trust-level:\n  - {vtl: 0, off: [HYPERV_VTL_MODE], reason: a}\n  \
                - {vtl: 2, on: [HYPERV_VTL_MODE], reason: b}\n";
    project.write("configs/rules.yaml", &example("needs-linux").replace("trust-level:\n", stay));
    project.run(&["plan", "paravisor"]).expect("the rules");
}

#[test]
fn every_verb_and_key_is_explained() {
    let guide = guide();
    for verb in VERBS.iter().filter_map(|verb| verb.first()) {
        let heading = format!("\n### {verb}\n");
        // Pins have a chapter of their own.
        assert!(guide.contains(&heading) || *verb == "pins", "nothing about the verb {verb}");
    }
    let mut keys = Vec::new();
    for schema in ["profile", "recipe", "pins", "rules"] {
        let path = harness::project().join(format!("profiles/schema/{schema}.schema.json"));
        names(&serde_json::from_slice(&fs::read(path).unwrap()).unwrap(), &mut keys);
    }
    for key in keys {
        assert!(guide.contains(&format!("{key}:")), "nothing about the key {key}");
    }
}

/// Every property that a schema defines, at any depth.
fn names(schema: &serde_json::Value, keys: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(properties) = map.get("properties").and_then(|value| value.as_object()) {
                keys.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| names(value, keys));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|value| names(value, keys)),
        _ => {}
    }
}
