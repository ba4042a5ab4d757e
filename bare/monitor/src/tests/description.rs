//! The page that describes the guest.

use crate::guest::{Guest, Linux, MAGIC, Memory, PAGE_BYTES, Region, Start, VERSION};

fn page(words: &[(usize, u64)]) -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    for (number, word) in [(0, MAGIC), (1, VERSION)].iter().chain(words) {
        page[number * 8..number * 8 + 8].copy_from_slice(&word.to_le_bytes());
    }
    page
}

#[test]
fn a_linux_guest() {
    let words =
        [(2, 2), (3, 4), (4, 1), (5, 0xe), (6, 0xf), (120, 0x4f8), (8, 0x1000), (9, 0x3000), (10, 0x4000)];
    let words = [&words[..], &[(11, 0x5000), (16, 2), (17, 0x10), (18, 0x20), (19, 1), (20, 0x20)]].concat();
    let guest = Guest::parse(&page(&[&words[..], &[(21, 0x30), (22, 2)]].concat())).unwrap();
    assert_eq!((guest.vtl, guest.cpus, guest.report.ecam, guest.report.ports), (2, 4, 0xe, 0xf));
    assert_eq!(guest.requests, 0x4f8);
    let region = |start, end| Region { start, end };
    let linux =
        Linux { kernel: region(0x1000, 0x3000), initramfs: region(0x4000, 0x5000), ..Linux::default() };
    assert_eq!(guest.start, Start::Linux(linux));
    let memory = |region, kind| Memory { region, kind };
    assert_eq!(guest.memory(), [memory(region(0x10, 0x20), 1), memory(region(0x20, 0x30), 2)]);
}

#[test]
fn a_guest_in_a_state() {
    let words: Vec<_> = (128..128 + 35).map(|word| (word, word as u64)).chain([(4, 2)]).collect();
    let Start::State(state) = Guest::parse(&page(&words)).unwrap().start else { panic!() };
    assert_eq!((state.x86_64.rip, state.x86_64.pat), (128, 128 + 27));
    assert_eq!(state.x86_64_general, [156, 157, 158, 159, 160, 161, 162]);
    assert_eq!((state.aarch64.pc, state.aarch64.x0_to_x7[0], state.aarch64.ttbr), (128, 129, [142, 143]));
}

#[test]
fn nonsense() {
    let wrong = |words: &[(usize, u64)]| Guest::parse(&page(words)).unwrap_err();
    assert_eq!(wrong(&[(0, 1)]), "nobody described the guest");
    assert_eq!(wrong(&[(1, 99)]), "the guest is described in another version of the format");
    assert_eq!(wrong(&[(4, 3)]), "the guest starts in a way that isn't known");
    assert_eq!(wrong(&[(4, 1), (8, 2), (9, 1)]), "a part of the guest ends before it starts");
    assert_eq!(wrong(&[(7, 4096)]), "the guest's memory does not begin at a multiple of 2 MiB");
    assert_eq!(wrong(&[(16, 33)]), "the memory map has too many entries");
    assert_eq!(wrong(&[(16, u64::MAX)]), "the memory map has too many entries");
}
