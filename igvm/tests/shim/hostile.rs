//! Hosts that say nonsense, on purpose and at random.

use boot_shim::{Failure, Text, blob::Bad};

use crate::machine::{Fake, MIB, host_tree, map};

type Breaks = fn(&mut Fake);

#[test]
fn each_reason_not_to_start_the_kernel() {
    let cases: [(Breaks, &str); 20] = [
        (|fake| fake.words[0] = 0, "the shim's own page is wrong: nobody filled it in"),
        (|fake| fake.words[1] = 2, "the shim's own page is wrong: an architecture that isn't known"),
        (|fake| fake.words[2] = u64::MAX, "the shim's own page is wrong: a range beyond all addresses"),
        (|fake| fake.words[5] = 0, "the shim's own page is wrong: ranges that don't lie in each other"),
        (|fake| fake.words[22] = 0, "the shim's own page is wrong: ranges that don't lie in each other"),
        (|fake| fake.kernel[4999] ^= 1, "the kernel is not the one that the file was built with"),
        (|fake| fake.initramfs[0] ^= 1, "the initramfs is not the one that the file was built with"),
        (
            |fake| fake.memory_map = map(&[(0, 40 * MIB / 4096, 3)]),
            "the host's memory map has no room for the kernel at 0x1000000 to 0x3000000",
        ),
        (
            |fake| fake.memory_map = map(&[(0, 48 * MIB / 4096, 3)]),
            "the host's memory map has no room for the initramfs at 0x3000000 to 0x300012c",
        ),
        (
            |fake| fake.memory_map = map(&[(8 * MIB / 4096, 248 * MIB / 4096, 3)]),
            "the host's memory map has no room for the boot shim at 0x400000 to 0x500000",
        ),
        (|fake| fake.memory_map.clear(), "the host's memory map is wrong: it has no end"),
        (|fake| fake.vp_count = 0, "the host says that there is no processor"),
        (|fake| fake.vp_count = 5000, "the host says that there are 5000 processors, more than 1024"),
        (|fake| fake.vp_count = 2, "the host says that there are 2 processors, and its device tree names 3"),
        (|fake| fake.host_tree.fill(0), "the host's device tree is wrong: there is none"),
        (
            |fake| {
                let at = fake.host_tree.windows(4).position(|text| text == b"cpu@").unwrap();
                fake.host_tree[at - 4..].fill(7);
            },
            "the host's device tree is wrong: a name without an end, or that is no text",
        ),
        (
            |fake| fake.tree.truncate(700),
            "the kernel's device tree has no room for all that the host describes",
        ),
        (
            |fake| fake.host_options = b"quiet init=/bin/sh\0".to_vec(),
            "the host adds an option to the command line that it may not",
        ),
        (
            |fake| fake.host_options = [vec![b' '; 9], b"quiet ".repeat(400), vec![0]].concat(),
            "the command line is longer than the 2047 bytes that the kernel reads",
        ),
        (
            |fake| {
                fake.template = fake.host_tree.clone();
                fake.template[4..8].copy_from_slice(&[0; 4]);
            },
            "the built-in device tree is wrong: it ends in the middle of something",
        ),
    ];
    for arch in [image::Arch::X86_64, image::Arch::Aarch64] {
        for (number, (breaks, reason)) in cases.iter().enumerate() {
            let mut fake = Fake::new(arch);
            breaks(&mut fake);
            let failure = fake.prepare().expect_err(reason);
            let text = Text::of(&failure);
            assert_eq!(String::from_utf8_lossy(text.as_bytes()), *reason, "{arch}, case {number}");
        }
    }
}

#[test]
fn processors_that_are_named_twice() {
    let mut fake = Fake::new(image::Arch::X86_64);
    let at = fake.host_tree.windows(5).rposition(|text| text == b"cpu@2").unwrap();
    let reg = fake.host_tree[at..].windows(4).position(|cell| cell == [0, 0, 0, 2]).unwrap();
    fake.host_tree[at + reg + 3] = 1;
    let failure = fake.prepare().unwrap_err();
    // The first cell with a 2 may be another one: then the tree itself is refused, which is as good.
    assert!(matches!(failure, Failure::SameProcessor { id: 1 } | Failure::HostTree(_)), "{failure:?}");
}

#[test]
fn redistributors_for_too_few() {
    let mut fake = Fake::new(image::Arch::Aarch64);
    let memory = [fdt::Range::new(0, 256 * MIB)];
    let small = host_tree(image::Arch::Aarch64, 3, &memory);
    let size = small.windows(8).position(|cells| cells == 0x6_0000_u64.to_be_bytes()).unwrap();
    fake.host_tree[size..size + 8].copy_from_slice(&0x2_0000_u64.to_be_bytes());
    assert_eq!(fake.prepare(), Err(Failure::Redistributors { bytes: 0x2_0000, cpus: 3 }));
}

/// Nothing that a host says makes the shim panic, or hand on a tree that can't be read.
#[test]
fn nonsense_at_random() {
    let mut state = 0x5eed_u64;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let rounds = if std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some() { 2_000_000 } else { 20_000 };
    let (mut good, mut bad_trees) = (0, 0);
    let whole = [Fake::new(image::Arch::X86_64), Fake::new(image::Arch::Aarch64)];
    for round in 0..rounds {
        let arch = [image::Arch::X86_64, image::Arch::Aarch64][round % 2];
        let mut fake = Fake::copy(&whole[round % 2]);
        for _ in 0..1 + next(4) {
            let (area, value) = (next(8), next(256) as u8);
            let area = match area {
                0 => &mut fake.memory_map,
                1 => &mut fake.host_options,
                _ => &mut fake.host_tree,
            };
            let at = next(area.len());
            area[at] = [value, 0, 0xff, area[at] ^ 1][next(4)];
        }
        if next(50) == 0 {
            let length = next(fake.host_tree.len());
            fake.host_tree.truncate(length);
        }
        match fake.prepare() {
            Ok(_) => {
                good += 1;
                let from = if arch == image::Arch::X86_64 { 16 } else { 0 };
                fdt::read_dtb(&fake.tree[from..]).unwrap_or_else(|error| panic!("round {round}: {error}"));
            }
            Err(Failure::HostTree(Bad::Structure | Bad::Token | Bad::Truncated | Bad::Name)) => {
                bad_trees += 1
            }
            Err(_) => {}
        }
    }
    assert!(good > rounds / 20 && bad_trees > rounds / 20, "{good} good, {bad_trees} bad trees of {rounds}");
}
