//! Images of every kind as they should be; broken ones are in `damaged`.

mod damaged;

use std::fs;
use std::io::{self, Cursor};
use std::ops::Range;

use expect_test::{expect, expect_file};
use image::disk::{Content, Disk, DiskLayout, Partition, Size};
use image::inspect::azure::{Outcome, verdicts};
use image::inspect::{Compression, Decompress, Report, drawing, inspect, svg};
use image::qcow2::Qcow2Layout;
use image::source::Source;
use image::vhdx::{Identity, VhdxLayout};
use image::{Uuid, fat, gpt::PartitionKind, vhd};
use tempfile::tempdir;

use crate::azure::{CONFIGURATION, with_outcome};
use crate::support::{content, judge};

const MIB: u64 = 1 << 20;
const DISK_BYTES: u64 = 40 * MIB;

/// Bytes in memory, some of them changed, and how much was read of them.
struct Patched<'a> {
    bytes: &'a [u8],
    patches: Vec<(u64, Vec<u8>)>,
    read_bytes: u64,
}

impl<'a> Patched<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Patched { bytes, patches: Vec::new(), read_bytes: 0 }
    }
}

impl Source for Patched<'_> {
    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok((from < self.size_bytes()).then_some(from..self.size_bytes()))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_bytes += buffer.len() as u64;
        let range = offset as usize..offset as usize + buffer.len();
        buffer.copy_from_slice(&self.bytes[range]);
        for (at, bytes) in &self.patches {
            for (place, byte) in (*at..).zip(bytes) {
                if let Some(place) = place.checked_sub(offset).filter(|place| *place < buffer.len() as u64) {
                    buffer[place as usize] = *byte;
                }
            }
        }
        Ok(())
    }
}

/// Nothing here is compressed.
struct Nothing;

impl Decompress for Nothing {
    fn decompress(&self, _: Compression, _: &[u8], _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other("no cluster is compressed"))
    }
}

/// A PE file with the sections of a unified kernel image; a stub nobody would run.
fn program() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = object::write::pe::Writer::new(true, 4096, 512, &mut bytes);
    writer.reserve_dos_header_and_stub();
    writer.reserve_nt_headers(16);
    let sections =
        [(".text", vec![0xc3; 512]), (".cmdline", b"console=ttyS0\0".to_vec()), (".linux", vec![7; 700])];
    writer.reserve_section_headers(sections.len() as u16);
    let mut ranges = Vec::new();
    for (name, data) in &sections {
        let mut padded = [0; 8];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        ranges.push(writer.reserve_section(
            padded,
            object::pe::IMAGE_SCN_MEM_READ,
            data.len() as u32,
            data.len() as u32,
        ));
    }
    writer.write_dos_header_and_stub().unwrap();
    writer.write_nt_headers(object::write::pe::NtHeaders {
        machine: object::pe::IMAGE_FILE_MACHINE_AMD64,
        time_date_stamp: 0,
        characteristics: object::pe::IMAGE_FILE_EXECUTABLE_IMAGE,
        major_linker_version: 0,
        minor_linker_version: 0,
        address_of_entry_point: 4096,
        image_base: 0,
        major_operating_system_version: 0,
        minor_operating_system_version: 0,
        major_image_version: 0,
        minor_image_version: 0,
        major_subsystem_version: 0,
        minor_subsystem_version: 0,
        subsystem: object::pe::IMAGE_SUBSYSTEM_EFI_APPLICATION,
        dll_characteristics: Default::default(),
        size_of_stack_reserve: 0,
        size_of_stack_commit: 0,
        size_of_heap_reserve: 0,
        size_of_heap_commit: 0,
    });
    writer.write_section_headers();
    for (range, (_, data)) in ranges.iter().zip(&sections) {
        writer.write_section(range.file_offset, data);
    }
    bytes
}

/// A GPT disk whose ESP has that program and a text.
pub fn disk() -> Vec<u8> {
    let program = program();
    let file = |path: &str, source: &str, length_bytes| fat::File {
        path: path.into(),
        source: source.into(),
        length_bytes,
    };
    let volume = fat::Volume {
        volume_id: 0x1234_abcd,
        label: fat::VolumeLabel::new("ESP").unwrap(),
        files: vec![
            file("EFI/BOOT/BOOTX64.EFI", "program", program.len() as u64),
            file("a text with a long name.txt", "text", 5),
        ],
    };
    let layout = DiskLayout::new(&Disk {
        size_bytes: DISK_BYTES,
        guid: Uuid::from_u128(1),
        partitions: vec![Partition {
            name: "system".into(),
            kind: PartitionKind::EfiSystem,
            guid: Uuid::from_u128(2),
            size: Size::Rest,
            content: Content::Fat(volume),
        }],
    })
    .unwrap();
    let mut bytes = vec![0; DISK_BYTES as usize];
    let open =
        |source: &str| Ok(Cursor::new(if source == "program" { program.clone() } else { b"hello".to_vec() }));
    layout.write(open, &mut Cursor::new(&mut bytes[..])).unwrap();
    bytes
}

pub fn as_vhd(disk: &[u8]) -> Vec<u8> {
    let footer =
        vhd::footer(&vhd::Vhd { disk_bytes: disk.len() as u64, id: Uuid::from_u128(3), timestamp: 0 });
    [disk, &footer.unwrap()].concat()
}

fn as_vhdx(disk: &[u8]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let identity =
        Identity { file_write: Uuid::from_u128(4), data_write: Uuid::from_u128(5), disk: Uuid::from_u128(6) };
    VhdxLayout::new(disk.len() as u64).unwrap().write(&identity, &mut Patched::new(disk), &mut out).unwrap();
    out.into_inner()
}

fn as_qcow2(disk: &[u8]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    Qcow2Layout::new(disk.len() as u64).unwrap().write(&mut Patched::new(disk), None, &mut out).unwrap();
    out.into_inner()
}

pub fn report(bytes: &[u8]) -> Report {
    inspect(&mut Patched::new(bytes), &Nothing)
}

#[test]
fn the_same_disk_is_found_in_every_format() {
    let disk = disk();
    for (name, bytes) in [
        ("raw", disk.clone()),
        ("fixed VHD", as_vhd(&disk)),
        ("VHDX", as_vhdx(&disk)),
        ("qcow2", as_qcow2(&disk)),
    ] {
        let report = report(&bytes);
        assert_eq!(report.findings, [], "{name}");
        assert_eq!(report.container.name(), name);
        assert_eq!(report.disk_bytes, Some(DISK_BYTES), "{name}");
        let table = report.table.as_ref().unwrap();
        assert_eq!(table.disk_id, Some(Uuid::from_u128(1)), "{name}");
        let [system] = &table.partitions[..] else { panic!("{name}: one partition") };
        assert_eq!((system.start_bytes, system.size_bytes), (MIB, DISK_BYTES - 2 * MIB), "{name}");
        assert!(system.is_esp() && system.name == "system" && system.alignment_bytes == MIB, "{name}");
        let volume = &report.volumes[0].volume;
        assert_eq!((volume.label.as_str(), volume.id, volume.fat_bits), ("ESP", 0x1234_abcd, 32), "{name}");
        let files: Vec<_> = volume.files.iter().map(|file| (file.path.as_str(), file.size_bytes)).collect();
        let boot = ("/EFI/BOOT/BOOTX64.EFI", program().len() as u32);
        assert_eq!(files, [boot, ("/a text with a long name.txt", 5)], "{name}");
        let [uki] = &report.programs[..] else { panic!("{name}: one program") };
        assert!(uki.is_unified_kernel_image && uki.machine == "x86_64", "{name}");
        assert_eq!(uki.command_line.as_deref(), Some("console=ttyS0"), "{name}");
        let fails = with_outcome(&verdicts(&report, Some(CONFIGURATION)), Outcome::Fails);
        let wanted: &[&str] = match name {
            "fixed VHD" => &[],
            _ => &["the file is a fixed VHD", "its footer tells the size that it has"],
        };
        assert_eq!(fails, wanted, "{name}");
    }
}

#[test]
fn the_drawing_is_to_scale() {
    let mut drawn = String::from("\n");
    drawn += &drawing(&report(&as_vhdx(&disk())));
    assert!(drawn.lines().all(|line| line.chars().count() <= 80));
    expect![[r#"

         0                                                                       40 MiB
        [=1111111111111111111111111111111111111111111111111111111111111111111111111111=]
        [####                                                                        ##]
         #: data, +: some (3 MiB in all), blank: none
         =: partition table, .: free
         1: 38 MiB from 1 MiB, EFI system partition "system"
    "#]]
    .assert_eq(&drawn);
}

/// Drawn once for eyes (`layout.svg`), and judged by a parser of XML, with names that would break out of it.
#[test]
fn the_picture_is_to_scale_and_well_formed() {
    let mut report = report(&as_vhdx(&disk()));
    expect_file!["layout.svg"].assert_eq(&svg(&report, "disk.vhdx"));
    let hostile = "</text><script>\u{1}\u{ffff}&amp;\"'";
    report.table.as_mut().unwrap().partitions[0].name = hostile.repeat(9);
    report.volumes[0].volume.files[0].path = format!("/{hostile}");
    report.programs[0].path = hostile.to_owned();
    assert_well_formed(&svg(&report, hostile), &[hostile.replace(['\u{1}', '\u{ffff}'], "\u{fffd}")]);
}

/// Also that nothing but drawing is in it, and that these texts are.
fn assert_well_formed(xml: &str, texts: &[String]) {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("picture.svg"), xml).unwrap();
    let script = "import sys, xml.etree.ElementTree as tree\n\
        root = tree.parse('picture.svg').getroot()\n\
        names = {element.tag.split('}')[1] for element in root.iter()}\n\
        assert names <= {'svg', 'title', 'style', 'defs', 'pattern', 'rect', 'text', 'all'}, names\n\
        texts = [element.text for element in root.iter()]\n\
        assert all(text in texts for text in sys.argv[1:]), texts";
    let mut command = vec!["python3", "-c", script];
    command.extend(texts.iter().map(String::as_str));
    content(folder.path(), "python3", &command);
}

/// What others make: sgdisk's tables, mkfs.fat's file systems of every kind, qemu-img's containers.
#[test]
fn images_of_others_are_read() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let run = |package: &str, command: &[&str]| content(path, package, command);
    for (bits, size) in [("12", "4M"), ("16", "32M"), ("32", "300M")] {
        run("coreutils", &["truncate", "-s", size, "fat"]);
        run("dosfstools", &["mkfs.fat", "-F", bits, "-n", "OTHERS", "fat"]);
        fs::write(path.join("some file.efi"), program()).unwrap();
        run("mtools", &["mmd", "-i", "fat", "::/Folder"]);
        run("mtools", &["mcopy", "-i", "fat", "some file.efi", "::/Folder/some file.efi"]);
        let report = report(&fs::read(path.join("fat")).unwrap());
        assert_eq!(report.findings, [], "FAT{bits}");
        let volume = &report.volumes[0].volume;
        assert_eq!((volume.fat_bits.to_string().as_str(), volume.label.as_str()), (bits, "OTHERS"));
        assert_eq!(volume.files[0].path, "/Folder/some file.efi");
        assert_eq!(report.programs[0].sections.len(), 3);
        fs::remove_file(path.join("fat")).unwrap();
    }
    run("coreutils", &["truncate", "-s", "64M", "disk.raw"]);
    let table = ["sgdisk", "-n", "1:0:+8M", "-c", "1:one", "-n", "3:40M:0", "-c", "3:three", "disk.raw"];
    run("gdisk", &table);
    for (options, name) in [
        (&["-O", "qcow2", "-o", "cluster_size=512"][..], "qcow2"),
        (&["-O", "qcow2", "-o", "compat=0.10"], "qcow2"),
        (&["-O", "vhdx"], "VHDX"),
        (&["-O", "vpc", "-o", "subformat=dynamic,force_size"], "dynamic VHD"),
        (&["-O", "vpc", "-o", "subformat=fixed,force_size"], "fixed VHD"),
    ] {
        let mut convert = vec!["qemu-img", "convert", "-f", "raw"];
        convert.extend(options);
        convert.extend(["disk.raw", "disk.other"]);
        run("qemu-utils", &convert);
        let report = report(&fs::read(path.join("disk.other")).unwrap());
        assert_eq!((report.container.name(), &report.findings[..]), (name, &[][..]), "{options:?}");
        let partitions = &report.table.as_ref().unwrap().partitions;
        let found: Vec<_> =
            partitions.iter().map(|one| (one.number, one.name.as_str(), one.start_bytes / MIB)).collect();
        assert_eq!(found, [(1, "one", 1), (3, "three", 40)], "{options:?}");
        // sgdisk -i writes names and sectors as text: the same ones.
        let said =
            String::from_utf8(judge(path, "gdisk", &["sgdisk", "-i", "3", "disk.raw"]).stdout).unwrap();
        assert!(said.contains(&partitions[1].id.unwrap().to_string().to_uppercase()), "{said}");
    }
}
