//! Programs wrapped for UEFI, read back by another reader of PE.

use image::{
    Arch,
    efi::{EfiError, wrap},
};
use object::{
    LittleEndian as LE, Object as _, ObjectSection as _,
    pe::{IMAGE_DIRECTORY_ENTRY_BASERELOC, IMAGE_SUBSYSTEM_EFI_APPLICATION},
    read::pe::{ImageNtHeaders as _, ImageOptionalHeader as _, PeFile64},
};

const X86_64_RELATIVE: u64 = 8;
const AARCH64_RELATIVE: u64 = 1027;

/// An ELF program: code at 0x1000, data at 0x2000 with two pointers, a dynamic segment, relocations of this type.
fn program(machine: u16, kind: u64, places: &[u64], with_dynamic: bool) -> Vec<u8> {
    let mut data = vec![0; 0x1000];
    for (number, place) in places.iter().enumerate() {
        let words = [*place, kind, 0x1111 * (number as u64 + 1)];
        let at = 0x100 + number * 24;
        data[at..at + 24].copy_from_slice(&words.map(u64::to_le_bytes).concat());
    }
    // DT_RELA, DT_RELASZ, DT_RELAENT, end.
    let dynamic = [7, 0x2100, 8, places.len() as u64 * 24, 9, 24, 0, 0];
    data[0x800..0x840].copy_from_slice(&dynamic.map(u64::to_le_bytes).concat());
    let mut segments =
        vec![(1_u32, 5_u32, 0x1000_u64, 0x1000_u64, 0x1000_u64), (1, 6, 0x2000, 0x1000, 0x1800)];
    if with_dynamic {
        segments.push((2, 6, 0x2800, 0x40, 0x40));
    }
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2_u16, machine].map(u16::to_le_bytes).concat());
    file.extend(1_u32.to_le_bytes());
    file.extend([0x1010_u64, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([64, 56, segments.len() as u16, 64, 0, 0].map(u16::to_le_bytes).concat());
    for (kind, flags, address, in_file, in_memory) in segments {
        file.extend([kind, flags].map(u32::to_le_bytes).concat());
        file.extend([address, address, address, in_file, in_memory, 0x1000].map(u64::to_le_bytes).concat());
    }
    file.resize(0x1000, 0);
    file.extend([0x90; 0x1000]);
    file.extend(data);
    file
}

const MACHINES: [(Arch, u16, u64); 2] =
    [(Arch::X86_64, 62, X86_64_RELATIVE), (Arch::Aarch64, 183, AARCH64_RELATIVE)];

#[test]
fn what_is_in_it() {
    for (arch, machine, kind) in MACHINES {
        let wrapped = wrap(arch, &program(machine, kind, &[0x2000, 0x2008, 0x2ff8], true)).unwrap();
        assert_eq!(wrapped, wrap(arch, &program(machine, kind, &[0x2000, 0x2008, 0x2ff8], true)).unwrap());
        let file = PeFile64::parse(wrapped.as_slice()).unwrap();
        let headers = file.nt_headers();
        assert_eq!(headers.file_header().machine.get(LE).0, arch.pe_machine());
        let optional = headers.optional_header();
        assert_eq!(optional.subsystem(), IMAGE_SUBSYSTEM_EFI_APPLICATION);
        assert_eq!((file.entry(), optional.image_base(), optional.size_of_image()), (0x1010, 0, 0x5000));
        let sections: Vec<_> =
            file.sections().map(|section| (section.name().unwrap().to_string(), section.address())).collect();
        assert_eq!(sections, [(".text".into(), 0x1000), (".data".into(), 0x2000), (".reloc".into(), 0x4000)]);
        let data = file.section_by_name(".data").unwrap().data().unwrap();
        assert_eq!(
            data[..16],
            [0x1111_u64, 0x2222].map(u64::to_le_bytes).concat(),
            "pointers of a program at 0"
        );
        let blocks =
            file.data_directories().relocation_blocks(wrapped.as_slice(), &file.section_table()).unwrap();
        let mut places = Vec::new();
        let mut blocks = blocks.expect("there is a directory");
        while let Some(block) = blocks.next().unwrap() {
            places.extend(block.map(|relocation| relocation.virtual_address));
        }
        assert_eq!(places[..3], [0x2000, 0x2008, 0x2ff8]);
        assert!(file.data_directory(IMAGE_DIRECTORY_ENTRY_BASERELOC).is_some());
    }
}

#[test]
fn what_cannot_be_wrapped() {
    let refused = |program: &[u8]| wrap(Arch::X86_64, program).unwrap_err().to_string();
    assert!(refused(b"MZ").starts_with("not a 64-bit ELF program"));
    assert!(matches!(
        wrap(Arch::Aarch64, &program(62, 8, &[], true)),
        Err(EfiError::Machine { machine: 62, .. })
    ));
    assert_eq!(refused(&program(62, 8, &[], false)), "the program is not position-independent");
    // Of another kind, at a place where nothing lies.
    assert!(refused(&program(62, 1, &[0x2000], true)).contains("which UEFI has not"));
    assert!(refused(&program(62, 8, &[0x5000], true)).contains("at 0x5000"));
    let good = program(62, 8, &[0x2000], true);
    assert!(refused(&good[..0x2800]).starts_with("not a 64-bit ELF program"));
    // A segment within a page of another, and within the headers'.
    for address in [0x1800_u64, 0] {
        let mut bad = good.clone();
        bad[64 + 56 + 16..64 + 56 + 24].copy_from_slice(&address.to_le_bytes());
        assert!(refused(&bad).contains("shares a page"), "{address}");
    }
}
