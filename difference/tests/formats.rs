//! What no outside tool here makes: VHD footers, IGVM files, PE headers; and files that are no files of their format.

use difference::{Cause, Part, Sides, compare};

fn check(ours: &[u8], theirs: &[u8], place: &str, cause: Option<Cause>) {
    let comparison = compare(ours, theirs, &Sides::default());
    let found: Vec<(String, Option<Cause>)> =
        comparison.findings.iter().map(|finding| (finding.place_text(), finding.cause)).collect();
    assert!(found.contains(&(place.to_string(), cause)), "no {place} {cause:?} in {found:?}");
}

fn changed(bytes: &[u8], place: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place] ^= 0x41;
    bytes
}

#[test]
fn vhd_footers() {
    let vhd = |timestamp: u32, id: u128| {
        let id = format!("{id:032x}");
        let vhd = image::vhd::Vhd { disk_bytes: 1 << 20, id: id.parse().unwrap(), timestamp };
        let mut bytes = vec![0; 1 << 20];
        bytes.extend(image::vhd::footer(&vhd).unwrap());
        bytes
    };
    check(&vhd(0, 1), &vhd(800_000_000, 1), "footer time stamp", Some(Cause::Clock));
    check(&vhd(0, 1), &vhd(0, 2), "footer unique id", Some(Cause::Random));
    check(&vhd(0, 1), &vhd(0, 2), "footer checksum", Some(Cause::Checksum));
    check(&vhd(0, 1), &changed(&vhd(0, 1), 0x1000), "disk, byte 0x1000", None);
}

/// Two pages and a platform header.
fn igvm() -> Vec<u8> {
    let header =
        |kind: u32, data: &[u8]| [&kind.to_le_bytes()[..], &(data.len() as u32).to_le_bytes(), data].concat();
    let page = |gpa: u64, offset: u32| {
        [&gpa.to_le_bytes()[..], &1u32.to_le_bytes(), &offset.to_le_bytes(), &[0; 8]].concat()
    };
    let first = 24 + 3 * 32 + 8;
    let variable = [
        header(1, &[7; 32]),
        header(0x302, &page(0x1000, first)),
        header(0x302, &page(0x2000, first + 4096)),
    ]
    .concat();
    assert_eq!(variable.len() as u32 + 24, first);
    let fixed = [
        *b"IGVM",
        1u32.to_le_bytes(),
        24u32.to_le_bytes(),
        (variable.len() as u32).to_le_bytes(),
        [0; 4],
        [9; 4],
    ]
    .concat();
    [fixed, variable, vec![1; 4096], vec![2; 4096]].concat()
}

#[test]
fn igvm_pages_and_headers() {
    let file = igvm();
    check(&file, &changed(&file, file.len() - 4096 + 16), "page 0x2000, byte 0x10", None);
    check(&file, &changed(&file, 24 + 8 + 3), "header 0, byte 0x3", None);
    check(&file, &changed(&file, 20), "IGVM checksum", Some(Cause::Checksum));
}

#[test]
fn whatever_the_bytes_something_is_told() {
    let samples: [&[u8]; 8] = [
        b"\x7fELFxxxxxxxxxxxxxxxx",
        b"MZxxxxxxxxxxxxxxxxxxxx",
        b"070701xxxxxxxxxxxxxxxx",
        &[0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4],
        &[0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0xd0, 0x0d, 0xfe, 0xed, 1, 2, 3, 4],
        b"IGVM\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"no format at all\x00\x01",
    ];
    for sample in samples {
        for place in 0..sample.len() {
            let other = changed(sample, place);
            for (ours, theirs) in [
                (sample, &other[..]),
                (&other, sample),
                (sample, &sample[..place]),
                (&sample[..place], sample),
            ] {
                let comparison = compare(ours, theirs, &Sides::default());
                assert!(!comparison.findings.is_empty(), "{ours:?} {theirs:?}");
            }
        }
        assert!(compare(sample, sample, &Sides::default()).findings.is_empty());
    }
}

#[test]
fn a_mutated_igvm_or_disk_never_panics() {
    let file = igvm();
    let mut state = 1u32;
    for _ in 0..2000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let other = changed(&file, (state >> 8) as usize % 200);
        let comparison = compare(&file, &other, &Sides::default());
        assert!(comparison.findings.iter().all(|finding| !finding.place.is_empty()));
        assert!(!comparison.findings.iter().any(|finding| matches!(finding.place[..], [Part::Disk])));
    }
}
