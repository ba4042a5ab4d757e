//! No file, however broken, stops the tool otherwise than by a report: every truncation and a change of every
//! byte of the project's own files, of long ones of their beginning.

use std::{collections::BTreeMap, sync::Arc};

use document::{Problems, Shape};

use super::own;
use crate::{
    kernel::lint::RulesFile,
    profile::{
        load_all,
        types::{Pins, Profile, Recipe},
    },
};

/// Bytes that mean something to YAML, or to nobody.
const BYTES: &[u8] = b":\"\t[{&*!|>-#0\n\x00\xff'},%@` \r";

/// Of a longer file the beginning stands for all of it: pins are alike.
const LENGTH_MAX_BYTES: usize = 1200;

/// One changed copy of a text for each of its bytes, and one cut off at each.
fn broken(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let text = &text[..text.len().min(LENGTH_MAX_BYTES)];
    let changed = (0..text.len()).map(|index| {
        let mut copy = text.to_vec();
        copy[index] = BYTES[index % BYTES.len()];
        copy
    });
    changed.chain((0..text.len()).map(|end| text[..end].to_vec()))
}

/// Reads a file as far as it goes; what becomes of it must be a value or a report.
fn read<T: serde::de::DeserializeOwned>(file: &Arc<str>, text: &[u8], shape: &Shape) {
    let mut problems = Problems::default();
    let node = document::parse(file, text, &mut problems);
    if let Some(node) = &node {
        document::check(node, shape, &mut problems);
    }
    match (node, problems.is_empty()) {
        (Some(node), true) => assert!(node.to::<T>().is_ok(), "checked and not typed: {file}\n{text:?}"),
        (None, true) => panic!("neither value nor report: {file}\n{text:?}"),
        (_, false) => assert!(!problems.to_string().is_empty()),
    }
}

#[test]
fn each_file_by_itself() {
    let (profile, pins) = (Shape::of::<Profile>(), Shape::of::<Pins>());
    let (recipe, rules) = (Shape::of::<Recipe>(), Shape::of::<RulesFile>());
    for (path, text) in own::documents() {
        let file: Arc<str> = path.as_str().into();
        for text in broken(&text) {
            match path.as_str() {
                "profiles/pins.yaml" => read::<Pins>(&file, &text, &pins),
                "configs/rules.yaml" => read::<RulesFile>(&file, &text, &rules),
                path if path.starts_with("recipes/") => read::<Recipe>(&file, &text, &recipe),
                _ => read::<Profile>(&file, &text, &profile),
            }
        }
    }
}

#[test]
fn the_whole_project_with_one_broken_file() {
    let good: BTreeMap<_, _> = own::files();
    for (path, text) in own::documents() {
        // A prime, so that all kinds of bytes meet all kinds of places.
        for text in broken(&text).step_by(131) {
            let mut tree = good.clone();
            tree.insert(path.clone(), text);
            if let Err(problems) = load_all(&tree) {
                assert!(!problems.to_string().is_empty());
            }
        }
    }
}
