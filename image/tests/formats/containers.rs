//! VHDX and qcow2 as qemu-img sees them, for disks of every shape.

#![allow(
    clippy::single_range_in_vec_init,
    reason = "a list of the places of data, of which there may be one"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Cursor};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use expect_test::expect;
use image::Uuid;
use image::qcow2::{self, Compress, Qcow2Layout};
use image::source::Source;
use image::vhdx::{self, Identity, VhdxLayout};
use tempfile::tempdir;

use crate::support::{chain, content, contents};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A disk of which only some parts are there.
#[derive(Clone)]
struct Parts {
    size_bytes: u64,
    parts: BTreeMap<u64, Vec<u8>>,
}

impl Parts {
    fn new(size_bytes: u64, parts: &[Range<u64>]) -> Self {
        let part = |range: &Range<u64>| (range.start, contents("part", range.end - range.start));
        Parts { size_bytes, parts: parts.iter().map(part).collect() }
    }

    fn write_raw(&self, path: &Path) {
        let file = File::create(path).unwrap();
        file.set_len(self.size_bytes).unwrap();
        for (offset, bytes) in &self.parts {
            file.write_all_at(bytes, *offset).unwrap();
        }
    }
}

impl Source for Parts {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let ranges = self.parts.iter().map(|(start, bytes)| *start..start + bytes.len() as u64);
        Ok(ranges.filter(|range| from < range.end).map(|range| range.start.max(from)..range.end).next())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (start, bytes) = self.parts.range(..=offset).next_back().unwrap();
        let at = (offset - start) as usize;
        buffer.copy_from_slice(&bytes[at..at + buffer.len()]);
        Ok(())
    }
}

/// Frames of Zstandard that store what they hold (RFC 8878, 3.1.1: no compressed block is needed for a valid one), but
/// runs of one byte.
struct Stored;

impl Compress for Stored {
    fn compress(&mut self, clusters: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
        Ok(clusters.iter().map(|cluster| frame(cluster)).collect())
    }
}

/// None for what needs more than a few bytes a KiB.
fn frame(cluster: &[u8]) -> Option<Vec<u8>> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((cluster.len() as u32).to_le_bytes());
    let blocks: Vec<_> = cluster.chunks(KIB as usize).collect();
    for (number, block) in (1..).zip(&blocks) {
        let is_run = block.iter().all(|byte| byte == &block[0]);
        let header = u32::from(number == blocks.len()) | u32::from(is_run) << 1 | (block.len() as u32) << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(if is_run { &block[..1] } else { block });
    }
    (frame.len() < cluster.len()).then_some(frame)
}

fn identity() -> Identity {
    let id = |number: u128| Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_ee00 + number);
    Identity { file_write: id(1), data_write: id(2), disk: id(3) }
}

fn write_vhdx(disk: &Parts, path: &Path) -> u64 {
    let mut file = File::create(path).unwrap();
    let layout = VhdxLayout::new(disk.size_bytes).unwrap();
    layout.write(&identity(), &mut disk.clone(), &mut file).unwrap()
}

fn write_qcow2(disk: &Parts, compress: Option<&mut dyn Compress>, path: &Path) -> u64 {
    let mut file = File::create(path).unwrap();
    Qcow2Layout::new(disk.size_bytes).unwrap().write(&mut disk.clone(), compress, &mut file).unwrap()
}

/// qemu-img finds each file sound, of the right size, and with the content of the raw disk; a second one is the same.
fn check(disk: &Parts) {
    let folder = tempdir().unwrap();
    let path = folder.path();
    disk.write_raw(&path.join("raw"));
    let sectors = disk.size_bytes.next_multiple_of(512);
    File::options().write(true).open(path.join("raw")).unwrap().set_len(sectors).unwrap();
    let mut files = vec![("plain.qcow2", "qcow2", write_qcow2(disk, None, &path.join("plain.qcow2")))];
    let compressed = write_qcow2(disk, Some(&mut Stored), &path.join("small.qcow2"));
    files.push(("small.qcow2", "qcow2", compressed));
    if disk.size_bytes > 0 {
        files.push(("disk.vhdx", "vhdx", write_vhdx(disk, &path.join("disk.vhdx"))));
    }
    for (name, format, bytes) in files {
        let what = format!("{name} of {} bytes", disk.size_bytes);
        let metadata = fs::metadata(path.join(name)).unwrap();
        assert_eq!(metadata.len(), bytes, "{what}");
        assert!(metadata.blocks() * 512 < data_bytes(disk) + 6 * MIB, "{what}: {} blocks", metadata.blocks());
        let said = content(path, "qemu-utils", &["qemu-img", "check", "-f", format, name]);
        assert!(said.contains("No errors were found on the image."), "{what}: {said}");
        let info = content(path, "qemu-utils", &["qemu-img", "info", "--output=json", "-f", format, name]);
        assert!(info.contains(&format!(r#""virtual-size": {sectors},"#)), "{what}: {info}");
        let compare = ["qemu-img", "compare", "-f", "raw", "-F", format, "raw", name];
        assert_eq!(content(path, "qemu-utils", &compare), "Images are identical.\n", "{what}");
    }
    let first = fs::read(path.join("plain.qcow2")).unwrap();
    write_qcow2(disk, None, &path.join("plain.qcow2"));
    assert!(fs::read(path.join("plain.qcow2")).unwrap() == first);
}

fn data_bytes(disk: &Parts) -> u64 {
    disk.parts.values().map(|bytes| (bytes.len() as u64).next_multiple_of(64 * KIB) + 64 * KIB).sum()
}

#[test]
fn disks_of_every_shape_are_read_by_qemu() {
    for size_bytes in [512, 1000, 64 * KIB, MIB - 512, MIB, MIB + 512, 512 * MIB + 1] {
        check(&Parts::new(size_bytes, &[]));
        check(&Parts::new(size_bytes, &[size_bytes - 1..size_bytes]));
        let some = size_bytes.min(3 * MIB);
        check(&Parts::new(size_bytes, &[0..some]));
        check(&Parts::new(size_bytes, &[size_bytes - some..size_bytes]));
    }
    check(&Parts::new(0, &[]));
    // Every second cluster, every second block, across the border of two L2 tables.
    let every = |step: u64, length: u64| -> Vec<Range<u64>> {
        (0..40)
            .map(|number| {
                512 * MIB - 20 * step + number * step..512 * MIB - 20 * step + number * step + length
            })
            .collect()
    };
    check(&Parts::new(600 * MIB, &every(128 * KIB, 64 * KIB)));
    check(&Parts::new(600 * MIB, &every(128 * KIB, 100 * KIB)));
    check(&Parts::new(600 * MIB, &every(2 * MIB, 512)));
}

#[test]
fn runs_of_one_byte_are_compressed() {
    let mut disk = Parts::new(8 * MIB, &[3 * MIB..3 * MIB + 300 * KIB]);
    disk.parts.insert(MIB, vec![7; 2 * MIB as usize - 5]);
    check(&disk);
    let folder = tempdir().unwrap();
    let path = folder.path().join("disk.qcow2");
    write_qcow2(&disk, Some(&mut Stored), &path);
    let check = ["qemu-img", "check", "--output=json", "disk.qcow2"];
    let said = content(folder.path(), "qemu-utils", &check);
    assert!(said.contains(r#""compressed-clusters": 33,"#), "{said}");
    assert!(said.contains(r#""allocated-clusters": 37,"#), "{said}");
}

/// A seeded sample of sizes and places.
#[test]
fn disks_of_any_shape_are_read_by_qemu() {
    let mut state = 1_u64;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 20) % limit
    };
    for _ in 0..12 {
        let scale = [12, 20, 24, 26][below(4) as usize];
        let size_bytes = 1 + below(5 << scale);
        let mut disk = Parts { size_bytes, parts: BTreeMap::new() };
        let mut start = below(size_bytes);
        while start < size_bytes && disk.parts.len() < 8 {
            let length = (1 + below(3 * MIB)).min(size_bytes - start);
            disk.parts.insert(start, contents("any", length));
            start += length + 1 + below(size_bytes);
        }
        check(&disk);
    }
}

/// The table for 64 TiB is as large as for 1 TiB, and blocks lie where it says; so they do behind an entry for sector
/// bitmaps, which comes after 4096 blocks of 1 MiB.
#[test]
fn large_disks_are_found_where_the_table_says() {
    let folder = tempdir().unwrap();
    let chunk = 4096 * MIB;
    for size_bytes in [chunk, chunk + 512, 9 * 1024 * MIB, 1 << 40, (1 << 40) + 512, 64 << 40] {
        let places = [0, chunk - MIB, chunk + 3 * MIB, 2 * chunk - 1024, 2 * chunk, size_bytes - 70_144];
        let mut disk = Parts { size_bytes, parts: BTreeMap::new() };
        for place in places.into_iter().filter(|place| place + 70_144 <= size_bytes) {
            disk.parts.insert(place, vec![0x5a; if place == 2 * chunk - 1024 { 1024 } else { 70_144 }]);
        }
        let files = [
            ("vhdx", write_vhdx(&disk, &folder.path().join("disk.vhdx"))),
            ("qcow2", write_qcow2(&disk, None, &folder.path().join("disk.qcow2"))),
        ];
        for (format, file_bytes) in files {
            assert!(file_bytes < 80 * MIB || format == "vhdx" && file_bytes < 400 * MIB, "{file_bytes}");
            let file = format!("disk.{format}");
            let mut command = vec!["qemu-io".to_owned(), "-r".into(), "-f".into(), format.into(), file];
            for (place, bytes) in &disk.parts {
                command.extend(["-c".to_owned(), format!("read -P 0x5a {place} {}", bytes.len())]);
                let behind = place + bytes.len() as u64;
                if behind + 512 <= size_bytes && !disk.parts.contains_key(&behind) {
                    command.extend(["-c".to_owned(), format!("read -P 0 {behind} 512")]);
                }
            }
            let command: Vec<_> = command.iter().map(String::as_str).collect();
            let said = content(folder.path(), "qemu-utils", &command);
            assert!(!said.contains("failed"), "{size_bytes}: {said}");
        }
    }
}

#[test]
fn bad_sizes_are_refused() {
    let vhdx = |size| chain(&VhdxLayout::new(size).unwrap_err());
    expect!["a VHDX has 512 bytes to 64 TiB, but the disk has 0 bytes"].assert_eq(&vhdx(0));
    expect!["a VHDX has 512 bytes to 64 TiB, but the disk has 70368744177665 bytes"]
        .assert_eq(&vhdx(vhdx::MAX_SIZE_BYTES + 1));
    expect!["QEMU takes qcow2 files up to 2251799813685248 bytes, but the disk has 18446744073709551615"]
        .assert_eq(&chain(&Qcow2Layout::new(u64::MAX).unwrap_err()));
    assert!(Qcow2Layout::new(qcow2::MAX_SIZE_BYTES).is_ok());
}

/// A source that fails, an output that is full.
#[test]
fn what_goes_wrong_is_told_with_its_place() {
    struct Broken;
    impl Source for Broken {
        fn size_bytes(&self) -> u64 {
            8 * MIB
        }
        fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
            Ok(Some(from.max(5 * MIB)..8 * MIB))
        }
        fn read_at(&mut self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(io::Error::other("the medium is gone"))
        }
    }
    let error =
        VhdxLayout::new(8 * MIB).unwrap().write(&identity(), &mut Broken, &mut Cursor::new(Vec::new()));
    expect!["cannot read the disk at byte 5242880: the medium is gone"]
        .assert_eq(&chain(&error.unwrap_err()));
    let mut small = vec![0; 100_000];
    let mut disk = Parts::new(8 * MIB, &[0..8 * MIB]);
    let error = Qcow2Layout::new(8 * MIB).unwrap().write(&mut disk, None, &mut Cursor::new(&mut small[..]));
    expect!["cannot write at byte 131072: failed to write whole buffer"]
        .assert_eq(&chain(&error.unwrap_err()));
    assert!(small[..4] != *b"QFI\xfb", "no header in a file that broke off");
}
