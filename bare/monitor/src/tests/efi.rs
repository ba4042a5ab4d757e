//! What the loader makes of files, of memory, and of trees.

use crate::{
    efi::{
        elf,
        place::{self, BLOCK},
        tree::{self, Told},
    },
    guest::Region,
};

fn region(start: u64, end: u64) -> Region {
    Region { start, end }
}

#[test]
fn places() {
    let mut regions =
        [region(0x9000, 0xa000), region(0x1000, 0x3000), region(0x3000, 0x4000), region(0x2000, 0x2800)];
    assert_eq!(place::merge(&mut regions, 4), 2);
    assert_eq!(regions[..2], [region(0x1000, 0x4000), region(0x9000, 0xa000)]);
    assert!(
        place::contains(&regions[..2], 0x1800, 0x4000) && !place::contains(&regions[..2], 0x3800, 0x9800)
    );
    assert!(!place::contains(&regions[..2], 0x3800, 0x1000), "an end before its start");
    let memory = [region(0, 3 * BLOCK), region(4 * BLOCK + 1, 9 * BLOCK)];
    assert_eq!(place::find(&memory, 1, 2 * BLOCK), Some(BLOCK));
    assert_eq!(place::find(&memory, 1, 4 * BLOCK), Some(5 * BLOCK));
    assert_eq!(place::find(&memory, 1, 5 * BLOCK), None);
    assert_eq!(place::find(&memory, u64::MAX, 1), None);
    assert_eq!(place::arm_parts(1, BLOCK + 1, 5, 9), Some([BLOCK, 3 * BLOCK, 4 * BLOCK, 4 * BLOCK + 4096]));
    assert_eq!(place::arm_parts(0, u64::MAX, 5, 9), None);
}

/// An ELF file with these program headers: type, offset, address, bytes in the file and in memory.
fn program(headers: &[[u64; 5]], length: usize) -> Vec<u8> {
    let mut file = vec![0; 64 + headers.len() * 56];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[24..32].copy_from_slice(&0x1234_u64.to_le_bytes());
    file[32] = 64;
    file[56] = headers.len() as u8;
    for (number, [kind, offset, address, in_file, in_memory]) in headers.iter().enumerate() {
        let at = 64 + number * 56;
        file[at] = *kind as u8;
        for (field, value) in [(8, offset), (24, address), (32, in_file), (40, in_memory)] {
            file[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    file.resize(length, 7);
    file
}

#[test]
fn programs() {
    let good = program(&[[6, 0, 0, 0, 0], [1, 200, 0x10_0000, 100, 300]], 300);
    let piece = elf::piece(&good).unwrap();
    assert_eq!((piece.address, piece.memory_bytes, piece.entry), (0x10_0000, 300, 0x1234));
    assert_eq!(piece.content, [7; 100]);
    for bad in [
        program(&[], 300),
        program(&[[1, 200, 0, 101, 300]], 300),
        program(&[[1, 200, 0, 100, 99]], 300),
        program(&[[1, u64::MAX, 0, 2, 2]], 300),
        program(&[[1, 200, 0, 1, 1], [1, 201, 0, 1, 1]], 300),
        good[..100].to_vec(),
        vec![0; 300],
    ] {
        assert_eq!(elf::piece(&bad), None);
    }
    // Cut anywhere, it is refused or whole.
    (0..good.len()).for_each(|length| assert_eq!(elf::piece(&good[..length]), None));
}

/// A tree in the making: structure and strings.
#[derive(Default)]
struct Tree(Vec<u8>, Vec<u8>);

impl Tree {
    fn node(mut self, name: &str) -> Tree {
        self.0.extend(1_u32.to_be_bytes());
        self.0.extend(name.bytes().chain([0]));
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn property(mut self, name: &str, value: &[u8]) -> Tree {
        let at = self.1.len() as u32;
        self.1.extend(name.bytes().chain([0]));
        [3, value.len() as u32, at].into_iter().for_each(|word| self.0.extend(word.to_be_bytes()));
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn end(mut self) -> Tree {
        self.0.extend(2_u32.to_be_bytes());
        self
    }

    fn blob(mut self) -> Vec<u8> {
        self.0.extend(9_u32.to_be_bytes());
        let (structure, strings) = (40 + 16, 40 + 16 + self.0.len() as u32);
        let total = strings + self.1.len() as u32;
        let words =
            [0xd00d_feed, total, structure, strings, 40, 17, 16, 0, self.1.len() as u32, self.0.len() as u32];
        let header = words.into_iter().flat_map(u32::to_be_bytes);
        header.chain([0; 16]).chain(self.0).chain(self.1).collect()
    }
}

fn cells(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn machine() -> Vec<u8> {
    Tree::default()
        .node("")
        .node("chosen")
        .property("bootargs", b"old\0")
        .property("stdout-path", b"/serial\0")
        .end()
        .node("cpus")
        .node("cpu@0")
        .end()
        .node("cpu@1")
        .end()
        .node("cpu-map")
        .end()
        .end()
        .node("memory@0")
        .property("reg", &cells(&[0, 0x2000_0000, 1 << 32, 0x1000]))
        .end()
        .end()
        .blob()
}

const TOLD: Told =
    Told { command_line: b"console=ttyAMA0", initramfs: (0x1000, 0x2345), reserved: (0x8000, 0x9000) };

#[test]
fn trees() {
    let blob = machine();
    let facts = tree::facts(&blob).unwrap();
    assert_eq!((facts.cpus, facts.memory()), (2, &[(0, 0x2000_0000), (1 << 32, (1 << 32) + 0x1000)][..]));
    let mut to = vec![0xaa; 4096];
    let length = tree::rewrite(&blob, &TOLD, &mut to).unwrap();
    let new = &to[..length];
    assert_eq!(tree::facts(new), Some(facts), "the rest is as it was");
    let has = |bytes: &[u8]| new.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(b"console=ttyAMA0\0") && has(&cells(&[0x2345])) && has(b"/serial\0"));
    assert!(!has(b"old\0"), "replaced");
    assert_eq!(new[40..72], cells(&[0x8000, 0x1000, 0, 0]), "reserved, then the end of reservations");
    // What it wrote it can write again: the same but for names that are there twice, and one more reservation.
    let mut again = vec![0; 4096];
    let longer = tree::rewrite(new, &TOLD, &mut again).unwrap();
    assert_eq!(tree::facts(&again[..longer]), Some(facts));
    // No room, anywhere; a command line beyond all measure; no /chosen.
    (0..length).for_each(|room| assert_eq!(tree::rewrite(&blob, &TOLD, &mut vec![0; room]), None));
    let long = [b'x'; 5000];
    assert_eq!(tree::rewrite(&blob, &Told { command_line: &long, ..TOLD }, &mut vec![0; 20_000]), None);
    let bare = Tree::default().node("").end().blob();
    assert_eq!((tree::facts(&bare), tree::rewrite(&bare, &TOLD, &mut to)), (None, None));
}

#[test]
fn damaged_trees() {
    let blob = machine();
    let mut to = vec![0; 4096];
    for length in 0..blob.len() {
        assert_eq!(tree::facts(&blob[..length]), None);
        assert_eq!(tree::rewrite(&blob[..length], &TOLD, &mut to), None);
    }
    // Every byte wrong in three ways: whatever comes of it, nothing panics or goes on for ever.
    for at in 0..blob.len() {
        for change in [0xff, 0x80, 0x01] {
            let mut bad = blob.clone();
            bad[at] ^= change;
            let _ = (tree::facts(&bad), tree::rewrite(&bad, &TOLD, &mut to));
        }
    }
}
