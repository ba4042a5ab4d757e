//! Small Kconfig files, right and wrong, before conf of Linux 7.3: those of kconfig/tests/cases, and trees by chance.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kconfig::{Probes, Silent, parse};

use super::{
    cases::{self, Case, Outcome},
    harness::{self, Random, is_exhaustive},
    judge, kernels,
    ours::{Reading, refusal},
    question::{Answer, Mode, Question},
    trees,
};

const SEED: u64 = 0x74_7265_6573;

/// The answers in the files are conf's, not somebody's idea of them. `UPDATE_EXPECT=1` writes them anew.
#[test]
fn cases_hold_what_conf_says() {
    let (conf, root) = (conf(), harness::folder("kconfig-cases"));
    let mut total = 0;
    for file in cases::files(&harness::project().join("kconfig/tests/cases")) {
        let text = fs::read_to_string(&file).unwrap();
        let (answered, count) = cases::answered(&text, |case| judged(&conf, &root, case));
        expect_test::expect_file![file].assert_eq(&answered);
        total += count;
    }
    eprintln!("{total} cases");
}

fn judged(conf: &Path, root: &Path, case: &Case) -> Outcome {
    let mode = Mode::parse(case.mode()).unwrap_or_else(|| panic!("{}: mode {}", case.name, case.mode()));
    let question = Question::new(mode, case.request().map(String::into_bytes));
    let answer = ask(conf, &root.join("case"), &case.files(), case.variables().collect(), &question);
    let written = String::from_utf8(answer.config.unwrap_or_default()).unwrap();
    Outcome {
        is_refused: answer.status != 0,
        stdout: answer.stdout,
        stderr: answer.stderr,
        written: cases::without_heading(&written),
    }
}

#[test]
fn trees_by_chance_agree() {
    let (conf, folder) = (conf(), harness::folder("kconfig-trees"));
    let mut random = Random::new(SEED);
    let count = if is_exhaustive() { 20_000 } else { 400 };
    let (mut refused, mut differences) = (0, Vec::new());
    for number in 0..count {
        let files = BTreeMap::from([("Kconfig".to_string(), trees::tree(&mut random))]);
        let question = trees::question(&mut random, number);
        let mut theirs = ask(&conf, &folder.join("tree"), &files, BTreeMap::new(), &question);
        // A remark on standard output whenever it simplifies such an expression.
        let is_remark = |line: &&str| line.starts_with("boolean symbol ") && line.contains("tested for 'm'?");
        theirs.stdout = theirs.stdout.split_inclusive('\n').filter(|line| !is_remark(line)).collect();
        let ours = answer(&files, &mut Silent, &question);
        refused += usize::from(theirs.status != 0);
        if ours != theirs {
            let kept = folder.join(format!("differs-{number}"));
            fs::create_dir_all(&kept).unwrap();
            fs::write(kept.join("Kconfig"), &files["Kconfig"]).unwrap();
            question
                .input
                .iter()
                .for_each(|input| fs::write(kept.join(question.input_name()), input).unwrap());
            let (kept, mode) = (kept.display(), question.mode.option());
            differences.push(format!("== {kept}: {mode}\n{}", ours.difference(&theirs)));
        }
    }
    let found = differences.len();
    eprintln!("{count} trees: {refused} refused, {found} differences");
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n"));
    assert!(
        (count / 50..count / 2).contains(&refused),
        "a sample of right and wrong trees: {refused} of {count}"
    );
}

/// conf of the newest kernel.
fn conf() -> PathBuf {
    kernels::all().iter().find(|kernel| kernel.version == "7.3").expect("Linux 7.3").judge.program()
}

fn ask(
    conf: &Path,
    folder: &Path,
    files: &BTreeMap<String, String>,
    variables: BTreeMap<&str, String>,
    question: &Question,
) -> Answer {
    let _ = fs::remove_dir_all(folder);
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut conf = Command::new(conf);
    conf.env_clear().envs(variables).env("PATH", "/usr/bin:/bin");
    judge::ask(&mut conf, folder, question, "")
}

fn answer(files: &BTreeMap<String, String>, probes: &mut dyn Probes, question: &Question) -> Answer {
    match parse("Kconfig", files, probes) {
        Ok((graph, messages)) => Reading { graph, messages, defaults: None }.answer(question),
        Err(rejected) => refusal(&rejected),
    }
}
