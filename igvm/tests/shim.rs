//! The boot shim's decisions, judged by the crate that knows device trees: for any machine that a host describes, the kernel
//! gets the tree that would have been built for it.

#[path = "shim/hostile.rs"]
mod hostile;
#[path = "shim/machine.rs"]
mod machine;

use boot_shim::{
    Failure, Range, host_tree, memory_map, options,
    template::{self, Machine},
};
use machine::{Fake, MIB, host_tree as described, kernel_tree, map};

fn fill(arch: image::Arch, cpus: u32, memory: &[fdt::Range]) -> Vec<u8> {
    let template = fdt::to_dtb(&kernel_tree(arch, 2, &[fdt::Range::new(0, 512 * MIB)])).unwrap();
    let host = described(arch, cpus, memory);
    let host = host_tree::read(&host).unwrap();
    let ranges: Vec<Range> =
        memory.iter().map(|range| Range { start: range.base, end: range.base + range.size }).collect();
    let bootargs = (arch == image::Arch::Aarch64).then_some(&b"console=ttyAMA0 quiet\0"[..]);
    let machine = Machine { host: &host, memory: &ranges, bootargs };
    let mut out = vec![0xaa; 64 << 10];
    let bytes = template::fill(&template, &machine, &mut out).unwrap();
    out.truncate(bytes);
    out
}

#[test]
fn trees_are_those_of_the_machine() {
    let one = vec![fdt::Range::new(0, 512 * MIB)];
    let high = vec![fdt::Range::new(64 * MIB, 128 * MIB)];
    let many = vec![
        fdt::Range::new(0, 128 * MIB),
        fdt::Range::new(256 * MIB, MIB),
        fdt::Range::new(1 << 33, 1 << 33),
    ];
    for arch in [image::Arch::X86_64, image::Arch::Aarch64] {
        for cpus in [1, 2, 5, 64] {
            for memory in [&one, &high, &many] {
                let tree = fdt::read_dtb(&fill(arch, cpus, memory)).unwrap();
                let wanted = fdt::to_dtb(&kernel_tree(arch, cpus, memory)).unwrap();
                let mut wanted = fdt::read_dtb(&wanted).unwrap();
                wanted.size_max_bytes = tree.size_max_bytes;
                let differences = fdt::differences(&wanted, &tree);
                assert!(differences.is_empty(), "{arch} {cpus} {memory:?}: {differences:#?}");
                assert!(fdt::check(&tree).is_empty());
            }
        }
    }
}

#[test]
fn memory_that_is_ours() {
    let own =
        |entries: &[(u64, u64, u16)]| memory_map::own(&map(entries)).map(|ranges| ranges.as_slice().to_vec());
    let range = |start: u64, end: u64| Range { start, end };
    assert_eq!(own(&[(0, 16, 0)]), Ok(vec![range(0, 0x1_0000)]));
    // What VTL2 can protect is its own, what lies around it the level's below. Neighbours are one.
    assert_eq!(
        own(&[(0, 16, 0), (16, 16, 3), (32, 16, 3), (64, 1, 3), (65, 1, 0)]),
        Ok(vec![range(0x1_0000, 0x3_0000), range(0x4_0000, 0x4_1000)])
    );
    let wrong = |entries: &[(u64, u64, u16)], what| assert_eq!(own(entries), Err(Failure::MemoryMap(what)));
    wrong(&[], "there is no memory in it");
    wrong(&[(0, 16, 1)], "there is no memory in it");
    wrong(&[(16, 16, 0), (31, 1, 0)], "entries overlap, or are not in order");
    wrong(&[(16, 16, 0), (0, 1, 1)], "entries overlap, or are not in order");
    wrong(&[(1 << 52, 1, 0)], "an entry goes beyond all addresses");
    wrong(&[(1, u64::MAX, 0)], "an entry goes beyond all addresses");
    wrong(&[(0, 1, 9)], "an entry is of a type that isn't known");
    let endless = &map(&[(0, 1, 0)])[..24];
    assert_eq!(memory_map::own(endless), Err(Failure::MemoryMap("it has no end")));
    let pieces: Vec<_> = (0..65).map(|piece| (piece * 2, 1, 0)).collect();
    assert_eq!(own(&pieces), Err(Failure::TooManyRanges));
}

#[test]
fn options_that_a_host_may_add() {
    let check = |text: &str, allowed: &str| {
        let area = [text.as_bytes(), &[0]].concat();
        options::check(&area, allowed).map(|text| String::from_utf8(text.to_vec()).unwrap())
    };
    assert_eq!(check("", ""), Ok(String::new()));
    assert_eq!(
        check("  quiet  log-buf_len=1M ", "log_buf_len quiet"),
        Ok("quiet  log-buf_len=1M".to_owned())
    );
    assert_eq!(check("anything=goes", "*"), Ok("anything=goes".to_owned()));
    let not = |start, length| Err(Failure::HostOption { start, length });
    assert_eq!(check("quiet init=/bin/sh", "quiet"), not(6, 12));
    assert_eq!(check("quiet", ""), not(0, 5));
    assert_eq!(check("qui", "quiet"), not(0, 3));
    assert_eq!(check("quiet -- x", "quiet *"), not(6, 2));
    for (text, what) in [("a\tb", "characters that aren't printable ASCII"), ("a=\"b c\"", "quotes")] {
        assert_eq!(check(text, "*"), Err(Failure::HostOptions(what)));
    }
    assert_eq!(options::check(b"no end", "*"), Err(Failure::HostOptions("its text has no end")));
}

#[test]
fn what_the_kernel_gets() {
    for arch in [image::Arch::X86_64, image::Arch::Aarch64] {
        let mut fake = Fake::new(arch);
        let prepared = fake.prepare().unwrap();
        assert_eq!((prepared.cpus, prepared.memory_bytes, prepared.options_bytes), (3, 256 * MIB, 5));
        assert_eq!(prepared.entry, fake.words[5]);
        let tree = match arch {
            image::Arch::X86_64 => {
                assert_eq!(prepared.argument, fake.words[12]);
                let params = &fake.boot_params;
                let word = |at: usize| u64::from_le_bytes(params[at..at + 8].try_into().unwrap());
                assert_eq!((params[0x1e8], word(0x2d0), word(0x2d8), params[0x2e0]), (1, 0, 256 * MIB, 1));
                assert_eq!((word(0x250), word(0x228) as u32), (fake.words[22], fake.words[24] as u32));
                assert_eq!(&fake.command_line[..20], b"console=ttyS0 quiet\0");
                &fake.tree[16..]
            }
            image::Arch::Aarch64 => {
                assert_eq!(prepared.argument, fake.words[22]);
                &fake.tree[..]
            }
        };
        let tree = fdt::read_dtb(tree).unwrap();
        let chosen = tree.root.children.iter().find(|node| node.name == "chosen");
        let has = |text: &str| format!("{chosen:?}").contains(text);
        assert_eq!(has("console=ttyS0 quiet"), arch == image::Arch::Aarch64);
    }
}
