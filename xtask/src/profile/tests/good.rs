//! What a good tree comes to: order, precedence, defaults, places, explanations.

use document::{Problems, Value};
use expect_test::{Expect, expect};

use super::{BASE, DEMO, GOOD, INIT, PARA, PINS, TOOLS, good};
use crate::profile::{
    ByteSize, FileMode, GitRevision, GitUrl, InstallPath, LinuxVersion, Name, RelativePath, Url, explain,
    load, rust_packages,
    types::{Console, KernelSource, Vtl},
};

/// What `explain` says about a key of the VTL0 profile.
fn explained(key: &str, wanted: Expect) {
    let spec = good().spec("demo");
    wanted.assert_eq(&explain(&spec, key).unwrap_or_else(|message| message));
}

#[test]
fn everything() {
    explained(
        "",
        expect![[r#"
            name: demo                                   # the name of profiles/demo.yaml
            description: A guest.                        # profiles/demo.yaml:1:14
            arch: x86_64                                 # profiles/layers/base.yaml:1:7
            vtl: 0                                       # profiles/demo.yaml:3:6
            firmware: uefi                               # profiles/demo.yaml:4:11
            console: ttyS0                               # profiles/layers/base.yaml:2:10
            kernel:
              source:
                pin: linux                               # profiles/demo.yaml:6:17
              patches: []                                # default
              fragments:
                - core                                   # profiles/layers/base.yaml:4:15
                - guest                                  # profiles/demo.yaml:7:15
              command-line:
                - console=ttyS0,115200n8                 # from `console`, profiles/layers/base.yaml:2:10
                - panic=-1                               # profiles/demo.yaml:8:18
            payload:
              recipes:
                - init                                   # profiles/layers/base.yaml:6:13
              compression-level: 19                      # default
            disk:
              size: 300MiB                               # profiles/demo.yaml:10:9
              label: DEMO                                # profiles/demo.yaml:11:10
              efi-stub: stub                             # profiles/layers/base.yaml:8:13
              formats:
                - vhd                                    # default
                - vhdx                                   # default
                - qcow2                                  # default
              qcow2-compression: none                    # default
            release:
              packing: zstd                              # default
        "#]],
    );
}

#[test]
fn one_value() {
    explained(
        "kernel.fragments.1",
        expect![[r#"
        kernel.fragments.1: guest                    # profiles/demo.yaml:7:15
    "#]],
    );
}

#[test]
fn a_default() {
    explained(
        "payload.compression-level",
        expect![[r#"
        payload.compression-level: 19                # default
    "#]],
    );
}

#[test]
fn a_list_with_the_derived_console() {
    explained(
        "kernel.command-line",
        expect![[r#"
        kernel.command-line:
          - console=ttyS0,115200n8                   # from `console`, profiles/layers/base.yaml:2:10
          - panic=-1                                 # profiles/demo.yaml:8:18
    "#]],
    );
}

#[test]
fn unknown_keys() {
    explained(
        "kernel.comand-line",
        expect!["`kernel` has no key `comand-line`; did you mean `command-line`?"],
    );
    explained(
        "kernel.fragments.7",
        expect!["`kernel.fragments` has no key `7`: it is a list of 2, counted from 0"],
    );
    explained("disc", expect!["a profile has no key `disc`; did you mean `disk`?"]);
    explained(
        "platform",
        expect![
            "a profile has no key `platform`, only `name`, `description`, `arch`, `vtl`, `firmware`, `console`, `kernel`, `payload`, `disk` and `release`"
        ],
    );
}

#[test]
fn explanation_is_yaml_of_the_same_value() {
    for spec in good().edit(DEMO, "A guest.", "\"yes: a 'guest' # 1\"").specs() {
        let text = explain(&spec, "").expect("the whole is there");
        let read: serde_json::Value = serde_yaml::from_str(&text).expect("it is YAML");
        assert_eq!(read, serde_json::to_value(&spec).expect("a spec serialises"));
    }
}

#[test]
fn layers_apply_in_order_and_the_profile_last() {
    let spec = good()
        .edit(DEMO, "inherit: [base]", "inherit: [base, late]\nconsole: ttyS0")
        .write(
            "profiles/layers/late.yaml",
            "inherit: [early]\ndescription: x\nkernel: {fragments: [three]}\nvtl: 2\nconsole: ttyS2\n",
        )
        .write("profiles/layers/early.yaml", "kernel: {fragments: [two]}\n")
        .write("configs/two.config", "")
        .write("configs/three.config", "")
        .spec("demo");
    assert_eq!(spec.kernel.fragments, ["core", "two", "three", "guest"]);
    assert_eq!((spec.vtl, spec.console), (Vtl::Vtl0, Console::TtyS0));
    assert_eq!(spec.description, "A guest.");
    let place = |key| spec.origin(key).map(ToString::to_string).unwrap_or_default();
    assert_eq!(place("vtl"), "profiles/demo.yaml:4:6");
    assert_eq!(place("kernel.fragments.1"), "profiles/layers/early.yaml:1:22");
}

#[test]
fn a_source_replaces_the_source_of_a_layer_whole() {
    let spec = good()
        .edit(BASE, "kernel:\n", "kernel:\n  source: {pin: nothing}\n")
        .edit(DEMO, "{pin: linux}", "{path: linux}")
        .write("linux/Makefile", "")
        .spec("demo");
    assert!(matches!(spec.kernel.source, KernelSource::Path(path) if path.as_str() == "linux"));
    assert!(spec.kernel.pin.is_none());
}

#[test]
fn defaults() {
    let spec = good()
        .edit(DEMO, "  size: 300MiB\n  label: DEMO\n", "  size: 256MiB\n")
        .edit(PARA, "  cpus: 4\n  memory: 1GiB\n", "")
        .spec("para");
    let tree = spec.device_tree.expect("VTL2 has a device tree");
    assert_eq!((tree.cpus, tree.memory), (Some(2), Some(ByteSize(512 << 20))));
    assert_eq!((spec.disk.size_bytes, spec.disk.label.as_str()), (256 << 20, "ESP"));
    assert_eq!(spec.payload.compression_level, 19);
    assert_eq!(spec.kernel.command_line, "console=ttyS0,115200n8 noxsave");
}

#[test]
fn prebuilt_programs_of_the_other_architecture_are_left_out() {
    let other = "prebuilt:\n  - arch: aarch64\n    url: https://example.org/tool-arm\n    sha256: aa44444444444444444444444444444444444444444444444444444444444444\n    install: /usr/bin/tool\n";
    let spec = good().edit(BASE, "[init]", "[init, tools]").edit(TOOLS, "prebuilt:\n", other).spec("demo");
    let (name, tools) = &spec.payload.recipes[1];
    let prebuilt = tools.prebuilt.as_deref().unwrap_or_default();
    assert_eq!((name.as_str(), prebuilt.len()), ("tools", 1));
    assert_eq!(prebuilt[0].url.as_str(), "https://example.org/tool-1.0");
}

#[test]
fn recipes_may_share_a_folder() {
    good()
        .edit(BASE, "[init]", "[init, tools]")
        .edit(INIT, "install: /init", "install: /init\ndirectories: [{path: /var}]")
        .specs();
}

#[test]
fn recipes_of_other_origins() {
    let source = "cargo:\n  source: {git: {url: ssh://git@example.org/init.git, revision: aa11111111111111111111111111111111111111}}\n";
    good().edit(INIT, "cargo:\n", source).specs();
}

#[test]
fn windows_line_ends_and_byte_order_mark() {
    let text = format!("\u{feff}{}", GOOD[0].1.replace('\n', "\r\n"));
    let spec = good().write(DEMO, text).spec("demo");
    assert_eq!(spec.origin("vtl").map(ToString::to_string).unwrap_or_default(), "profiles/demo.yaml:3:6");
}

#[test]
fn rust_packages_in_their_order() {
    let tree = good().edit(PINS, "pins:\n", "rust-for-aarch64: [stub, linux]\npins:\n");
    let packages = rust_packages(&tree.0).expect("the pins are good");
    let names: Vec<_> = packages.iter().map(|(name, deb)| (name.as_str(), deb.package.as_str())).collect();
    assert_eq!(names, [("stub", "stubs"), ("linux", "linux-source")]);
    assert!(rust_packages(&good().0).expect("the pins are good").is_empty());
}

#[test]
fn profiles_by_name() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let tree = good().edit(DEMO, "vtl: 0", "vtl: 9");
    let specs = load(&tree.0, &names(&["para"])).expect("para is good, and nobody asked for demo");
    assert_eq!(specs.len(), 1);
    let problems = load(&tree.0, &names(&["demo", "parra"])).expect_err("one is bad, one isn't there");
    expect![[r#"
        profiles: there is no profile `parra`, only `demo` and `para`
          hint: did you mean `para`?
        profiles/demo.yaml:3:6: `vtl`: `9` is not known here, expected `0` or `2`
         3 | vtl: 9
           |      ^
        2 problems"#]]
    .assert_eq(&problems.to_string());
}

/// Whether YAML's core schema reads an unquoted scalar as a string.
#[test]
fn plain_scalars() {
    for text in [
        "yes",
        "on",
        "no",
        "7.3.4",
        "1_000",
        "0b1",
        "12:30",
        "1e",
        "0x",
        "-",
        "v1",
        "2026-01-31",
        "+",
        ".",
        "e3",
    ] {
        assert_eq!(Value::plain(text), Value::String(text.to_owned()), "{text}");
    }
    for text in
        ["0", "-1", "+1", "007", "0o17", "0xfF", "1.5", ".5", "1.", "1e3", "-1.5E-3", ".inf", "-.INF", ".nan"]
    {
        assert_eq!(Value::plain(text), Value::Number(text.to_owned()), "{text}");
    }
    assert_eq!([Value::plain("True"), Value::plain("~")], [Value::Bool(true), Value::Null]);
    assert_eq!([Value::plain("0o17").integer(), Value::plain("0xfF").integer()], [Some(15), Some(255)]);
}

/// Texts that a type takes, and texts that it doesn't.
fn texts<T>(parse: fn(&str) -> Option<T>, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(parse(text).is_some(), "{text:?} should be fine");
    }
    for text in bad {
        assert!(parse(text).is_none(), "{text:?} should be refused");
    }
}

#[test]
fn words() {
    texts(
        Name::parse,
        &["a", "linux-7.3", "x86_64", "libstdc++6"],
        &["", ".a", "a..b", "a/b", "-a", "a.", "ä", "a\n"],
    );
    texts(
        RelativePath::parse,
        &["a", "a/b.c", ".config", "a/..b", "..."],
        &["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a b", "a\n"],
    );
    texts(
        InstallPath::parse,
        &["/init", "/usr/bin/a"],
        &["", "/", "init", "/a/", "/a/../b", "//a", "/a b", "/a\n"],
    );
    texts(
        Url::parse,
        &["https://h/f", "http://h:80/f@2", "file:///f"],
        &["https://h", "ftp://h/f", "https://u:p@h/f", "file://f", "https://h/a b", "h/f"],
    );
    texts(
        GitUrl::parse,
        &["ssh://git@h/r", "git://h/r", "https://h/r.git"],
        &["git@h:r", "https://u@h/r", "r"],
    );
    texts(LinuxVersion::parse, &["7.3", "7.3.4", "7.4-rc1"], &["7", "v7.3", "7.3.4-1", "7.3rc1"]);
    texts(FileMode::parse, &["0644", "4755"], &["644", "0888", "0o644", "+644"]);
    let digits = "a".repeat(40);
    texts(GitRevision::parse, &[&digits], &[&digits[1..], "HEAD", &"A".repeat(40), &"a".repeat(41)]);
}

/// Should the checker ever let something pass that its type refuses, the place is still known.
#[test]
fn typed_failures_have_a_place() {
    let mut problems = Problems::default();
    let node =
        document::parse(&"a.yaml".into(), b"list:\n  - ok\n  - not ok\n", &mut problems).expect("it is YAML");
    let failure = node.to::<std::collections::BTreeMap<Name, Vec<Name>>>().expect_err("that is no name");
    assert_eq!(failure.origin.to_string(), "a.yaml:3:5");
}
