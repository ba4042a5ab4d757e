//! What one change of a profile or a recipe does to the plan.

use expect_test::{Expect, expect};

use super::*;

const PROFILE: &str = "x86_64-vtl2";
const SHA256: &str = "aa11111111111111111111111111111111111111111111111111111111111111";
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// The own project with another line under `kernel:` of x86_64-vtl2, and these files.
fn with_kernel(line: &str, files: &[&str]) -> Tree {
    let mut tree = own();
    let path = format!("profiles/{PROFILE}.yaml");
    let text = String::from_utf8(tree[&path].clone()).unwrap();
    assert_eq!(text.matches("\nkernel:\n").count(), 1);
    tree.insert(path, text.replace("\nkernel:\n", &format!("\nkernel:\n  {line}\n")).into_bytes());
    tree.extend(files.iter().map(|file| (file.to_string(), Vec::new())));
    tree
}

/// The own project with more in the recipe of /init, and these files.
fn with_recipe(text: &str, files: &[(&str, &str)]) -> Tree {
    let mut tree = own();
    tree.insert("recipes/more/recipe.yaml".into(), format!("description: More.\n{text}").into_bytes());
    tree.extend(files.iter().map(|(path, content)| (path.to_string(), content.as_bytes().to_vec())));
    let path = format!("profiles/{PROFILE}.yaml");
    let profile = tree.get_mut(&path).unwrap();
    let own = String::from_utf8_lossy(profile).into_owned();
    assert!(own.contains("recipes: [paravisor]"), "{own}");
    *profile = own.replace("recipes: [paravisor]", "recipes: [more]").into_bytes();
    tree
}

/// The plan's step of this name, as JSON without what is not the change's.
fn check(tree: &Tree, name: &str, wanted: Expect) -> Plan {
    let plan = plan_of(tree, &[PROFILE]);
    super::check(&plan);
    let step = step(&plan, name);
    let inputs: Vec<String> = step
        .inputs
        .iter()
        .map(|(role, source)| match source {
            Source::Output { step, output } => format!("{role}: {output} of {}", plan.steps[*step].name),
            source => format!("{role}: {source:?}"),
        })
        .collect();
    wanted.assert_debug_eq(&inputs);
    plan
}

#[test]
fn a_local_kernel_tree() {
    let files = ["linux/Makefile", "linux/Kconfig"];
    let plan = check(
        &with_kernel("source: {path: linux}", &files),
        "kernel x86_64-vtl2",
        expect![[r#"
        [
            "config: kernel.config of kconfig x86_64-vtl2",
            "source: Local(\"linux\")",
        ]
    "#]],
    );
    assert!(!plan.is_hermetic(PROFILE));
    assert!(!step(&plan, "kconfig x86_64-vtl2").is_hermetic());
    // What is made from its outputs is keyed by them.
    assert!(step(&plan, "disk x86_64-vtl2").is_hermetic());
    assert_eq!(count(&plan, "unpack-source"), 0);
    assert!(plan_of(&own(), &[PROFILE]).is_hermetic(PROFILE));
}

#[test]
fn patches() {
    let line = "patches: [patches/b.patch, patches/a.patch]";
    let plan = check(
        &with_kernel(line, &["patches/a.patch", "patches/b.patch"]),
        "unpack linux-7.3 with patches",
        expect![[r#"
            [
                "patch-000: File(\"patches/b.patch\")",
                "patch-001: File(\"patches/a.patch\")",
                "source: file of fetch linux-7.3",
            ]
        "#]],
    );
    assert!(plan.is_hermetic(PROFILE));
    // Two profiles that patch one source differently have two trees, and no two steps have one name.
    let mut tree = with_kernel("patches: [patches/a.patch]", &["patches/a.patch", "patches/b.patch"]);
    let vtl0 = tree.get_mut("profiles/x86_64-vtl0.yaml").unwrap();
    let text = String::from_utf8(vtl0.clone()).unwrap();
    assert_eq!(text.matches("\nkernel:\n").count(), 1);
    *vtl0 = text.replace("\nkernel:\n", "\nkernel:\n  patches: [patches/b.patch]\n").into_bytes();
    let both = plan_of(&tree, &["x86_64-vtl0", PROFILE]);
    super::check(&both);
    assert_ne!(
        step(&both, "unpack linux-7.3 with patches").inputs,
        step(&both, "unpack linux-7.3 with patches (2)").inputs
    );
}

#[test]
fn a_git_revision() {
    let line = format!("source: {{git: {{url: https://example.org/linux.git, revision: {REVISION}}}}}");
    let plan = check(
        &with_kernel(&line, &[]),
        "kernel x86_64-vtl2",
        expect![[r#"
        [
            "config: kernel.config of kconfig x86_64-vtl2",
            "source: tree of fetch git 0123456789ab",
        ]
    "#]],
    );
    assert!(plan.is_hermetic(PROFILE));
    let line = format!("{line}\n  patches: [patches/a.patch]");
    let tree = with_kernel(&line, &["patches/a.patch"]);
    check(
        &tree,
        "fetch git 0123456789ab with patches",
        expect![[r#"
        [
            "patch-000: File(\"patches/a.patch\")",
        ]
    "#]],
    );
}

#[test]
fn a_tarball() {
    let line = format!("source: {{archive: {{url: https://example.org/v7/linux.tar.xz, sha256: {SHA256}}}}}");
    check(
        &with_kernel(&line, &[]),
        "unpack linux.tar.xz",
        expect![[r#"
        [
            "source: file of fetch linux.tar.xz",
        ]
    "#]],
    );
}

#[test]
fn everything_that_a_recipe_can_bring() {
    let text = format!(
        "prebuilt:
  - {{arch: x86_64, url: https://example.org/shell, sha256: {SHA256}, install: /bin/sh}}
  - {{arch: aarch64, url: https://example.org/shell-arm, sha256: {SHA256}, install: /bin/sh}}
packages:
  - {{arch: x86_64, pin: busybox-x86_64, member: usr/bin/busybox, install: /bin/busybox}}
  - {{arch: aarch64, pin: busybox-aarch64, member: usr/bin/busybox, install: /bin/busybox}}
files:
  - {{source: etc/motd, target: /etc/motd}}
  - {{source: run, target: /bin/run, mode: \"0755\"}}
directories:
  - {{path: /bin}}
links:
  - {{path: /bin/bash, to: sh}}
nodes:
  - {{path: /dev/sda, type: block, major: 8, minor: 0}}
"
    );
    let tree = with_recipe(&text, &[("recipes/more/etc/motd", ""), ("recipes/more/run", "")]);
    let plan = check(
        &tree,
        "initramfs x86_64-vtl2",
        expect![[r#"
        [
            "/bin/busybox: file of extract busybox-x86_64 busybox",
            "/bin/run: File(\"recipes/more/run\")",
            "/bin/sh: file of fetch shell",
            "/etc/motd: File(\"recipes/more/etc/motd\")",
            "/etc/vtl2-init.json: File(\"recipes/vtl2-init/vtl2-init.json\")",
            "/init: program of payload vtl2-init x86_64",
        ]
    "#]],
    );
    let Action::PackInitramfs { entries, .. } = &step(&plan, "initramfs x86_64-vtl2").action else {
        panic!()
    };
    let wanted = ["/bin", "/bin/bash", "/bin/run", "/bin/sh", "/dev/sda", "/etc/motd"];
    let shown: Vec<String> = wanted.iter().map(|path| format!("{path} {:?}", entries[*path])).collect();
    expect![[r#"
        [
            "/bin Directory { mode: FileMode(493) }",
            "/bin/bash Link { to: \"sh\" }",
            "/bin/run File { role: \"/bin/run\", mode: FileMode(493) }",
            "/bin/sh File { role: \"/bin/sh\", mode: FileMode(493) }",
            "/dev/sda Node(InitramfsNode { kind: Block, major: 8, minor: 0, mode: FileMode(384) })",
            "/etc/motd File { role: \"/etc/motd\", mode: FileMode(420) }",
        ]
    "#]]
    .assert_debug_eq(&shown);
    assert!(plan.steps.iter().all(|step| step.name != "fetch shell-arm"), "another architecture's");
}

#[test]
fn crates_from_elsewhere() {
    let cargo = |source: &str| {
        let text = format!(
            "cargo: {{source: {source}, package: tool, binary: tool, features: [a, b], install: /tool}}\n"
        );
        with_recipe(&text, &[("crates/tool/Cargo.toml", ""), ("crates/tool/Cargo.lock", "")])
    };
    let local = check(
        &cargo("{path: crates/tool}"),
        "payload more x86_64",
        expect![[r#"
        [
            "crate: Local(\"crates/tool\")",
        ]
    "#]],
    );
    assert!(!local.is_hermetic(PROFILE));
    assert!(step(&local, "kernel x86_64-vtl2").is_hermetic());
    let git = format!("{{git: {{url: https://example.org/tool.git, revision: {REVISION}}}}}");
    let git = check(
        &cargo(&git),
        "payload more x86_64",
        expect![[r#"
        [
            "crate: tree of fetch git 0123456789ab",
            "vendor: tree of vendor tool",
        ]
    "#]],
    );
    assert!(git.is_hermetic(PROFILE));
}
