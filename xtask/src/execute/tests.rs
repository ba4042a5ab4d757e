//! Small plans of steps that need no tool, carried out: what runs, what is reused, what is left behind.

use std::{collections::BTreeMap, fs, path::Path, sync::atomic::Ordering};

use super::*;
use crate::{
    plan::{Action, EspFile, Plan, Source, Step, key},
    profile::{
        Arch, ByteSize, Vtl,
        device_tree::{DeviceTree, Dialect, Machine},
        spec::DeviceTreeSpec,
    },
};

const DISK_BYTES: u64 = 40 << 20;

fn context(folder: &Path) -> Context {
    let store = Store::at(&folder.join("store"));
    store.create().unwrap();
    Context {
        root: folder.to_path_buf(),
        memo: FileMemo::load(&store.memo_dir(), false),
        tools: Tools::new(folder, &store.memo_dir(), false).unwrap(),
        store,
        reporter: Arc::new(Reporter::hidden()),
        jobs: 2,
        offline: true,
        mirrors: Vec::new(),
        remote: None,
        cancelled: Arc::default(),
    }
}

fn step(name: &str, action: Action, inputs: &[(&str, Source)]) -> Step {
    let inputs = inputs.iter().map(|(role, source)| (role.to_string(), source.clone())).collect();
    Step { name: name.to_string(), action, inputs, tools: Vec::new() }
}

fn output(step: usize, output: &str) -> Source {
    Source::Output { step, output: output.to_string() }
}

/// A device tree; a disk with it and the project's file `note`; that disk as VHD.
fn plan(disk_bytes: u64) -> Plan {
    let device_tree = Action::EmitDtb {
        arch: Arch::X86_64,
        vtl: Vtl::Vtl2,
        described: Box::new(DeviceTreeSpec {
            machine: Machine::HypervVtl2,
            dialect: Dialect::Mainline,
            cpus: Some(1),
            memory: Some(ByteSize(512 << 20)),
            details: DeviceTree::default(),
        }),
        command_line: String::new(),
    };
    let esp = ["dtb", "note"].map(|role| (format!("{role}.bin"), EspFile::Input(role.to_string())));
    let profile = "demo".to_string();
    let disk = Action::PackDisk {
        profile: profile.clone(),
        size_bytes: disk_bytes,
        label: "ESP".to_string(),
        esp: esp.into(),
    };
    let vhd = Action::PackVhd { profile, size_bytes: disk_bytes };
    let note = ("note", Source::File("note".to_string()));
    let steps = vec![
        step("dtb", device_tree, &[]),
        step("disk", disk, &[("dtb", output(0, "platform.dtb")), note]),
        step("vhd", vhd, &[("disk", output(1, "disk.raw"))]),
    ];
    Plan { steps, artifacts: Vec::new() }
}

/// A project with a note.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("note"), "one").unwrap();
    folder
}

/// Carries the plan out in a new process's place; which steps ran, by name.
#[track_caller]
fn check(folder: &Path, plan: &Plan, ran: &[&str]) -> Outcomes {
    let context = context(folder);
    let mut last = LastBuild::load(&context.store.memo_dir());
    let outcomes = execute(&context, plan, &mut last).unwrap_or_else(|error| panic!("{error:#}"));
    let steps = plan.steps.iter().zip(&outcomes.0);
    let names: Vec<&str> =
        steps.filter(|(_, outcome)| outcome.ran.is_some()).map(|(step, _)| step.name.as_str()).collect();
    assert_eq!(names, ran);
    assert_eq!((outcomes.built(), outcomes.reused()), (ran.len(), plan.steps.len() - ran.len()));
    outcomes
}

/// Carries the plan out, which must fail; the error with its causes.
fn fail(context: &Context, plan: &Plan) -> anyhow::Error {
    let mut last = LastBuild::load(&context.store.memo_dir());
    match execute(context, plan, &mut last) {
        Ok(_) => panic!("that can't be built"),
        Err(error) => error,
    }
}

fn work_folders(context: &Context) -> usize {
    let entries = fs::read_dir(context.store.root().join("work")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir()).count()
}

fn damage(folder: &Path, outcome: &Outcome, name: &str) {
    let path = Store::at(&folder.join("store")).output_path(&outcome.key, name);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "damaged").unwrap();
}

fn forget(folder: &Path, outcome: &Outcome) {
    fs::remove_dir_all(Store::at(&folder.join("store")).step_dir(&outcome.key)).unwrap();
}

#[test]
fn only_what_changed_runs_again() {
    let project = project();
    let folder = project.path();
    let plan = plan(DISK_BYTES);
    check(folder, &plan, &["dtb", "disk", "vhd"]);
    let Outcomes(outcomes) = check(folder, &plan, &[]);
    // The same bytes as before: nothing after it runs.
    forget(folder, &outcomes[0]);
    check(folder, &plan, &["dtb"]);
    fs::write(folder.join("note"), "two").unwrap();
    check(folder, &plan, &["disk", "vhd"]);
    fs::write(folder.join("note"), "one").unwrap();
    check(folder, &plan, &[]);
}

#[test]
fn what_is_damaged_is_made_again_when_it_is_needed() {
    let project = project();
    let folder = project.path();
    let plan = plan(DISK_BYTES);
    let Outcomes(outcomes) = check(folder, &plan, &["dtb", "disk", "vhd"]);
    damage(folder, &outcomes[0], "platform.dtb");
    check(folder, &plan, &[]);
    forget(folder, &outcomes[1]);
    let Outcomes(mended) = check(folder, &plan, &["dtb", "disk"]);
    assert_eq!(mended[1].record, outcomes[1].record);
    // Two at once: the second shows when the first is mended.
    damage(folder, &outcomes[0], "platform.dtb");
    damage(folder, &outcomes[1], "disk.raw");
    forget(folder, &outcomes[2]);
    check(folder, &plan, &["dtb", "disk", "vhd"]);
}

#[test]
fn a_failure_names_its_step_and_leaves_the_rest_in_order() {
    let project = project();
    let context = context(project.path());
    // FAT32 needs more.
    let error = format!("{:#}", fail(&context, &plan(2 << 20)));
    assert!(error.starts_with("step `disk` failed: "), "{error}");
    assert_eq!(work_folders(&context), 0);
    check(project.path(), &plan(DISK_BYTES), &["disk", "vhd"]);
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let project = project();
    fs::remove_file(project.path().join("note")).unwrap();
    let context = context(project.path());
    let error = format!("{:#}", fail(&context, &plan(DISK_BYTES)));
    let note = project.path().join("note");
    assert_eq!(error, format!("can't read {}: No such file or directory (os error 2)", note.display()));
}

/// What was read is not what the key says: such an entry would be wrong for ever.
#[test]
fn an_input_that_changes_meanwhile_fails_the_step() {
    let project = project();
    let context = context(project.path());
    let plan = plan(DISK_BYTES);
    let Outcomes(outcomes) = check(project.path(), &plan, &["dtb", "disk", "vhd"]);
    let parts = &outcomes[1].parts;
    let mut inputs = parts.inputs().clone();
    inputs.insert("note".to_string(), Digest::of(b"what it was when the key was made"));
    let parts = KeyParts::new(&plan.steps[1], inputs, BTreeMap::new());
    let key = key(&parts);
    let upstream = [(0, (outcomes[0].key, outcomes[0].record.clone()))].into();
    let error = run::step(&context, &plan, 1, parts, &[], &upstream).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "step `disk` failed: note was changed while the step read it\n  hint: build again"
    );
    assert_eq!(context.store.get(&key).unwrap(), None);
    assert_eq!(work_folders(&context), 0);
}

/// A mistake of ours in one step must not leave the build waiting for it.
#[test]
fn a_step_that_panics_ends_the_build() {
    let project = project();
    let context = context(project.path());
    let mut plan = plan(DISK_BYTES);
    plan.steps[2].inputs.clear();
    let error = format!("{:#}", fail(&context, &plan));
    assert!(error.starts_with("step `vhd` panicked"), "{error}");
    assert_eq!(work_folders(&context), 0);
}

#[test]
fn a_build_that_is_stopped_says_so_and_goes_on_the_next_time() {
    let project = project();
    let context = context(project.path());
    context.cancelled.store(true, Ordering::Relaxed);
    assert!(fail(&context, &plan(DISK_BYTES)).is::<Cancelled>());
    assert_eq!(work_folders(&context), 0);
    check(project.path(), &plan(DISK_BYTES), &["dtb", "disk", "vhd"]);
}
