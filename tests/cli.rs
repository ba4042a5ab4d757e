//! Whole runs of the command line, as people see them: exit status, standard output, standard error.
//! `UPDATE_EXPECT=1 cargo test -p xtask --test cli` writes the snapshots anew.

#[path = "cli/device_trees.rs"]
mod device_trees;
#[path = "cli/diff.rs"]
mod diff;
#[path = "cli/guide.rs"]
mod guide;
mod harness;
#[path = "cli/images.rs"]
mod images;
#[path = "cli/kconfig.rs"]
mod kconfig;
#[path = "cli/lint.rs"]
mod lint;
#[path = "cli/lint_mistakes.rs"]
mod lint_mistakes;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/own_project.rs"]
mod own_project;
#[path = "cli/projects.rs"]
mod projects;
#[path = "cli/questions.rs"]
mod questions;
#[path = "cli/rules.rs"]
mod rules;

use std::{collections::BTreeSet, fs, path::Path};

use expect_test::{Expect, expect, expect_file};
use harness::Said;
use own_project::{Edit, OwnProject};

/// One run in a project of its own.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    edits: &'static [Edit],
    expected: Expect,
}

fn check(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let said = OwnProject::new(case.edits).run(case.arguments);
        assert!(!said.stderr.contains("panicked"), "{}: {}", case.name, said.stderr);
        case.expected.assert_eq(&shown(&said));
    }
}

fn shown(said: &Said) -> String {
    let mut text = format!("status {}\n", said.status);
    for (name, content) in [("stdout", &said.stdout), ("stderr", &said.stderr)] {
        if !content.is_empty() {
            text += &format!("--- {name}\n{content}");
        }
    }
    text
}

const VERBS: [&[&str]; 39] = [
    &[],
    &["build-image"],
    &["plan"],
    &["boot"],
    &["verify"],
    &["explain"],
    &["config"],
    &["config", "check"],
    &["config", "lint"],
    &["config", "resolve"],
    &["config", "diff"],
    &["fdt"],
    &["fdt", "show"],
    &["fdt", "check"],
    &["fdt", "diff"],
    &["igvm"],
    &["igvm", "show"],
    &["igvm", "map"],
    &["igvm", "diff"],
    &["igvm", "extract"],
    &["image"],
    &["image", "inspect"],
    &["image", "convert"],
    &["measure"],
    &["doctor"],
    &["release"],
    &["release", "check"],
    &["provision"],
    &["provision", "qemu"],
    &["provision", "hyperv"],
    &["provision", "azure"],
    &["provision", "azure", "upload"],
    &["provision", "azure", "image"],
    &["pins"],
    &["pins", "update"],
    &["pins", "lock"],
    &["schema"],
    &["test"],
    &["bench"],
];

#[test]
fn help_of_every_verb() {
    let project = OwnProject::new(&[]);
    let mut text = String::new();
    for verb in VERBS {
        let arguments: Vec<&str> = verb.iter().copied().chain(["--help"]).collect();
        let said = project.run(&arguments);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{arguments:?}");
        // Clap leaves spaces at the end of some lines.
        let lines: String = said.stdout.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        text += &format!("$ cargo xtask {}\n{lines}\n", arguments.join(" "));
    }
    expect_file!["cli/help.txt"].assert_eq(&text);
}

#[test]
fn every_verb_is_in_the_snapshot_of_help() {
    let top = OwnProject::new(&[]).run(&["--help"]).expect("--help");
    let listed = top.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let listed: BTreeSet<&str> = listed.filter(|verb| *verb != "help").collect();
    assert_eq!(listed, VERBS.iter().filter_map(|verb| verb.first().copied()).collect());
}

#[test]
fn looking_verbs_leave_nothing_behind() {
    let project = OwnProject::new(&[]);
    let before = files(&project.root());
    for arguments in [
        &["plan", "mine"][..],
        &["plan", "mine", "--format", "json"],
        &["explain", "mine"],
        &["explain", "mine", "CONFIG_SMP"],
        &["explain", "mine", "kernel mine"],
        &["fdt", "show", "x86_64-vtl2"],
        &["fdt", "check", "x86_64-vtl2"],
        &["fdt", "diff", "x86_64-vtl2", "x86_64-vtl2"],
    ] {
        project.run(arguments).expect(&arguments.join(" "));
        assert!(!project.store().exists(), "{arguments:?} made a store");
        assert_eq!(files(&project.root()), before, "{arguments:?} changed the project");
    }
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    entries.map(|entry| entry.path().display().to_string()).collect()
}

#[test]
fn outside_of_a_project() {
    let project = OwnProject::new(&[]);
    let outside = project.root().parent().unwrap().to_path_buf();
    expect![[r#"
        status 1
        --- stderr
        error: TMP is in no vtlforge project: no folder above has profiles/pins.yaml
    "#]]
    .assert_eq(&shown(&project.run_in(&outside, &["plan"])));
    let inside = project.root().join("recipes/vtl2-init");
    let from_below = project.run_in(&inside, &["explain", "mine"]).expect("from a folder below");
    assert_eq!(from_below, project.run(&["explain", "mine"]).expect("from the top"));
}

#[test]
fn a_store_that_is_a_file_is_told_before_anything_else_is_done() {
    let project = OwnProject::new(&[]);
    fs::write(project.store(), "mine").unwrap();
    let planned = shown(&project.run(&["plan", "mine"]));
    expect![[r#"
        status 1
        --- stderr
        error: the store can't be here: TMP/store is no folder
          hint: choose another place with --store DIR
    "#]]
    .assert_eq(&planned);
    assert_eq!(shown(&project.run(&["build-image", "mine", "--offline"])), planned);
}

#[test]
fn an_output_folder_that_is_a_file_is_told_before_the_build() {
    let project = OwnProject::new(&[]);
    fs::write(project.root().join("out"), "mine").unwrap();
    let said = project.run(&["build-image", "mine", "--jobs", "1"]);
    expect![[r#"
        status 1
        --- stderr
        error: can't make TMP/project/out: File exists (os error 17)
          hint: choose another place with --out DIR
    "#]]
    .assert_eq(&shown(&said));
}

#[test]
fn the_plan_as_json_is_whole_and_sorted() {
    let project = OwnProject::new(&[]);
    let text = project.run(&["plan", "mine", "--format", "json"]).expect("plan");
    assert!(
        !text.contains("TMP/") && !text.contains("\"TMP\""),
        "a plan holds no path of this machine: {text}"
    );
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let names: BTreeSet<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), steps.len(), "names of steps are unique");
    for (number, step) in steps.iter().enumerate() {
        assert_eq!(step["number"], number);
        assert!(step["action"]["kind"].is_string(), "{step}");
        for (role, source) in step["inputs"].as_object().unwrap() {
            if let Some(output) = source.get("output") {
                let from = output["step"].as_u64().unwrap() as usize;
                assert!(from < number, "{} reads {role} of a later step", step["name"]);
            }
        }
        let has_key = step["key"] == "DIGEST";
        assert_eq!(has_key, step["status"] == "run", "{step}");
        assert!(has_key || step["status"] == "unknown", "{step}");
    }
    let artifacts = plan["artifacts"].as_array().unwrap();
    let named: BTreeSet<&str> = artifacts.iter().map(|artifact| artifact["name"].as_str().unwrap()).collect();
    let wanted = [
        "disk.qcow2",
        "disk.raw",
        "disk.vhd",
        "disk.vhdx",
        "initramfs.cpio.zst",
        "kernel",
        "kernel.config",
        "uki.efi",
        "vmlinux",
    ];
    assert_eq!(named, wanted.into());
    assert!(artifacts.iter().all(|artifact| (artifact["step"].as_u64().unwrap() as usize) < steps.len()));
}

#[test]
fn the_plan_as_a_graph_joins_nodes_that_are_there() {
    let project = OwnProject::new(&[]);
    let text = project.run(&["plan", "mine", "--format", "dot"]).expect("plan");
    let json = project.run(&["plan", "mine", "--format", "json"]).expect("plan");
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    let body =
        text.strip_prefix("digraph plan {\n").and_then(|rest| rest.strip_suffix("}\n")).expect("a graph");
    let (mut nodes, mut ends, mut steps) = (BTreeSet::new(), BTreeSet::new(), 0);
    for line in body.lines().skip(2) {
        let statement = line.trim().strip_suffix(';').unwrap_or_else(|| panic!("no end: {line}"));
        assert_eq!(statement.matches('"').count() % 2, 0, "{line}");
        let (statement, attributes) = match statement.split_once(" [") {
            Some((statement, attributes)) => (statement, attributes),
            None => (statement, "]"),
        };
        assert!(attributes.ends_with(']'), "{line}");
        match statement.split_once(" -> ") {
            Some((from, to)) => ends.extend([from.to_string(), to.to_string()]),
            None => _ = nodes.insert(statement.to_string()),
        }
        steps += usize::from(attributes.contains("fillcolor=l") && statement.starts_with('s'));
    }
    assert_eq!(steps, plan["steps"].as_array().unwrap().len(), "{text}");
    assert!(ends.is_subset(&nodes), "edges to nowhere: {:?}", ends.difference(&nodes));
}

#[test]
fn json_events_of_a_build_that_fails() {
    let said = OwnProject::new(&[]).run(&["build-image", "mine", "--offline", "--json"]);
    assert_eq!(said.status, 1);
    let events: Vec<serde_json::Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.last().expect("an event");
    assert_eq!(last["event"], "failed");
    assert!(said.stderr.contains(last["error"].as_str().unwrap()), "{last}");
}
