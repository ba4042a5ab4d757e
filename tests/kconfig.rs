//! The reading of Kconfig against those who set the rule: the kernel's own conf, built from the trees of two kernels, and
//! the kernel's own tests of it.
//!
//! Every comparison is of whole files: the .config to the byte, and what is said on standard error. What differs is
//! listed, and counted.

#[path = "../kconfig/tests/cases/mod.rs"]
mod cases;
mod harness;

#[path = "kconfig/explanations.rs"]
mod explanations;
#[path = "kconfig/fragments.rs"]
mod fragments;
#[path = "kconfig/judge.rs"]
mod judge;
#[path = "kconfig/kernels.rs"]
mod kernels;
#[path = "../kconfig/tests/cases/mutation.rs"]
mod mutation;
#[path = "kconfig/ours.rs"]
mod ours;
#[path = "kconfig/own_tests.rs"]
mod own_tests;
#[path = "kconfig/question.rs"]
mod question;
#[path = "kconfig/small.rs"]
mod small;
#[path = "kconfig/trees.rs"]
mod trees;

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use harness::{Random, is_exhaustive};
use judge::Probing;
use kernels::Kernel;
use question::{Mode, Question};

const SEED: u64 = 0x6b_636f_6e66_6967;

/// Random fragments for each kernel and architecture.
fn sample() -> usize {
    if is_exhaustive() { 300 } else { 6 }
}

#[test]
fn every_mode_agrees_with_the_kernels_own_conf() {
    check("modes", |_| {
        let mut questions = vec![];
        for mode in [Mode::AllNo, Mode::AllYes, Mode::AllMod, Mode::AllDef, Mode::Default] {
            questions.push(Question::new(mode, None));
        }
        for mode in [Mode::OldDefault, Mode::SaveDefault, Mode::ListNew] {
            questions.push(Question::new(mode, Some(Vec::new())));
        }
        // Without a .config conf looks for the architecture's defaults.
        questions.push(Question::new(Mode::OldDefault, None));
        questions
    });
}

#[test]
fn requests_of_the_profiles_agree() {
    let requests = kernels::requests_of_profiles();
    check("profiles", |kernel| {
        let own = requests.iter().filter(|(arch, _)| *arch == kernel.arch);
        own.map(|(_, request)| Question::new(Mode::AllNo, Some(request.clone().into_bytes()))).collect()
    });
}

/// A kernel is given the configuration of another: of another version, and of another architecture.
#[test]
fn configurations_of_other_kernels_agree() {
    let kernels = kernels::all();
    check("other kernels", |kernel| {
        let mut questions = Vec::new();
        for other in kernels.iter().filter(|other| other.name != kernel.name) {
            if other.arch != kernel.arch && other.version != kernel.version {
                continue;
            }
            // Where all but the architecture is the same, one will do.
            let modes =
                if other.arch == kernel.arch { &[Mode::AllMod, Mode::Default][..] } else { &[Mode::Default] };
            for &mode in modes {
                let config = other.reading.answer(&Question::new(mode, None)).config;
                questions.push(Question::new(Mode::OldDefault, config));
            }
        }
        questions
    });
}

#[test]
fn random_fragments_agree() {
    check("random fragments", |kernel| {
        let bases: Vec<Vec<u8>> = [Mode::AllMod, Mode::AllYes, Mode::Default]
            .into_iter()
            .filter_map(|mode| kernel.reading.answer(&Question::new(mode, None)).config)
            .collect();
        let mut random = Random::new(SEED);
        let symbols = fragments::Symbols::of(&kernel.reading.graph);
        (0..sample()).map(|number| fragments::question(&mut random, &symbols, &bases, number)).collect()
    });
}

/// That conf answers the same whether it asks the compiler or is told what the compiler said the last time.
#[test]
fn remembered_probes_change_nothing() {
    let question = &Question::new(Mode::AllYes, None);
    std::thread::scope(|scope| {
        for kernel in kernels::all() {
            scope.spawn(move || {
                let real = kernel.judge.summary(question, Probing::Real);
                assert_eq!(real, kernel.judge.summary(question, Probing::Remembered), "{}", kernel.name);
            });
        }
    });
}

/// Asks conf and this crate the questions that `questions` makes for each kernel.
fn check(what: &str, questions: impl Fn(&Kernel) -> Vec<Question>) {
    let started = Instant::now();
    let work: Vec<(&Kernel, Question)> = kernels::all()
        .iter()
        .flat_map(|kernel| questions(kernel).into_iter().map(move |question| (kernel, question)))
        .collect();
    let (next, differences) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((kernel, question)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(difference) = compare(kernel, question) {
                        differences.lock().unwrap().push(difference);
                    }
                }
            });
        }
    });
    let differences = differences.into_inner().unwrap();
    let (count, seconds) = (work.len(), started.elapsed().as_secs());
    eprintln!("{what}: {count} comparisons with conf, {} differences, {seconds} s", differences.len());
    assert!(
        differences.is_empty(),
        "{what}: {} of {count} answers differ from conf's\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// What differs, with the question kept for whoever wants to ask it again.
fn compare(kernel: &Kernel, question: &Question) -> Option<String> {
    let ours = kernel.reading.answer(question);
    let theirs = kernel.judge.summary(question, Probing::Remembered);
    if ours.summary() == theirs {
        return None;
    }
    let theirs = kernel.judge.answer(question, Probing::Remembered);
    let folder = harness::folder(&format!("kconfig-differs/{}-{}", kernel.name, question.id()));
    let keep = |name: &str, content: &[u8]| fs::write(folder.join(name), content).unwrap();
    question.input.iter().for_each(|input| keep("input", input));
    for (who, answer) in [("ours", &ours), ("conf", &theirs)] {
        answer.config.iter().for_each(|config| keep(&format!("{who}.config"), config));
        keep(&format!("{who}.stderr"), answer.stderr.as_bytes());
        keep(&format!("{who}.stdout"), answer.stdout.as_bytes());
    }
    Some(format!(
        "== {}: {} ({})\n{}",
        kernel.name,
        question.mode.option(),
        folder.display(),
        ours.difference(&theirs)
    ))
}
