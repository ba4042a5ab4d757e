use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use expect_test::{Expect, expect};
use image::Uuid;
use image::vhd::{self, FOOTER_BYTES, NotTaken, Vhd, VhdError};
use tempfile::tempdir;

use crate::support::{chain, content};

const MIB: u64 = 1 << 20;

fn vhd(disk_bytes: u64) -> Vhd {
    Vhd { disk_bytes, id: Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff), timestamp: 0x1234_5678 }
}

#[test]
fn qemu_sees_the_same_disk() {
    for disk_bytes in [MIB, 3 * MIB, 256 * MIB, 30 * 1024 * MIB, 127 * 1024 * MIB] {
        let temporary = tempdir().unwrap();
        let raw = temporary.path().join("disk.raw");
        let mut file = File::create(&raw).unwrap();
        file.set_len(disk_bytes).unwrap();
        file.seek(SeekFrom::Start(disk_bytes - 512)).unwrap();
        file.write_all(&[0x5a; 512]).unwrap();

        let path = temporary.path().join("disk.vhd");
        let copy = ["cp", "--sparse=always", "disk.raw", "disk.vhd"];
        content(temporary.path(), "coreutils", &copy);
        let footer = vhd::footer(&vhd(disk_bytes)).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&footer).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), disk_bytes + FOOTER_BYTES as u64);

        // A fixed VHD has nothing at its start that would tell it from a raw disk.
        let info = ["qemu-img", "info", "-f", "vpc", "--output=json", "disk.vhd"];
        let info = content(temporary.path(), "qemu-utils", &info);
        assert!(info.contains(r#""format": "vpc""#), "{info}");
        assert!(info.contains(&format!(r#""virtual-size": {disk_bytes},"#)), "{info}");
        let compare = ["qemu-img", "compare", "-f", "raw", "-F", "vpc", "disk.raw", "disk.vhd"];
        let verdict = content(temporary.path(), "qemu-utils", &compare);
        assert_eq!(verdict, "Images are identical.\n");
    }
}

/// What qemu-img makes is judged by what it was told to make.
#[test]
fn only_fixed_disks_of_whole_mebibytes_are_taken() {
    let temporary = tempdir().unwrap();
    let path = temporary.path().join("disk.vhd");
    let made = |kind: &str, size: &str| {
        let options = format!("subformat={kind},force_size=on");
        let create = ["qemu-img", "create", "-q", "-f", "vpc", "-o", &options, "disk.vhd", size];
        content(temporary.path(), "qemu-utils", &create);
        fs::read(&path).unwrap()
    };
    let read = |file: &[u8]| vhd::read(file.last_chunk().unwrap(), file.len() as u64);
    let fixed = made("fixed", "3M");
    assert_eq!(read(&fixed).unwrap().disk_bytes, 3 * MIB);
    assert_eq!(read(&made("dynamic", "3M")), Err(NotTaken::NotFixed("dynamic")));
    assert_eq!(
        read(&made("fixed", "3073K")),
        Err(NotTaken::Size(VhdError::NotWholeMebibytes { disk_bytes: 3073 << 10 }))
    );
    assert_eq!(read(&fixed[512..]), Err(NotTaken::OtherSize { said: 3 * MIB, found: 3 * MIB - 512 }));
    assert_eq!(read(&fixed[..3 << 20]), Err(NotTaken::NoFooter));
    for at in [30, 55, 64, 90] {
        let mut damaged = fixed.clone();
        damaged[(3 << 20) + at] ^= 1;
        assert_eq!(read(&damaged), Err(NotTaken::Checksum), "{at}");
    }
}

#[test]
fn footer_bytes() {
    let footer = vhd::footer(&vhd(256 * MIB)).unwrap();
    let (fields, rest) = footer.split_at(96);
    assert!(rest.iter().all(|byte| *byte == 0));
    let lines: Vec<String> = fields
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    expect![[r#"
        63 6f 6e 65 63 74 69 78 00 00 00 02 00 01 00 00
        ff ff ff ff ff ff ff ff 12 34 56 78 77 69 6e 20
        00 0a 00 00 57 69 32 6b 00 00 00 00 10 00 00 00
        00 00 00 00 10 00 00 00 02 08 10 3f 00 00 00 02
        ff ff e8 4b 00 11 22 33 44 55 66 77 88 99 aa bb
        cc dd ee ff 00 00 00 00 00 00 00 00 00 00 00 00"#]]
    .assert_eq(&lines.join("\n"));
}

/// One size for each way through the algorithm.
#[test]
fn geometry() {
    let check = |disk_bytes: u64, expected: [u16; 3]| {
        let footer = vhd::footer(&vhd(disk_bytes)).unwrap();
        let cylinders = u16::from_be_bytes([footer[56], footer[57]]);
        assert_eq!([cylinders, footer[58].into(), footer[59].into()], expected, "{disk_bytes}");
    };
    check(MIB, [30, 4, 17]);
    check(100 * MIB, [1003, 12, 17]);
    check(200 * MIB, [825, 16, 31]);
    check(256 * MIB, [520, 16, 63]);
    check(127 * 1024 * MIB, [65278, 16, 255]);
    check(vhd::MAX_SIZE_BYTES, [65535, 16, 255]);
}

#[test]
fn bad_sizes_are_refused() {
    let check = |disk_bytes: u64, expected: Expect| {
        expected.assert_eq(&chain(&vhd::footer(&vhd(disk_bytes)).unwrap_err()));
    };
    check(0, expect!["a VHD has 1 MiB to 2040 GiB, but the disk has 0 bytes"]);
    check(MIB + 512, expect!["a VHD for Azure has a multiple of 1 MiB, but the disk has 1049088 bytes"]);
    check(MIB - 1, expect!["a VHD for Azure has a multiple of 1 MiB, but the disk has 1048575 bytes"]);
    check(
        vhd::MAX_SIZE_BYTES + MIB,
        expect!["a VHD has 1 MiB to 2040 GiB, but the disk has 2190434369536 bytes"],
    );
    assert!(vhd::footer(&vhd(vhd::MAX_SIZE_BYTES)).is_ok());
}
