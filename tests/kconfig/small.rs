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
    judge, kernels, mutation,
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
    let mut random = Random::new(SEED);
    let count = if is_exhaustive() { 20_000 } else { 400 };
    check("trees", count, |number| {
        let files = BTreeMap::from([("Kconfig".to_string(), trees::tree(&mut random))]);
        (files, trees::question(&mut random, number))
    });
}

/// Mistakes by chance in the cases.
#[test]
fn mistakes_by_chance_agree() {
    let mut cases = Vec::new();
    for file in cases::files(&harness::project().join("kconfig/tests/cases")) {
        cases.extend(cases::read(&fs::read_to_string(&file).unwrap()));
    }
    cases.retain(|case| case.files().values().all(|text| is_fit(text)));
    let mut random = mutation::Random::new(SEED);
    let count = if is_exhaustive() { 40_000 } else { 800 };
    check("mistakes", count, |_| {
        let case = random.pick(&cases);
        let mut files = case.files();
        let mutated = mutation::mutate(&mut random, &files["Kconfig"]);
        files.insert("Kconfig".into(), mutated);
        let request = case.request().unwrap_or_else(|| "CONFIG_A=y\nCONFIG_B=7\n".into());
        (files, Question::new(Mode::OldDefault, Some(request.into_bytes())))
    });
}

/// The same in files of the kernel, each read alone.
#[test]
fn mistakes_in_files_of_the_kernel_agree() {
    let tree = &kernels::newest().tree;
    let entries = walkdir::WalkDir::new(tree).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
    let names = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("Kconfig"));
    let texts = names
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let texts: Vec<String> =
        texts.filter(|text| is_fit(text)).filter(|text| !text.contains("source")).collect();
    let mut random = mutation::Random::new(SEED);
    let count = if is_exhaustive() { 4_000 } else { 150 };
    check("mistakes-in-kernel", count, |_| {
        let mut text = random.pick(&texts).clone();
        for _ in 0..random.below(4) {
            text = mutation::mutate(&mut random, &text);
        }
        (BTreeMap::from([("Kconfig".to_string(), text)]), Question::new(Mode::AllYes, None))
    });
}

/// What is asked of the shell is asked of this machine's. In a wrong title conf stops in the middle of a line, and it has
/// warnings of single bytes.
fn is_fit(text: &str) -> bool {
    text.is_ascii() && !text.contains("shell") && !text.contains("mainmenu")
}

/// Asks both about `count` trees that `make` makes.
fn check(what: &str, count: usize, mut make: impl FnMut(usize) -> (BTreeMap<String, String>, Question)) {
    let (conf, folder) = (conf(), harness::folder(&format!("kconfig-{what}")));
    let (mut refused, mut differences) = (0, Vec::new());
    for number in 0..count {
        let (files, question) = make(number);
        let mut theirs = ask(&conf, &folder.join("tree"), &files, BTreeMap::new(), &question);
        if theirs.status < 0 {
            eprintln!("{what}: conf crashes on number {number}");
            continue;
        }
        // A remark on standard output whenever it simplifies such an expression.
        let is_remark = |line: &&str| line.starts_with("boolean symbol ") && line.contains("tested for 'm'?");
        theirs.stdout = theirs.stdout.split_inclusive('\n').filter(|line| !is_remark(line)).collect();
        let mut ours = answer(&files, &mut Silent, &question);
        in_order(&mut theirs);
        in_order(&mut ours);
        refused += usize::from(theirs.status != 0);
        if ours != theirs {
            let kept = folder.join(format!("differs-{number}"));
            fs::create_dir_all(&kept).unwrap();
            files.iter().for_each(|(name, text)| fs::write(kept.join(name), text).unwrap());
            question
                .input
                .iter()
                .for_each(|input| fs::write(kept.join(question.input_name()), input).unwrap());
            let (kept, mode) = (kept.display(), question.mode.option());
            differences.push(format!("== {kept}: {mode}\n{}", ours.difference(&theirs)));
        }
    }
    let found = differences.len();
    eprintln!("{count} {what}: {refused} refused, {found} differences");
    assert!(differences.is_empty(), "{found} differ\n{}", differences.join("\n"));
    let is_mixed = (count / 20..count * 19 / 20).contains(&refused);
    assert!(is_mixed, "a sample of right and wrong {what}: {refused} of {count} are refused");
}

fn conf() -> PathBuf {
    kernels::newest().judge.program()
}

/// What is said, in an order of its own: conf reads a statement word by word, and speaks while it does. Where a string
/// doesn't end it names the line on which the statement began, or even the statement before.
fn in_order(answer: &mut Answer) {
    const UNENDED: &str = "warning: multi-line strings not supported";
    let plain = |line: &str| if line.ends_with(UNENDED) { UNENDED.to_string() } else { line.to_string() };
    let mut lines: Vec<String> = answer.stderr.lines().map(plain).collect();
    lines.sort_unstable();
    answer.stderr = lines.iter().map(|line| format!("{line}\n")).collect();
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
