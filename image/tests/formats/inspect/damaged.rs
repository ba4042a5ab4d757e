//! Images that are damaged, hostile or cannot be: told with their place, and survived.

use std::fs;

use expect_test::{Expect, expect};
use image::Uuid;
use image::inspect::{azure::verdicts, drawing, inspect, svg};
use tempfile::tempdir;

use super::{
    DISK_BYTES, MIB, Nothing, Patched, as_qcow2, as_vhd, as_vhdx, assert_well_formed, disk, program, report,
};
use crate::support::judge;

/// One change to a good image, and what is found.
#[test]
fn damage_is_told_once_with_its_place() {
    let disk = disk();
    let check = |bytes: &[u8], patches: &[(u64, &[u8])], expected: Expect| {
        let patches = patches.iter().map(|(at, bytes)| (*at, bytes.to_vec())).collect();
        let report = inspect(&mut Patched { bytes, patches, read_bytes: 0 }, &Nothing);
        let found: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        expected.assert_eq(&found.join("\n"));
    };
    let (vhd, vhdx, qcow2) = (as_vhd(&disk), as_vhdx(&disk), as_qcow2(&disk));
    let last = DISK_BYTES - 512;
    check(&[], &[], expect!["the disk: it has no partition table and no FAT file system that is known here"]);
    check(&disk, &[(512 + 60, b"x")], expect!["primary GPT: the checksum of its header is wrong"]);
    check(&disk, &[(1024 + 60, b"x")], expect!["primary GPT: the checksum of its entries is wrong"]);
    check(&disk, &[(last, &[0; 512])], expect!["backup GPT: there is none in sector 81919"]);
    check(&disk, &[(512, &[0; 512])], expect!["primary GPT: there is none in sector 1"]);
    check(&disk, &[(446, &[0; 64])], expect!["MBR: no entry of type 0xee protects the GPT"]);
    check(&disk, &[(512 + 80, &[0xff; 4])], expect!["primary GPT: the checksum of its header is wrong"]);
    check(&disk[..DISK_BYTES as usize - 4096], &[], expect!["backup GPT: there is none in sector 81911"]);
    check(
        &disk[..20 * MIB as usize],
        &[],
        expect![[r#"
            backup GPT: there is none in sector 40959
            partition 1: it ends at byte 40894464, and the disk at 20971520"#]],
    );
    check(
        &disk,
        &[(MIB + 13, &[3])],
        expect!["partition 1: it is an EFI system partition without a FAT file system"],
    );
    check(
        &disk,
        &[(MIB + 32, &[0xff; 4])],
        expect!["partition 1: its file system has 2199023255040 bytes, and its place 39845888"],
    );
    check(
        &disk,
        &[(MIB + 36, &[1, 0, 0, 0])],
        expect!["partition 1: its table of 1 sectors is too short for 77814 clusters"],
    );
    check(
        &vhd,
        &[(DISK_BYTES + 50, b"x")],
        expect!["VHD footer: its checksum is 0xffffefed, not 0xffffef75"],
    );
    check(
        &vhd[MIB as usize..],
        &[],
        expect![[r#"
        VHD footer: it tells of 41943040 bytes, but 40894464 lie before it
        primary GPT: there is none in sector 1
        backup GPT: it says that it is in sector 81919, but is in 79871
        backup GPT: 16384 bytes at 41926144 are not within its 40894464 bytes
        MBR: no entry of type 0xee protects the GPT"#]],
    );
    check(
        &vhdx,
        &[(128 << 10, b"x")],
        expect!["VHDX header at 131072: its signature, version or checksum is wrong"],
    );
    check(
        &vhdx,
        &[(64 << 10, b"x"), (128 << 10, b"x")],
        expect![[r#"
        VHDX header at 65536: its signature, version or checksum is wrong
        VHDX header at 131072: its signature, version or checksum is wrong
        VHDX headers: neither of the two is valid"#]],
    );
    check(
        &vhdx,
        &[(2 * MIB + 65536, &[0xff; 4])],
        expect!["VHDX metadata: its blocks of 4294967295 bytes are no power of two of 1 to 256 MiB"],
    );
    check(
        &vhdx,
        &[(2 * MIB + 65536 + 8, &[0xff; 8])],
        expect!["VHDX metadata: its disk of 18446744073709551615 bytes is larger than 64 TiB"],
    );
    check(
        &vhdx[..5 * MIB as usize],
        &[],
        expect![[r#"
            backup GPT: it cannot be read at byte 41942528: its data at 7339520 lies behind the end of the file
            partition 1: it cannot be read at byte 0: its data at 5242880 lies behind the end of the file"#]],
    );
    check(
        &qcow2,
        &[(24, &[0xff; 8])],
        expect![
            "qcow2 header: its L1 table of 1 entries at 65536 is too short for 18446744073709551615 bytes, or not within the file"
        ],
    );
    check(
        &qcow2,
        &[(20, &[0, 0, 0, 63])],
        expect!["qcow2 header: its clusters of 2^63 bytes are none of 512 bytes to 2 MiB"],
    );
    check(&qcow2, &[(72, &[0, 0, 0, 0, 0, 0, 0, 4])], expect!["qcow2 header: its data is in another file"]);
    check(
        &qcow2,
        &[(65536, &[0, 0xff, 0, 0, 0, 0, 0, 0])],
        expect![
            "the disk: it cannot be read at byte 0: its L2 table at 71776119061217280 lies behind the end of the file"
        ],
    );
}

/// Partitions over each other, unaligned, outside.
#[test]
fn tables_that_cannot_be_are_told() {
    let folder = tempdir().unwrap();
    let mut bytes = vec![0; 8 * MIB as usize];
    let mut entries = vec![0; 128 * 128];
    for (index, (first, last)) in
        [(2048_u64, 4095_u64), (3001, 5000), (9000, 8999), (16_000, 99_999)].into_iter().enumerate()
    {
        let entry = &mut entries[index * 128..];
        entry[..16].copy_from_slice(&Uuid::from_u128(7).to_bytes_le());
        entry[16..32].copy_from_slice(&Uuid::from_u128(8 + index as u128 % 2).to_bytes_le());
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    }
    let crc = |bytes: &[u8]| crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes);
    let sectors = bytes.len() as u64 / 512;
    for (lba, other, entries_lba) in [(1, sectors - 1, 2), (sectors - 1, 1, sectors - 33)] {
        let mut header = [0; 92];
        header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        for (at, value) in [(24, lba), (32, other), (40, 34), (48, sectors - 34), (72, entries_lba)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc(&entries).to_le_bytes());
        let sum = crc(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        bytes[lba as usize * 512..][..92].copy_from_slice(&header);
        bytes[entries_lba as usize * 512..][..entries.len()].copy_from_slice(&entries);
    }
    bytes[450] = 0xee;
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let found: Vec<_> = report(&bytes).findings.iter().map(ToString::to_string).collect();
    expect![[r#"
        partition 3: it reaches from sector 9000 to 8999
        partition 4: its sectors 16000 to 99999 leave the usable ones, 34 to 16350
        partition 2: it overlaps partition 1
        partition 2: it starts at a multiple of 512 bytes only"#]]
    .assert_eq(&found.join("\n"));
    // Nor does sgdisk find it good.
    fs::write(folder.path().join("disk"), &bytes).unwrap();
    let said = judge(folder.path(), "gdisk", &["sgdisk", "-v", "disk"]);
    assert!(!String::from_utf8_lossy(&said.stdout).contains("No problems found"));
}

/// Whatever bytes are changed, and wherever a file is cut: an answer, with little read.
#[test]
fn mutated_images_are_survived() {
    let disk = disk();
    let images = [program(), as_vhd(&disk), as_vhdx(&disk), as_qcow2(&disk), disk];
    let mut pictures = String::new();
    let count = if std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some() { 50_000 } else { 400 };
    let mut state = 5_u64;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 24) % limit
    };
    for image in &images {
        let used = structures(image);
        for _ in 0..count {
            let cut = if below(8) == 0 { below(image.len() as u64 + 1) } else { image.len() as u64 };
            let mut patches = Vec::new();
            for _ in 0..1 + below(4) {
                let at = used[below(used.len() as u64) as usize] + below(512);
                let value = match below(5) {
                    0 => vec![0xff; 1 << below(4)],
                    1 => vec![0; 1 << below(4)],
                    2 => vec![1 << below(8)],
                    _ => (0..1 << below(4)).map(|_| below(256) as u8).collect(),
                };
                patches.push((at, value));
            }
            let mut source = Patched { bytes: &image[..cut as usize], patches, read_bytes: 0 };
            let report = inspect(&mut source, &Nothing);
            let drawn = drawing(&report);
            assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
            verdicts(&report, None);
            if pictures.len() < 20 << 20 {
                pictures += &svg(&report, "broken");
            }
            assert!(source.read_bytes < 400 * MIB, "{:?}", source.patches);
            assert!(report.findings.len() < 10_000);
        }
    }
    let all = format!("<all xmlns=\"http://www.w3.org/2000/svg\">{pictures}</all>");
    assert_well_formed(&all, &["broken".to_owned()]);
}

/// Sectors that hold something other than the content of files.
fn structures(image: &[u8]) -> Vec<u64> {
    let is_used = |sector: &&[u8]| sector.iter().any(|byte| *byte != 0);
    (0..)
        .zip(image.chunks(512))
        .filter(|(_, sector)| is_used(sector))
        .map(|(number, _): (u64, _)| number * 512)
        .collect()
}
