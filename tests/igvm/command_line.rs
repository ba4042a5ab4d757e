//! What `cargo xtask igvm` and `measure` say, and what the build says of what can't be.

use super::*;

#[test]
fn files_are_shown_mapped_compared_and_taken_apart() {
    let project = Project::new("vtlforge-igvm-verbs", ALL);
    project.build().expect("a file for all platforms");
    let file = project.out().join("vtl2.igvm");
    let old = folder("igvm-old");
    for name in ["vtl2.igvm", "vtl2.map.json"] {
        fs::copy(project.out().join(name), old.join(name)).unwrap();
    }
    let before = old.join("vtl2.igvm");

    let shown = igvm(&["igvm", "show", text(&file)]).expect("show");
    for line in
        ["platform   sev-snp, highest VTL 2, shared from 0x400000000000, policy 0x3001f\n", " secrets\n"]
    {
        assert!(shown.contains(line), "no {line} in\n{shown}");
    }
    let shown = igvm(&["igvm", "show", text(&file), "--format", "json"]).expect("show as JSON");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["platforms"].as_array().unwrap().len(), 4);

    let map = igvm(&["igvm", "map", text(&file), "--format", "json"]).expect("map");
    let map: Vec<serde_json::Value> = serde_json::from_str(&map).unwrap();
    let address = |value: &serde_json::Value| {
        u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let starts: Vec<u64> = map.iter().map(|entry| address(&entry["start"])).collect();
    assert!(starts.is_sorted(), "{starts:?}");
    for entry in &map {
        let is_known =
            entry["role"].is_string() || entry["import"].is_object() || entry["import"] == "context";
        assert!(is_known, "a page without an origin: {entry}");
    }
    let of = |role: &str| map.iter().find(|entry| entry["role"] == role).unwrap();
    assert_eq!(of("kernel")["source"], "kernel");
    assert_eq!(of("reset-vector")["platforms"], serde_json::json!(["tdx"]));

    // Every byte of an artifact that the file holds is where the map says.
    let taken = old.join("taken");
    let role = |role: &str| {
        ["igvm", "extract", text(&file), "--role", role, "--out", text(&taken)].map(String::from)
    };
    run(xtask().args(role("initramfs"))).expect("extract");
    assert!(fs::read(&taken).unwrap() == fs::read(project.out().join("initramfs.cpio.zst")).unwrap());
    run(xtask().args(role("kernel"))).expect("extract");
    let kernel = fs::read(project.out().join("kernel")).unwrap();
    let offset = of("kernel")["source-offset"].as_u64().unwrap() as usize;
    assert!(fs::read(&taken).unwrap() == kernel[offset..]);

    let same = igvm(&["igvm", "diff", text(&before), text(&file)]);
    assert_eq!((same.status, same.stdout.as_str()), (0, ""));
    project.edit("    - noxsave\n", "    - noxsave\n    - quiet\n");
    project.build().expect("the same with another command line");
    let differs = igvm(&["igvm", "diff", text(&before), text(&file)]);
    assert_eq!(differs.status, 1);
    let lines: Vec<&str> = differs.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", differs.stdout);
    assert!(lines.iter().all(|line| line.ends_with("(command-line): 1 page, other contents")), "{lines:?}");

    let compared = igvm(&["measure", text(&before), "--compare", text(&file)]);
    assert_eq!(compared.status, 1);
    assert_eq!(
        compared.stdout.matches("(command-line): 1 page, other contents").count(),
        3,
        "{}",
        compared.stdout
    );
    assert_eq!(igvm(&["measure", text(&file), "--compare", text(&file)]).status, 0);

    for arguments in [&["measure", "x86_64-vtl2"][..], &["igvm", "map", "x86_64-vtl2"]] {
        let said = igvm(arguments);
        assert_eq!(said.status, 1);
        assert!(said.stderr.contains("makes out/x86_64-vtl2/vtl2.igvm"), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn names_say_whether_the_host_may_look_in() {
    let project = Project::new("vtlforge-igvm-debug", "igvm:\n  platforms: [sev-snp]\n  policy: debug\n");
    project.build().expect("a file for debugging");
    let mut names: Vec<String> = fs::read_dir(project.out())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("vtl2") || name.contains("measure"))
        .collect();
    names.sort();
    let wanted = ["measurements.json", "vtl2-debug.igvm", "vtl2-debug.map.json", "vtl2-debug.sev-snp.corim"];
    assert_eq!(names, wanted);
    let shown = igvm(&["igvm", "show", text(&project.out().join("vtl2-debug.igvm"))]).expect("show");
    assert!(shown.contains("policy 0xb001f (debug)"), "{shown}");
}

#[test]
fn what_does_not_fit_is_told_with_a_table() {
    let project = Project::new("vtlforge-igvm-fit", "igvm:\n  reserve: 1GiB\n");
    let said = project.build();
    assert_eq!(said.status, 1, "{}", said.stdout);
    for part in [
        "kernel and payload don't fit into the memory that the profile gives VTL2",
        "kernel, as it runs",
        "initramfs, unpacked",
        "512.0 MiB",
        "smallest that would do",
        "`device-tree.memory`",
    ] {
        assert!(said.stderr.contains(part), "no {part} in\n{}", said.stderr);
    }
    assert!(!project.out().exists(), "nothing half-written");
}

#[test]
fn foreign_files_are_refused_with_the_reason() {
    let good = fs::read(harness::built("x86_64-vtl2").join("vtl2.igvm")).unwrap();
    let path = folder("igvm-foreign").join("file.igvm");
    let refused = |bytes: &[u8], reason: &str| {
        fs::write(&path, bytes).unwrap();
        for verb in [&["igvm", "show"][..], &["igvm", "map"], &["measure"]] {
            let said = run(xtask().args(verb).arg(&path));
            assert_eq!(said.status, 1, "{reason}: {}", said.stdout);
            assert!(said.stderr.contains(reason), "no {reason} in {}", said.stderr);
            assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
        }
    };
    refused(b"", "it is no IGVM file");
    refused(&good[..good.len() - 1], "the header says");
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    refused(&changed(0, 1), "it is no IGVM file");
    refused(&changed(40, 1), "the checksum of the headers is");
    refused(&changed(15, 0x40), "the headers are to lie from byte");
}
