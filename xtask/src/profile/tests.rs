//! Profiles from small trees of files in memory, and the project's own.
//!
//! A good tree, changed in one place, is a bad one: each case shows the change and the whole report it gets.

mod bad_arm_machines;
mod bad_builder;
mod bad_documents;
mod bad_layers;
mod bad_lint_rules;
mod bad_machines;
mod bad_payloads;
mod bad_pins;
mod bad_rules;
mod bad_values;
mod good;
mod machines;
mod mutations;
mod own;
mod pairs;

use std::collections::BTreeMap;

use expect_test::Expect;

use super::{Spec, load_all};

/// The VTL0 profile of the good tree, its layer, and the other files that cases change.
const DEMO: &str = "profiles/demo.yaml";
const PARA: &str = "profiles/para.yaml";
const BASE: &str = "profiles/layers/base.yaml";
const PINS: &str = "profiles/pins.yaml";
const LINT_RULES: &str = "configs/rules.yaml";
const INIT: &str = "recipes/init/recipe.yaml";
const TOOLS: &str = "recipes/tools/recipe.yaml";

/// Two profiles that share a layer, for both trust levels of x86_64, with everything they name.
const GOOD: &[(&str, &str)] = &[
    (DEMO, include_str!("tests/good/demo.yaml")),
    (PARA, include_str!("tests/good/para.yaml")),
    (BASE, include_str!("tests/good/base.yaml")),
    (PINS, include_str!("tests/good/pins.yaml")),
    (LINT_RULES, include_str!("tests/good/rules.yaml")),
    (INIT, include_str!("tests/good/init.yaml")),
    (TOOLS, include_str!("tests/good/tools.yaml")),
    ("recipes/init/Cargo.toml", ""),
    ("recipes/init/Cargo.lock", ""),
    ("recipes/tools/motd", ""),
    ("configs/core.config", ""),
    ("configs/guest.config", ""),
    ("patches/one.patch", ""),
];

/// A tree of files in memory.
#[derive(Clone)]
struct Tree(BTreeMap<String, Vec<u8>>);

/// The good tree.
fn good() -> Tree {
    Tree(GOOD.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
}

/// The good tree with the paravisor turned into an aarch64 one.
fn arm() -> Tree {
    let pins = include_str!("tests/good/pins.yaml");
    let (_, stub) = pins.split_once("  stub:").expect("the stub is the last pin");
    let stub = stub.replace("linuxx64", "linuxaa64").replace("amd64", "arm64");
    good().write(PINS, format!("{pins}  arm-stub:{stub}")).edit(
        PARA,
        "vtl: 2",
        "vtl: 2\narch: aarch64\nconsole: ttyAMA0\ndisk:\n  efi-stub: arm-stub",
    )
}

impl Tree {
    /// Replaces text that stands exactly once in a file.
    fn edit(mut self, path: &str, from: &str, to: &str) -> Tree {
        let text = String::from_utf8(self.0[path].clone()).expect("the good files are text");
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}");
        self.0.insert(path.to_owned(), text.replace(from, to).into_bytes());
        self
    }

    fn write(mut self, path: &str, content: impl AsRef<[u8]>) -> Tree {
        self.0.insert(path.to_owned(), content.as_ref().to_vec());
        self
    }

    fn remove(mut self, path: &str) -> Tree {
        self.0.remove(path).expect("the file is there");
        self
    }

    /// Loading must fail with exactly this report.
    fn bad(self, report: Expect) {
        let problems = load_all(&self.0).expect_err("something is wrong in this tree");
        report.assert_eq(&problems.to_string());
    }

    /// Loading must succeed.
    fn specs(self) -> Vec<Spec> {
        load_all(&self.0).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The spec of one of its profiles.
    fn spec(self, name: &str) -> Spec {
        self.specs().into_iter().find(|spec| spec.name == name).expect("the profile is there")
    }
}
