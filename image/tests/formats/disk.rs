use std::io::{self, Cursor};

use expect_test::{Expect, expect};
use image::disk::{Content, Disk, DiskLayout, Partition, Size};
use image::fat::{self, Volume, VolumeLabel};
use image::gpt::PartitionKind;
use image::{Uuid, ident};
use tempfile::tempdir;

use crate::support::{Broken, Recording, chain, content, contents, write_file};

const MIB: u64 = 1 << 20;
const SEED: [u8; 32] = [3; 32];

fn esp(size: Size, loader_bytes: u64) -> Partition {
    Partition {
        name: "ESP".into(),
        kind: PartitionKind::EfiSystem,
        guid: ident::guid(&SEED, "esp"),
        size,
        content: Content::Fat(Volume {
            volume_id: ident::volume_id(&SEED, "esp"),
            label: VolumeLabel::new("ESP").unwrap(),
            files: vec![fat::File {
                path: "EFI/BOOT/BOOTX64.EFI".into(),
                source: "uki.efi".into(),
                length_bytes: loader_bytes,
            }],
        }),
    }
}

fn raw(name: &str, size: Size, length_bytes: u64) -> Partition {
    Partition {
        name: name.into(),
        kind: PartitionKind::LinuxFilesystem,
        guid: ident::guid(&SEED, name),
        size,
        content: Content::Raw { source: name.into(), length_bytes },
    }
}

fn disk(size_bytes: u64, partitions: Vec<Partition>) -> Disk {
    Disk { size_bytes, guid: ident::guid(&SEED, "disk"), partitions }
}

fn two_partitions() -> Disk {
    let root = raw("root — ünïcode", Size::Rest, 3 * MIB + 17);
    disk(64 * MIB, vec![esp(Size::Bytes(40 * MIB - 100), 2 * MIB + 9), root])
}

#[test]
fn sgdisk_finds_no_problem() {
    let temporary = tempdir().unwrap();
    let directory = temporary.path();
    let layout = DiskLayout::new(&two_partitions()).unwrap();
    write_file(layout.image(), &directory.join("disk"));

    let verdict = content(directory, "gdisk", &["sgdisk", "-v", "disk"]);
    assert!(verdict.contains("No problems found."), "{verdict}");
    expect![[r#"
        Disk disk: 131072 sectors, 64.0 MiB
        Sector size (logical): 512 bytes
        Disk identifier (GUID): 85228BA4-C730-8C1A-96BF-4EEB2D3A8AC7
        Partition table holds up to 128 entries
        Main partition table begins at sector 2 and ends at sector 33
        First usable sector is 34, last usable sector is 131038
        Partitions will be aligned on 2048-sector boundaries
        Total free space is 4029 sectors (2.0 MiB)

        Number  Start (sector)    End (sector)  Size       Code  Name
           1            2048           83967   40.0 MiB    EF00  ESP
           2           83968          129023   22.0 MiB    8300  root — ünïcode
    "#]]
    .assert_eq(&content(directory, "gdisk", &["sgdisk", "-p", "disk"]));
    let partitions = ["sgdisk", "-i", "1", "-i", "2", "disk"];
    expect![[r#"
        Partition GUID code: C12A7328-F81F-11D2-BA4B-00A0C93EC93B (EFI system partition)
        Partition unique GUID: 75485B86-6B2A-8118-B72D-696F7277A75A
        First sector: 2048 (at 1024.0 KiB)
        Last sector: 83967 (at 41.0 MiB)
        Partition size: 81920 sectors (40.0 MiB)
        Attribute flags: 0000000000000000
        Partition name: 'ESP'
        Partition GUID code: 0FC63DAF-8483-4772-8E79-3D69D8477DE4 (Linux filesystem)
        Partition unique GUID: E257D704-34B8-86BA-9389-435018944EE5
        First sector: 83968 (at 41.0 MiB)
        Last sector: 129023 (at 63.0 MiB)
        Partition size: 45056 sectors (22.0 MiB)
        Attribute flags: 0000000000000000
        Partition name: 'root — ünïcode'
    "#]]
    .assert_eq(&content(directory, "gdisk", &partitions));

    // The partitions hold what they should.
    let volume = format!("disk@@{MIB}");
    let loader = ["mcopy", "-n", "-i", &volume, "::EFI/BOOT/BOOTX64.EFI", "loader"];
    content(directory, "mtools", &loader);
    let loader = std::fs::read(directory.join("loader")).unwrap();
    assert!(loader == contents("uki.efi", 2 * MIB + 9));
    let disk = std::fs::read(directory.join("disk")).unwrap();
    let root = &disk[41 * MIB as usize..][..3 * MIB as usize + 17];
    assert!(root == contents("root — ünïcode", 3 * MIB + 17));
}

#[test]
fn every_byte_is_written_once_and_zeros_never() {
    let layout = DiskLayout::new(&two_partitions()).unwrap();
    let recording = Recording::of(layout.image());
    let written = recording.assert_written_once();
    let data = 5 * MIB + 26;
    assert!((data..data + 64 * 1024).contains(&written), "{written}");
    assert!(recording.ranges.is_sorted_by_key(|range| range.start));

    let again = Recording::of(DiskLayout::new(&two_partitions()).unwrap().image());
    assert!(again.bytes.get_ref() == recording.bytes.get_ref());
}

#[test]
fn zero_blocks_of_sources_stay_holes() {
    let layout = DiskLayout::new(&disk(8 * MIB, vec![raw("data", Size::Rest, 4 * MIB)])).unwrap();
    let mut source = vec![0; 4 * MIB as usize];
    source[5000] = 1;
    source[3 << 20..][..4096].fill(2);
    let mut recording = Recording { bytes: Cursor::new(vec![0; 8 * MIB as usize]), ranges: Vec::new() };
    layout.write(|_| Ok(source.as_slice()), &mut recording).unwrap();
    let in_data = recording.ranges.iter().filter(|range| (MIB..5 * MIB).contains(&range.start));
    let in_data: Vec<_> = in_data.cloned().collect();
    let at = |offset: u64| MIB + offset..MIB + offset + 4096;
    assert_eq!(in_data, [at(4096), at(3 * MIB)]);
    assert!(recording.bytes.get_ref()[MIB as usize..][..source.len()] == source);
}

#[test]
fn what_cannot_be_a_disk_is_refused() {
    let check = |disk: Disk, expected: Expect| {
        expected.assert_eq(&chain(&DiskLayout::new(&disk).unwrap_err()));
    };
    let named = |name: &str| vec![raw(name, Size::Rest, 1)];
    let guid = |guid: Uuid| {
        let mut partition = raw("a", Size::Rest, 1);
        partition.guid = guid;
        vec![partition]
    };
    let fixed = |name: &str, bytes: u64| raw(name, Size::Bytes(bytes), 1);

    check(disk(0, vec![]), expect!["partition table: a disk of 0 blocks is too small for a partition table"]);
    check(
        disk(64 * MIB + 1, vec![]),
        expect!["a disk's size is a multiple of 512 bytes, but it has 67108865"],
    );
    check(disk(MIB, named("a")), expect!["partition a needs 1048576 bytes, but the disk has 0 left for it"]);
    check(
        disk(8 * MIB, vec![fixed("a", 6 * MIB + 1)]),
        expect!["partition a needs 7340032 bytes, but the disk has 6291456 left for it"],
    );
    check(
        disk(8 * MIB, vec![fixed("a", u64::MAX)]),
        expect!["partition a needs 18446744073709551615 bytes, but the disk has 6291456 left for it"],
    );
    check(disk(8 * MIB, vec![fixed("a", 0)]), expect!["partition table: partition a is empty"]);
    check(
        disk(8 * MIB, vec![raw("a", Size::Rest, 6 * MIB + 1)]),
        expect!["partition a has 6291456 bytes, too few for its content of 6291457"],
    );
    check(
        disk(8 * MIB, vec![raw("a", Size::Rest, 1), fixed("b", MIB)]),
        expect!["partition a takes the rest of the disk, but it is not the last one"],
    );
    check(
        disk(8 * MIB, vec![fixed("a", MIB), fixed("a", MIB)]),
        expect!["partition table: GUID 97566c21-212e-8d71-b9b3-60aba73e75d8 is nil or used twice"],
    );
    check(
        disk(8 * MIB, guid(Uuid::nil())),
        expect!["partition table: GUID 00000000-0000-0000-0000-000000000000 is nil or used twice"],
    );
    check(
        disk(8 * MIB, guid(ident::guid(&SEED, "disk"))),
        expect!["partition table: GUID 85228ba4-c730-8c1a-96bf-4eeb2d3a8ac7 is nil or used twice"],
    );
    check(
        disk(8 * MIB, named("")),
        expect![[
            r#"partition table: partition name "" is empty, has a NUL or is longer than 36 UTF-16 units"#
        ]],
    );
    check(
        disk(8 * MIB, named(&"n".repeat(37))),
        expect![[
            r#"partition table: partition name "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" is empty, has a NUL or is longer than 36 UTF-16 units"#
        ]],
    );
    check(
        disk(32 * MIB, vec![esp(Size::Rest, 1)]),
        expect![
            "file system of partition ESP: FAT32 needs a volume of at least 34087424 bytes, but it has 31457280"
        ],
    );
    check(
        disk(64 * MIB, vec![esp(Size::Rest, 70 * MIB)]),
        expect![
            "file system of partition ESP: the files need 73401856 bytes of the volume, but it has room for 64007168 (clusters of 512 bytes)"
        ],
    );
    let many = (0..129).map(|index| fixed(&format!("p{index}"), MIB));
    check(
        disk(200 * MIB, many.collect()),
        expect!["partition table: 129 partitions are more than a table of 128 holds"],
    );
}

#[test]
fn trouble_while_writing_is_told() {
    let layout = DiskLayout::new(&disk(8 * MIB, vec![raw("data", Size::Rest, 300_000)])).unwrap();
    let zeros = || Cursor::new(vec![0; 8 * MIB as usize]);
    let check = |length: u64, expected: Expect| {
        let result = layout.write(|source| Ok(Cursor::new(contents(source, length))), &mut zeros());
        expected.assert_eq(&result.err().map_or("written".into(), |error| chain(&error)));
    };
    check(300_000, expect![[r#"written"#]]);
    check(299_999, expect!["data ended after 299999 bytes, but the image was laid out for 300000"]);
    check(300_001, expect!["data is longer than the 300000 bytes the image was laid out for"]);
    check(0, expect!["data ended after 0 bytes, but the image was laid out for 300000"]);

    let missing = |_: &str| Err::<io::Empty, _>(io::ErrorKind::NotFound.into());
    expect!["cannot open data: entity not found"]
        .assert_eq(&chain(&layout.write(missing, &mut zeros()).unwrap_err()));
    let broken = layout.write(|_| Ok(Broken), &mut zeros()).unwrap_err();
    expect!["cannot read data: the medium is gone"].assert_eq(&chain(&broken));
    let mut short = [0; 4096];
    let full = layout.write(|_| Ok(io::repeat(1)), &mut Cursor::new(short.as_mut_slice()));
    expect!["cannot write the image at byte 1048576: failed to write whole buffer"]
        .assert_eq(&chain(&full.unwrap_err()));
}
