//! Steps `a` and `b`; `c` reads the output `x` of `a`; `d` reads `y` of `a` and `x` of `c`.

use super::*;
use crate::plan::Action;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn plan() -> Plan {
    let input = |step: usize, output: &str| Source::Output { step, output: output.to_owned() };
    let inputs = [
        vec![("file", Source::File("configs/a.config".to_owned()))],
        vec![],
        vec![("source", input(0, "x"))],
        vec![("one", input(0, "y")), ("other", input(2, "x"))],
    ];
    let steps = NAMES.iter().zip(inputs).map(|(name, inputs)| Step {
        name: (*name).to_owned(),
        action: Action::UnpackDebs,
        inputs: inputs.into_iter().map(|(role, source)| (role.to_owned(), source)).collect(),
        tools: Vec::new(),
    });
    Plan { steps: steps.collect(), artifacts: Vec::new() }
}

/// What step `name` made; its key and outputs are named by short words.
fn made(key: &str, x: &str, y: &str) -> Made {
    let output =
        |name: &str, content: &str| (name.to_owned(), (OutputKind::File, Digest::of(content.as_bytes())));
    Made { key: Digest::of(key.as_bytes()), outputs: [output("x", x), output("y", y)].into(), folder: None }
}

fn usual() -> Vec<Made> {
    NAMES.iter().map(|name| made(name, name, name)).collect()
}

/// Judges against `theirs`; `reasons` are those that steps have beside their inputs.
fn check(theirs: Vec<Option<Made>>, reasons: &[(&str, &str)], expected: &[&str]) {
    let why = |number: usize, _: &BTreeSet<String>| -> Vec<String> {
        let of_step = reasons.iter().filter(|(step, _)| *step == NAMES[number]);
        of_step.map(|(_, reason)| (*reason).to_owned()).collect()
    };
    let judged = judge(&plan(), &usual(), &theirs, &Sides::default(), why).unwrap();
    let told: Vec<String> = judged
        .iter()
        .map(|judged| match &judged.verdict {
            Verdict::Same => "same".to_owned(),
            Verdict::Differs { outputs } => format!("differs in {}", names(outputs)),
            Verdict::Follows { from } => format!("follows {}", from.join(" ")),
            Verdict::OtherKey { why, outputs } => {
                format!("other key ({}) and {}", why.join(" "), names(outputs))
            }
            Verdict::Missing => "missing".to_owned(),
        })
        .collect();
    assert_eq!(told, expected);
}

fn names(outputs: &[DifferentOutput]) -> String {
    outputs.iter().map(|output| output.output.as_str()).collect::<Vec<_>>().join(" ")
}

fn theirs(changes: &[(usize, Option<Made>)]) -> Vec<Option<Made>> {
    let mut theirs: Vec<Option<Made>> = usual().into_iter().map(Some).collect();
    changes.iter().for_each(|(number, made)| theirs[*number] = made.clone());
    theirs
}

#[test]
fn equal_runs_are_the_same() {
    check(theirs(&[]), &[], &["same", "same", "same", "same"]);
}

#[test]
fn other_bytes_of_one_key_differ_and_what_reads_them_follows() {
    let a = (0, Some(made("a", "other", "a")));
    let c = (2, Some(made("c'", "other", "c")));
    let d = (3, Some(made("d'", "d", "other")));
    check(theirs(&[a, c, d]), &[], &["differs in x", "same", "follows a", "follows c"]);
}

#[test]
fn what_reads_other_outputs_of_a_step_that_differs_does_not_follow() {
    let a = (0, Some(made("a", "a", "other")));
    // It reads `x`, which is the same: its own other bytes are its own doing.
    let c = (2, Some(made("c", "other", "c")));
    let d = (3, Some(made("d'", "d", "other")));
    check(theirs(&[a, c, d]), &[], &["differs in y", "same", "differs in x", "follows a c"]);
}

#[test]
fn a_difference_may_come_to_its_end_in_a_step() {
    let a = (0, Some(made("a", "other", "a")));
    let c = (2, Some(made("c'", "c", "c")));
    check(theirs(&[a, c]), &[], &["differs in x", "same", "same", "same"]);
}

#[test]
fn another_key_is_told_even_if_the_bytes_are_the_same() {
    let b = (1, Some(made("b'", "b", "b")));
    let why = ("b", "tool gcc changed");
    check(theirs(&[b]), &[why], &["same", "other key (tool gcc changed) and ", "same", "same"]);
}

#[test]
fn another_key_that_nothing_explains_is_told() {
    let b = (1, Some(made("b'", "b", "b")));
    check(theirs(&[b]), &[], &["same", "other key () and ", "same", "same"]);
}

#[test]
fn what_follows_and_has_a_reason_of_its_own_is_no_mere_follower() {
    let a = (0, Some(made("a", "other", "a")));
    let c = (2, Some(made("c'", "other", "c")));
    let why = ("c", "tool make changed");
    let told = ["differs in x", "same", "other key (tool make changed) and x", "same"];
    check(theirs(&[a.clone(), c.clone(), (3, Some(made("d'", "d", "d")))]), &[why], &told);
    // Nor if its bytes are the same.
    let same = (2, Some(made("c'", "c", "c")));
    let told = ["differs in x", "same", "other key (tool make changed) and ", "same"];
    check(theirs(&[a, same]), &[why], &told);
}

#[test]
fn a_step_that_the_other_side_lacks_is_missing() {
    check(theirs(&[(1, None)]), &[], &["same", "missing", "same", "same"]);
}

#[test]
fn an_output_that_one_side_lacks_is_a_difference() {
    let mut fewer = made("b", "b", "b");
    fewer.outputs.remove("y");
    check(theirs(&[(1, Some(fewer))]), &[], &["same", "differs in y", "same", "same"]);
    let mut more = made("b", "b", "b");
    more.outputs.insert("z".to_owned(), (OutputKind::File, Digest::of(b"z")));
    check(theirs(&[(1, Some(more))]), &[], &["same", "differs in z", "same", "same"]);
}
