//! What holds for every machine that has nothing wrong with it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "runs dtc on files")]

mod random;

use std::process::Command;

use fdt::machine::dialect;
use fdt::{check, differences, read_dtb, to_dtb, to_dts};
use random::{Random, machine};

/// dtc is a process each: a sample, or thousands where all of it is asked for.
fn dtc_cases() -> u64 {
    if std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some() { 2000 } else { 60 }
}

#[test]
fn what_is_read_back_says_the_same() {
    for seed in 0..2000 {
        let machine = machine(&mut Random::new(seed));
        for dialect in dialect::ALL {
            let tree = machine.tree(dialect);
            assert_eq!(check(&tree), [], "seed {seed}, {}", dialect.name);
            let blob = to_dtb(&tree).unwrap();
            let read = read_dtb(&blob).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(differences(&tree, &read), [], "seed {seed}, {}", dialect.name);
            // What was read is emitted as the same bytes: nothing was lost and nothing guessed wrong.
            assert_eq!(to_dtb(&read).unwrap(), blob, "seed {seed}, {}", dialect.name);
        }
    }
}

/// dtc, which nobody here wrote, compiles our text to the tree that our blob holds, and has nothing to say about it.
#[test]
fn dtc_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (source, compiled) = (folder.path().join("a.dts"), folder.path().join("a.dtb"));
    for seed in 0..dtc_cases() {
        let machine = machine(&mut Random::new(seed));
        let tree = machine.tree(dialect::ALL[seed as usize % dialect::ALL.len()]);
        std::fs::write(&source, to_dts(&tree)).unwrap();
        let mut dtc = Command::new("dtc");
        dtc.args(["-I", "dts", "-O", "dtb", "-o"]).arg(&compiled).arg(&source);
        let output =
            dtc.output().unwrap_or_else(|error| panic!("dtc: {error}; install device-tree-compiler"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "seed {seed}: {said}\n{}", to_dts(&tree));
        let theirs = read_dtb(&std::fs::read(&compiled).unwrap()).unwrap();
        let ours = read_dtb(&to_dtb(&tree).unwrap()).unwrap();
        // Order and all, not by meaning only. dtc takes the boot CPU from its command line.
        assert_eq!(ours.root, theirs.root, "seed {seed}");
        assert_eq!(ours.memory_reservations, theirs.memory_reservations, "seed {seed}");
    }
}

/// Whatever one thing is changed, it is seen.
#[test]
fn every_change_is_a_difference() {
    for seed in 0..500 {
        let random = &mut Random::new(seed);
        let tree = read_dtb(&to_dtb(&machine(random).tree(&dialect::MAINLINE)).unwrap()).unwrap();
        let mut changed = tree.clone();
        let mut node = &mut changed.root;
        while !node.children.is_empty() && random.coin() {
            let index = random.below(node.children.len() as u64) as usize;
            node = &mut node.children[index];
        }
        let numbered = node.properties.iter().position(|property| property.name != "phandle");
        match (random.below(3), numbered) {
            (0, Some(index)) => _ = node.properties.remove(index),
            (1, _) if !node.children.is_empty() => _ = node.children.pop(),
            _ => *node = node.clone().flag("changed"),
        }
        let found = differences(&tree, &changed);
        assert!(!found.is_empty(), "seed {seed}");
        assert_eq!(found.len(), differences(&changed, &tree).len(), "seed {seed}");
        let mut turned = tree.clone();
        turned.root.children.reverse();
        turned.root.properties.reverse();
        assert_eq!(differences(&tree, &turned), [], "seed {seed}: order is no difference");
    }
}
