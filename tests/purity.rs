//! The libraries compute and nothing else: their sources name nothing that reaches outside.

mod harness;

use harness::project;

/// Each with whether it names `std::io`: readers and writers that the caller hands in.
const LIBRARIES: [(&str, bool); 5] =
    [("difference", true), ("document", false), ("fdt", false), ("image", true), ("kconfig", false)];

/// Modules of std that touch nothing outside.
const COMPUTING: [&str; 14] = [
    "array",
    "borrow",
    "cell",
    "cmp",
    "collections",
    "convert",
    "error",
    "fmt",
    "iter",
    "mem",
    "ops",
    "rc",
    "str",
    "sync",
];

/// Other ways out: collections with a random order, what dependencies offer, what is read when compiling, what prints.
const OUTSIDE: [&str; 19] = [
    "HashMap",
    "HashSet",
    "RandomState",
    "extern crate",
    "extern \"C\"",
    "use std as",
    "use std;",
    "io::std",
    "static mut",
    "unsafe",
    "new_v4",
    "now_v7",
    "GptConfig::open",
    "include!",
    "include_",
    "env!",
    "print!",
    "println!",
    "dbg!",
];

#[test]
fn sources_name_nothing_outside() {
    for (library, has_io) in LIBRARIES {
        let (mut found, mut files) = (Vec::new(), 0);
        for entry in walkdir::WalkDir::new(project().join(library).join("src")) {
            let entry = entry.unwrap();
            if entry.path().extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            let code = lines.collect::<Vec<_>>().join("\n");
            found.extend(
                outside(&code, has_io).into_iter().map(|word| format!("{}: {word}", entry.path().display())),
            );
        }
        assert!(files >= 5, "{library}: sources not found");
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn every_way_out_is_seen() {
    let cases: [(&str, &[&str]); 9] = [
        (
            "use std::fmt;\nuse std::{cmp::{max, min}, collections::BTreeMap};\nlet map: FxHashMap<u8, u8>;",
            &[],
        ),
        ("std::fs::read(path)", &["std::fs"]),
        (
            "use std::{\n    collections::{BTreeMap, HashMap},\n    env::{self, var},\n    process,\n};",
            &["std::env", "std::process", "HashMap"],
        ),
        ("use std::io::Read;", &["std::io"]),
        ("use std::*;", &["std::*"]),
        ("use ::std::time::Instant;", &["std::time"]),
        ("const TEXT: &str = include_str!(\"x\");", &["include_"]),
        ("unsafe { f() }", &["unsafe"]),
        ("eprintln!(\"x\"); print!(\"y\")", &["print!", "println!"]),
    ];
    for (code, wanted) in cases {
        assert_eq!(outside(code, false), wanted, "{code}");
    }
}

/// What `code` names that it may not.
fn outside(code: &str, has_io: bool) -> Vec<String> {
    let named = code.match_indices("std::").filter(|(at, _)| is_begin_of_word(code, *at));
    let named = named.flat_map(|(at, path)| first_names(&code[at + path.len()..]));
    let is_allowed = |name: &str| COMPUTING.contains(&name) || (has_io && name == "io");
    let mut found: Vec<String> =
        named.filter(|name| !is_allowed(name)).map(|name| format!("std::{name}")).collect();
    // eprint! ends in print!, but FxHashMap is not HashMap.
    let is_there = |word: &str| match word.ends_with('!') {
        true => code.contains(word),
        false => code.match_indices(word).any(|(at, _)| is_begin_of_word(code, at)),
    };
    found.extend(OUTSIDE.iter().filter(|word| is_there(word)).map(ToString::to_string));
    found
}

fn is_begin_of_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// The first name of a path, or of each path in braces.
fn first_names(path: &str) -> Vec<&str> {
    let name = |path: &'_ str| path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    let Some(list) = path.strip_prefix('{') else { return vec![&path[..name(path).max(1)]] };
    let (mut depth, mut begin, mut names) = (1, 0, Vec::new());
    for (at, c) in list.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if (c == ',' && depth == 1) || depth == 0 {
            let one = list[begin..at].trim();
            names.extend((!one.is_empty()).then(|| &one[..name(one).max(1)]));
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names
}
