//! The workflows before a judge that nobody here wrote, and the commands in them before the command line.

mod harness;

use std::{collections::BTreeSet, fs, path::PathBuf};

use harness::{Said, folder, judges::Judges, project, run, xtask};

fn workflows() -> Vec<PathBuf> {
    let files = fs::read_dir(project().join(".github/workflows")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn workflows_satisfy_actionlint() {
    let judges = Judges::install("actionlint", "tests/workflows/actionlint.txt");
    let judge = |files: &[PathBuf]| -> Said {
        // What else is on this machine doesn't matter.
        run(judges.program("actionlint").args(["-shellcheck=", "-pyflakes=", "-oneline"]).args(files))
    };
    let said = judge(&workflows());
    assert_eq!((said.status, said.stdout.as_str()), (0, ""), "{}", said.stderr);
    // A judge that is content with everything would be none.
    let folder = folder("workflows");
    for workflow in workflows() {
        let text = fs::read_to_string(&workflow).unwrap();
        let broken = folder.join(workflow.file_name().unwrap());
        fs::write(&broken, text.replace("needs.plan.outputs.matrix", "needs.plan.outputs.metrics")).unwrap();
        let said = judge(&[broken]);
        assert!(said.stdout.contains("\"metrics\""), "{}: {}", workflow.display(), said.stdout);
    }
}

/// Each `cargo xtask …` is understood, up to the point where it would begin.
#[test]
fn commands_of_workflows_are_those_of_the_command_line() {
    let mut commands = BTreeSet::new();
    for workflow in workflows() {
        let text = fs::read_to_string(&workflow).unwrap();
        for line in text.lines() {
            let Some((_, command)) = line.split_once("cargo xtask ") else { continue };
            let command = command.split([')', '|', '>']).next().unwrap();
            commands.insert(command.trim().replace('"', "").replace("$PROFILE", "x86_64-vtl2"));
        }
    }
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        run(xtask().args(&arguments)).expect(&command);
        // Help doesn't look at options behind it: an unknown one stands in front.
        arguments.insert(arguments.len() - 1, "--no-such-option");
        assert_eq!(run(xtask().args(&arguments)).status, 2, "{command}");
    }
}

#[test]
fn the_matrix_has_every_profile() {
    let said = run(xtask().args(["plan", "--all", "--format", "github"]).env("PATH", "")).expect("plan");
    assert_eq!(said.lines().count(), 1, "{said}");
    let matrix: serde_json::Value = serde_json::from_str(&said).unwrap();
    let jobs = matrix["include"].as_array().unwrap().iter();
    let named: BTreeSet<String> = jobs.map(|job| job["profile"].as_str().unwrap().to_owned()).collect();
    let files = fs::read_dir(project().join("profiles")).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    // A pair's parts are jobs of their own.
    let files =
        files.filter(|path| !fs::read_to_string(path).unwrap().lines().any(|line| line.starts_with("pair:")));
    let mut wanted: BTreeSet<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    for other in ["builder", "builder.lock", "pins"] {
        wanted.remove(other);
    }
    assert_eq!(named, wanted);
}
