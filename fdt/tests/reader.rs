//! Blobs of strangers: read, or refused with a reason; never a panic, never a hang.
#![allow(clippy::disallowed_methods, reason = "watches the clock")]

mod random;

use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use fdt::machine::dialect;
use fdt::map::MemoryMap;
use fdt::vtl::{self, Arch, Target};
use fdt::{Range, Tree, check, differences, read_dtb, to_dtb, to_dts};
use random::{Random, machine};

/// Far more than any of these takes; a quadratic one would take minutes.
const PATIENCE: Duration = Duration::from_secs(10);

fn sound() -> Vec<u8> {
    let memory = vec![Range::new(0x4000_0000, 0x1000_0000)];
    let machine =
        fdt::machine::qemu_virt_aarch64(2, memory, fdt::machine::PsciConduit::Hvc, Default::default());
    to_dtb(&machine.tree(&dialect::MAINLINE)).unwrap()
}

/// Does everything with a blob that there is to do.
fn exercise(blob: &[u8], beside: &Tree, what: &dyn Fn() -> String) {
    let started = Instant::now();
    if let Ok(tree) = read_dtb(blob) {
        let problems = check(&tree);
        let target = Target { arch: Arch::of(&tree), vtl: 2, dialect: dialect::ALL[0] };
        vtl::check(&tree, &target);
        differences(&tree, beside);
        let _ = MemoryMap::of(&tree).to_string();
        to_dts(&tree);
        if problems.is_empty() {
            // The blob may have had phandles or padding that the emitter arranges otherwise: by meaning.
            let again = read_dtb(&to_dtb(&tree).unwrap()).unwrap();
            assert_eq!(differences(&tree, &again), [], "{}", what());
        }
    }
    assert!(started.elapsed() < PATIENCE, "{}: took {:?}", what(), started.elapsed());
}

/// Blobs with some bytes changed, cut off, or taken from another.
#[test]
fn damaged_blobs() {
    let beside = read_dtb(&sound()).unwrap();
    let cases = if std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some() { 200_000 } else { 6_000 };
    for seed in 0..cases {
        let random = &mut Random::new(seed);
        let dialect = dialect::ALL[random.below(3) as usize];
        let mut blob = to_dtb(&machine(random).tree(dialect)).unwrap();
        for _ in 0..1 + random.below(6) {
            let at = random.below(blob.len() as u64) as usize;
            match random.below(6) {
                0 => blob[at] = random.below(256) as u8,
                1 => blob[at] ^= 1 << random.below(8),
                // Words, where offsets, lengths and tokens are.
                2 => write_word(&mut blob, at & !3, random.below(12) as u32),
                3 => write_word(&mut blob, at & !3, u32::MAX - random.below(16) as u32),
                4 => {
                    let end = (at + random.below(64) as usize).min(blob.len());
                    let to = random.below(blob.len() as u64) as usize;
                    let part = blob[at..end].to_vec();
                    let room = part.len().min(blob.len() - to);
                    blob[to..to + room].copy_from_slice(&part[..room]);
                }
                _ => blob.truncate(at.max(1)),
            }
        }
        exercise(&blob, &beside, &|| format!("seed {seed}"));
    }
}

fn write_word(blob: &mut [u8], at: usize, word: u32) {
    if let Some(bytes) = blob.get_mut(at..at + 4) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

/// Bytes that are not even damaged blobs, behind a header that promises some.
#[test]
fn noise() {
    let beside = read_dtb(&sound()).unwrap();
    for seed in 0..3_000 {
        let random = &mut Random::new(seed);
        let mut blob = sound()[..40].to_vec();
        let tokens = random.coin();
        for _ in 0..random.below(400) {
            // Mostly tokens, so that it is followed for a while.
            let word = if tokens { 1 + random.below(4) as u32 } else { random.below(1 << 32) as u32 };
            blob.extend(word.to_be_bytes());
        }
        let total = blob.len() as u32;
        write_word(&mut blob, 4, total);
        exercise(&blob, &beside, &|| format!("seed {seed}"));
    }
}

/// A blob from a structure block, with one strings block "reg".
fn blob(structure: &[u32], strings: &[u8]) -> Vec<u8> {
    let words = |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_be_bytes()).collect() };
    let (structure, strings_at) = (words(structure), 56 + structure.len() as u32 * 4);
    let total = strings_at + strings.len() as u32;
    let header =
        [0xd00d_feed, total, 56, strings_at, 40, 17, 16, 0, strings.len() as u32, structure.len() as u32];
    [words(&header), vec![0; 16], structure, strings.to_vec()].concat()
}

/// What is cheap to write and might be dear to read: long lists, deep nests, one name for everything.
#[test]
fn blobs_made_to_be_slow() {
    let beside = read_dtb(&sound()).unwrap();
    let name = |text: &[u8; 4]| u32::from_be_bytes(*text);
    let (begin, end, prop, finish) = (1, 2, 3, 9);
    let many = 200_000;

    // Very many children with the same name and an address each, so that each is several problems.
    let mut structure = vec![begin, 0];
    for _ in 0..many {
        structure.extend([begin, name(b"a@1\0"), prop, 4, 0, 7, end]);
    }
    structure.extend([end, finish]);
    exercise(&blob(&structure, b"reg\0"), &beside, &|| "children".to_owned());

    // One node with very many ranges, deep down.
    let mut structure = vec![begin, 0];
    (0..60).for_each(|_| structure.extend([begin, name(b"abc\0")]));
    structure.extend([prop, 12 * many, 0]);
    (0..3 * many).for_each(|_| structure.push(0));
    (0..61).for_each(|_| structure.push(end));
    structure.push(finish);
    exercise(&blob(&structure, b"reg\0"), &beside, &|| "ranges".to_owned());

    // Very many properties that share one name, as long as may be.
    let mut structure = vec![begin, 0];
    (0..many).for_each(|_| structure.extend([prop, 0, 0]));
    structure.extend([end, finish]);
    let strings = [vec![b'x'; 255], vec![0]].concat();
    exercise(&blob(&structure, &strings), &beside, &|| "properties".to_owned());

    // Deeper than anybody goes, and never closed.
    let structure: Vec<u32> = (0..many).flat_map(|_| [begin, 0]).collect();
    exercise(&blob(&structure, b""), &beside, &|| "depth".to_owned());
}

#[track_caller]
fn refused(blob: &[u8], expected: Expect) {
    let error = read_dtb(blob).map(|_| ()).unwrap_err();
    expected.assert_eq(&format!("{error}\n"));
}

#[test]
fn reasons() {
    let changed = |at: usize, word: u32| {
        let mut blob = sound();
        write_word(&mut blob, at, word);
        blob
    };
    let tokens = |structure: &[u32]| blob(structure, b"reg\0");
    let abc = u32::from_be_bytes(*b"abc\0");
    refused(
        b"",
        expect![[r#"
        byte 0x0: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        b"MZ\x90\0\x03\0\0\0",
        expect![[r#"
        byte 0x0: no device tree blob: it begins with d00dfeed
    "#]],
    );
    refused(
        &sound()[..39],
        expect![[r#"
        byte 0x4: the header says 1713 bytes, and there are 39
    "#]],
    );
    refused(
        &sound()[..200],
        expect![[r#"
        byte 0x4: the header says 1713 bytes, and there are 200
    "#]],
    );
    refused(
        &changed(20, 15),
        expect![[r#"
        byte 0x14: version 15 is read by programs for 16 or later; this one knows 16 and 17
    "#]],
    );
    refused(
        &changed(24, 18),
        expect![[r#"
        byte 0x14: version 17 is read by programs for 18 or later; this one knows 16 and 17
    "#]],
    );
    refused(
        &changed(8, 0x0100_0000),
        expect![[r#"
        byte 0x8: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        &changed(36, u32::MAX),
        expect![[r#"
        byte 0x8: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        &tokens(&[]),
        expect![[r#"
        byte 0x38: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        &tokens(&[9]),
        expect![[r#"
        byte 0x38: there is no root node
    "#]],
    );
    refused(
        &tokens(&[2]),
        expect![[r#"
        byte 0x38: more nodes end than begin
    "#]],
    );
    refused(
        &tokens(&[7]),
        expect![[r#"
        byte 0x38: 0x7 is no token
    "#]],
    );
    refused(
        &tokens(&[1, 0]),
        expect![[r#"
        byte 0x40: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        &tokens(&[1, 0, 9]),
        expect![[r#"
        byte 0x40: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        &tokens(&[1, 0, 2, 1, 0, 2, 9]),
        expect![[r#"
        byte 0x44: a second root node
    "#]],
    );
    refused(
        &tokens(&[3, 0, 0]),
        expect![[r#"
        byte 0x38: a property behind a child, or outside of any node
    "#]],
    );
    refused(
        &tokens(&[1, 0, 1, abc, 2, 3, 0, 0]),
        expect![[r#"
        byte 0x4c: a property behind a child, or outside of any node
    "#]],
    );
    refused(
        &tokens(&[1, 0, 3, 100, 0]),
        expect![[r#"
        byte 0x4c: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        &tokens(&[1, 0, 3, 0, 100]),
        expect![[r#"
        byte 0x50: the blob ends here, in the middle of something
    "#]],
    );
    refused(
        &tokens(&[1, 0x6162_6364]),
        expect![[r#"
        byte 0x3c: a name without its final NUL
    "#]],
    );
    refused(
        &tokens(&[1, 0xff00_0000, 2, 9]),
        expect![[r#"
        byte 0x3c: a name that is no text
    "#]],
    );
    refused(
        &blob(&[1, 0, 3, 0, 0, 2, 9], &[b'x'; 300]),
        expect![[r#"
        byte 0x54: a name that is longer than 255 bytes
    "#]],
    );
    refused(
        &tokens(&[1, 0].repeat(70)),
        expect![[r#"
        byte 0x240: nodes lie more than 64 levels deep
    "#]],
    );
    let long = [1, 0x6161_6161].into_iter().chain([0x6161_6161; 40]).chain([0]);
    refused(
        &tokens(&long.collect::<Vec<_>>().repeat(10)),
        expect![[r#"
        byte 0x440: a node whose path is longer than 1024 bytes
    "#]],
    );
}
