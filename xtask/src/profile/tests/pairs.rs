//! Pairs: two profiles for one machine.

use expect_test::{Expect, expect};

use super::{BASE, DEMO, PARA, Tree, arm, good};
use crate::profile::{explain_pair, load, load_all, pair_named};

const BOTH: &str = "profiles/both.yaml";
const PAIR: &str = "description: Both levels.\npair: {vtl2: para, vtl0: demo}\n";

fn both(text: &str) -> Tree {
    good().write(BOTH, text)
}

#[test]
fn a_pair_stands_for_its_parts() {
    let tree = both(PAIR);
    let names = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let specs = load(&tree.0, &names).unwrap_or_else(|problems| panic!("{problems}"));
        specs.into_iter().map(|spec| spec.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["both"]), ["para", "demo"]);
    // Each once, whatever else names it.
    assert_eq!(names(&["demo", "both", "para"]), ["demo", "para"]);
    let all = load_all(&tree.0).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(all.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(), ["demo", "para"]);

    let pair = pair_named(&tree.0, "both").unwrap().expect("it is one");
    assert_eq!(pair.parts(), ["para", "demo"]);
    assert!(pair_named(&tree.0, "para").unwrap().is_none());
    expect![[r#"
        name: both                                   # the name of profiles/both.yaml
        description: Both levels.                    # profiles/both.yaml:1:14
        pair:
          vtl2: para                                 # profiles/both.yaml:2:14
          vtl0: demo                                 # profiles/both.yaml:2:26
    "#]]
    .assert_eq(&explain_pair(&pair, "").unwrap());
    assert_eq!(
        explain_pair(&pair, "pair.vtl3").unwrap_err(),
        "`pair` has no key `vtl3`; did you mean `vtl2`?"
    );
}

fn check(text: &str, report: Expect) {
    both(text).bad(report);
}

#[test]
fn parts_that_are_not_there() {
    check(
        "description: d\npair: {vtl2: parra, vtl0: nothing-like-it}\n",
        expect![[r#"
        profiles/both.yaml:2:14: there is no profile `parra` (no file profiles/parra.yaml)
         2 | pair: {vtl2: parra, vtl0: nothing-like-it}
           |              ^
          hint: did you mean `para`?
        profiles/both.yaml:2:27: there is no profile `nothing-like-it` (no file profiles/nothing-like-it.yaml)
         2 | pair: {vtl2: parra, vtl0: nothing-like-it}
           |                           ^
          hint: profiles there are: `both`, `demo` and `para`
        2 problems"#]],
    );
}

#[test]
fn a_pair_of_pairs() {
    check(
        "description: d\npair: {vtl2: both, vtl0: demo}\n",
        expect![[r#"
        profiles/both.yaml:2:14: `both` is a pair itself, and has no level of its own
         2 | pair: {vtl2: both, vtl0: demo}
           |              ^
          hint: name one of its parts
        1 problem"#]],
    );
}

#[test]
fn levels_the_wrong_way_round() {
    check(
        "description: d\npair: {vtl2: demo, vtl0: para}\n",
        expect![[r#"
        profiles/both.yaml:2:14: `demo` is for VTL0, and this part of a pair for VTL2
         2 | pair: {vtl2: demo, vtl0: para}
           |              ^
          profiles/demo.yaml:3:6: `vtl` of `demo`
        profiles/both.yaml:2:26: `para` is for VTL2, and this part of a pair for VTL0
         2 | pair: {vtl2: demo, vtl0: para}
           |                          ^
          profiles/para.yaml:3:6: `vtl` of `para`
        2 problems"#]],
    );
}

#[test]
fn keys_of_its_own() {
    check(
        "description: d\ninherit: [base]\npair: {vtl2: para, vtl0: demo}\ndisk: {size: 1GiB}\n",
        expect![[r#"
            profiles/both.yaml:2:1: a pair has no `inherit`: its parts have
             2 | inherit: [base]
               | ^
              hint: write it in the profile of one of its parts
            profiles/both.yaml:4:1: a pair has no `disk`: its parts have
             4 | disk: {size: 1GiB}
               | ^
              hint: write it in the profile of one of its parts
            2 problems"#]],
    );
}

#[test]
fn half_a_pair() {
    check(
        "pair: {vtl2: para}\n",
        expect![[r#"
        profiles/both.yaml:1:7: `pair`: the key `vtl0` is missing
         1 | pair: {vtl2: para}
           |       ^
        1 problem"#]],
    );
}

#[test]
fn no_description() {
    check(
        "pair: {vtl2: para, vtl0: demo}\n",
        expect![[r#"
        profiles/both.yaml:1:1: nothing sets `description`
         1 | pair: {vtl2: para, vtl0: demo}
           | ^
          hint: say in one sentence what the pair is for
        1 problem"#]],
    );
}

#[test]
fn two_architectures() {
    arm().write(BOTH, PAIR).bad(expect![[r#"
        profiles/both.yaml:2:26: `demo` is for x86_64, and `para` for aarch64: a pair is one machine
         2 | pair: {vtl2: para, vtl0: demo}
           |                          ^
          profiles/layers/base.yaml:1:7: `arch` of `demo`
          profiles/para.yaml:4:7: `arch` of `para`
        1 problem"#]]);
}

#[test]
fn a_layer_with_a_pair() {
    good().edit(BASE, "arch:", "pair: {vtl2: para, vtl0: demo}\narch:").bad(expect![[r#"
        profiles/layers/base.yaml:1:7: a layer has no `pair`: it would make every profile one
         1 | pair: {vtl2: para, vtl0: demo}
           |       ^
          hint: write it in a file of its own, profiles/NAME.yaml
        1 problem"#]]);
}

#[test]
fn a_part_that_is_wrong_itself_is_told_once() {
    both(PAIR).edit(DEMO, "vtl: 0", "vtl: 9").bad(expect![[r#"
        profiles/demo.yaml:3:6: `vtl`: `9` is not known here, expected `0` or `2`
         3 | vtl: 9
           |      ^
        1 problem"#]]);
    let tree = both(PAIR).edit(PARA, "vtl: 2", "vtl: 9");
    let problems = load(&tree.0, &["both".to_owned()]).expect_err("a part is wrong");
    assert_eq!(problems.0.len(), 1, "{problems}");
}
